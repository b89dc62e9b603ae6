// Frames of many shapes, for the unwinder: compiled as C and as C++, with and without frame pointers.
//
// descend() calls itself through functions that differ in what they save, how large their frames are and how they keep
// their stack aligned, and calls `leaf` at the bottom. Which function comes next follows from `seed`.

#include <alloca.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t (*leaf_function)(void *);

struct call {
    leaf_function leaf;
    void *argument;
};

uint64_t descend(struct call *call, unsigned depth, uint64_t seed);
uint64_t spin(volatile uint32_t *stop, uint64_t seed);

#define FRAME __attribute__((noinline)) static uint64_t
// Work after the call keeps it from becoming a jump.
#define AND_BACK(x) ((x) * 3 + depth)

FRAME plain(struct call *call, unsigned depth, uint64_t seed) {
    return AND_BACK(descend(call, depth, seed));
}

FRAME saves_much(struct call *call, unsigned depth, uint64_t seed) {
    uint64_t a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 9, e = seed * 11, f = seed * 13;
    for (unsigned i = 0; i < 2; i++) {
        a = a * b + descend(call, i ? depth : 0, seed + i);
        b ^= c; c += d; d ^= e; e += f; f ^= a;
    }
    return AND_BACK(a ^ b ^ c ^ d ^ e ^ f);
}

FRAME large(struct call *call, unsigned depth, uint64_t seed) {
    volatile char block[20000];
    block[seed % sizeof block] = 1;
    return AND_BACK(descend(call, depth, seed)) + block[0];
}

FRAME of_run_time(struct call *call, unsigned depth, uint64_t seed) {
    volatile char *block = (volatile char *)alloca(16 + seed % 500);
    block[0] = 1;
    return AND_BACK(descend(call, depth, seed)) + block[0];
}

FRAME realigned(struct call *call, unsigned depth, uint64_t seed) {
    volatile char block[64] __attribute__((aligned(64)));
    block[seed % sizeof block] = 1;
    return AND_BACK(descend(call, depth, seed)) + block[0];
}

FRAME realigned_of_run_time(struct call *call, unsigned depth, uint64_t seed) {
    volatile char aligned[64] __attribute__((aligned(128)));
    volatile char *block = (volatile char *)alloca(16 + seed % 300);
    block[0] = aligned[seed % sizeof aligned] = 1;
    uint64_t a = seed * 3, b = seed * 5;
    uint64_t sum = descend(call, depth, seed);
    return AND_BACK(sum * a + b) + block[0] + aligned[0];
}

FRAME many_arguments(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h,
                     struct call *call, unsigned depth) {
    return AND_BACK(descend(call, depth, a + b * c + d)) + e + f + g + h;
}

static int by_address(const void *a, const void *b) {
    (void)a;
    (void)b;
    return 0;
}

struct comparison {
    struct call *call;
    unsigned depth;
    uint64_t seed;
    int done;
};

static int compare_and_descend(const void *a, const void *b, void *argument) {
    struct comparison *comparison = (struct comparison *)argument;
    if (!comparison->done) {
        comparison->done = 1;
        descend(comparison->call, comparison->depth, comparison->seed);
    }
    return by_address(a, b);
}

FRAME through_the_library(struct call *call, unsigned depth, uint64_t seed) {
    struct comparison comparison = {call, depth, seed, 0};
    int two[2] = {1, 2};
    extern void qsort_r(void *, size_t, size_t, int (*)(const void *, const void *, void *), void *);
    qsort_r(two, 2, sizeof *two, compare_and_descend, &comparison);
    return AND_BACK((uint64_t)two[0]);
}

#ifdef __cplusplus
}
struct Guard {
    uint64_t *sum;
    ~Guard() { *sum += 1; }
};
FRAME with_cleanup(struct call *call, unsigned depth, uint64_t seed) {
    uint64_t sum = 0;
    Guard guard{&sum};
    try {
        sum += descend(call, depth, seed);
        if (sum == 42) throw 1;
    } catch (int) {
        sum = 0;
    }
    return AND_BACK(sum);
}
extern "C" {
#else
#define with_cleanup plain
#endif

uint64_t descend(struct call *call, unsigned depth, uint64_t seed) {
    if (depth == 0) return call->leaf(call->argument) + 1;
    depth--;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    switch ((seed >> 33) % 9) {
    case 0: return plain(call, depth, seed) + 1;
    case 1: return depth > 4 ? saves_much(call, depth / 2, seed) + 1 : plain(call, depth, seed) + 1;
    case 2: return large(call, depth, seed) + 1;
    case 3: return of_run_time(call, depth, seed) + 1;
    case 4: return realigned(call, depth, seed) + 1;
    case 5: return realigned_of_run_time(call, depth, seed) + 1;
    case 6: return many_arguments(seed, 2, 3, 4, 5, 6, 7, 8, call, depth) + 1;
    case 7: return with_cleanup(call, depth, seed) + 1;
    default: return through_the_library(call, depth, seed) + 1;
    }
}

static uint64_t count(void *argument) { return ++*(uint64_t *)argument; }

// Runs through all of that until *stop is set: code to be interrupted in.
uint64_t spin(volatile uint32_t *stop, uint64_t seed) {
    uint64_t counter = 0;
    struct call call = {count, &counter};
    while (!*stop) seed = descend(&call, seed % 12, seed);
    return seed;
}

#ifdef __cplusplus
}
#endif
