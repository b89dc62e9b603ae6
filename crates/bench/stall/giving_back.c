/* How long single calls take while a large heap is given back.
 *
 * giving_back GIB SECONDS: one thread maps GIB gibibytes in blocks of 4 MiB, touches a page in every 256 KiB,
 * frees all of it and then goes on for SECONDS with a call now and then, so that a heap without a thread of
 * its own gives back too. Beside it another thread allocates and frees all the time. Prints, in nanoseconds:
 *
 *   free_worst                 longest free of a large block
 *   beside_worst beside_rare   longest pair beside it, and the one that 1 in 10 000 exceed
 *   calm_worst                 longest pair in the calm before the first large block
 *
 * A pair in which the kernel took the processor away says nothing about the allocator and is left out.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4 << 20, STEP = 256 << 10, SLOTS = 256, BUCKETS = 64 * 16 };

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long taken_away(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* Times, by sixteenths of powers of two. */
struct times {
    uint64_t count[BUCKETS], all, worst;
    long away;
};

static unsigned bucket(uint64_t ns) {
    unsigned lg = 63 - (unsigned)__builtin_clzll(ns | 16);
    return (lg - 4) * 16 + (unsigned)((ns | 16) >> (lg - 4) & 15);
}

static void note(struct times *times, uint64_t ns) {
    if (ns > 50000) {
        long away = taken_away();
        if (away != times->away) {
            times->away = away;
            return;
        }
    }
    times->count[bucket(ns)]++;
    times->all++;
    if (ns > times->worst)
        times->worst = ns;
}

/* The least time that at most 1 in 10 000 exceed. */
static uint64_t rare(const struct times *times) {
    uint64_t above = 0;
    for (unsigned at = BUCKETS; at-- > 0;) {
        above += times->count[at];
        if (above > times->all / 10000)
            return (uint64_t)(16 + at % 16) << (at / 16);
    }
    return 0;
}

static atomic_int phase; /* 0: calm; 1: the large heap lives and is given back; 2: done */
static struct times calm, beside;

static void *work(void *unused) {
    static char *slots[SLOTS];
    uint64_t dice = 88172645463325252u;
    calm.away = beside.away = taken_away();
    int at_phase;
    while ((at_phase = atomic_load_explicit(&phase, memory_order_relaxed)) < 2) {
        struct times *times = at_phase ? &beside : &calm;
        for (int turn = 0; turn < 64; turn++) {
            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            unsigned slot = dice % SLOTS;
            size_t size = dice >> 32 & 15 ? 16 + (dice >> 40) % 1000 : 4096 + (dice >> 40) % 200000;
            uint64_t begin = now();
            free(slots[slot]);
            slots[slot] = malloc(size);
            uint64_t end = now();
            if (!slots[slot])
                abort();
            slots[slot][0] = slots[slot][size - 1] = 1;
            note(times, end - begin);
        }
        beside.away = calm.away = times->away;
    }
    for (int slot = 0; slot < SLOTS; slot++)
        free(slots[slot]);
    return unused;
}

int main(int argc, char **argv) {
    size_t gib = argc > 1 ? strtoul(argv[1], 0, 10) : 1;
    double seconds = argc > 2 ? strtod(argv[2], 0) : 1;
    size_t blocks = gib << 8;
    char **block = calloc(blocks, sizeof *block);
    static struct times frees;
    pthread_t worker;
    if (!block || pthread_create(&worker, 0, work, 0))
        abort();
    usleep(1000000);
    atomic_store(&phase, 1);
    for (size_t at = 0; at < blocks; at++) {
        if (!(block[at] = malloc(BLOCK)))
            abort();
        for (size_t to = 0; to < BLOCK; to += STEP)
            block[at][to] = (char)at;
    }
    for (size_t at = 0; at < blocks; at++)
        for (size_t to = 0; to < BLOCK; to += STEP)
            if (block[at][to] != (char)at)
                abort();
    frees.away = taken_away();
    for (size_t at = 0; at < blocks; at++) {
        uint64_t begin = now();
        free(block[at]);
        note(&frees, now() - begin);
    }
    for (uint64_t end = now() + (uint64_t)(seconds * 1e9); now() < end;) {
        usleep(1000);
        uint64_t begin = now();
        for (int turn = 0; turn < 16; turn++)
            free(malloc(100000 + 5000 * (size_t)turn));
        note(&frees, now() - begin);
    }
    atomic_store(&phase, 2);
    pthread_join(worker, 0);
    printf("{\"free_worst\": %llu, \"beside_worst\": %llu, \"beside_rare\": %llu, \"calm_worst\": %llu}\n",
           (unsigned long long)frees.worst, (unsigned long long)beside.worst, (unsigned long long)rare(&beside),
           (unsigned long long)calm.worst);
    return 0;
}
