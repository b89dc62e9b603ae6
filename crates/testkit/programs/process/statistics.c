/* Statistics against a program's own books: argument, a case.
 *   cached    threads with caches: what is out of slabs once all caches gave back
 *   direct    threads without caches: every allocation and free is one of its class
 * Random sizes, several threads, objects freed by others, in rounds with all of it checked in between.
 */
#include "expect.h"
#include <pthread.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));
extern size_t malloc_usable_size(void *) __attribute__((weak));

enum { THREADS = 4, ROUNDS = 4, STEPS = 20000, SLOTS = 3000, SMALL = 36, CLASSES = 232, LARGE = CLASSES - SMALL };

static uint64_t number(const char *name) {
    uint64_t value = 0;
    size_t length = sizeof value;
    int code = mallctl(name, &value, &length, NULL, 0);
    if (code != 0) {
        length = 4;
        value = 0;
        code = mallctl(name, &value, &length, NULL, 0);
    }
    if (code != 0) {
        fail("%s: %d", name, code);
    }
    return value;
}

__attribute__((format(printf, 1, 2))) static uint64_t numberf(const char *format, ...) {
    char name[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return number(name);
}

static void refresh(void) {
    uint64_t epoch = 1;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
}

/* Books: by class. */
struct books {
    uint64_t came[CLASSES], went[CLASSES];
    int64_t bytes;
};

static size_t class_sizes[CLASSES];
static int direct, fenced;
static void *slots[SLOTS];
static struct books own[THREADS];
static struct books sum;

static int class_of(size_t usable) {
    int at = 0;
    while (class_sizes[at] < usable) {
        at++;
    }
    return at;
}

static size_t some_size(uint64_t *state) {
    uint64_t kind = next_random(state) % 1000;
    if (kind < 970) {
        return next_size(state);
    }
    if (kind < 999) {
        return 1 + next_random(state) % 1500000;
    }
    return 1 + next_random(state) % 6000000;
}

static void *work(void *argument) {
    struct books *books = argument;
    uint64_t state = (uint64_t)(books - own) * 77 + 5 + sum.came[0];
    if (direct) {
        char off = 0;
        EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &off, sizeof off) == 0);
    }
    for (int i = 0; i < STEPS; i++) {
        size_t size = some_size(&state);
        void *fresh = NULL;
        if (next_random(&state) % 2) {
            fresh = malloc(size);
            EXPECT(fresh != NULL);
            size_t usable = malloc_usable_size(fresh);
            books->came[class_of(usable)]++;
            books->bytes += (int64_t)usable;
        }
        void *old = __atomic_exchange_n(&slots[next_random(&state) % SLOTS], fresh, __ATOMIC_ACQ_REL);
        if (old != NULL) {
            size_t usable = malloc_usable_size(old);
            books->went[class_of(usable)]++;
            books->bytes -= (int64_t)usable;
            free(old);
        }
    }
    if (!direct) {
        EXPECT(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
    }
    return NULL;
}

static void round_of_work(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, work, &own[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    memset(&sum, 0, sizeof sum);
    for (int i = 0; i < THREADS; i++) {
        sum.bytes += own[i].bytes;
        for (int at = 0; at < CLASSES; at++) {
            sum.came[at] += own[i].came[at];
            sum.went[at] += own[i].went[at];
        }
    }
}

/* All that is cached goes back to slabs. */
static void settle(void) {
    EXPECT(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
    EXPECT(mallctl("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
    refresh();
    EXPECT(number("stats.arenas.4096.tcache_bytes") == 0);
}

struct seen {
    uint64_t allocated, came[CLASSES], went[CLASSES], asked[CLASSES];
};

static void look(struct seen *seen) {
    seen->allocated = number("stats.allocated");
    for (int at = 0; at < CLASSES; at++) {
        const char *kind = at < SMALL ? "bins" : "lextents";
        int index = at < SMALL ? at : at - SMALL;
        seen->came[at] = numberf("stats.arenas.4096.%s.%d.nmalloc", kind, index);
        seen->asked[at] = numberf("stats.arenas.4096.%s.%d.nrequests", kind, index);
        seen->went[at] = numberf("stats.arenas.4096.%s.%d.ndalloc", kind, index);
    }
}

static void check_books(const struct seen *before, const struct seen *now, const struct books *known) {
    EXPECT((int64_t)(now->allocated - before->allocated) == known->bytes);
    for (int at = 0; at < CLASSES; at++) {
        uint64_t came = now->came[at] - before->came[at], went = now->went[at] - before->went[at];
        int64_t live = (int64_t)(known->came[at] - known->went[at]);
        if ((int64_t)(came - went) != live) {
            fail("class %d of %zu bytes: %lld live, told %lld", at, class_sizes[at], (long long)live,
                 (long long)(came - went));
        }
        uint64_t asked = now->asked[at] - before->asked[at];
        if (asked != known->came[at]) {
            fail("class %d: %llu asked for, told %llu", at, (unsigned long long)known->came[at], (unsigned long long)asked);
        }
        /* Above 32 KiB nothing is cached by threads; without caches nothing is. */
        if ((direct || class_sizes[at] > 32768) && came != known->came[at]) {
            fail("class %d: %llu came, told %llu", at, (unsigned long long)known->came[at], (unsigned long long)came);
        }
    }
}

/* What figures have to do with each other, once nothing is cached. */
static void check_sums(void) {
    uint64_t slabs = 0, small = 0, large = 0, nmalloc = 0, ndalloc = 0, nfills = 0, nflushes = 0, page = 4096;
    for (int at = 0; at < SMALL; at++) {
        uint64_t count = numberf("stats.arenas.4096.bins.%d.curslabs", at);
        uint64_t live = numberf("stats.arenas.4096.bins.%d.curregs", at);
        uint64_t regs = numberf("arenas.bin.%d.nregs", at);
        uint64_t nonfull = numberf("stats.arenas.4096.bins.%d.nonfull_slabs", at);
        uint64_t made = numberf("stats.arenas.4096.bins.%d.nslabs", at);
        uint64_t ops = numberf("stats.arenas.4096.bins.%d.mutex.num_ops", at);
        uint64_t fills = numberf("stats.arenas.4096.bins.%d.nfills", at);
        uint64_t flushes = numberf("stats.arenas.4096.bins.%d.nflushes", at);
        EXPECT(live <= count * regs && made >= count && nonfull <= count);
        /* Full slabs are full, the others are not. */
        EXPECT(live >= (count - nonfull) * regs && live + nonfull <= count * regs);
        EXPECT(numberf("stats.arenas.4096.bins.%d.nreslabs", at) <= numberf("stats.arenas.4096.bins.%d.nmalloc", at));
        EXPECT(ops >= fills + flushes);
        slabs += count * numberf("arenas.bin.%d.slab_size", at);
        small += live * class_sizes[at];
        nmalloc += numberf("stats.arenas.4096.bins.%d.nmalloc", at);
        ndalloc += numberf("stats.arenas.4096.bins.%d.ndalloc", at);
        nfills += fills;
        nflushes += flushes;
        /* Arenas add up. */
        uint64_t sum = 0, ops_sum = 0;
        for (uint64_t arena = 0; arena < number("arenas.narenas"); arena++) {
            sum += numberf("stats.arenas.%d.bins.%d.curregs", (int)arena, at);
            ops_sum += numberf("stats.arenas.%d.bins.%d.mutex.num_ops", (int)arena, at);
        }
        EXPECT(sum == live && ops_sum == ops);
    }
    large = number("stats.arenas.4096.large.allocated");
    EXPECT(number("stats.arenas.4096.small.allocated") == small);
    EXPECT(number("stats.arenas.4096.small.nmalloc") == nmalloc);
    EXPECT(number("stats.arenas.4096.small.ndalloc") == ndalloc);
    EXPECT(number("stats.arenas.4096.small.nfills") == nfills);
    EXPECT(number("stats.arenas.4096.small.nflushes") == nflushes);
    EXPECT(number("stats.allocated") == small + large);
    EXPECT(number("stats.active") == slabs + large);
    EXPECT(number("stats.arenas.4096.pactive") * page == slabs + large);
    uint64_t metadata = number("stats.metadata"), dirty = number("stats.arenas.4096.pdirty") * page;
    uint64_t muzzy = number("stats.arenas.4096.pmuzzy") * page;
    EXPECT(metadata >= number("stats.metadata_edata") + number("stats.metadata_rtree"));
    EXPECT(number("stats.metadata_edata") > 0 && number("stats.metadata_rtree") > 0);
    EXPECT(number("stats.mapped") == slabs + large + dirty + muzzy + metadata);
    EXPECT(number("stats.resident") == slabs + large + dirty + metadata);
    /* Everything that is resident has been touched by somebody: ours is a part of the process's. */
    uint64_t parts = 0;
    for (uint64_t arena = 0; arena < number("arenas.narenas"); arena++) {
        parts += numberf("stats.arenas.%d.pactive", (int)arena) * page;
    }
    EXPECT(parts == slabs + large);
    uint64_t live = 0, large_came = 0, large_went = 0;
    for (int at = 0; at < LARGE; at++) {
        live += numberf("stats.arenas.4096.lextents.%d.curlextents", at);
        large_came += numberf("stats.arenas.4096.lextents.%d.nmalloc", at);
        large_went += numberf("stats.arenas.4096.lextents.%d.ndalloc", at);
    }
    EXPECT(live == large_came - large_went);
    EXPECT(number("stats.arenas.4096.large.nmalloc") == large_came);
    EXPECT(number("stats.arenas.4096.large.ndalloc") == large_went);
    /* Runs add up to pages. */
    uint64_t runs[3] = {0}, retained = number("stats.retained");
    for (int at = 0; at < 199; at++) {
        runs[0] += numberf("stats.arenas.4096.extents.%d.dirty_bytes", at);
        runs[1] += numberf("stats.arenas.4096.extents.%d.muzzy_bytes", at);
        runs[2] += numberf("stats.arenas.4096.extents.%d.retained_bytes", at);
        EXPECT((numberf("stats.arenas.4096.extents.%d.ndirty", at) == 0)
               == (numberf("stats.arenas.4096.extents.%d.dirty_bytes", at) == 0));
    }
    EXPECT(runs[0] == dirty && runs[1] == muzzy && runs[2] == retained);
    uint64_t active = number("stats.arenas.4096.hpa_shard.nactive");
    /* Pages of huge pages, up to 64 fences behind large objects among them: from hardening:standard on. */
    uint64_t fences = active - (slabs + large) / page;
    EXPECT(fences <= (fenced ? 64 : 0));
    uint64_t in_slabs = number("stats.arenas.4096.hpa_shard.full_slabs.nactive_nonhuge")
        + number("stats.arenas.4096.hpa_shard.full_slabs.nactive_huge")
        + number("stats.arenas.4096.hpa_shard.empty_slabs.nactive_nonhuge")
        + number("stats.arenas.4096.hpa_shard.empty_slabs.nactive_huge");
    for (int at = 0; at < 64; at++) {
        in_slabs += numberf("stats.arenas.4096.hpa_shard.nonfull_slabs.%d.nactive_nonhuge", at)
            + numberf("stats.arenas.4096.hpa_shard.nonfull_slabs.%d.nactive_huge", at);
    }
    EXPECT(in_slabs == active);
}

int main(int argc, char **argv) {
    EXPECT(argc == 2);
    direct = strcmp(argv[1], "direct") == 0;
    fenced = strstr(getenv("MALLOC_CONF"), "hardening:off") == NULL;
    for (int at = 0; at < CLASSES; at++) {
        class_sizes[at] = at < SMALL ? numberf("arenas.bin.%d.size", at) : numberf("arenas.lextent.%d.size", at - SMALL);
    }
    /* Stacks and what belongs to them come once and are kept by the C library. */
    round_of_work();
    static struct seen before, now;
    struct books known = sum;
    settle();
    look(&before);
    check_sums();
    uint64_t uptime = number("stats.arenas.0.uptime");
    for (int round = 0; round < ROUNDS; round++) {
        round_of_work();
        settle();
        look(&now);
        struct books since = sum;
        since.bytes -= known.bytes;
        for (int at = 0; at < CLASSES; at++) {
            since.came[at] -= known.came[at];
            since.went[at] -= known.went[at];
        }
        check_books(&before, &now, &since);
        check_sums();
    }
    EXPECT(number("stats.arenas.0.uptime") >= uptime);
    EXPECT(number("stats.mutexes.ctl.num_ops") > ROUNDS);
    EXPECT(number("stats.arenas.0.mutexes.extents_dirty.num_ops") > 1000);
    EXPECT(number("stats.arenas.0.mutexes.extents_dirty.num_owner_switch") >= THREADS);
    EXPECT(mallctl("stats.mutexes.reset", NULL, NULL, NULL, 0) == 0);
    refresh();
    EXPECT(number("stats.arenas.0.mutexes.extents_dirty.num_ops") < 1000);
    EXPECT(number("stats.arenas.0.bins.3.mutex.num_ops") < 10);
    EXPECT(number("stats.arenas.4096.bins.3.nmalloc") > 0);
    for (int i = 0; i < SLOTS; i++) {
        free(slots[i]);
    }
    say("done");
    return 0;
}
