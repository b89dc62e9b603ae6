/* Fork against threads: workers allocate and free without pause while processes split off.
 *
 * main      - the main thread forks.
 * elsewhere - two other threads fork at the same time, the main thread allocates.
 * handlers  - fork handlers registered by the program allocate and free in all three places.
 * early     - the same, registered before the allocator's first call: the system then runs them
 *             inside the allocator's own preparation.
 *
 * Live blocks lie in a table of slots; whoever empties a slot, by atomic exchange, owns the block.
 * A child finds every block in the table whole, frees them, allocates, starts threads, forks a
 * grandchild that does the same on a smaller scale, and leaves by exit or _exit. A child that
 * hangs dies of its alarm, which the parent sees as a failure.
 */
#include "expect.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { SLOTS = 4096, CHILD_SECONDS = 60 };

static void *slots[SLOTS];
static volatile int is_stopping;
static int is_handlers_case, is_early_case;
static void *handler_blocks[3];

static void churn(uint64_t *random, int steps) {
    for (int i = 0; i < steps; i++) {
        int slot = (int)(next_random(random) % SLOTS);
        void *fresh = next_random(random) % 3 == 0 ? NULL : new_stamped(next_size(random), *random);
        free_stamped(__atomic_exchange_n(&slots[slot], fresh, __ATOMIC_ACQ_REL));
    }
}

static void *worker(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    while (!is_stopping) {
        churn(&random, 200);
        /* Leaves the forking threads their share of the processors. */
        usleep(300);
    }
    return NULL;
}

static void *short_worker(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    churn(&random, 500);
    return NULL;
}

static void wait_for(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) != child) {
        EXPECT(errno == EINTR);
    }
    if (status != 0) {
        fail("child %d: exit code %d, signal %d", child, WEXITSTATUS(status), WTERMSIG(status));
    }
}

__attribute__((noreturn)) static void life_of_child(uint64_t random, int generations) {
    pthread_t threads[2];
    alarm(CHILD_SECONDS);
    churn(&random, 200);
    for (int i = 0; i < SLOTS; i += generations > 0 ? 2 : 1) {
        free_stamped(__atomic_exchange_n(&slots[i], NULL, __ATOMIC_ACQ_REL));
    }
    for (uintptr_t i = 0; i < 2; i++) {
        EXPECT(pthread_create(&threads[i], NULL, short_worker, (void *)(random + i)) == 0);
    }
    if (generations > 0) {
        pid_t grandchild = fork();
        EXPECT(grandchild >= 0);
        if (grandchild == 0) {
            life_of_child(random + 7, generations - 1);
        }
        wait_for(grandchild);
    }
    for (int i = 0; i < 2; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    churn(&random, 500);
    if (random % 2 == 0) {
        exit(0);
    }
    _exit(0);
}

static void fork_once(uint64_t *random) {
    churn(random, 20);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        is_stopping = 1;
        life_of_child(next_random(random), next_random(random) % 4 == 0 ? 2 : 1);
    }
    wait_for(child);
}

struct forker {
    uint64_t random;
    int forks;
};

static void *forker(void *argument) {
    struct forker *forker = argument;
    for (int i = 0; i < forker->forks; i++) {
        fork_once(&forker->random);
    }
    return NULL;
}

/* Every handler does what the heap allows at any time: one small pair, one larger, one kept. */
static void handler(int place) {
    if (is_handlers_case) {
        free_stamped(new_stamped(100, 1));
        free_stamped(new_stamped(70000, 2));
        free_stamped(handler_blocks[place]);
        handler_blocks[place] = new_stamped((size_t)(place + 1) * 1000, 3);
    }
}

static void prepare(void) { handler(0); }
static void in_parent(void) { handler(1); }
static void in_child(void) { handler(2); }

static void preinit(int count, char **arguments, char **environment) {
    (void)environment;
    is_early_case = count > 1 && strcmp(arguments[1], "early") == 0;
    is_handlers_case = is_early_case || (count > 1 && strcmp(arguments[1], "handlers") == 0);
    EXPECT(!is_early_case || pthread_atfork(prepare, in_parent, in_child) == 0);
}

__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **,
                                                                              char **) = preinit;

int main(int count, char **arguments) {
    EXPECT(count == 4);
    int is_elsewhere = strcmp(arguments[1], "elsewhere") == 0;
    int workers = atoi(arguments[2]), forks = atoi(arguments[3]);
    pthread_t threads[16], forkers[2];
    EXPECT(workers <= 16);
    free(malloc(1));
    EXPECT(is_early_case || pthread_atfork(prepare, in_parent, in_child) == 0);
    for (intptr_t i = 0; i < workers; i++) {
        EXPECT(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)) == 0);
    }
    struct forker plans[2] = {{11, forks}, {12, forks}};
    if (is_elsewhere) {
        uint64_t random = 99;
        plans[0].forks = plans[1].forks = forks / 2;
        for (int i = 0; i < 2; i++) {
            EXPECT(pthread_create(&forkers[i], NULL, forker, &plans[i]) == 0);
        }
        churn(&random, 100000);
        for (int i = 0; i < 2; i++) {
            EXPECT(pthread_join(forkers[i], NULL) == 0);
        }
    } else {
        forker(&plans[0]);
    }
    is_stopping = 1;
    for (int i = 0; i < workers; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    for (int i = 0; i < SLOTS; i++) {
        free_stamped(slots[i]);
    }
    EXPECT(!is_handlers_case || (handler_blocks[0] != NULL && handler_blocks[1] != NULL));
    say("%d forks", forks);
    return 0;
}
