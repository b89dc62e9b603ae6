/* Threads and libraries that end at odd moments; the books agree afterwards. Arguments: a case, for `plugins` the plugin.
 *   cancel    threads are cancelled: at cancellation points with blocks in their hands, which their cleanup frees, and at any
 *             instruction while they compute and are in no call (asynchronously, as POSIX allows it)
 *   exit      threads end from deep within by pthread_exit, with keys whose destructors allocate and free
 *   fork      64 threads, each of which forks now and then, whatever the others are at
 *   plugins   libraries come and go, whose constructors and destructors allocate, while threads use what they made
 */
#include "books.h"
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

enum { SLOTS = 512 };

static void *slots[SLOTS];

static void churn(uint64_t *random, int steps) {
    for (int i = 0; i < steps; i++) {
        int slot = (int)(next_random(random) % SLOTS);
        void *fresh = next_random(random) % 3 == 0 ? NULL : new_stamped(next_size(random), *random);
        free_stamped(__atomic_exchange_n(&slots[slot], fresh, __ATOMIC_ACQ_REL));
    }
}

static void empty(void) {
    for (int i = 0; i < SLOTS; i++) {
        free_stamped(__atomic_exchange_n(&slots[i], NULL, __ATOMIC_ACQ_REL));
    }
}

static int cancelled_in_hand, cancelled_computing;

static void give_back(void *block) {
    __atomic_add_fetch(&cancelled_in_hand, 1, __ATOMIC_RELAXED);
    free_stamped(block);
}

static void *cancelled_at_points(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (;;) {
        churn(&random, 20);
        void *block = new_stamped(next_size(&random), random);
        pthread_cleanup_push(give_back, block);
        usleep(next_random(&random) % 300);
        pthread_testcancel();
        pthread_cleanup_pop(0);
        free_stamped(block);
    }
    return NULL;
}

static void note_computing(void *unused) {
    (void)unused;
    __atomic_add_fetch(&cancelled_computing, 1, __ATOMIC_RELAXED);
}

static void *cancelled_anywhere(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    int old;
    for (;;) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        churn(&random, 10);
        /* No call but these two while it may come at any instruction. */
        pthread_cleanup_push(note_computing, NULL);
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
        for (int i = 0; i < 30000; i++) {
            next_random(&random);
        }
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old);
        pthread_cleanup_pop(0);
    }
    return NULL;
}

static void cancel(void) {
    for (uintptr_t round = 0; round < 60; round++) {
        pthread_t threads[8];
        uint64_t random = round;
        for (uintptr_t i = 0; i < 8; i++) {
            void *(*body)(void *) = i % 2 ? cancelled_at_points : cancelled_anywhere;
            EXPECT(pthread_create(&threads[i], NULL, body, (void *)(round * 8 + i)) == 0);
        }
        usleep(1000 + next_random(&random) % 4000);
        for (int i = 0; i < 8; i++) {
            EXPECT(pthread_cancel(threads[i]) == 0);
        }
        for (int i = 0; i < 8; i++) {
            void *result;
            int code = pthread_join(threads[i], &result);
            /* glibc forgets the result of who is cancelled as it lets cancellation in. */
            if (code != 0 || (i % 2 && result != PTHREAD_CANCELED)) {
                fail("thread %d: joined %d, result %p", i, code, result);
            }
        }
    }
    EXPECT(cancelled_in_hand > 50 && cancelled_computing > 50);
}

static pthread_key_t keys[3];

/* Comes back a few times: destructors that set their key again are called again. */
static void key_destructor(void *block) {
    struct stamp *head = block;
    uint64_t key = head->key;
    free_stamped(block);
    if (key > 1) {
        for (int i = 0; i < 3; i++) {
            if (pthread_getspecific(keys[i]) == NULL) {
                EXPECT(pthread_setspecific(keys[i], new_stamped(200 + (size_t)key * 3000, key - 1)) == 0);
                break;
            }
        }
    }
}

__attribute__((noinline, noreturn)) static void deep(uint64_t *random, int depth) {
    void *block = new_stamped(next_size(random), *random);
    churn(random, 5);
    free_stamped(block);
    if (depth == 0) {
        pthread_exit(NULL);
    }
    deep(random, depth - 1);
}

static void *ends_deep(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < 3; i++) {
        EXPECT(pthread_setspecific(keys[i], new_stamped(100, 3)) == 0);
    }
    deep(&random, (int)(next_random(&random) % 20));
    return NULL;
}

static void exits(void) {
    for (int i = 0; i < 3; i++) {
        EXPECT(pthread_key_create(&keys[i], key_destructor) == 0);
    }
    for (uintptr_t round = 0; round < 100; round++) {
        pthread_t threads[8];
        for (uintptr_t i = 0; i < 8; i++) {
            EXPECT(pthread_create(&threads[i], NULL, ends_deep, (void *)(round * 8 + i + 1)) == 0);
        }
        for (int i = 0; i < 8; i++) {
            EXPECT(pthread_join(threads[i], NULL) == 0);
        }
    }
}

static void *forks_now_and_then(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int round = 0; round < 4; round++) {
        churn(&random, 20 + (int)(next_random(&random) % 60));
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            alarm(60);
            empty();
            churn(&random, 50);
            empty();
            if (round % 3 == 0) {
                expect_books();
            }
            _exit(0);
        }
        int status;
        while (waitpid(child, &status, 0) != child) {
            EXPECT(errno == EINTR);
        }
        if (status != 0) {
            fail("child: exit code %d, signal %d", WEXITSTATUS(status), WTERMSIG(status));
        }
    }
    return NULL;
}

static void forks(void) {
    static pthread_t threads[64];
    for (uintptr_t i = 0; i < 64; i++) {
        EXPECT(pthread_create(&threads[i], NULL, forks_now_and_then, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < 64; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
}

static const char *plugin;
static int is_stopping;

static void *uses_plugin(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int round = 0; round < 60; round++) {
        void *library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
        EXPECT(library != NULL);
        void *(*make)(size_t);
        *(void **)&make = dlsym(library, "plugin_make");
        EXPECT(make != NULL);
        void *block = make(100 + next_random(&random) % 20000);
        EXPECT(block != NULL);
        churn(&random, 20);
        EXPECT(dlclose(library) == 0);
        free(block);
    }
    return NULL;
}

static void *churns_beside(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    while (!__atomic_load_n(&is_stopping, __ATOMIC_RELAXED)) {
        churn(&random, 100);
        usleep(200);
    }
    return NULL;
}

static void plugins(void) {
    pthread_t users[6], beside[2];
    for (uintptr_t i = 0; i < 2; i++) {
        EXPECT(pthread_create(&beside[i], NULL, churns_beside, (void *)(i + 100)) == 0);
    }
    for (uintptr_t i = 0; i < 6; i++) {
        EXPECT(pthread_create(&users[i], NULL, uses_plugin, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < 6; i++) {
        EXPECT(pthread_join(users[i], NULL) == 0);
    }
    __atomic_store_n(&is_stopping, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        EXPECT(pthread_join(beside[i], NULL) == 0);
    }
}

int main(int count, char **arguments) {
    EXPECT(count >= 2 && mallctl != NULL);
    alarm(280);
    if (strcmp(arguments[1], "cancel") == 0) {
        cancel();
    } else if (strcmp(arguments[1], "exit") == 0) {
        exits();
    } else if (strcmp(arguments[1], "fork") == 0) {
        forks();
    } else {
        EXPECT(strcmp(arguments[1], "plugins") == 0 && count == 3);
        plugin = arguments[2];
        plugins();
    }
    expect_books();
    empty();
    expect_books();
    say("in order");
    return 0;
}
