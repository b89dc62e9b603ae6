/* Memory runs out: every call says so in its own way, nothing is lost, and it ends.
 *
 * `exhaust` allocates until the first refusal and checks the whole family while nothing is left;
 * `release` frees everything; `expect_working` shows that the heap serves again.
 */
#ifndef PROCESS_EXHAUSTION_H
#define PROCESS_EXHAUSTION_H

#include "expect.h"
#include <malloc.h>

struct hoard {
    /* Blocks form a list, as any table would have to be allocated. */
    struct link *blocks;
    size_t count;
    size_t bytes;
};

struct link {
    struct stamp stamp;
    struct link *next;
};

/* Allocates blocks of `size` until one is refused, or until `most` bytes are held. */
static inline int hoard(struct hoard *hoard, size_t size, size_t most) {
    while (hoard->bytes < most) {
        errno = 0;
        struct link *block = (struct link *)malloc(size);
        if (block == NULL) {
            EXPECT(errno == ENOMEM);
            return 1;
        }
        memset(block, (int)hoard->count, size < 4096 ? size : 4096);
        block->stamp.size = sizeof *block;
        block->stamp.key = size;
        block->next = hoard->blocks;
        hoard->blocks = block;
        hoard->count++;
        hoard->bytes += size;
    }
    return 0;
}

static inline void release(struct hoard *hoard) {
    while (hoard->blocks != NULL) {
        struct link *block = hoard->blocks;
        EXPECT(block->stamp.size == sizeof *block);
        hoard->blocks = block->next;
        free(block);
        hoard->count--;
    }
    EXPECT(hoard->count == 0);
    hoard->bytes = 0;
}

/* A request that no limit here leaves room for: each call of the family reports it, and the
 * block to be resized survives. (The size just refused may be had a moment later: an allocator is
 * free to empty its caches when it is short.) */
static inline void expect_refusals(void) {
    const size_t size = (size_t)1 << 40;
    void *out = &out;
    char *block = (char *)malloc(40);
    if (block != NULL) {
        memset(block, 7, 40);
        errno = 0;
        EXPECT(realloc(block, size) == NULL && errno == ENOMEM);
        for (int i = 0; i < 40; i++) {
            EXPECT(block[i] == 7);
        }
        free(block);
    }
    errno = 0;
    EXPECT(malloc(size) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(calloc(size / 16, 16) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(aligned_alloc(64, size) == NULL && errno == ENOMEM);
    EXPECT(posix_memalign(&out, 64, size) == ENOMEM && out == &out);
    EXPECT(memalign(64, size) == NULL);
    EXPECT(valloc(size) == NULL);
}

/* Exhausts memory from large blocks down to small ones. Returns how many bytes were had. */
static inline size_t exhaust(struct hoard *all, size_t most) {
    static const size_t sizes[] = {1 << 24, 1 << 20, 1 << 16, 8192, 1024, 64};
    size_t before = all->bytes;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!hoard(all, sizes[i], most)) {
            fail("no refusal after %zu bytes", all->bytes);
        }
        expect_refusals();
    }
    return all->bytes - before;
}

/* Serves `bytes` again, in blocks of all sizes, all of them checked. */
static inline void expect_working(size_t bytes, uint64_t seed) {
    enum { SLOTS = 64 };
    void *held[SLOTS] = {0};
    uint64_t random = seed;
    for (size_t had = 0, i = 0; had < bytes; i++) {
        size_t size = sizeof(struct stamp) + next_size(&random) % 60000;
        free_stamped(held[i % SLOTS]);
        held[i % SLOTS] = new_stamped(size, random);
        had += size;
    }
    for (int i = 0; i < SLOTS; i++) {
        free_stamped(held[i]);
    }
}

#endif
