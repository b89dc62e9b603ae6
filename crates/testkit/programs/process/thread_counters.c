/* thread.allocated and its kin against the program's own books: random operations in one thread and in several that free
 * each other's objects, with caches flushed, done without, and taken over from threads that ended; in a forked child.
 *
 * Books count usable sizes. A realloc that leaves the object as it is counts nothing; one that moves or resizes it counts
 * the new size as allocated and the old one as freed.
 */
#include "expect.h"
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>

extern void *mallocx(size_t, int) __attribute__((weak));
extern void dallocx(void *, int) __attribute__((weak));
extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

enum { LIVE = 400, STEPS = 60000, THREADS = 4, ROUNDS = 6, SHARED = 64 };

struct books {
    uint64_t allocated, deallocated;
};

static uint64_t number(const char *name) {
    uint64_t value = 0;
    size_t length = sizeof value;
    EXPECT(mallctl(name, &value, &length, NULL, 0) == 0 && length == sizeof value);
    return value;
}

static void act(const char *name) { EXPECT(mallctl(name, NULL, NULL, NULL, 0) == 0); }

static struct books counted(void) {
    struct books counted = {number("thread.allocated"), number("thread.deallocated")};
    return counted;
}

static void expect_books(const struct books *books, const char *when) {
    struct books now = counted();
    if (now.allocated != books->allocated || now.deallocated != books->deallocated) {
        fail("%s: counted %llu and %llu, booked %llu and %llu", when,
             (unsigned long long)now.allocated, (unsigned long long)now.deallocated,
             (unsigned long long)books->allocated, (unsigned long long)books->deallocated);
    }
}

static void *booked(void *block, struct books *books) {
    EXPECT(block != NULL);
    books->allocated += malloc_usable_size(block);
    return block;
}

static void release(void *block, struct books *books) {
    if (block != NULL) {
        books->deallocated += malloc_usable_size(block);
    }
    free(block);
}

static void *resized(void *block, size_t size, struct books *books) {
    size_t before = malloc_usable_size(block);
    void *now = realloc(block, size);
    EXPECT(now != NULL);
    size_t after = malloc_usable_size(now);
    if (now != block || after != before) {
        books->allocated += after;
        books->deallocated += before;
    }
    return now;
}

static void *any_block(uint64_t *random, struct books *books) {
    size_t size = next_size(random);
    switch (next_random(random) % 8) {
    case 0:
        return booked(calloc(1, size), books);
    case 1:
        return booked(memalign(16 << next_random(random) % 9, size), books);
    default:
        return booked(malloc(size), books);
    }
}

static void *shared[SHARED];

/* Objects change hands: one in eight goes to whoever comes by. */
static void step(void **blocks, uint64_t *random, struct books *books, int shares) {
    void **place = &blocks[next_random(random) % LIVE];
    if (*place == NULL) {
        *place = any_block(random, books);
    } else if (next_random(random) % 8 == 0) {
        *place = resized(*place, next_size(random), books);
    } else if (shares && next_random(random) % 8 == 0) {
        *place = __atomic_exchange_n(&shared[next_random(random) % SHARED], *place, __ATOMIC_ACQ_REL);
    } else {
        release(*place, books);
        *place = NULL;
    }
}

static void work(uint64_t seed, int shares) {
    void *blocks[LIVE] = {NULL};
    uint64_t random = seed;
    act("thread.tcache.flush");
    struct books books = counted();
    for (int i = 0; i < STEPS; i++) {
        step(blocks, &random, &books, shares);
        if (i % 1009 == 0) {
            expect_books(&books, "in between");
        }
        _Bool uses = i / 7000 % 3 != 1;
        if (i % 7000 == 0) {
            EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &uses, sizeof uses) == 0);
        }
        if (i % 4001 == 0 && uses) {
            act("thread.tcache.flush");
        }
    }
    for (int i = 0; i < LIVE; i++) {
        release(blocks[i], &books);
    }
    expect_books(&books, "at the end");
}

static void *worker(void *argument) {
    /* Whoever's cache it has, a thread begins at nothing. */
    EXPECT(number("thread.allocated") < 4096 && number("thread.deallocated") < 4096);
    EXPECT(number("thread.peak.read") < 4096);
    work((uintptr_t)argument, 1);
    return NULL;
}

static void expect_peak(void) {
    act("thread.peak.reset");
    EXPECT(number("thread.peak.read") == 0);
    void *large = malloc(8 << 20);
    uint64_t bytes = malloc_usable_size(large);
    free(large);
    EXPECT(number("thread.peak.read") == bytes);
    /* What the run cache serves is seen too. */
    act("thread.peak.reset");
    for (int i = 0; i < 10; i++) {
        large = malloc(200000);
        bytes = malloc_usable_size(large);
        free(large);
        EXPECT(i == 0 || number("thread.peak.read") == bytes);
    }
    void *blocks[3000];
    for (int i = 0; i < 3000; i++) {
        blocks[i] = malloc(4096);
    }
    for (int i = 0; i < 3000; i++) {
        free(blocks[i]);
    }
    /* A magazine of the class is 64 KiB. */
    uint64_t peak = number("thread.peak.read");
    EXPECT(peak <= 3000 * 4096ULL && peak >= 3000 * 4096ULL - (128 << 10));
    act("thread.peak.reset");
    EXPECT(number("thread.peak.read") == 0);
}

/* Through the pointers a magazine may be missing, never more. */
static void expect_places(void) {
    volatile uint64_t *places[2];
    size_t length = sizeof places[0];
    EXPECT(mallctl("thread.allocatedp", &places[0], &length, NULL, 0) == 0);
    EXPECT(mallctl("thread.deallocatedp", &places[1], &length, NULL, 0) == 0);
    struct books before = counted();
    EXPECT(*places[0] == before.allocated && *places[1] == before.deallocated);
    for (int i = 1; i <= 100000; i++) {
        free(malloc(500));
        EXPECT(before.allocated + 512ULL * i - *places[0] <= 512 * 254);
        EXPECT(before.deallocated + 512ULL * i - *places[1] <= 512 * 254);
    }
    struct books after = counted();
    EXPECT(*places[0] == after.allocated && after.allocated == before.allocated + 51200000);
    EXPECT(*places[1] == after.deallocated && after.deallocated == before.deallocated + 51200000);
}

struct activity {
    void (*callback)(void *, uint64_t, uint64_t);
    void *word;
};

static uint64_t told[3];

static void listen(void *word, uint64_t allocated, uint64_t deallocated) {
    EXPECT(word == told && allocated >= told[0] && deallocated >= told[1]);
    told[0] = allocated;
    told[1] = deallocated;
    told[2]++;
    /* It may allocate. */
    free(malloc(100));
}

/* A callback is told about every 64 KiB of allocations and frees. */
static void expect_activity(void) {
    struct activity none = {NULL, NULL}, ours = {listen, told}, before;
    size_t length = sizeof before;
    const char *name = "experimental.thread.activity_callback";
    EXPECT(mallctl(name, &before, &length, &ours, sizeof ours) == 0 && before.callback == NULL);
    for (int i = 0; i < 100; i++) {
        void *block = malloc(3 << 20);
        EXPECT(block != NULL);
        free(block);
    }
    EXPECT(told[2] >= 100);
    EXPECT(told[0] <= number("thread.allocated") && told[1] <= number("thread.deallocated"));
    uint64_t calls = told[2];
    for (int i = 0; i < 100000; i++) {
        free(malloc(i % 1000));
    }
    EXPECT(told[2] > calls && told[2] < calls + 2 * (60000000 >> 16));
    EXPECT(mallctl(name, &before, &length, &none, sizeof none) == 0 && before.callback == listen);
    calls = told[2];
    free(malloc(3 << 20));
    EXPECT(told[2] == calls);
}

struct handler {
    void (*callback)(bool, uint64_t, uint64_t);
    uint64_t interval;
    bool alloc_only;
};

/* The C library says of `malloc` that it calls nothing of ours. */
static __thread volatile uint64_t events[2][2];
static __thread volatile uint64_t last[2];
static __thread volatile bool noting;

static void note(int handler, bool is_alloc, uint64_t allocated, uint64_t deallocated) {
    events[handler][is_alloc]++;
    /* Told from within the lines below: of more than the handlers that are still to be told of what came before. */
    if (noting) {
        return;
    }
    EXPECT(allocated >= last[0] && deallocated >= last[1]);
    last[0] = allocated;
    last[1] = deallocated;
    /* It may allocate. */
    noting = true;
    free(malloc(100));
    noting = false;
}

static void note_all(bool is_alloc, uint64_t allocated, uint64_t deallocated) {
    note(0, is_alloc, allocated, deallocated);
}

static void note_allocs(bool is_alloc, uint64_t allocated, uint64_t deallocated) {
    note(1, is_alloc, allocated, deallocated);
}

static void *allocate_some(void *unused) {
    (void)unused;
    for (int i = 0; i < 50; i++) {
        void *block = malloc(3 << 20);
        EXPECT(block != NULL);
        if (i % 5 == 0) {
            free(block);
        }
    }
    /* Each crosses three times a MiB, which is told once, and the other handler's 10 MiB now and then. */
    EXPECT(events[0][true] == 50 && events[0][false] == 10);
    EXPECT(events[1][true] == 15 && events[1][false] == 0);
    uint64_t before = events[0][true];
    for (int i = 0; i < 100000; i++) {
        free(malloc(1000));
    }
    EXPECT(events[0][true] >= before + 50 && events[0][true] <= before + 100);
    /* The run cache, and an explicit one: no other slow path is taken. */
    before = events[0][true];
    for (int i = 0; i < 100; i++) {
        free(malloc(200000));
    }
    EXPECT(events[0][true] >= before + 19 && events[0][true] <= before + 20);
    unsigned id;
    size_t length = sizeof id;
    EXPECT(mallctl("tcache.create", &id, &length, NULL, 0) == 0);
    before = events[0][true];
    for (int i = 0; i < 20000; i++) {
        dallocx(mallocx(1000, (int)((id + 2) << 8)), (int)((id + 2) << 8));
    }
    EXPECT(events[0][true] >= before + 19 && events[0][true] <= before + 20);
    EXPECT(mallctl("tcache.destroy", NULL, NULL, &id, sizeof id) == 0);
    return NULL;
}

/* Handlers are told of every thread, each after its bytes; they stay, and there is room for four. */
static void expect_events(void) {
    const char *name = "experimental.hooks.thread_event";
    struct handler all = {note_all, 1 << 20, false}, allocs = {note_allocs, 10 << 20, true};
    EXPECT(mallctl(name, NULL, NULL, &all, sizeof all) == 0);
    EXPECT(mallctl(name, NULL, NULL, &allocs, sizeof allocs) == 0);
    EXPECT(mallctl(name, NULL, NULL, &allocs, sizeof allocs) == 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        EXPECT(pthread_create(&threads[i], NULL, allocate_some, NULL) == 0);
    }
    for (int i = 0; i < 2; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    for (uint64_t rare = 1; rare <= 3; rare++) {
        struct handler more = {note_all, 1ULL << (50 + rare), true};
        EXPECT(mallctl(name, NULL, NULL, &more, sizeof more) == (rare == 3 ? EINVAL : 0));
    }
}

int main(void) {
    EXPECT(mallctl != NULL);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        work(seed, 0);
    }
    expect_peak();
    expect_places();
    expect_activity();
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++) {
            EXPECT(pthread_create(&threads[i], NULL, worker, (void *)(round * THREADS + i + 1)) == 0);
        }
        for (int i = 0; i < THREADS; i++) {
            EXPECT(pthread_join(threads[i], NULL) == 0);
        }
    }
    struct books before = counted();
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        expect_books(&before, "in the child");
        work(77, 1);
        _exit(0);
    }
    int status = 1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    expect_books(&before, "beside the child");
    /* The last: handlers stay, and allocate. */
    expect_events();
    say("counted");
    return 0;
}
