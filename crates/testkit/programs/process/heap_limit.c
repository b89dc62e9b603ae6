/* A program under heap limits, which its arguments say how to meet. The hard limit is 64 MiB where there is one.
 *
 *   family    every way to ask for memory fails beyond the limit, and works again after frees
 *   race      64 threads allocate until nothing is left, again and again; one watches
 *   fork      a child has the limit and its own count
 *   soft      a callback is called once for each crossing, and may allocate
 *   start     nothing but a few small allocations and a thread
 */
#include "expect.h"
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

enum { MIB = 1 << 20, HARD = 64 * MIB, THREADS = 64 };

static size_t read_size(const char *name) {
    size_t value = 0, length = sizeof value;
    EXPECT(mallctl != NULL && mallctl(name, &value, &length, NULL, 0) == 0);
    return value;
}

static void write_size(const char *name, size_t value) {
    EXPECT(mallctl(name, NULL, NULL, &value, sizeof value) == 0);
}

static size_t used(void) {
    return read_size("jemoxide.heap_used");
}

/* Resident bytes of the whole process. */
static size_t resident(void) {
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    EXPECT(length > 0);
    text[length] = '\0';
    size_t pages = 0;
    EXPECT(sscanf(text, "%*u %zu", &pages) == 1);
    return pages * 4096;
}

static void *touched(void *block, size_t size) {
    if (block != NULL) {
        memset(block, 1, size);
    }
    return block;
}

static void expect_none(void *block) {
    EXPECT(block == NULL && errno == ENOMEM);
    errno = 0;
}

static void family(void) {
    EXPECT(read_size("jemoxide.heap_limit_hard") == HARD);
    for (int round = 0; round < 4; round++) {
        void *block = touched(malloc(40 * MIB), 40 * MIB);
        EXPECT(block != NULL);
        errno = 0;
        expect_none(malloc(30 * MIB));
        expect_none(calloc(30, MIB));
        expect_none(aligned_alloc(MIB, 30 * MIB));
        expect_none(memalign(4 * MIB, 30 * MIB));
        void *same = NULL;
        EXPECT(posix_memalign(&same, 64, 30 * MIB) == ENOMEM);
        expect_none(realloc(block, 70 * MIB));
        expect_none(malloc((size_t)3 << 30));
        expect_none(malloc((size_t)1 << 46));
        block = realloc(block, 2 * MIB);
        EXPECT(block != NULL);
        free(touched(calloc(50, MIB), 50 * MIB));
        char *grown = block;
        for (size_t size = 4 * MIB; size <= 30 * MIB; size += 4 * MIB) {
            grown = touched(realloc(grown, size), size);
            EXPECT(grown != NULL);
        }
        free(grown);
        EXPECT(used() <= HARD);
    }
    /* Small ones to the end; all but a few of them freed; and the like once more. */
    static void *small[200000];
    for (int round = 0; round < 2; round++) {
        size_t count = 0;
        while ((small[count] = malloc(500)) != NULL) {
            memset(small[count++], 1, 500);
        }
        EXPECT(errno == ENOMEM && count > 100000);
        for (size_t at = 0; at < count; at++) {
            free(small[at]);
        }
        EXPECT(used() <= HARD);
    }
    free(touched(malloc(50 * MIB), 50 * MIB));
}

static atomic_int done, refused;
static atomic_int going = 1;

static pthread_barrier_t all_there;

static void *worker(void *argument) {
    static const size_t SIZES[] = {48, 600, 20000, 150000, 900000, 3 * MIB};
    uint64_t random = 1 + (uint64_t)(uintptr_t)argument;
    void **held = NULL;
    /* The C library asks us for memory for each thread: nobody begins before it has all of that. */
    pthread_barrier_wait(&all_there);
    for (int round = 0; round < 40 && atomic_load(&going); round++) {
        for (int at = 0; at < 400; at++) {
            size_t size = SIZES[next_random(&random) % 6];
            void **block = malloc(size);
            if (block == NULL) {
                atomic_fetch_add(&refused, 1);
                break;
            }
            memset(block, 1, size);
            *block = held;
            held = block;
        }
        while (held != NULL) {
            void **next = *held;
            free(held);
            held = next;
        }
    }
    atomic_fetch_add(&done, 1);
    return NULL;
}

static void race(void) {
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    EXPECT(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 64 << 10) == 0);
    EXPECT(pthread_barrier_init(&all_there, NULL, THREADS + 1) == 0);
    size_t before = resident() - used();
    for (intptr_t at = 0; at < THREADS; at++) {
        EXPECT(pthread_create(&threads[at], &attributes, worker, (void *)at) == 0);
    }
    pthread_barrier_wait(&all_there);
    size_t highest = 0;
    while (atomic_load(&done) < THREADS) {
        size_t counted = used(), now = resident();
        EXPECT(counted <= HARD);
        highest = now > highest ? now : highest;
        usleep(200);
    }
    for (int at = 0; at < THREADS; at++) {
        EXPECT(pthread_join(threads[at], NULL) == 0);
    }
    EXPECT(atomic_load(&refused) > 0);
    /* Beside the heap: the program, stacks, static tables of the library and page tables of none. */
    EXPECT(highest <= HARD + before + THREADS * (64 << 10) + 4 * MIB);
    size_t bytes = 0;
    write_size("jemoxide.purge", bytes);
    free(touched(malloc(48 * MIB), 48 * MIB));
    EXPECT(used() <= HARD);
}

static void forked(void) {
    void *block = touched(malloc(40 * MIB), 40 * MIB);
    EXPECT(block != NULL);
    for (int round = 0; round < 2; round++) {
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            alarm(60);
            EXPECT(read_size("jemoxide.heap_limit_hard") == HARD && used() > 40 * MIB);
            errno = 0;
            expect_none(malloc(30 * MIB));
            free(block);
            free(touched(malloc(50 * MIB), 50 * MIB));
            write_size("jemoxide.heap_limit_hard", 0);
            free(touched(malloc(100 * MIB), 100 * MIB));
            _exit(0);
        }
        int status = -1;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        EXPECT(used() > 40 * MIB && used() <= HARD && malloc(30 * MIB) == NULL);
    }
    free(block);
    free(touched(malloc(50 * MIB), 50 * MIB));
}

static atomic_int calls;

static void crossed(size_t bytes, size_t limit) {
    EXPECT(bytes > limit && limit == 32 * MIB);
    atomic_fetch_add(&calls, 1);
    void *block = touched(malloc(MIB), MIB);
    EXPECT(block != NULL);
    free(block);
    errno = E2BIG;
}

static void soft(void) {
    EXPECT(read_size("jemoxide.heap_limit_soft") == 32 * MIB);
    void (*callback)(size_t, size_t) = crossed, (*before)(size_t, size_t) = crossed;
    size_t length = sizeof before;
    EXPECT(mallctl("jemoxide.heap_limit_callback", &before, &length, &callback, sizeof callback) == 0);
    EXPECT(before == NULL);
    void *held[20];
    for (int crossing = 1; crossing <= 3; crossing++) {
        errno = 0;
        for (int at = 0; at < 20; at++) {
            held[at] = touched(malloc(3 * MIB), 3 * MIB);
            EXPECT(held[at] != NULL && errno == 0);
        }
        /* At most ten looks a second: it comes with one of the next calls. */
        for (int waits = 0; waits < 3000 && atomic_load(&calls) < crossing; waits++) {
            free(touched(malloc(2 * MIB + 8192 * (size_t)(waits % 50)), 100));
            usleep(10000);
        }
        EXPECT(atomic_load(&calls) == crossing);
        for (int at = 0; at < 20; at++) {
            free(held[at]);
        }
        write_size("jemoxide.purge", 0);
        EXPECT(used() < 30 * MIB);
    }
}

static void *small(void *unused) {
    void *block = malloc(100);
    EXPECT(block != NULL);
    free(block);
    return unused;
}

static void start(void) {
    small(NULL);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, small, NULL) == 0 && pthread_join(thread, NULL) == 0);
    errno = 0;
    expect_none(malloc(2 * MIB));
    EXPECT(read_size("jemoxide.heap_limit_hard") == MIB);
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    alarm(240);
    const char *what = arguments[1];
    if (strcmp(what, "family") == 0) {
        family();
    } else if (strcmp(what, "race") == 0) {
        race();
    } else if (strcmp(what, "fork") == 0) {
        forked();
    } else if (strcmp(what, "soft") == 0) {
        soft();
    } else {
        start();
    }
    say("done");
    return 0;
}
