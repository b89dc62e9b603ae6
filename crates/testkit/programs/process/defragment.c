/* Defragments as a key-value store does: asks of every object how full its slab is and how full slabs of its class are
 * on the mean, and moves those of emptier slabs. The calls and their order are those of such a program; the decision is
 * ours: an object moves if its slab has fewer live regions than the mean of slabs that are not full, and there are two
 * such slabs at least.
 */
#include "expect.h"

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));
extern int mallctlnametomib(const char *, size_t *, size_t *) __attribute__((weak));
extern int mallctlbymib(const size_t *, size_t, void *, size_t *, void *, size_t) __attribute__((weak));
extern void *mallocx(size_t, int) __attribute__((weak));
extern void dallocx(void *, int) __attribute__((weak));
extern size_t sallocx(const void *, int) __attribute__((weak));

enum { COUNT = 300000, SIZE = 100, PASSES = 12, BATCH = 16, NO_CACHE = 1 << 8 };
static void *objects[COUNT];

static size_t batch_mib[8], batch_len = 8;

static size_t number(const char *name) {
    size_t value = 0, length = sizeof value;
    EXPECT(mallctl(name, &value, &length, NULL, 0) == 0);
    return value;
}

static unsigned number32(const char *name) {
    unsigned value = 0;
    size_t length = sizeof value;
    EXPECT(mallctl(name, &value, &length, NULL, 0) == 0);
    return value;
}

/* A figure of the class, of all arenas. */
static size_t of_bin(int bin, const char *figure) {
    char name[96];
    snprintf(name, sizeof name, "stats.arenas.4096.bins.%d.%s", bin, figure);
    size_t mib[8], length = 8, value = 0, size = sizeof value;
    EXPECT(mallctlnametomib(name, mib, &length) == 0);
    EXPECT(mallctlbymib(mib, length, &value, &size, NULL, 0) == 0);
    return value;
}

static void refresh(void) {
    uint64_t epoch = 1;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
}

static int bin_of(size_t usable) {
    for (unsigned bin = 0; bin < number32("arenas.nbins"); bin++) {
        char name[64];
        snprintf(name, sizeof name, "arenas.bin.%u.size", bin);
        if (number(name) == usable) {
            return (int)bin;
        }
    }
    fail("no bin of %zu bytes", usable);
}

static void stamp_all(void) {
    for (int i = 0; i < COUNT; i++) {
        if (objects[i] != NULL) {
            expect_stamp(objects[i]);
        }
    }
}

int main(void) {
    char off = 0;
    /* So that what is freed is free at once. */
    EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &off, sizeof off) == 0);
    EXPECT(mallctlnametomib("experimental.utilization.batch_query", batch_mib, &batch_len) == 0);
    uint64_t state = 11;
    for (int i = 0; i < COUNT; i++) {
        objects[i] = stamped(mallocx(SIZE, NO_CACHE), SIZE, (uint64_t)i);
    }
    size_t live = COUNT;
    for (int i = 0; i < COUNT; i++) {
        if (next_random(&state) % 100 < 80) {
            dallocx(objects[i], NO_CACHE);
            objects[i] = NULL;
            live--;
        }
    }
    int bin = bin_of(sallocx(mallocx(SIZE, NO_CACHE), 0));
    refresh();
    char name[64];
    snprintf(name, sizeof name, "arenas.bin.%d.nregs", bin);
    size_t nregs = number32(name), before = of_bin(bin, "curslabs");
    size_t needed = live / nregs + 1;
    EXPECT(before > 4 * needed);
    size_t moved = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        refresh();
        size_t slabs = of_bin(bin, "curslabs"), nonfull = of_bin(bin, "nonfull_slabs");
        size_t regs = of_bin(bin, "curregs"), in_nonfull = regs - (slabs - nonfull) * nregs;
        for (int at = 0; at < COUNT && nonfull >= 2; at += BATCH) {
            void *asked[BATCH];
            size_t told[3 * BATCH], count = 0, index[BATCH];
            for (int i = at; i < at + BATCH && i < COUNT; i++) {
                if (objects[i] != NULL) {
                    index[count] = (size_t)i;
                    asked[count++] = objects[i];
                }
            }
            size_t room = count * 3 * sizeof(size_t);
            if (count == 0) {
                continue;
            }
            EXPECT(mallctlbymib(batch_mib, batch_len, told, &room, asked, count * sizeof(void *)) == 0);
            for (size_t i = 0; i < count; i++) {
                size_t nfree = told[3 * i], all = told[3 * i + 1];
                EXPECT(all == nregs && nfree < all && told[3 * i + 2] >= all * SIZE);
                if (nfree == 0 || (all - nfree) * nonfull >= in_nonfull) {
                    continue;
                }
                void *fresh = mallocx(SIZE, NO_CACHE);
                memcpy(fresh, objects[index[i]], SIZE);
                dallocx(objects[index[i]], NO_CACHE);
                objects[index[i]] = fresh;
                moved++;
            }
        }
    }
    stamp_all();
    refresh();
    size_t after = of_bin(bin, "curslabs");
    /* Nearly as few slabs as can hold them, and no object was moved again and again. */
    if (after * 10 > needed * 12 || moved > 2 * live) {
        fail("%zu slabs, then %zu, of which %zu are needed; %zu of %zu objects moved", before, after, needed, moved, live);
    }
    /* One object by itself. */
    struct {
        void *slabcur;
        size_t nfree, nregs, size, bin_nfree, bin_nregs;
    } told;
    size_t room = sizeof told;
    void *large = malloc(200000), *asked = large;
    EXPECT(mallctl("experimental.utilization.query", &told, &room, &asked, sizeof asked) == 0);
    EXPECT(told.nfree == 0 && told.nregs == 1 && told.size == 200704 && told.bin_nregs == 0);
    for (int i = 0; i < COUNT; i++) {
        if (objects[i] != NULL) {
            asked = objects[i];
            EXPECT(mallctl("experimental.utilization.query", &told, &room, &asked, sizeof asked) == 0);
            EXPECT(told.nregs == nregs && told.nfree < nregs && told.size >= nregs * SIZE);
            EXPECT(told.bin_nregs == after * nregs && told.bin_nfree >= told.nfree);
            /* The next object comes from there. */
            void *next = mallocx(SIZE, NO_CACHE);
            EXPECT(told.slabcur != NULL && (size_t)((char *)next - (char *)told.slabcur) < told.size);
            break;
        }
    }
    /* The same in an arena by itself. */
    unsigned arena;
    size_t length = sizeof arena;
    EXPECT(mallctl("arenas.create", &arena, &length, NULL, 0) == 0);
    asked = mallocx(SIZE, (int)((arena + 1) << 20) | NO_CACHE);
    void *beside = mallocx(SIZE, (int)((arena + 1) << 20) | NO_CACHE);
    EXPECT(mallctl("experimental.utilization.query", &told, &room, &asked, sizeof asked) == 0);
    EXPECT(told.nregs == nregs && told.nfree == nregs - 2 && told.bin_nfree == nregs - 2 && told.bin_nregs == nregs);
    EXPECT((size_t)((char *)beside - (char *)told.slabcur) < told.size);
    say("done");
    return 0;
}
