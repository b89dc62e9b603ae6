/* Arenas made by request, seen from outside: argument, a case.
 *   objects   what an arena hands out is its own, in every way an object may be asked for, resized and freed
 *   life      reset and destruction touch nothing of others; indexes come back; figures of those that are no more
 *   settings  names, decay times, growth, thresholds, the data segment
 *   nodump    hooks wrap the defaults and keep the pages out of core files, as RocksDB's do
 *   shared    an arena in the program's own shared memory: a child sees the data, nothing outside is handed out
 *   thousand  a thousand arenas, and as many as there may be
 *   threads   threads bound to arenas
 *   fork      a process with arenas doubles, from a bound thread and from within a hook
 *   nested    hooks that allocate, free and ask
 *   nocache   MALLOCX_TCACHE_NONE: the fullest slab, its lowest slot, both ways past all caches
 *   defrag    what Redis does to move its data together
 *   batch     many objects at once
 *   percpu    threads use the arena of their processor (run with percpu_arena:percpu)
 *   limit     a limit on the heap counts what arenas have, and gets it back (run with heap_limit_hard:64M)
 *   churn     arenas come and go, with hooks and without, while threads' ticks look for what is due; children too
 *   caches    explicit caches: of automatic arenas and of others, used by several threads in turn
 *   leave     the last thread leaves an arena while another ends it and a third forks
 *   bound     a bound thread's cache of its arena: told, emptied, forgotten by a reset, left behind in a child
 *   report    what arenas hold at the end is in the report that the process leaves (run with report_dir)
 *   rebind    threads come to an arena and leave it while another ends it and makes it anew
 */
#include "expect.h"
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define ARENA(a) ((int)(((unsigned)(a) + 1) << 20))
#define ZERO 0x40
#define NONE 0x100
#define ALIGN(lg) (lg)

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));
extern int mallctlnametomib(const char *, size_t *, size_t *) __attribute__((weak));
extern int mallctlbymib(const size_t *, size_t, void *, size_t *, void *, size_t)
    __attribute__((weak));
extern void *mallocx(size_t, int) __attribute__((weak));
extern void *rallocx(void *, size_t, int) __attribute__((weak));
extern size_t xallocx(void *, size_t, size_t, int) __attribute__((weak));
extern size_t sallocx(const void *, int) __attribute__((weak));
extern void dallocx(void *, int) __attribute__((weak));
extern void sdallocx(void *, size_t, int) __attribute__((weak));
extern size_t malloc_usable_size(void *);

typedef struct hooks hooks_t;
struct hooks {
    void *(*alloc)(hooks_t *, void *, size_t, size_t, bool *, bool *, unsigned);
    bool (*dalloc)(hooks_t *, void *, size_t, bool, unsigned);
    void (*destroy)(hooks_t *, void *, size_t, bool, unsigned);
    bool (*commit)(hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*decommit)(hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_lazy)(hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_forced)(hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*split)(hooks_t *, void *, size_t, size_t, size_t, bool, unsigned);
    bool (*merge)(hooks_t *, void *, size_t, void *, size_t, bool, unsigned);
};

static unsigned create(hooks_t *hooks) {
    unsigned index = 0;
    size_t length = sizeof index;
    int code = mallctl("arenas.create", &index, &length, hooks ? &hooks : NULL,
                       hooks ? sizeof hooks : 0);
    if (code != 0) {
        fail("arenas.create: %d", code);
    }
    return index;
}

static const char *name_of(const char *format, unsigned index) {
    static __thread char name[100];
    snprintf(name, sizeof name, format, index);
    return name;
}

static int deed(const char *format, unsigned index) {
    return mallctl(name_of(format, index), NULL, NULL, NULL, 0);
}

static size_t size_of(const char *format, unsigned index) {
    size_t value = 0, length = sizeof value;
    int code = mallctl(name_of(format, index), &value, &length, NULL, 0);
    if (code != 0) {
        fail("%s: %d", name_of(format, index), code);
    }
    return value;
}

static unsigned count_of(const char *format, unsigned index) {
    unsigned value = 0;
    size_t length = sizeof value;
    int code = mallctl(name_of(format, index), &value, &length, NULL, 0);
    if (code != 0) {
        fail("%s: %d", name_of(format, index), code);
    }
    return value;
}

static void refresh(void) {
    uint64_t epoch = 1;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
}

/* The arena that an address belongs to; ~0: none. */
static unsigned owner(void *address) {
    unsigned index = ~0u;
    size_t length = sizeof index;
    int code = mallctl("arenas.lookup", &index, &length, &address, sizeof address);
    EXPECT(code == 0 || code == EINVAL);
    return code == 0 ? index : ~0u;
}

static bool is_zero(const unsigned char *bytes, size_t count) {
    for (size_t at = 0; at < count; at++) {
        if (bytes[at] != 0) {
            return false;
        }
    }
    return true;
}

/* From hardening:strong on a size is what was asked for, and pages are shared. */
static bool is_hardened(void) {
    void *object = malloc(100);
    bool is_exact = malloc_usable_size(object) == 100;
    free(object);
    return is_exact;
}

static void objects(void) {
    unsigned index = create(NULL), other = create(NULL);
    static const size_t sizes[] = {1, 8, 100, 4096, 14336, 16384, 20000, 100000, 3 << 20};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        size_t size = sizes[at];
        for (int round = 0; round < 3; round++) {
            unsigned char *p = mallocx(size, ARENA(index) | (round == 1 ? ZERO : 0));
            EXPECT(p != NULL && owner(p) == index);
            EXPECT(malloc_usable_size(p) == sallocx(p, 0) && sallocx(p, 0) >= size);
            EXPECT(round != 1 || is_zero(p, malloc_usable_size(p)));
            memset(p, 7, malloc_usable_size(p));
            switch (round) {
            case 0: free(p); break;
            case 1: sdallocx(p, size, 0); break;
            case 2: dallocx(p, ARENA(index) | NONE); break;
            }
        }
    }
    for (int lg = 3; lg < 23; lg++) {
        void *p = mallocx(1000, ARENA(index) | ALIGN(lg));
        EXPECT(p != NULL && ((uintptr_t)p & (((uintptr_t)1 << lg) - 1)) == 0 && owner(p) == index);
        sdallocx(p, 1000, ARENA(index) | ALIGN(lg));
    }
    /* Moved by name: it stays in the arena; by a plain call: it comes to the thread's. */
    unsigned char *p = mallocx(500, ARENA(index));
    memset(p, 3, 500);
    p = rallocx(p, 50000, ARENA(index));
    EXPECT(owner(p) == index && p[0] == 3 && p[499] == 3);
    p = rallocx(p, 60000, ARENA(other));
    EXPECT(p[499] == 3 && (owner(p) == index || owner(p) == other));
    size_t grown = xallocx(p, 4 << 20, 0, 0);
    EXPECT(grown == sallocx(p, 0));
    EXPECT(xallocx(p, 40000, 0, 0) == (is_hardened() ? 40000 : 40960) || sallocx(p, 0) > 40960);
    p = realloc(p, 100);
    EXPECT(p[99] == 3 && owner(p) == 0);
    free(p);
    p = calloc(1, 10);
    p = realloc(p, 200000);
    EXPECT(owner(p) == 0);
    free(p);
    /* There is no such arena. */
    EXPECT(mallocx(10, ARENA(other + 1)) == NULL && mallocx(10, ARENA(4094)) == NULL);
    /* An automatic one, by its index. */
    p = mallocx(10, ARENA(0));
    EXPECT(owner(p) == 0);
    free(p);
    refresh();
    EXPECT(size_of("stats.arenas.%u.small.allocated", index) == 0);
    EXPECT(size_of("stats.arenas.%u.large.allocated", index) == 0);
    EXPECT(size_of("stats.arenas.%u.pactive", index) == 0);
    p = mallocx(100, ARENA(index));
    void *q = mallocx(100000, ARENA(index));
    refresh();
    EXPECT(size_of("stats.arenas.%u.small.allocated", index) == 112);
    EXPECT(size_of("stats.arenas.%u.large.allocated", index) == 102400);
    size_t *active, length = sizeof active;
    EXPECT(mallctl(name_of("experimental.arenas.%u.pactivep", index), &active, &length, NULL, 0) == 0);
    size_t pages = *active;
    EXPECT(size_of("stats.arenas.%u.pactive", index) == (is_hardened() ? 26 : pages));
    EXPECT(pages >= 26 || is_hardened());
    free(q);
    EXPECT(*active == pages - 25 || is_hardened());
    free(p);
    EXPECT(*active == 0);
}

static void life(void) {
    unsigned a = create(NULL), b = create(NULL);
    EXPECT(b == a + 1 && count_of("arenas.narenas", 0) == b + 1);
    enum { COUNT = 2000 };
    static void *mine[COUNT], *theirs[COUNT], *plain[COUNT];
    for (int round = 0; round < 3; round++) {
        for (int at = 0; at < COUNT; at++) {
            size_t size = at % 7 == 0 ? 20000 + at * 16 : 16 + at;
            mine[at] = mallocx(size, ARENA(a));
            theirs[at] = mallocx(size, ARENA(b));
            plain[at] = malloc(size);
            EXPECT(mine[at] && theirs[at] && plain[at]);
            memset(mine[at], 1, size);
            memset(theirs[at], 2, size);
            memset(plain[at], 3, size);
        }
        EXPECT(deed("arena.%u.reset", a) == 0);
        refresh();
        EXPECT(size_of("stats.arenas.%u.pactive", a) == 0);
        for (int at = 0; at < COUNT; at++) {
            size_t size = at % 7 == 0 ? 20000 + at * 16 : 16 + at;
            EXPECT(((char *)theirs[at])[size - 1] == 2 && ((char *)plain[at])[0] == 3);
            free(theirs[at]);
            free(plain[at]);
        }
    }
    mine[0] = mallocx(100000, ARENA(a));
    EXPECT(deed("arena.0.reset", 0) == EFAULT && deed("arena.0.destroy", 0) == EFAULT);
    EXPECT(deed("arena.%u.reset", b + 1) == EFAULT && deed("arena.%u.reset", b + 2) == ENOENT);
    unsigned before = count_of("arenas.narenas", 0);
    EXPECT(deed("stats.arenas.%u.pactive", 4097) == ENOENT);
    EXPECT(deed("arena.%u.destroy", a) == 0);
    EXPECT(count_of("arenas.narenas", 0) == before);
    EXPECT(deed("arena.%u.destroy", a) == EFAULT && deed("arena.%u.purge", a) == 0);
    EXPECT(deed("stats.arenas.%u.pactive", a) == ENOENT && mallocx(10, ARENA(a)) == NULL);
    refresh();
    uint64_t counted = size_of("stats.arenas.%u.pactive", 4097);
    EXPECT(counted == 0);
    bool initialized = true;
    size_t length = sizeof initialized;
    EXPECT(mallctl(name_of("arena.%u.initialized", a), &initialized, &length, NULL, 0) == 0);
    EXPECT(!initialized);
    EXPECT(deed("arena.%u.destroy", b) == 0);
    /* The last that became free comes first. */
    EXPECT(create(NULL) == b && create(NULL) == a);
    void *p = mallocx(64, ARENA(a));
    EXPECT(owner(p) == a);
    free(p);
    /* What arguments are refused. */
    unsigned index;
    length = 2;
    EXPECT(mallctl("arenas.create", &index, &length, NULL, 0) == EINVAL && length == 0);
    EXPECT(mallctl("arenas.create", NULL, NULL, NULL, 0) == EINVAL);
    struct { hooks_t *hooks; bool metadata; } settings = {NULL, true};
    length = sizeof index;
    EXPECT(mallctl("experimental.arenas_create_ext", &index, &length, &settings, sizeof settings) == 0);
    EXPECT(index == before);
    EXPECT(mallctl("experimental.arenas_create_ext", &index, &length, &settings, 8) == EINVAL);
}

static void settings(void) {
    unsigned index = create(NULL);
    char buffer[32], *room = buffer, *wanted = "a name that is longer than thirty-two";
    size_t length = sizeof room;
    const char *key = name_of("arena.%u.name", index);
    EXPECT(mallctl(key, &room, &length, NULL, 0) == 0);
    EXPECT(strcmp(buffer, name_of("manual_%u", index)) == 0);
    EXPECT(mallctl(name_of("arena.%u.name", index), NULL, NULL, &wanted, sizeof wanted) == 0);
    EXPECT(mallctl(name_of("arena.%u.name", index), &room, &length, NULL, 0) == 0);
    EXPECT(strlen(buffer) == 31 && strncmp(buffer, wanted, 31) == 0);
    EXPECT(mallctl("arena.0.name", &room, &length, NULL, 0) == 0 && strcmp(buffer, "auto_0") == 0);
    EXPECT(mallctl("arena.4096.name", &room, &length, NULL, 0) == EINVAL);
    EXPECT(mallctl(name_of("arena.%u.name", index + 1), &room, &length, NULL, 0) == EINVAL);

    ssize_t decay = -7, old = 0;
    length = sizeof old;
    EXPECT(mallctl(name_of("arena.%u.dirty_decay_ms", index), NULL, NULL, &decay, sizeof decay) == EFAULT);
    decay = 0;
    EXPECT(mallctl(name_of("arena.%u.dirty_decay_ms", index), &old, &length, &decay, sizeof decay) == 0);
    EXPECT(mallctl("arena.0.dirty_decay_ms", &decay, &length, NULL, 0) == 0 && decay == old);
    void *p = mallocx(1 << 20, ARENA(index));
    memset(p, 1, 1 << 20);
    free(p);
    refresh();
    EXPECT(size_of("stats.arenas.%u.pdirty", index) == 0);
    EXPECT(size_of("stats.arenas.%u.dirty_purged", index) >= 256);
    EXPECT(size_of("stats.arenas.%u.retained", index) >= 1 << 20);
    decay = -1;
    EXPECT(mallctl(name_of("arena.%u.dirty_decay_ms", index), NULL, NULL, &decay, sizeof decay) == 0);
    p = mallocx(1 << 20, ARENA(index) | ZERO);
    EXPECT(is_zero(p, 1 << 20));
    memset(p, 1, 1 << 20);
    free(p);
    EXPECT(deed("arena.%u.decay", index) == 0);
    refresh();
    EXPECT(size_of("stats.arenas.%u.pdirty", index) == 256);
    EXPECT(deed("arena.%u.purge", index) == 0);
    EXPECT(size_of("stats.arenas.%u.pdirty", index) == 256);
    refresh();
    EXPECT(size_of("stats.arenas.%u.pdirty", index) == 0);

    size_t limit = 0;
    length = sizeof limit;
    EXPECT(mallctl(name_of("arena.%u.retain_grow_limit", index), &limit, &length, NULL, 0) == 0);
    EXPECT(limit == (size_t)7 << 60);
    limit = 100;
    EXPECT(mallctl(name_of("arena.%u.retain_grow_limit", index), NULL, NULL, &limit, sizeof limit) == EFAULT);
    limit = 100001;
    EXPECT(mallctl(name_of("arena.%u.retain_grow_limit", index), NULL, NULL, &limit, sizeof limit) == 0);
    EXPECT(mallctl(name_of("arena.%u.retain_grow_limit", index), &limit, &length, NULL, 0) == 0);
    EXPECT(limit == 98304);

    limit = 8 << 20;
    EXPECT(mallctl(name_of("arena.%u.oversize_threshold", index), NULL, NULL, &limit, sizeof limit) == 0);
    p = mallocx(9 << 20, ARENA(index));
    memset(p, 1, 9 << 20);
    free(p);
    refresh();
    EXPECT(size_of("stats.arenas.%u.pdirty", index) == 0);

    const char *dss = NULL, *primary = "primary";
    length = sizeof dss;
    EXPECT(mallctl(name_of("arena.%u.dss", index), &dss, &length, NULL, 0) == 0 && strcmp(dss, "secondary") == 0);
    EXPECT(mallctl(name_of("arena.%u.dss", index), NULL, NULL, &primary, sizeof primary) == 0);
    EXPECT(mallctl(name_of("stats.arenas.%u.dss", index), &dss, &length, NULL, 0) == 0 && strcmp(dss, "primary") == 0);
    EXPECT(mallctl("arena.0.dss", &dss, &length, NULL, 0) == 0 && strcmp(dss, "secondary") == 0);
    char *low = (char *)sbrk(0) - (1 << 20);
    p = mallocx(20 << 20, ARENA(index));
    EXPECT((char *)p > low && (char *)p < (char *)sbrk(0));
    memset(p, 1, 20 << 20);
    free(p);
    EXPECT(deed("arena.%u.destroy", index) == 0);

    /* Hooks of an automatic arena are the defaults, and stay so. */
    hooks_t *hooks = NULL, mine;
    length = sizeof hooks;
    EXPECT(mallctl("arena.0.extent_hooks", &hooks, &length, NULL, 0) == 0 && hooks != NULL);
    mine = *hooks;
    hooks_t *given = &mine;
    EXPECT(mallctl("arena.0.extent_hooks", NULL, NULL, &given, sizeof given) == EFAULT);
    EXPECT(mallctl("arena.0.extent_hooks", NULL, NULL, &hooks, sizeof hooks) == 0);
}

/* As RocksDB and folly do it. */
static hooks_t original, wrapped;
static size_t kept_out;

static void *alloc_nodump(hooks_t *hooks, void *at, size_t size, size_t align, bool *zero,
                          bool *commit, unsigned index) {
    void *p = original.alloc(hooks, at, size, align, zero, commit, index);
    if (p != NULL) {
        EXPECT(madvise(p, size, MADV_DONTDUMP) == 0);
        kept_out += size;
    }
    return p;
}

/* Whether the mapping that holds an address has a flag of VmFlags. */
static bool has_flag(void *address, const char *flag) {
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[4096];
    unsigned long from = 0, to = 0, at = (unsigned long)address;
    bool inside = false, found = false;
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && strchr(line, '-') < strchr(line, ' ')) {
            inside = from <= at && at < to;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            found = strstr(line, flag) != NULL;
        }
    }
    fclose(maps);
    return found;
}

static void nodump(void) {
    unsigned index = create(NULL);
    hooks_t *hooks = NULL, *mine = &wrapped;
    size_t length = sizeof hooks;
    const char *key = name_of("arena.%u.extent_hooks", index);
    EXPECT(mallctl(key, &hooks, &length, NULL, 0) == 0);
    original = wrapped = *hooks;
    wrapped.alloc = alloc_nodump;
    hooks_t *before = NULL;
    EXPECT(mallctl(key, &before, &length, &mine, sizeof mine) == 0 && before == hooks);
    EXPECT(mallctl(key, &before, &length, NULL, 0) == 0 && before == mine);
    enum { COUNT = 3000 };
    static char *live[COUNT];
    for (int round = 0; round < 4; round++) {
        for (int at = 0; at < COUNT; at++) {
            size_t size = at % 10 == 0 ? 4096 * (1 + at % 90) : 1 + at % 9000;
            if (live[at] != NULL) {
                EXPECT(live[at][0] == (char)at);
                dallocx(live[at], NONE);
            }
            live[at] = mallocx(size, ARENA(index) | NONE);
            EXPECT(live[at] != NULL);
            memset(live[at], at, size);
        }
        EXPECT(round % 2 == 0 || deed("arena.%u.purge", index) == 0);
    }
    for (int at = 0; at < COUNT; at += 100) {
        EXPECT(owner(live[at]) == index && has_flag(live[at], " dd"));
    }
    char *plain = malloc(100000);
    EXPECT(!has_flag(plain, " dd"));
    free(plain);
    EXPECT(kept_out >= 8 << 20);
    EXPECT(deed("arena.%u.destroy", index) == 0);
}

/* Memory of the program's own: handed out from the front, and never elsewhere. */
enum { POOL = 32 << 20 };
static char *pool;
static size_t pool_used;

static void *alloc_shared(hooks_t *hooks, void *at, size_t size, size_t align, bool *zero,
                          bool *commit, unsigned index) {
    (void)hooks, (void)index;
    size_t start = (pool_used + align - 1) & ~(align - 1);
    if (at != NULL || start + size > POOL) {
        return NULL;
    }
    pool_used = start + size;
    *zero = *commit = true;
    return pool + start;
}

static void shared(void) {
    pool = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(pool != MAP_FAILED);
    /* All that is not there refuses. */
    static hooks_t hooks = {.alloc = alloc_shared};
    unsigned index = create(&hooks);
    enum { COUNT = 1000 };
    static char *texts[COUNT];
    for (int at = 0; at < COUNT; at++) {
        texts[at] = mallocx(100 + at * 3, ARENA(index));
        EXPECT(pool <= texts[at] && texts[at] < pool + POOL);
        sprintf(texts[at], "text %d", at);
    }
    pid_t child = fork();
    if (child == 0) {
        for (int at = 0; at < COUNT; at++) {
            char expected[20];
            sprintf(expected, "text %d", at);
            EXPECT(strcmp(texts[at], expected) == 0);
            sprintf(texts[at], "child %d", at);
        }
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(strcmp(texts[999], "child 999") == 0);
    for (int at = 0; at < COUNT; at++) {
        free(texts[at]);
    }
    /* Until it is full, and again: what was freed serves. */
    size_t first = 0;
    for (int round = 0; round < 3; round++) {
        static char *blocks[POOL >> 12];
        size_t count = 0;
        for (;;) {
            char *p = mallocx(count % 3 == 0 ? 60000 : 5000, ARENA(index));
            if (p == NULL) {
                break;
            }
            EXPECT(pool <= p && p + 5000 <= pool + POOL);
            memset(p, 9, 5000);
            blocks[count++] = p;
        }
        if (round == 0) {
            first = count;
        }
        EXPECT(count > 200 && count * 10 >= first * 9);
        char *plain = malloc(5000);
        EXPECT(plain != NULL && (plain < pool || plain >= pool + POOL));
        free(plain);
        while (count > 0) {
            free(blocks[--count]);
        }
        EXPECT(deed("arena.%u.purge", index) == 0);
    }
    EXPECT(deed("arena.%u.destroy", index) == 0);
}

static void thousand(void) {
    size_t before = rss_kib();
    static unsigned indexes[5000];
    for (int at = 0; at < 1000; at++) {
        indexes[at] = create(NULL);
    }
    size_t made = rss_kib() - before;
    EXPECT(made < 2000);
    static void *objects[1000];
    for (int at = 0; at < 1000; at++) {
        objects[at] = mallocx(64, ARENA(indexes[at]));
        EXPECT(owner(objects[at]) == indexes[at]);
    }
    size_t used = rss_kib() - before;
    EXPECT(used < 40000);
    for (int at = 0; at < 1000; at++) {
        free(objects[at]);
    }
    int count = 1000;
    for (;; count++) {
        unsigned index;
        size_t length = sizeof index;
        int code = mallctl("arenas.create", &index, &length, NULL, 0);
        if (code != 0) {
            EXPECT(code == EAGAIN);
            break;
        }
        EXPECT(index == count_of("arenas.narenas", 0) - 1);
        indexes[count] = index;
    }
    EXPECT(count_of("arenas.narenas", 0) == 4095);
    void *last = mallocx(64, ARENA(4094));
    EXPECT(owner(last) == 4094);
    for (int at = 0; at < count; at++) {
        EXPECT(deed("arena.%u.destroy", indexes[at]) == 0);
    }
    EXPECT(create(NULL) == indexes[count - 1]);
}

static pthread_barrier_t barrier;
static void *handed[8][100];

static void *bound(void *argument) {
    unsigned index = *(unsigned *)argument;
    unsigned before, now;
    size_t length = sizeof before;
    void *early = malloc(100);
    EXPECT(mallctl("thread.arena", &before, &length, &index, sizeof index) == 0);
    EXPECT(mallctl("thread.arena", &now, &length, NULL, 0) == 0 && now == index);
    unsigned at = index % 8;
    for (int round = 0; round < 2000; round++) {
        size_t size = round % 50 == 0 ? 40000 : 1 + round % 3000;
        void *p = round % 2 == 0 ? malloc(size) : calloc(1, size);
        EXPECT(p != NULL && owner(p) == index);
        memset(p, 5, size);
        p = realloc(p, size * 2);
        EXPECT(owner(p) == index);
        void *q;
        EXPECT(posix_memalign(&q, 256, size) == 0 && owner(q) == index);
        free(q);
        free(p);
    }
    for (int i = 0; i < 100; i++) {
        handed[at][i] = malloc(1 + i * 700);
    }
    free(early);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    /* What others freed of ours is ours again; back to an automatic one. */
    EXPECT(mallctl("thread.arena", NULL, NULL, &before, sizeof before) == 0);
    void *late = malloc(100);
    EXPECT(owner(late) == before);
    free(late);
    EXPECT(mallctl("thread.arena", NULL, NULL, &index, sizeof index) == 0);
    return NULL;
}

static void threads(void) {
    enum { THREADS = 4 };
    pthread_t ids[THREADS];
    unsigned indexes[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int at = 0; at < THREADS; at++) {
        indexes[at] = create(NULL);
    }
    for (int at = 0; at < THREADS; at++) {
        EXPECT(pthread_create(&ids[at], NULL, bound, &indexes[at]) == 0);
    }
    pthread_barrier_wait(&barrier);
    for (int at = 0; at < THREADS; at++) {
        EXPECT(count_of("stats.arenas.%u.nthreads", indexes[at]) == 1);
        EXPECT(deed("arena.%u.destroy", indexes[at]) == EFAULT);
        for (int i = 0; i < 100; i++) {
            EXPECT(owner(handed[indexes[at] % 8][i]) == indexes[at]);
            free(handed[indexes[at] % 8][i]);
        }
    }
    pthread_barrier_wait(&barrier);
    for (int at = 0; at < THREADS; at++) {
        pthread_join(ids[at], NULL);
        /* A thread's end ends its binding. */
        EXPECT(count_of("stats.arenas.%u.nthreads", indexes[at]) == 0);
        EXPECT(deed("arena.%u.destroy", indexes[at]) == 0);
    }
    unsigned none = count_of("arenas.narenas", 0);
    EXPECT(mallctl("thread.arena", NULL, NULL, &none, sizeof none) == EFAULT);
    none = indexes[0];
    EXPECT(mallctl("thread.arena", NULL, NULL, &none, sizeof none) == EFAULT);
}

static bool stop;

static void *busy(void *argument) {
    unsigned index = *(unsigned *)argument;
    void *p = NULL;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        p = rallocx(p == NULL ? mallocx(1, ARENA(index)) : p, 1 + rand() % 100000, ARENA(index));
        EXPECT(p != NULL);
    }
    free(p);
    return NULL;
}

static bool forks_in_hook;

static void *alloc_forking(hooks_t *hooks, void *at, size_t size, size_t align, bool *zero,
                           bool *commit, unsigned index) {
    if (forks_in_hook) {
        forks_in_hook = false;
        pid_t child = fork();
        if (child == 0) {
            void *p = malloc(100), *q = mallocx(100, ARENA(0));
            EXPECT(p != NULL && q != NULL);
            _exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    }
    return original.alloc(hooks, at, size, align, zero, commit, index);
}

static void forking(void) {
    unsigned own = create(NULL), shared_with = create(NULL);
    EXPECT(mallctl("thread.arena", NULL, NULL, &own, sizeof own) == 0);
    void *mine = malloc(1000), *large = malloc(1000000);
    memset(large, 4, 1000000);
    pthread_t ids[2];
    EXPECT(pthread_create(&ids[0], NULL, busy, &shared_with) == 0);
    EXPECT(pthread_create(&ids[1], NULL, busy, &own) == 0);
    for (int round = 0; round < 60; round++) {
        pid_t child = fork();
        if (child == 0) {
            void *p = malloc(100);
            EXPECT(owner(p) == own && owner(mine) == own && ((char *)large)[999999] == 4);
            free(mine);
            free(large);
            free(p);
            p = mallocx(100000, ARENA(shared_with));
            EXPECT(owner(p) == shared_with);
            EXPECT(deed("arena.%u.destroy", shared_with) == 0);
            EXPECT(deed("arena.%u.destroy", own) == EFAULT);
            unsigned first = 0;
            EXPECT(mallctl("thread.arena", NULL, NULL, &first, sizeof first) == 0);
            EXPECT(deed("arena.%u.destroy", own) == 0);
            unsigned fresh = create(NULL);
            EXPECT(fresh == own && owner(mallocx(10, ARENA(fresh))) == fresh);
            _exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(ids[0], NULL);
    pthread_join(ids[1], NULL);
    hooks_t *hooks = NULL;
    size_t length = sizeof hooks;
    EXPECT(mallctl("arena.0.extent_hooks", &hooks, &length, NULL, 0) == 0);
    original = wrapped = *hooks;
    wrapped.alloc = alloc_forking;
    unsigned index = create(&wrapped);
    forks_in_hook = true;
    EXPECT(mallocx(100, ARENA(index)) != NULL && !forks_in_hook);
}

static unsigned nested_index;
static int nested_calls;

static void call_everything(void) {
    nested_calls++;
    for (int at = 0; at < 200; at++) {
        void *p = malloc(1 + at * 100), *q = calloc(1, 40000);
        EXPECT(p != NULL && q != NULL && owner(p) != nested_index && owner(q) != nested_index);
        p = realloc(p, 50000);
        free(p);
        free(q);
    }
    unsigned now;
    size_t length = sizeof now;
    EXPECT(mallctl("thread.arena", &now, &length, NULL, 0) == 0);
}

static void *alloc_nested(hooks_t *hooks, void *at, size_t size, size_t align, bool *zero,
                          bool *commit, unsigned index) {
    call_everything();
    return original.alloc(hooks, at, size, align, zero, commit, index);
}
static bool dalloc_nested(hooks_t *hooks, void *at, size_t size, bool committed, unsigned index) {
    call_everything();
    return original.dalloc(hooks, at, size, committed, index);
}
static bool purge_nested(hooks_t *hooks, void *at, size_t size, size_t offset, size_t length, unsigned index) {
    call_everything();
    return original.purge_forced(hooks, at, size, offset, length, index);
}
static bool split_nested(hooks_t *hooks, void *at, size_t size, size_t a, size_t b, bool committed, unsigned index) {
    call_everything();
    return original.split(hooks, at, size, a, b, committed, index);
}
static bool merge_nested(hooks_t *hooks, void *a, size_t la, void *b, size_t lb, bool committed, unsigned index) {
    call_everything();
    return original.merge(hooks, a, la, b, lb, committed, index);
}

static void nested(void) {
    hooks_t *hooks = NULL;
    size_t length = sizeof hooks;
    EXPECT(mallctl("arena.0.extent_hooks", &hooks, &length, NULL, 0) == 0);
    original = wrapped = *hooks;
    wrapped.alloc = alloc_nested;
    wrapped.dalloc = dalloc_nested;
    wrapped.purge_forced = purge_nested;
    wrapped.split = split_nested;
    wrapped.merge = merge_nested;
    nested_index = create(&wrapped);
    EXPECT(mallctl("thread.arena", NULL, NULL, &nested_index, sizeof nested_index) == 0);
    static void *live[200];
    for (int round = 0; round < 3; round++) {
        for (int at = 0; at < 200; at++) {
            live[at] = malloc(1 + at * 500);
            EXPECT(owner(live[at]) == nested_index);
        }
        for (int at = 0; at < 200; at++) {
            free(live[at]);
        }
        EXPECT(deed("arena.%u.purge", nested_index) == 0);
    }
    EXPECT(nested_calls > 20);
    unsigned first = 0;
    EXPECT(mallctl("thread.arena", NULL, NULL, &first, sizeof first) == 0);
    EXPECT(deed("arena.%u.destroy", nested_index) == 0);
}

static void nocache(void) {
    unsigned made = create(NULL);
    for (int which = 0; which < 2; which++) {
        unsigned index = which == 0 ? made : 0;
        enum { COUNT = 4000, SIZE = 320 };
        static char *live[COUNT];
        for (int at = 0; at < COUNT; at++) {
            live[at] = mallocx(SIZE, ARENA(index) | NONE);
            EXPECT(live[at] != NULL);
        }
        /* All but a few of the second half go: the next objects fill the first half's holes, lowest first. */
        for (int at = COUNT / 2; at < COUNT; at++) {
            if (at % 40 != 0) {
                dallocx(live[at], NONE);
            }
        }
        char *holes[3] = {live[10], live[11], live[12]};
        for (int at = 12; at >= 10; at--) {
            dallocx(live[at], NONE);
        }
        for (int at = 0; at < 3; at++) {
            live[10 + at] = mallocx(SIZE, ARENA(index) | NONE);
            EXPECT(live[10 + at] == holes[at]);
        }
        for (int at = 0; at < COUNT; at++) {
            if (at < COUNT / 2 || at % 40 == 0) {
                dallocx(live[at], NONE);
            }
        }
    }
    /* Large objects pass the caches too. */
    refresh();
    size_t before = size_of("stats.arenas.0.large.allocated", 0);
    void *p = mallocx(20000, NONE), *q = mallocx(200000, NONE);
    dallocx(p, NONE);
    sdallocx(q, 200000, NONE);
    refresh();
    EXPECT(size_of("stats.arenas.0.large.allocated", 0) == before);
}

/* Moves what lies in slabs that are less full than others, as Redis' active defragmentation does. */
static void defrag(void) {
    enum { COUNT = 60000 };
    static char *live[COUNT];
    for (int at = 0; at < COUNT; at++) {
        live[at] = malloc(80 + at % 3 * 40);
        sprintf(live[at], "%d", at);
    }
    for (int at = 0; at < COUNT; at++) {
        if (at % 10 != 3) {
            free(live[at]);
            live[at] = NULL;
        }
    }
    EXPECT(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
    EXPECT(mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0);
    refresh();
    size_t before = size_of("stats.active", 0);
    for (int round = 0; round < 2; round++) {
        for (int at = 3; at < COUNT; at += 10) {
            size_t size = malloc_usable_size(live[at]);
            char *moved = mallocx(size, NONE);
            memcpy(moved, live[at], size);
            dallocx(live[at], NONE);
            live[at] = moved;
        }
    }
    refresh();
    size_t after = size_of("stats.active", 0);
    for (int at = 3; at < COUNT; at += 10) {
        EXPECT(atoi(live[at]) == at);
    }
    if (after * 2 > before) {
        fail("%zu bytes were in use, and still %zu are", before, after);
    }
}

static void batch(void) {
    unsigned index = create(NULL);
    struct { void **ptrs; size_t num, size; int flags; } packet;
    static void *ptrs[1000];
    for (int which = 0; which < 3; which++) {
        packet.ptrs = ptrs;
        packet.num = which == 2 ? 20 : 1000;
        packet.size = which == 2 ? 100000 : 200;
        packet.flags = which == 1 ? 0 : ARENA(index) | ZERO;
        size_t filled = 0, length = sizeof filled;
        EXPECT(mallctl("experimental.batch_alloc", &filled, &length, &packet, sizeof packet) == 0);
        EXPECT(filled == packet.num);
        for (size_t at = 0; at < filled; at++) {
            EXPECT(owner(ptrs[at]) == (which == 1 ? 0 : index));
            EXPECT(which == 1 || is_zero(ptrs[at], packet.size));
            memset(ptrs[at], 1, packet.size);
        }
        for (size_t at = 0; at < filled; at++) {
            free(ptrs[at]);
        }
        EXPECT(mallctl("experimental.batch_alloc", NULL, NULL, &packet, sizeof packet) == EINVAL);
        EXPECT(mallctl("experimental.batch_alloc", &filled, &length, NULL, 0) == EINVAL);
    }
    packet.flags = ARENA(index + 5);
    packet.num = 3;
    size_t filled = 9, length = sizeof filled;
    EXPECT(mallctl("experimental.batch_alloc", &filled, &length, &packet, sizeof packet) == 0);
    EXPECT(filled == 0);
}

static bool purge_counted(hooks_t *hooks, void *at, size_t size, size_t offset, size_t length,
                          unsigned index) {
    __atomic_add_fetch(&nested_calls, 1, __ATOMIC_RELAXED);
    free(malloc(100000));
    return original.purge_forced(hooks, at, size, offset, length, index);
}

static bool dalloc_counted(hooks_t *hooks, void *at, size_t size, bool committed, unsigned index) {
    __atomic_add_fetch(&nested_calls, 1, __ATOMIC_RELAXED);
    free(malloc(100000));
    return original.dalloc(hooks, at, size, committed, index);
}

static void *tick(void *argument) {
    (void)argument;
    static __thread void *live[200];
    unsigned seed = (unsigned)(uintptr_t)live;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        int at = rand_r(&seed) % 200;
        free(live[at]);
        live[at] = malloc(100 + rand_r(&seed) % 60000);
    }
    for (int at = 0; at < 200; at++) {
        free(live[at]);
    }
    return NULL;
}

static void churn(void) {
    hooks_t *hooks = NULL;
    size_t length = sizeof hooks;
    EXPECT(mallctl("arena.0.extent_hooks", &hooks, &length, NULL, 0) == 0);
    original = wrapped = *hooks;
    wrapped.purge_forced = purge_counted;
    wrapped.dalloc = dalloc_counted;
    pthread_t ids[3];
    for (int at = 0; at < 3; at++) {
        EXPECT(pthread_create(&ids[at], NULL, tick, NULL) == 0);
    }
    ssize_t decay = 20;
    for (int round = 0; round < 60; round++) {
        unsigned made[8];
        for (int at = 0; at < 8; at++) {
            made[at] = create(at % 2 ? &wrapped : NULL);
            EXPECT(mallctl(name_of("arena.%u.dirty_decay_ms", made[at]), NULL, NULL, &decay, sizeof decay) == 0);
            static char *live[100];
            for (int i = 0; i < 100; i++) {
                live[i] = mallocx(1 + i * 997, ARENA(made[at]));
                memset(live[i], 1, 1 + i * 997);
            }
            for (int i = 0; i < 100; i += 1 + at % 2) {
                free(live[i]);
            }
        }
        usleep(15000);
        if (round % 10 == 0) {
            pid_t child = fork();
            if (child == 0) {
                for (int at = 0; at < 8; at++) {
                    EXPECT(deed("arena.%u.destroy", made[at]) == 0);
                }
                _exit(0);
            }
            int status;
            EXPECT(waitpid(child, &status, 0) == child && status == 0);
        }
        for (int at = 0; at < 8; at++) {
            EXPECT(deed("arena.%u.destroy", made[at]) == 0);
        }
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int at = 0; at < 3; at++) {
        pthread_join(ids[at], NULL);
    }
    EXPECT(nested_calls > 0);
}

static void *pinned(void *argument) {
    unsigned rank = *(unsigned *)argument, index;
    cpu_set_t all, one;
    EXPECT(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    unsigned seen = 0;
    for (int number = 0; number < CPU_SETSIZE; number++) {
        if (CPU_ISSET(number, &all) && seen++ == rank) {
            CPU_SET(number, &one);
        }
    }
    EXPECT(sched_setaffinity(0, sizeof one, &one) == 0);
    size_t length = sizeof index;
    EXPECT(mallctl("thread.arena", &index, &length, NULL, 0) == 0 && index == rank % 32);
    /* Far more than any cache holds. */
    static __thread void *live[20000];
    for (int at = 0; at < 20000; at++) {
        live[at] = malloc(1000);
    }
    EXPECT(owner(live[19999]) == index && owner(live[10000]) == index);
    /* They stay: what was freed would serve the next thread, whatever arena it has. */
    return NULL;
}

static void percpu(void) {
    cpu_set_t all;
    EXPECT(sched_getaffinity(0, sizeof all, &all) == 0);
    unsigned processors = CPU_COUNT(&all), narenas = processors < 32 ? processors : 32;
    EXPECT(count_of("arenas.narenas", 0) == narenas && count_of("opt.narenas", 0) == narenas);
    const char *mode = NULL;
    size_t length = sizeof mode;
    EXPECT(mallctl("opt.percpu_arena", &mode, &length, NULL, 0) == 0 && strcmp(mode, "percpu") == 0);
    for (unsigned rank = 0; rank < processors && rank < 40; rank++) {
        pthread_t id;
        EXPECT(pthread_create(&id, NULL, pinned, &rank) == 0 && pthread_join(id, NULL) == 0);
    }
    /* Threads go where their processors are, unless they are bound to an arena made by request. */
    unsigned now, index = 0;
    length = sizeof now;
    EXPECT(mallctl("thread.arena", &now, &length, NULL, 0) == 0);
    if (processors > 1) {
        index = (now + 1) % narenas;
        int code = mallctl("thread.arena", NULL, NULL, &index, sizeof index);
        EXPECT(code == EPERM || code == 0);
    }
    index = create(NULL);
    EXPECT(index == narenas && mallctl("thread.arena", NULL, NULL, &index, sizeof index) == 0);
    void *p = malloc(100);
    EXPECT(owner(p) == index);
    free(p);
}

static void limit(void) {
    unsigned index = create(NULL);
    static void *live[200];
    int count = 0;
    while ((live[count] = mallocx(1 << 20, ARENA(index))) != NULL) {
        memset(live[count], 1, 1 << 20);
        EXPECT(++count < 64);
    }
    EXPECT(count > 50);
    EXPECT(malloc(20 << 20) == NULL);
    for (int at = 0; at < count; at++) {
        free(live[at]);
    }
    /* What idles in the arena leaves for who needs it. */
    void *p = malloc(50 << 20);
    EXPECT(p != NULL);
    EXPECT(mallocx(20 << 20, ARENA(index)) == NULL);
    free(p);
    p = mallocx(50 << 20, ARENA(index));
    EXPECT(p != NULL);
    free(p);
}

#define CACHE(c) ((int)(((unsigned)(c) + 2) << 8))

static unsigned create_cache(void) {
    unsigned id = ~0u;
    size_t length = sizeof id;
    EXPECT(mallctl("tcache.create", &id, &length, NULL, 0) == 0);
    return id;
}

static int tell_cache(const char *name, unsigned id) {
    return mallctl(name, NULL, NULL, &id, sizeof id);
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static unsigned turned_cache, turned_arena;
static char *passed[3000];

static void *take_turns(void *argument) {
    int flags = argument == NULL ? CACHE(turned_cache) : CACHE(turned_cache) | ARENA(turned_arena);
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (int round = 0; round < 300; round++) {
        pthread_mutex_lock(&turn);
        for (int step = 0; step < 200; step++) {
            int at = rand_r(&seed) % 3000;
            if (passed[at] != NULL) {
                EXPECT(*(int *)passed[at] == at);
                dallocx(passed[at], CACHE(turned_cache));
                passed[at] = NULL;
            } else {
                passed[at] = mallocx(8 + at * 6, flags);
                EXPECT(owner(passed[at]) == (argument == NULL ? 0 : turned_arena));
                *(int *)passed[at] = at;
            }
        }
        pthread_mutex_unlock(&turn);
    }
    return NULL;
}

static void caches(void) {
    unsigned a = create_cache(), b = create_cache(), length = 0;
    EXPECT(a == 0 && b == 1);
    EXPECT(tell_cache("tcache.destroy", a) == 0 && tell_cache("tcache.destroy", b) == 0);
    EXPECT(create_cache() == b && create_cache() == a);
    EXPECT(mallctl("tcache.flush", NULL, NULL, NULL, 0) == EINVAL);
    EXPECT(mallctl("tcache.destroy", NULL, NULL, &length, 2) == EINVAL);
    size_t two = 2;
    EXPECT(mallctl("tcache.create", &length, &two, NULL, 0) == EINVAL && two == 0);
    EXPECT(tell_cache("tcache.flush", 77) == EFAULT && tell_cache("tcache.destroy", 77) == EFAULT);

    /* Last in, first out; and nobody else gets it. */
    static const size_t sizes[] = {1, 100, 5000, 14336, 16384, 32768};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        void *p = mallocx(sizes[at], CACHE(a));
        EXPECT(p != NULL && owner(p) == 0);
        memset(p, 1, malloc_usable_size(p));
        dallocx(p, CACHE(a));
        for (int i = 0; i < 1000; i++) {
            void *other = malloc(sizes[at]);
            EXPECT(other != p);
            free(other);
        }
        unsigned char *q = mallocx(sizes[at], CACHE(a) | ZERO);
        EXPECT(q == p && is_zero(q, malloc_usable_size(q)));
        sdallocx(q, sizes[at], CACHE(a));
    }
    void *p = mallocx(1 << 20, CACHE(a));
    dallocx(p, CACHE(a));
    EXPECT(tell_cache("tcache.flush", a) == 0);

    /* An arena's objects come from that arena, whatever the cache holds. */
    unsigned one = create(NULL), two_of_them = create(NULL);
    static void *live[500];
    for (int round = 0; round < 4; round++) {
        for (int at = 0; at < 500; at++) {
            live[at] = mallocx(at * 50, CACHE(b) | ARENA(round % 2 ? one : two_of_them));
            EXPECT(owner(live[at]) == (round % 2 ? one : two_of_them));
        }
        for (int at = 0; at < 500; at++) {
            dallocx(live[at], CACHE(b));
        }
        void *plain = mallocx(700, CACHE(b));
        EXPECT(owner(plain) == 0);
        dallocx(plain, CACHE(b));
    }
    /* A cache forgets what a reset discards. */
    EXPECT(tell_cache("tcache.flush", b) == 0);
    for (int at = 0; at < 500; at++) {
        live[at] = mallocx(64, CACHE(b) | ARENA(one));
    }
    for (int at = 0; at < 400; at++) {
        dallocx(live[at], CACHE(b));
    }
    EXPECT(deed("arena.%u.reset", one) == 0);
    for (int at = 0; at < 500; at++) {
        live[at] = mallocx(64, (at % 2 ? CACHE(b) : NONE) | ARENA(one));
        *(int *)live[at] = at;
    }
    for (int at = 0; at < 500; at++) {
        EXPECT(*(int *)live[at] == at);
        dallocx(live[at], CACHE(b));
    }
    EXPECT(deed("arena.%u.destroy", one) == 0);
    EXPECT(mallocx(64, CACHE(b) | ARENA(one)) == NULL);
    EXPECT(tell_cache("tcache.destroy", b) == 0);
    /* A cache that there is not is passed by. */
    p = mallocx(64, CACHE(b));
    EXPECT(p != NULL);
    dallocx(p, CACHE(b));
    p = mallocx(64, CACHE(4000) | ARENA(two_of_them));
    EXPECT(owner(p) == two_of_them);
    p = rallocx(p, 300, CACHE(4000) | ARENA(two_of_them));
    EXPECT(owner(p) == two_of_them);
    dallocx(p, CACHE(4000));

    turned_cache = create_cache();
    turned_arena = two_of_them;
    for (int round = 0; round < 2; round++) {
        pthread_t ids[4];
        for (int at = 0; at < 4; at++) {
            EXPECT(pthread_create(&ids[at], NULL, take_turns, round == 0 ? NULL : &turn) == 0);
        }
        for (int at = 0; at < 4; at++) {
            pthread_join(ids[at], NULL);
        }
        for (int at = 0; at < 3000; at++) {
            dallocx(passed[at], CACHE(turned_cache));
            passed[at] = NULL;
        }
        EXPECT(tell_cache("tcache.flush", turned_cache) == 0);
    }
    refresh();
    EXPECT(size_of("stats.arenas.%u.pactive", two_of_them) == 0);
    EXPECT(tell_cache("tcache.destroy", turned_cache) == 0);
    int count = 0;
    static unsigned made[5000];
    size_t wide = sizeof *made;
    int code;
    while ((code = mallctl("tcache.create", &made[count], &wide, NULL, 0)) == 0) {
        count++;
    }
    EXPECT(code == EFAULT && count == 4094 - 1);
    p = mallocx(64, CACHE(4093));
    dallocx(p, CACHE(4093));
    EXPECT(mallocx(64, CACHE(4093)) == p);
    while (count > 0) {
        EXPECT(tell_cache("tcache.destroy", made[--count]) == 0);
    }
}

static size_t lent;
static int leaver_in_hook, ender_began, fork_began;

static void wait_for(int *flag) {
    while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
        usleep(1000);
    }
}

static void announce(int *flag) {
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

static void *alloc_lent(hooks_t *hooks, void *at, size_t size, size_t align, bool *zero,
                        bool *commit, unsigned index) {
    (void)hooks, (void)align, (void)index;
    void *start = at == NULL ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (start == MAP_FAILED) {
        return NULL;
    }
    __atomic_add_fetch(&lent, size, __ATOMIC_RELAXED);
    *zero = *commit = true;
    return start;
}

static void destroy_lent(hooks_t *hooks, void *at, size_t size, bool committed, unsigned index) {
    (void)hooks, (void)committed, (void)index;
    __atomic_sub_fetch(&lent, size, __ATOMIC_RELAXED);
    munmap(at, size);
}

static bool dalloc_lent(hooks_t *hooks, void *at, size_t size, bool committed, unsigned index) {
    if (!__atomic_load_n(&leaver_in_hook, __ATOMIC_ACQUIRE)) {
        announce(&leaver_in_hook);
        wait_for(&fork_began);
        /* Until the fork waits for who is inside. */
        usleep(100000);
    }
    destroy_lent(hooks, at, size, committed, index);
    return false;
}

static void *leaver(void *argument) {
    unsigned index = *(unsigned *)argument, first = 0;
    EXPECT(mallctl("thread.arena", NULL, NULL, &index, sizeof index) == 0);
    for (int at = 0; at < 20; at++) {
        free(malloc(100000));
    }
    free(malloc(10000000));
    EXPECT(mallctl("thread.arena", NULL, NULL, &first, sizeof first) == 0);
    return NULL;
}

static void *ender(void *argument) {
    wait_for(&leaver_in_hook);
    announce(&ender_began);
    EXPECT(deed("arena.%u.destroy", *(unsigned *)argument) == 0);
    return NULL;
}

static void leave(void) {
    hooks_t lending = {.alloc = alloc_lent, .dalloc = dalloc_lent, .destroy = destroy_lent};
    unsigned index = create(&lending);
    ssize_t never = -1;
    EXPECT(mallctl(name_of("arena.%u.dirty_decay_ms", index), NULL, NULL, &never, sizeof never) == 0);
    pthread_t ids[2];
    EXPECT(pthread_create(&ids[0], NULL, leaver, &index) == 0);
    EXPECT(pthread_create(&ids[1], NULL, ender, &index) == 0);
    wait_for(&ender_began);
    /* Until the ender waits for the leaver. */
    usleep(100000);
    announce(&fork_began);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(malloc(100) != NULL && mallocx(100, ARENA(0)) != NULL);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    pthread_join(ids[0], NULL);
    pthread_join(ids[1], NULL);
    EXPECT(lent == 0);
}

static void *come_and_go(void *argument) {
    unsigned index = *(unsigned *)argument, first = 0;
    for (int round = 0; round < 4000; round++) {
        int code = mallctl("thread.arena", NULL, NULL, &index, sizeof index);
        EXPECT(code == 0 || code == EFAULT);
        if (code == 0) {
            /* It cannot end now. */
            void *p = malloc(100);
            EXPECT(p != NULL && owner(p) == index && deed("arena.%u.destroy", index) == EFAULT);
            free(p);
            EXPECT(mallctl("thread.arena", NULL, NULL, &first, sizeof first) == 0);
        }
    }
    return NULL;
}

static void rebind(void) {
    unsigned index = create(NULL);
    pthread_t ids[2];
    for (int at = 0; at < 2; at++) {
        EXPECT(pthread_create(&ids[at], NULL, come_and_go, &index) == 0);
    }
    for (int round = 0; round < 4000; round++) {
        int code = deed("arena.%u.destroy", index);
        EXPECT(code == 0 || code == EFAULT);
        EXPECT(code != 0 || create(NULL) == index);
    }
    for (int at = 0; at < 2; at++) {
        pthread_join(ids[at], NULL);
    }
    EXPECT(count_of("stats.arenas.%u.nthreads", index) == 0);
    EXPECT(deed("arena.%u.destroy", index) == 0);
}

static void bind_to(unsigned index) {
    EXPECT(mallctl("thread.arena", NULL, NULL, &index, sizeof index) == 0);
}

/* Objects of 64 bytes out of the calling thread's arena, none handed out twice; all freed at the end. */
static void use_bound(unsigned index) {
    enum { COUNT = 1000 };
    static __thread uint64_t *objects[COUNT];
    for (uint64_t at = 0; at < COUNT; at++) {
        objects[at] = malloc(64);
        EXPECT(objects[at] != NULL && owner(objects[at]) == index);
        objects[at][0] = objects[at][7] = at;
    }
    for (uint64_t at = 0; at < COUNT; at++) {
        EXPECT(objects[at][0] == at && objects[at][7] == at);
        free(objects[at]);
    }
}

static size_t cached_of(unsigned index) {
    refresh();
    return size_of("stats.arenas.%u.tcache_bytes", index);
}

static uint64_t requests_of(unsigned index) {
    refresh();
    return size_of("stats.arenas.%u.small.nrequests", index);
}

static pthread_barrier_t bound_barrier;

static void *reset_when_told(void *argument) {
    unsigned index = *(unsigned *)argument;
    pthread_barrier_wait(&bound_barrier);
    EXPECT(deed("arena.%u.reset", index) == 0);
    return mallocx(64, ARENA(index));
}

static void *use_and_wait(void *argument) {
    unsigned index = *(unsigned *)argument;
    bind_to(index);
    use_bound(index);
    pthread_barrier_wait(&bound_barrier);
    pthread_barrier_wait(&bound_barrier);
    use_bound(index);
    return NULL;
}

static void bound_caches(void) {
    unsigned index = create(NULL);
    pthread_t thread;
    pthread_barrier_init(&bound_barrier, NULL, 2);
    /* Made before: what the C library allocates for it is not to be discarded. */
    EXPECT(pthread_create(&thread, NULL, reset_when_told, &index) == 0);
    bind_to(index);
    use_bound(index);
    EXPECT(cached_of(index) > 0 && size_of("stats.arenas.%u.small.allocated", index) == 0);
    EXPECT(requests_of(index) == 1000);
    EXPECT(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0 && cached_of(index) == 0);
    EXPECT(size_of("stats.arenas.%u.pactive", index) == 0);
    /* What another thread discards, the cache forgets. */
    use_bound(index);
    uint64_t *kept;
    pthread_barrier_wait(&bound_barrier);
    EXPECT(pthread_join(thread, (void **)&kept) == 0);
    kept[0] = kept[7] = 77;
    use_bound(index);
    EXPECT(kept[0] == 77 && kept[7] == 77);
    bool off = false, on = true;
    EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &off, sizeof off) == 0 && cached_of(index) == 0);
    use_bound(index);
    EXPECT(cached_of(index) == 0);
    EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &on, sizeof on) == 0);
    use_bound(index);
    EXPECT(cached_of(index) > 0);
    bind_to(0);
    EXPECT(cached_of(index) == 0 && size_of("stats.arenas.%u.small.allocated", index) == 64);
    free(kept);
    EXPECT(size_of("stats.arenas.%u.pactive", index) >= 1);
    refresh();
    EXPECT(size_of("stats.arenas.%u.pactive", index) == 0);
    /* A thread leaves nothing behind; one that a fork leaves behind does, and the next one finds it. */
    EXPECT(pthread_create(&thread, NULL, use_and_wait, &index) == 0);
    pthread_barrier_wait(&bound_barrier);
    EXPECT(cached_of(index) > 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        size_t left = cached_of(index);
        EXPECT(left > 0);
        bind_to(index);
        free(malloc(64));
        EXPECT(cached_of(index) == left);
        use_bound(index);
        bind_to(0);
        EXPECT(cached_of(index) == 0 && deed("arena.%u.destroy", index) == 0);
        _exit(0);
    }
    int status = 1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    pthread_barrier_wait(&bound_barrier);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(cached_of(index) == 0 && size_of("stats.arenas.%u.pactive", index) == 0);
    EXPECT(requests_of(index) == 7 * 1000 + 1);
    EXPECT(deed("arena.%u.destroy", index) == 0);
}

static void report(void) {
    unsigned index = create(NULL);
    for (int at = 0; at < 1000; at++) {
        EXPECT(mallocx(100, ARENA(index)) != NULL);
    }
    EXPECT(mallocx(5 << 20, ARENA(index)) != NULL);
}

int main(int count, char **arguments) {
    static const struct { const char *name; void (*run)(void); } cases[] = {
        {"objects", objects}, {"life", life},       {"settings", settings}, {"nodump", nodump},
        {"shared", shared},   {"thousand", thousand}, {"threads", threads}, {"fork", forking},
        {"nested", nested},   {"nocache", nocache}, {"defrag", defrag},     {"batch", batch},
        {"caches", caches},   {"churn", churn},   {"percpu", percpu},
        {"limit", limit},     {"leave", leave},   {"rebind", rebind},
        {"report", report},   {"bound", bound_caches},
    };
    EXPECT(count == 2 && mallctl != NULL);
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        if (strcmp(cases[at].name, arguments[1]) == 0) {
            cases[at].run();
            puts("done");
            return 0;
        }
    }
    fail("no such case: %s", arguments[1]);
}
