/* The library comes by dlopen into a running process with hardly any static thread storage left.
 *
 * Arguments: the library; a folder with copies of the small libraries `tenant64.<n>.so` and
 * `tenant16.<n>.so`, whose initial-exec variables take up the reserve. How many fit is found out
 * in a forked child, which fills it up; the parent then loads all but one, so that the room left
 * is what a single 16-byte variable takes.
 *
 * The library is then used through dlsym, beside the process's own malloc, by threads older and
 * younger than itself; dlclose must not take it away.
 */
#include "expect.h"
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

enum { OLD = 4, YOUNG = 4, COPIES = 64 };

static void *(*late_malloc)(size_t);
static void *(*late_calloc)(size_t, size_t);
static void *(*late_realloc)(void *, size_t);
static void (*late_free)(void *);
static pthread_barrier_t loaded, closed;
static void *shared[OLD + YOUNG][100];

/* Loads copies of one kind until one is refused or `limit` are there; returns how many are. */
static int load_tenants(const char *folder, int bytes, int limit) {
    char path[512];
    int count = 0;
    while (count < limit) {
        snprintf(path, sizeof path, "%s/tenant%d.%d.so", folder, bytes, count);
        EXPECT(access(path, R_OK) == 0);
        if (dlopen(path, RTLD_NOW | RTLD_LOCAL) == NULL) {
            EXPECT(strstr(dlerror(), "static TLS") != NULL);
            break;
        }
        count++;
    }
    return count;
}

/* Returns how many 16-byte tenants still fit, as a child finds out. */
static int count_small_tenants(const char *folder) {
    int pipe_ends[2], count = -1;
    EXPECT(pipe(pipe_ends) == 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        count = load_tenants(folder, 16, COPIES);
        EXPECT(write(pipe_ends[1], &count, sizeof count) == sizeof count);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(read(pipe_ends[0], &count, sizeof count) == sizeof count);
    EXPECT(count > 0 && count < COPIES);
    return count;
}

static void use(int index, uint64_t random) {
    void *held[300] = {0};
    for (int i = 0; i < 30000; i++) {
        int slot = (int)(next_random(&random) % 300);
        size_t size = sizeof(struct stamp) + next_size(&random);
        if (held[slot] != NULL) {
            expect_stamp(held[slot]);
            if (i % 5 == 0) {
                held[slot] = stamped(late_realloc(held[slot], size), size, random);
                continue;
            }
            late_free(held[slot]);
        }
        held[slot] = stamped(i % 2 ? late_malloc(size) : late_calloc(1, size), size, random);
        /* The process's own malloc goes on beside it. */
        free_stamped(new_stamped(next_size(&random), random));
    }
    for (int i = 0; i < 300; i++) {
        if (i < 100) {
            shared[index][i] = held[i];
        } else if (held[i] != NULL) {
            expect_stamp(held[i]);
            late_free(held[i]);
        }
    }
}

static void *thread_body(void *argument) {
    int index = (int)(intptr_t)argument;
    if (index < OLD) {
        pthread_barrier_wait(&loaded);
    }
    use(index, (uint64_t)index + 1);
    pthread_barrier_wait(&closed);
    pthread_barrier_wait(&closed);
    use(index, (uint64_t)index + 100);
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t threads[OLD + YOUNG];
    EXPECT(count == 3);
    EXPECT(pthread_barrier_init(&loaded, NULL, OLD + 1) == 0);
    EXPECT(pthread_barrier_init(&closed, NULL, OLD + YOUNG + 1) == 0);
    int large = load_tenants(arguments[2], 64, COPIES);
    EXPECT(large < COPIES);
    int small = count_small_tenants(arguments[2]);
    EXPECT(load_tenants(arguments[2], 16, small - 1) == small - 1);
    for (intptr_t i = 0; i < OLD; i++) {
        EXPECT(pthread_create(&threads[i], NULL, thread_body, (void *)i) == 0);
    }
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fail("with %d and %d tenants: %s", large, small - 1, dlerror());
    }
    /* One more does not fit: the reserve is really gone. */
    char path[512];
    snprintf(path, sizeof path, "%s/tenant64.%d.so", arguments[2], COPIES - 1);
    EXPECT(dlopen(path, RTLD_NOW) == NULL);
    *(void **)&late_malloc = dlsym(library, "malloc");
    *(void **)&late_calloc = dlsym(library, "calloc");
    *(void **)&late_realloc = dlsym(library, "realloc");
    *(void **)&late_free = dlsym(library, "free");
    EXPECT(late_malloc && late_calloc && late_realloc && late_free);
    EXPECT((void *)late_malloc != (void *)malloc);
    pthread_barrier_wait(&loaded);
    for (intptr_t i = OLD; i < OLD + YOUNG; i++) {
        EXPECT(pthread_create(&threads[i], NULL, thread_body, (void *)i) == 0);
    }
    pthread_barrier_wait(&closed);
    EXPECT(dlclose(library) == 0);
    EXPECT(dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) != NULL);
    for (int i = 0; i < OLD + YOUNG; i++) {
        for (int k = 0; k < 100; k++) {
            if (shared[i][k] != NULL) {
                expect_stamp(shared[i][k]);
                late_free(shared[i][k]);
            }
        }
    }
    pthread_barrier_wait(&closed);
    for (int i = 0; i < OLD + YOUNG; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    say("late library used");
    return 0;
}
