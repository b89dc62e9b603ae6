/* 1 000 000 objects of 32..511 bytes, all written, all freed in random order; then idle.
 * Says "ready" once the last one is freed, and stays until it is killed. The array of pointers is the
 * program's own and stays (8 MB). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 1000000

static void *objects[MOST];

static uint64_t state = 42;

static uint64_t below(uint64_t limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return ((state >> 33) * limit) >> 31;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)atol(argv[1]) : MOST;
    uint64_t requested = 0;
    if (count > MOST)
        return 2;
    for (size_t i = 0; i < count; i++) {
        size_t size = 32 + below(480);
        objects[i] = malloc(size);
        if (objects[i] == NULL)
            return 1;
        memset(objects[i], 0x5a, size);
        requested += size;
    }
    for (size_t i = count; i > 1; i--) {
        size_t other = below(i);
        void *swap = objects[i - 1];
        objects[i - 1] = objects[other];
        objects[other] = swap;
    }
    for (size_t i = 0; i < count; i++)
        free(objects[i]);
    printf("ready live=0 requested=%llu\n", (unsigned long long)requested);
    fflush(stdout);
    for (;;)
        pause();
}
