/* Thread-specific data whose destructors allocate and free, round after round.
 *
 * Keys are made before the allocator's first call (`.preinit_array`) and after it, so that the
 * allocator's own key stands between them and is destroyed before some and after others. With
 * argument `many`, so many keys are made first that the allocator's key falls beyond the
 * thread's built-in block of them: setting it then allocates, from inside the allocator's start.
 *
 * Each destructor puts its value back for all the rounds there are, so the last allocations and
 * frees of a thread come after every destructor of the allocator's. What glibc frees for a
 * thread (the second block of values, strerror's buffer) comes later still.
 */
#include "expect.h"
#include <limits.h>
#include <pthread.h>

enum { EARLY = 8, LATE = 4, FILLER = 60, THREADS = 200, LEFT = 16 };

struct value {
    int rounds;
    void *blocks[8];
};

static pthread_key_t early[EARLY], late[LATE], filler[FILLER], bare;
static int is_many, bare_destructions;
static int destructions;
static int rounds_seen[16];
/* Blocks that the last round of each thread leaves to main. */
static void *left[THREADS][LEFT];
static __thread int left_count;
static __thread int thread_index;

static void churn(struct value *value, uint64_t key) {
    uint64_t random = key;
    for (int i = 0; i < 8; i++) {
        free_stamped(value->blocks[i]);
        value->blocks[i] = new_stamped(next_size(&random) % 9000, random);
    }
    for (int i = 0; i < 200; i++) {
        free_stamped(new_stamped(next_size(&random), key));
    }
}

static struct value *fresh_value(void) {
    struct value *value = calloc(1, sizeof *value);
    EXPECT(value != NULL);
    churn(value, 1);
    return value;
}

static void destroy(pthread_key_t key, struct value *value) {
    __atomic_add_fetch(&destructions, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&rounds_seen[value->rounds], 1, __ATOMIC_RELAXED);
    value->rounds++;
    churn(value, (uint64_t)value->rounds);
    if (value->rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        /* A new value object each round: the old one is freed here, after its owner's death. */
        struct value *next = malloc(sizeof *next);
        EXPECT(next != NULL);
        *next = *value;
        free(value);
        EXPECT(pthread_setspecific(key, next) == 0);
        return;
    }
    for (int i = 0; i < 8; i++) {
        if (left_count < LEFT) {
            left[thread_index][left_count++] = value->blocks[i];
        } else {
            free_stamped(value->blocks[i]);
        }
    }
    free(value);
}

#define DESTRUCTOR(kind, i)                                                                        \
    static void kind##_##i(void *value) { destroy(kind[i], value); }
DESTRUCTOR(early, 0)
DESTRUCTOR(early, 1)
DESTRUCTOR(early, 2)
DESTRUCTOR(early, 3)
DESTRUCTOR(early, 4)
DESTRUCTOR(early, 5)
DESTRUCTOR(early, 6)
DESTRUCTOR(early, 7)
DESTRUCTOR(late, 0)
DESTRUCTOR(late, 1)
DESTRUCTOR(late, 2)
DESTRUCTOR(late, 3)
static void (*const early_destructors[EARLY])(void *) = {early_0, early_1, early_2, early_3,
                                                         early_4, early_5, early_6, early_7};
static void (*const late_destructors[LATE])(void *) = {late_0, late_1, late_2, late_3};

static void preinit(int count, char **arguments, char **environment) {
    (void)environment;
    is_many = count > 1 && strcmp(arguments[1], "many") == 0;
    for (int i = 0; i < EARLY; i++) {
        EXPECT(pthread_key_create(&early[i], early_destructors[i]) == 0);
    }
    for (int i = 0; is_many && i < FILLER; i++) {
        EXPECT(pthread_key_create(&filler[i], NULL) == 0);
    }
}

__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **,
                                                                              char **) = preinit;

static void *thread_body(void *argument) {
    int index = (int)(intptr_t)argument;
    thread_index = index;
    if (index % 3 == 0) {
        /* The first thing this thread does with the heap is to free another's block. */
        free_stamped(left[THREADS - 1][0]);
        left[THREADS - 1][0] = NULL;
    }
    for (int i = 0; i < EARLY; i++) {
        EXPECT(pthread_setspecific(early[i], fresh_value()) == 0);
    }
    for (int i = 0; i < LATE; i++) {
        EXPECT(pthread_setspecific(late[i], fresh_value()) == 0);
    }
    for (int i = 0; is_many && i < FILLER; i++) {
        EXPECT(pthread_setspecific(filler[i], &is_many) == 0);
    }
    if (index % 2 == 0) {
        /* An unknown number makes glibc keep a buffer of this thread's, freed with the thread. */
        EXPECT(strstr(strerror(100000 + index), "100") != NULL);
    }
    return NULL;
}

/* A thread that enters the heap for the first time in a destructor. */
static void destroy_bare(void *block) {
    EXPECT(block == &bare);
    free_stamped(new_stamped(700, 3));
    bare_destructions++;
}

static void *thread_without_heap(void *unused) {
    (void)unused;
    EXPECT(pthread_setspecific(bare, &bare) == 0);
    return NULL;
}

static void run(void *(*body)(void *), intptr_t argument) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, body, (void *)argument) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
}

int main(void) {
    free(malloc(100));
    for (int i = 0; i < LATE; i++) {
        EXPECT(pthread_key_create(&late[i], late_destructors[i]) == 0);
    }
    for (intptr_t i = 0; i < THREADS; i++) {
        left[THREADS - 1][0] = new_stamped(400, (uint64_t)i);
        run(thread_body, i);
        for (int k = 0; i < THREADS - 1 && k < LEFT; k++) {
            EXPECT(left[i][k] != NULL);
            free_stamped(left[i][k]);
        }
    }
    EXPECT(pthread_key_create(&bare, destroy_bare) == 0);
    for (int i = 0; i < 20; i++) {
        run(thread_without_heap, 0);
    }
    EXPECT(bare_destructions == 20);
    int expected = THREADS * (EARLY + LATE) * PTHREAD_DESTRUCTOR_ITERATIONS;
    for (int round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; round++) {
        EXPECT(rounds_seen[round] == expected / PTHREAD_DESTRUCTOR_ITERATIONS);
    }
    EXPECT(destructions == expected);
    say("%d destructor calls", destructions);
    return 0;
}
