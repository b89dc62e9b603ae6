/* Works on while any of the library's system calls may be refused: argument, a case.
 *   objects   every size and way of allocating, resizing and freeing; idle memory given back
 *   threads   threads that come and go and free each other's objects
 *   arenas    arenas by request, with and without hooks; explicit caches; a bound thread
 *   fork      a process that doubles, twice, with a second thread
 *   control   figures, statistics, limits, decay times, background thread, report
 * Null and an error are answers; a lost byte, a crash or a hang is none. After `prctl(LIFT)` nothing is refused: every
 * size must be served again and the books must agree.
 */
#include "books.h"
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LIFT 0x6c696674
#define ARENA(a) ((int)(((unsigned)(a) + 1) << 20))
#define CACHE(c) ((int)(((unsigned)(c) + 2) << 8))

extern void *mallocx(size_t, int) __attribute__((weak));
extern void *rallocx(void *, size_t, int) __attribute__((weak));
extern size_t xallocx(void *, size_t, size_t, int) __attribute__((weak));
extern void dallocx(void *, int) __attribute__((weak));
extern void malloc_stats_print(void (*)(void *, const char *), void *, const char *) __attribute__((weak));

enum { SLOTS = 400 };

static size_t size_at(uint64_t *random) {
    uint64_t kind = next_random(random) % 50;
    if (kind == 0) {
        return (size_t)1 << 20 | next_random(random) % ((size_t)3 << 20);
    }
    return kind < 4 ? 30000 + next_random(random) % 500000 : sizeof(struct stamp) + next_size(random);
}

/* One block for another, in one of the ways there are. */
static void *turn_over(void *old, uint64_t *random) {
    size_t size = size_at(random);
    uint64_t key = *random;
    void *fresh = NULL;
    switch (next_random(random) % 6) {
    case 0:
        fresh = calloc(1, size);
        for (size_t i = 0; fresh != NULL && i < size; i += i + 64 < size ? 61 : 1) {
            EXPECT(((unsigned char *)fresh)[i] == 0);
        }
        break;
    case 1: {
        size_t align = (size_t)16 << next_random(random) % 10;
        if (posix_memalign(&fresh, align, size) != 0) {
            fresh = NULL;
        }
        EXPECT((uintptr_t)fresh % align == 0);
        break;
    }
    case 2:
        if (old != NULL) {
            struct stamp before = *(struct stamp *)old;
            expect_stamp(old);
            fresh = realloc(old, size);
            if (fresh == NULL) {
                expect_stamp(old);
                return old;
            }
            /* The part that was kept, under its old stamp. */
            *(struct stamp *)fresh = (struct stamp){before.size < size ? before.size : size, before.key};
            for (size_t i = sizeof before; i < before.size && i < 256 && i < size; i++) {
                EXPECT(((unsigned char *)fresh)[i] == pattern_byte(before.key, i));
            }
            return stamped(fresh, size, key);
        }
        break;
    default:
        fresh = malloc(size);
    }
    EXPECT(fresh != NULL || errno == ENOMEM || old == NULL || size > 0);
    free_stamped(old);
    return fresh == NULL ? NULL : stamped(fresh, size, key);
}

static void churn(void **slots, int steps, uint64_t seed) {
    for (int step = 0; step < steps; step++) {
        uint64_t at = next_random(&seed) % SLOTS;
        void *mine = __atomic_exchange_n(&slots[at], NULL, __ATOMIC_ACQ_REL);
        mine = turn_over(mine, &seed);
        free_stamped(__atomic_exchange_n(&slots[at], mine, __ATOMIC_ACQ_REL));
    }
}

static void empty(void **slots) {
    for (int at = 0; at < SLOTS; at++) {
        free_stamped(__atomic_exchange_n(&slots[at], NULL, __ATOMIC_ACQ_REL));
    }
}

static void *table[SLOTS];

static void deed(const char *name) { mallctl(name, NULL, NULL, NULL, 0); }

static void objects(void) {
    for (int round = 0; round < 2; round++) {
        churn(table, 200, 5 + (uint64_t)round);
        void *long_one = malloc((size_t)5 << 20), *behind = malloc(200000);
        if (long_one != NULL) {
            stamped(long_one, (size_t)5 << 20, 9);
            void *moved = realloc(long_one, (size_t)11 << 20);
            expect_stamp(moved != NULL ? moved : long_one);
            free(moved != NULL ? moved : long_one);
        }
        free(behind);
        malloc_trim(0);
    }
    /* Mappings of their own, far apart. */
    void *giant = malloc((size_t)5 << 30);
    if (giant != NULL) {
        ((char *)giant)[(size_t)4 << 30] = 1;
        giant = realloc(giant, (size_t)3 << 30);
    }
    free(giant);
    empty(table);
    malloc_trim(0);
}

static void *thread_body(void *seed) {
    churn(table, 120, (uint64_t)(uintptr_t)seed);
    return NULL;
}

static void threads(void) {
    for (uintptr_t round = 0; round < 2; round++) {
        pthread_t ids[4];
        int count = 0;
        for (uintptr_t at = 0; at < 4; at++) {
            count += pthread_create(&ids[count], NULL, thread_body, (void *)(round * 7 + at)) == 0;
        }
        churn(table, 60, round);
        for (int at = 0; at < count; at++) {
            EXPECT(pthread_join(ids[at], NULL) == 0);
        }
        malloc_trim(0);
    }
    empty(table);
}

typedef struct hooks hooks_t;
struct hooks {
    void *(*alloc)(hooks_t *, void *, size_t, size_t, bool *, bool *, unsigned);
    void *others[8];
};
static hooks_t original, wrapped;
static unsigned handed_out;

static void *alloc_counted(hooks_t *hooks, void *at, size_t size, size_t align, bool *zero, bool *commit,
                           unsigned index) {
    (void)hooks;
    void *pages = original.alloc(&original, at, size, align, zero, commit, index);
    handed_out += pages != NULL;
    return pages;
}

static void use_arena(unsigned index, uint64_t random) {
    static void *held[60];
    int flags = ARENA(index) | CACHE(0) * 0 | 0x100;
    for (int step = 0; step < 200; step++) {
        int at = (int)(next_random(&random) % 60);
        size_t size = size_at(&random) / 2 + 32;
        if (held[at] != NULL && step % 3 == 0) {
            expect_stamp(held[at]);
            void *moved = rallocx(held[at], size, flags);
            if (moved == NULL) {
                expect_stamp(held[at]);
                continue;
            }
            held[at] = stamped(moved, size, random);
        } else if (held[at] != NULL) {
            expect_stamp(held[at]);
            if (step % 4 == 0) {
                size = xallocx(held[at], size, 0, flags);
                stamped(held[at], size, random);
            } else {
                dallocx(held[at], 0x100);
                held[at] = NULL;
            }
        } else {
            void *fresh = mallocx(size, flags);
            held[at] = fresh == NULL ? NULL : stamped(fresh, size, random);
        }
    }
    for (int at = 0; at < 60; at++) {
        if (held[at] != NULL) {
            expect_stamp(held[at]);
            held[at] = NULL;
        }
    }
}

static void call(const char *format, unsigned index) {
    char name[64];
    snprintf(name, sizeof name, format, index);
    deed(name);
}

static void arenas(void) {
    hooks_t *table_of_hooks = NULL, *mine = &wrapped;
    size_t length = sizeof table_of_hooks;
    if (mallctl("arena.0.extent_hooks", &table_of_hooks, &length, NULL, 0) == 0) {
        original = wrapped = *table_of_hooks;
        wrapped.alloc = alloc_counted;
    }
    for (unsigned round = 0; round < 2; round++) {
        unsigned index, cache = ~0u, before;
        length = sizeof index;
        bool hooked = round % 2 && original.alloc != NULL;
        if (mallctl("arenas.create", &index, &length, hooked ? &mine : NULL, hooked ? sizeof mine : 0) != 0) {
            continue;
        }
        use_arena(index, round);
        call("arena.%u.decay", index);
        call("arena.%u.purge", index);
        call("arena.%u.reset", index);
        use_arena(index, round + 10);
        length = sizeof cache;
        if (mallctl("tcache.create", &cache, &length, NULL, 0) == 0) {
            void *held[40] = {0};
            for (int at = 0; at < 40; at++) {
                held[at] = mallocx(100 + (size_t)at * 90, CACHE(cache) | (at % 2 ? ARENA(index) : 0));
            }
            for (int at = 0; at < 40; at++) {
                if (held[at] != NULL) {
                    dallocx(held[at], CACHE(cache));
                }
            }
            mallctl("tcache.flush", NULL, NULL, &cache, sizeof cache);
            EXPECT(mallctl("tcache.destroy", NULL, NULL, &cache, sizeof cache) == 0);
        }
        /* Bound, and back. */
        length = sizeof before;
        if (mallctl("thread.arena", &before, &length, &index, sizeof index) == 0) {
            churn(table, 100, round);
            empty(table);
            EXPECT(mallctl("thread.arena", NULL, NULL, &before, sizeof before) == 0);
        }
        call("arena.%u.reset", index);
        char name[32];
        snprintf(name, sizeof name, "arena.%u.destroy", index);
        int code = mallctl(name, NULL, NULL, NULL, 0);
        EXPECT(code == 0);
    }
}

static void *fork_beside(void *unused) {
    (void)unused;
    churn(table, 120, 3);
    return NULL;
}

static void life(int generations) {
    churn(table, 100, (uint64_t)generations);
    pid_t child = fork();
    if (child == 0) {
        alarm(50);
        churn(table, 100, 77);
        if (generations > 0) {
            life(generations - 1);
        }
        empty(table);
        _exit(0);
    }
    int status;
    EXPECT(child < 0 || waitpid(child, &status, 0) == child);
    if (child > 0 && status != 0) {
        fail("child: exit code %d, signal %d", WEXITSTATUS(status), WTERMSIG(status));
    }
}

static void forks(void) {
    for (int round = 0; round < 2; round++) {
        pthread_t thread;
        bool started = pthread_create(&thread, NULL, fork_beside, NULL) == 0;
        life(1);
        EXPECT(!started || pthread_join(thread, NULL) == 0);
    }
    empty(table);
}

static void swallow(void *count, const char *text) { *(size_t *)count += strlen(text); }

static void set(const char *name, void *value, size_t size) { mallctl(name, NULL, NULL, value, size); }

static void control(void) {
    static const char *const read[] = {"stats.allocated", "stats.resident", "arenas.narenas", "jemoxide.rss",
                                       "jemoxide.cgroup.memory_limit", "jemoxide.cgroup.pressure",
                                       "thread.allocatedp", "config.malloc_conf", "opt.dss", "jemoxide.purge"};
    bool on = true, off = false;
    uint64_t epoch = 1;
    size_t printed = 0, limit = (size_t)64 << 20, none = 0;
    ssize_t now = 0, later = 300;
    for (int round = 0; round < 2; round++) {
        churn(table, 60, (uint64_t)round);
        set("epoch", &epoch, sizeof epoch);
        for (size_t at = 0; at < sizeof read / sizeof *read; at++) {
            char value[64];
            /* The map of the process is long, and read line by line: once. */
            size_t least = strcmp(read[at], "jemoxide.rss") != 0 ? 1 : round == 0 ? 8 : 9;
            for (size_t length = 8; length >= least; length /= 2) {
                size_t given = length;
                mallctl(read[at], value, &given, NULL, 0);
            }
        }
        malloc_stats_print(swallow, &printed, round % 2 ? "J" : NULL);
        set("background_thread", &off, sizeof off);
        set("background_thread", &on, sizeof on);
        set("arenas.dirty_decay_ms", round % 2 ? &later : &now, sizeof now);
        set("arena.0.dirty_decay_ms", round % 2 ? &later : &now, sizeof now);
        set("jemoxide.heap_limit_hard", &limit, sizeof limit);
        set("jemoxide.heap_limit_soft", &limit, sizeof limit);
        churn(table, 100, 8);
        set("jemoxide.heap_limit_hard", &none, sizeof none);
        set("jemoxide.heap_limit_soft", &none, sizeof none);
        set("jemoxide.purge", &none, sizeof none);
        deed("arena.4096.purge");
        deed("thread.tcache.flush");
        set("thread.tcache.enabled", &off, sizeof off);
        churn(table, 100, 9);
        set("thread.tcache.enabled", &on, sizeof on);
        usleep(110000);
    }
    EXPECT(printed > 0);
    empty(table);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"objects", objects}, {"threads", threads}, {"arenas", arenas}, {"fork", forks}, {"control", control}};
    EXPECT(count == 2 && mallctl != NULL);
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        if (strcmp(arguments[1], cases[at].name) == 0) {
            cases[at].run();
            prctl(LIFT, 0, 0, 0, 0);
            static const size_t sizes[] = {1, 100, 5000, 20000, 100000, 3 << 20, 70 << 20};
            for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
                free_stamped(new_stamped(sizes[size], size));
            }
            churn(table, 300, 1);
            expect_books();
            empty(table);
            malloc_trim(0);
            expect_books();
            say("served again");
            return 0;
        }
    }
    fail("no such case: %s", arguments[1]);
}
