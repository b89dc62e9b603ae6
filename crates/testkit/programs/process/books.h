/* The books of the library, put against each other: what `check()` asks of its structures in unit tests, as far as a
 * process that runs can ask it, by names.
 *
 *   B1  allocated <= active <= mapped, all of active whole pages
 *   B2  bytes of small and large objects add up to allocated; once caches gave back, those of the small classes do; a large class's
 *       bytes are the most that its objects may have, as they round to pages
 *   B3  a class has as many objects as came and did not go; no more than its slabs have slots
 *
 * No other thread may allocate meanwhile. `mallctl` may be refused for want of memory only before its first use.
 */
#ifndef PROCESS_BOOKS_H
#define PROCESS_BOOKS_H

#include "expect.h"

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

static inline uint64_t book(const char *name) {
    uint64_t value = 0;
    uint32_t narrow = 0;
    size_t length = sizeof value;
    int code = mallctl(name, &value, &length, NULL, 0);
    if (code == EINVAL) {
        length = sizeof narrow;
        code = mallctl(name, &narrow, &length, NULL, 0);
        value = narrow;
    }
    if (code != 0) {
        fail("%s: %d", name, code);
    }
    return value;
}

__attribute__((format(printf, 1, 2))) static inline uint64_t bookf(const char *format, ...) {
    char name[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return book(name);
}

/* The pseudo arena of all together. */
#define ALL_ARENAS 4096

static inline void expect_books(void) {
    uint64_t epoch = 1, small = 0, large = 0;
    EXPECT(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
    EXPECT(mallctl("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    uint64_t allocated = book("stats.allocated"), active = book("stats.active");
    uint64_t page = book("arenas.page"), bins = book("arenas.nbins"), lextents = book("arenas.nlextents");
    /* Samples lie in slabs of their own; objects of the hardened arena in a class above the one that they count with. */
    const char *options = getenv("MALLOC_CONF");
    int is_hardened = options != NULL && strstr(options, "hardening:strong") != NULL;
    char is_sampled = 0;
    size_t length = sizeof is_sampled;
    EXPECT(mallctl("prof.active", &is_sampled, &length, NULL, 0) == 0);
    EXPECT(allocated <= active && active <= book("stats.mapped") && active % page == 0);
    for (unsigned at = 0; at < bins; at++) {
        uint64_t live = bookf("stats.arenas.%u.bins.%u.curregs", ALL_ARENAS, at);
        uint64_t came = bookf("stats.arenas.%u.bins.%u.nmalloc", ALL_ARENAS, at);
        uint64_t went = bookf("stats.arenas.%u.bins.%u.ndalloc", ALL_ARENAS, at);
        uint64_t slabs = bookf("stats.arenas.%u.bins.%u.curslabs", ALL_ARENAS, at);
        uint64_t slots = slabs * bookf("arenas.bin.%u.nregs", at);
        if (live != came - went || (live > slots && !is_sampled && !is_hardened)) {
            fail("class %u: %llu live, %llu came, %llu went, %llu slots in %llu slabs", at, (unsigned long long)live,
                 (unsigned long long)came, (unsigned long long)went, (unsigned long long)slots,
                 (unsigned long long)slabs);
        }
        small += live * bookf("arenas.bin.%u.size", at);
    }
    for (unsigned at = 0; at < lextents; at++) {
        uint64_t live = bookf("stats.arenas.%u.lextents.%u.curlextents", ALL_ARENAS, at);
        large += live * bookf("arenas.lextent.%u.size", at);
    }
    if (small != bookf("stats.arenas.%u.small.allocated", ALL_ARENAS) ||
        large < bookf("stats.arenas.%u.large.allocated", ALL_ARENAS) ||
        small + bookf("stats.arenas.%u.large.allocated", ALL_ARENAS) != allocated) {
        fail("small %llu, large %llu, of them %llu and %llu, allocated %llu", (unsigned long long)small,
             (unsigned long long)large,
             (unsigned long long)bookf("stats.arenas.%u.small.allocated", ALL_ARENAS),
             (unsigned long long)bookf("stats.arenas.%u.large.allocated", ALL_ARENAS),
             (unsigned long long)allocated);
    }
}

#endif
