/* Signals against the allocator.
 *
 * `outside`: handlers allocate and free, but only while their thread is outside the allocator,
 * as it says by a flag; that includes threads whose first call ever comes from the handler.
 * `storm`: handlers do not allocate and may come at any instruction; calls must survive EINTR
 * from any system call and keep their locks.
 *
 * A driver thread sends the signals to each worker in turn, until the workers have done their
 * share and enough handlers have run.
 */
#include "expect.h"
#include <pthread.h>
#include <signal.h>

enum { WORKERS = 4, HELD = 256, ROUNDS = 30000, ENOUGH = 2000, HANDLER_BLOCKS = 16 };

static int is_outside_case;
static volatile sig_atomic_t is_stopping;
static int handled, allocated_in_handler, working = WORKERS;
static __thread volatile sig_atomic_t is_outside;
static __thread void *from_handler[HANDLER_BLOCKS];
static __thread uint64_t handler_random;

static void handler(int number) {
    int saved = errno;
    (void)number;
    __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
    if (is_outside_case && is_outside) {
        uint64_t key = ++handler_random;
        int index = (int)(key % HANDLER_BLOCKS);
        free_stamped(from_handler[index]);
        from_handler[index] = new_stamped(next_size(&handler_random), key);
        free_stamped(new_stamped(next_size(&handler_random) % 600, key));
        __atomic_add_fetch(&allocated_in_handler, 1, __ATOMIC_RELAXED);
    }
    errno = saved;
}

/* Computes for a while with the flag up; the handler may allocate only here. */
static void stay_outside(uint64_t *random) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    is_outside = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    for (int i = 0; i < 200; i++) {
        next_random(random);
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    is_outside = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void *worker(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    void *held[HELD] = {0};
    handler_random = random;
    if (is_outside_case) {
        /* Until a handler has made this thread's first call. */
        is_outside = 1;
        while (*(void *volatile *)&from_handler[(random + 1) % HANDLER_BLOCKS] == NULL) {
        }
        is_outside = 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        int index = (int)(next_random(&random) % HELD);
        free_stamped(held[index]);
        held[index] = new_stamped(next_size(&random), random);
        if (round % 64 == 0) {
            void *large = realloc(malloc(200000), 900000);
            EXPECT(large != NULL);
            free(large);
        }
        if (round % 8 == 0) {
            stay_outside(&random);
            free_stamped(from_handler[round % HANDLER_BLOCKS]);
            from_handler[round % HANDLER_BLOCKS] = NULL;
        }
    }
    while (__atomic_load_n(&handled, __ATOMIC_RELAXED) < ENOUGH * WORKERS) {
        free_stamped(new_stamped(next_size(&random), random));
        stay_outside(&random);
    }
    for (int i = 0; i < HELD; i++) {
        free_stamped(held[i]);
    }
    for (int i = 0; i < HANDLER_BLOCKS; i++) {
        free_stamped(from_handler[i]);
        from_handler[i] = NULL;
    }
    __atomic_sub_fetch(&working, 1, __ATOMIC_SEQ_CST);
    while (!is_stopping) {
        usleep(500);
    }
    return NULL;
}

int main(int count, char **arguments) {
    is_outside_case = count > 1 && strcmp(arguments[1], "outside") == 0;
    struct sigaction action = {.sa_handler = handler};
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t workers[WORKERS];
    for (uintptr_t i = 0; i < WORKERS; i++) {
        EXPECT(pthread_create(&workers[i], NULL, worker, (void *)(i + 1)) == 0);
    }
    while (__atomic_load_n(&working, __ATOMIC_SEQ_CST) > 0) {
        for (int i = 0; i < WORKERS; i++) {
            EXPECT(pthread_kill(workers[i], SIGUSR1) == 0);
        }
        usleep(100);
    }
    is_stopping = 1;
    for (int i = 0; i < WORKERS; i++) {
        EXPECT(pthread_join(workers[i], NULL) == 0);
    }
    EXPECT(handled >= ENOUGH * WORKERS);
    EXPECT(!is_outside_case || allocated_in_handler > ENOUGH / 4);
    say("signals handled");
    return 0;
}
