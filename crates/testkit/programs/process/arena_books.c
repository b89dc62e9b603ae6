/* Figures of each arena against a program's own books: run with narenas:3 or more, and a case.
 *   direct    past all caches: each request and each free is one of its arena and class
 *   mixed     threads of different arenas, what they free of each other's, explicit caches that are full at the end,
 *             threads bound to an arena
 * Three automatic arenas and two made by request, one of which is destroyed at the end. Small objects, large ones, and what
 * is in between.
 */
#include "books.h"
#include <pthread.h>
#include <stdbool.h>

#define ARENA(a) ((int)(((unsigned)(a) + 1) << 20))
#define TCACHE(id) ((int)(((unsigned)(id) + 2) << 8))
#define NONE 0x100

extern void *mallocx(size_t, int) __attribute__((weak));
extern void dallocx(void *, int) __attribute__((weak));
extern size_t malloc_usable_size(void *);

enum { AUTOMATIC = 3, ARENAS = 5, THREADS = 5, SLOTS = 1500, STEPS = 15000, ROUNDS = 3 };
enum { SMALL = 36, CLASSES = 232, CACHED = 32768 };

/* One count for each arena and class. */
typedef uint64_t counts[ARENAS][CLASSES];

static counts came, went, bytes_of;
static size_t class_sizes[CLASSES];
static unsigned indexes[ARENAS];
static bool direct;

struct object {
    void *place;
    int arena;
};
static struct object slots[SLOTS];
static pthread_mutex_t slot_lock = PTHREAD_MUTEX_INITIALIZER;

static void add(uint64_t *count, uint64_t more) { __atomic_fetch_add(count, more, __ATOMIC_RELAXED); }

static int class_of(size_t usable) {
    int at = 0;
    while (class_sizes[at] < usable) {
        at++;
    }
    return at;
}

static unsigned owner(void *place) {
    unsigned index = ~0u;
    size_t length = sizeof index;
    EXPECT(mallctl("arenas.lookup", &index, &length, &place, sizeof place) == 0);
    return index;
}

/* Size classes are few, so that run caches and explicit ones hit. */
static size_t some_size(uint64_t *state) {
    static const size_t sizes[] = {16, 48, 100, 1000, 5000, 14000, 16384, 20000, 32768, 40960, 100000, 262144, 700000};
    return sizes[next_random(state) % (sizeof sizes / sizeof *sizes)] - next_random(state) % 8;
}

static void set_arena(unsigned index) {
    EXPECT(mallctl("thread.arena", NULL, NULL, &index, sizeof index) == 0);
}

static unsigned new_cache(void) {
    unsigned id;
    size_t length = sizeof id;
    EXPECT(mallctl("tcache.create", &id, &length, NULL, 0) == 0);
    return id;
}

struct worker {
    int number;
    /* Explicit caches: of automatic arenas, and of the two made by request. */
    unsigned caches[3];
};

/* An object of an arena, however that is asked for. Thread i < 3 is the automatic arena's of that number, thread 3 is bound to
 * the first arena made by request, thread 4 to none. */
static struct object take(struct worker *worker, uint64_t *state) {
    size_t size = some_size(state);
    struct object object = {NULL, (int)(next_random(state) % ARENAS)};
    bool manual = object.arena >= AUTOMATIC;
    int flags = ARENA(indexes[object.arena]);
    if (direct) {
        flags |= NONE;
    } else {
        switch (next_random(state) % 4) {
        case 0:
            flags |= NONE;
            break;
        case 1:
            /* What an automatic arena's cache holds may be another's. */
            flags |= TCACHE(worker->caches[manual ? object.arena - AUTOMATIC + 1 : 0]);
            break;
        default:
            flags = -1;
        }
    }
    if (flags == -1) {
        object.arena = worker->number < 4 ? worker->number : 0;
        object.place = malloc(size);
    } else {
        object.place = mallocx(size, flags);
    }
    EXPECT(object.place != NULL);
    size_t usable = malloc_usable_size(object.place);
    /* Which arena a region of an automatic arena is of, out of a cache, is nobody's promise. */
    if (object.arena >= AUTOMATIC || usable > CACHED || direct) {
        EXPECT(owner(object.place) == indexes[object.arena]);
    }
    int class = class_of(usable);
    add(&came[object.arena][class], 1);
    add(&bytes_of[object.arena][class], usable);
    memset(object.place, 5, usable < 64 ? usable : 64);
    return object;
}

static void give(struct worker *worker, struct object object, uint64_t *state) {
    if (object.place == NULL) {
        return;
    }
    size_t usable = malloc_usable_size(object.place);
    add(&went[object.arena][class_of(usable)], 1);
    add(&bytes_of[object.arena][class_of(usable)], -usable);
    bool manual = object.arena >= AUTOMATIC;
    if (direct || next_random(state) % 4 == 0) {
        dallocx(object.place, NONE);
    } else if (next_random(state) % 2) {
        dallocx(object.place, TCACHE(worker->caches[manual ? object.arena - AUTOMATIC + 1 : 0]));
    } else {
        free(object.place);
    }
}

static void *work(void *argument) {
    struct worker *worker = argument;
    static uint64_t turn;
    uint64_t state = 99 + (uint64_t)worker->number * 31 + __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED);
    if (worker->number < 4) {
        set_arena(indexes[worker->number]);
    } else {
        set_arena(0);
    }
    for (int step = 0; step < STEPS; step++) {
        struct object object = {NULL, 0};
        if (next_random(&state) % 2) {
            object = take(worker, &state);
        }
        struct object *slot = &slots[next_random(&state) % SLOTS];
        pthread_mutex_lock(&slot_lock);
        struct object old = *slot;
        *slot = object;
        pthread_mutex_unlock(&slot_lock);
        give(worker, old, &state);
    }
    return NULL;
}

/* What the library tells. */
struct told {
    counts nmalloc, ndalloc, nrequests, live;
    uint64_t fills[ARENAS], flushes[ARENAS], allocated, large[ARENAS], small[ARENAS];
    uint64_t merged_requests[CLASSES];
};

static uint64_t of_class(const char *arena, int class, const char *key) {
    return bookf("stats.arenas.%s.%s.%d.%s", arena, class < SMALL ? "bins" : "lextents",
                 class < SMALL ? class : class - SMALL, key);
}

static void look(struct told *told) {
    uint64_t epoch = 1;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    told->allocated = book("stats.allocated");
    for (int at = 0; at < ARENAS; at++) {
        char arena[16];
        snprintf(arena, sizeof arena, "%u", indexes[at]);
        for (int class = 0; class < CLASSES; class++) {
            told->nmalloc[at][class] = of_class(arena, class, "nmalloc");
            told->ndalloc[at][class] = of_class(arena, class, "ndalloc");
            told->nrequests[at][class] = of_class(arena, class, "nrequests");
            told->live[at][class] = of_class(arena, class, class < SMALL ? "curregs" : "curlextents");
        }
        told->fills[at] = bookf("stats.arenas.%s.small.nfills", arena);
        told->flushes[at] = bookf("stats.arenas.%s.small.nflushes", arena);
        told->small[at] = bookf("stats.arenas.%s.small.allocated", arena);
        told->large[at] = bookf("stats.arenas.%s.large.allocated", arena);
    }
    for (int class = 0; class < CLASSES; class++) {
        told->merged_requests[class] = of_class("4096", class, "nrequests");
    }
}

static void same(const char *what, int arena, int class, uint64_t known, uint64_t told) {
    if (known != told) {
        fail("%s of arena %d, class %d: %llu, told %llu", what, arena, class, (unsigned long long)known,
             (unsigned long long)told);
    }
}

/* What came since `before`, by the library, against what the program did meanwhile. */
static void check(const struct told *before, const struct told *now) {
    uint64_t all = 0;
    for (int at = 0; at < ARENAS; at++) {
        bool manual = at >= AUTOMATIC;
        uint64_t small = 0, large = 0, small_came = 0, small_went = 0;
        for (int class = 0; class < CLASSES; class++) {
            uint64_t nmalloc = now->nmalloc[at][class] - before->nmalloc[at][class];
            uint64_t ndalloc = now->ndalloc[at][class] - before->ndalloc[at][class];
            uint64_t asked = now->nrequests[at][class] - before->nrequests[at][class];
            /* In classes of its own the C library's objects go through caches. */
            bool uncached = direct || class_sizes[class] > CACHED;
            if (uncached && came[at][class] != 0) {
                same("nmalloc", at, class, came[at][class], nmalloc);
                same("ndalloc", at, class, went[at][class], ndalloc);
                same("live", at, class, came[at][class] - went[at][class],
                     now->live[at][class] - before->live[at][class]);
            }
            EXPECT(nmalloc - ndalloc == now->live[at][class] - before->live[at][class]);
            if (manual || class_sizes[class] > CACHED) {
                same("nrequests", at, class, came[at][class], asked);
            }
            *(class < SMALL ? &small : &large) += bytes_of[at][class];
            if (class < SMALL) {
                small_came += nmalloc;
                small_went += ndalloc;
            }
        }
        all += small + large;
        /* What is in caches is booked with the first automatic arena, and with nobody's but its own if made by request. */
        if (manual || direct) {
            same("small bytes", at, -1, small, now->small[at] - before->small[at]);
            same("large bytes", at, -1, large, now->large[at] - before->large[at]);
        }
        uint64_t fills = now->fills[at] - before->fills[at], flushes = now->flushes[at] - before->flushes[at];
        if (direct && manual) {
            same("nfills", at, -1, small_came, fills);
            same("nflushes", at, -1, small_went, flushes);
        }
        EXPECT(fills > 0 && fills <= small_came && flushes > 0 && flushes <= small_went);
    }
    same("allocated", -1, -1, all, now->allocated - before->allocated);
    for (int class = 0; class < CLASSES; class++) {
        uint64_t asked = 0;
        for (int at = 0; at < ARENAS; at++) {
            asked += came[at][class];
        }
        same("merged nrequests", -1, class, asked, now->merged_requests[class] - before->merged_requests[class]);
    }
}

/* What the arena at `at`, which is gone, counted stands with the destroyed ones. */
static void check_destroyed(int at, const struct told *last) {
    uint64_t nmalloc = 0;
    for (int class = 0; class < CLASSES; class++) {
        same("destroyed nmalloc", at, class, last->nmalloc[at][class], of_class("4097", class, "nmalloc"));
        same("destroyed ndalloc", at, class, last->nmalloc[at][class], of_class("4097", class, "ndalloc"));
        same("destroyed nrequests", at, class, last->nrequests[at][class], of_class("4097", class, "nrequests"));
        same("destroyed live", at, class, 0, of_class("4097", class, class < SMALL ? "curregs" : "curlextents"));
        nmalloc += class < SMALL ? last->nmalloc[at][class] : 0;
    }
    same("destroyed nmalloc", at, -1, nmalloc, book("stats.arenas.4097.small.nmalloc"));
    same("destroyed nfills", at, -1, last->fills[at], book("stats.arenas.4097.small.nfills"));
    EXPECT(book("stats.arenas.4097.small.nflushes") >= last->flushes[at]);
    EXPECT(book("stats.arenas.4097.small.allocated") == 0 && book("stats.arenas.4097.large.allocated") == 0);
}

int main(int argc, char **argv) {
    EXPECT(argc == 2);
    direct = strcmp(argv[1], "direct") == 0;
    for (int at = 0; at < CLASSES; at++) {
        class_sizes[at] = at < SMALL ? bookf("arenas.bin.%d.size", at) : bookf("arenas.lextent.%d.size", at - SMALL);
    }
    EXPECT(book("arenas.narenas") == AUTOMATIC);
    for (int at = 0; at < ARENAS; at++) {
        indexes[at] = (unsigned)at;
        size_t length = sizeof *indexes;
        EXPECT(at < AUTOMATIC || mallctl("arenas.create", &indexes[at], &length, NULL, 0) == 0);
    }
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i].number = i;
        for (int cache = 0; cache < 3; cache++) {
            workers[i].caches[cache] = new_cache();
        }
    }
    /* The C library keeps a few stacks, and what belongs to them: all of ours, if they are small. */
    pthread_attr_t attributes;
    EXPECT(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
    static struct told before, now;
    /* The first round brings what the C library keeps for threads, and is not compared. */
    for (int round = 0; round <= ROUNDS; round++) {
        for (int i = 0; i < THREADS; i++) {
            EXPECT(pthread_create(&threads[i], &attributes, work, &workers[i]) == 0);
        }
        for (int i = 0; i < THREADS; i++) {
            EXPECT(pthread_join(threads[i], NULL) == 0);
        }
        if (round == 0) {
            memset(came, 0, sizeof came);
            memset(went, 0, sizeof went);
            memset(bytes_of, 0, sizeof bytes_of);
            look(&before);
        } else {
            look(&now);
            check(&before, &now);
        }
    }
    EXPECT(mallctl(indexes[3] == 3 ? "arena.3.destroy" : "", NULL, NULL, NULL, 0) == 0);
    uint64_t epoch = 1;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    check_destroyed(3, &now);
    puts("done");
    return 0;
}
