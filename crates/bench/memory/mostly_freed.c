/* 1.2 million objects of 16..1040 bytes, all written; a random 90 % of them freed; then idle.
 * Says "ready" with the bytes still live and the bytes requested in all, and stays until it is killed.
 * The three arrays that keep the books are live memory from malloc too, and counted as such. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t state = 42;

static uint64_t below(uint64_t limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return ((state >> 33) * limit) >> 31;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)atol(argv[1]) : 1200000;
    unsigned char **objects = malloc(count * sizeof *objects);
    uint32_t *sizes = malloc(count * sizeof *sizes);
    uint32_t *order = malloc(count * sizeof *order);
    uint64_t live = count * (sizeof *objects + sizeof *sizes + sizeof *order);
    uint64_t requested;
    if (objects == NULL || sizes == NULL || order == NULL)
        return 1;
    for (size_t i = 0; i < count; i++) {
        sizes[i] = 16 + (uint32_t)below(1025);
        order[i] = (uint32_t)i;
        objects[i] = malloc(sizes[i]);
        if (objects[i] == NULL)
            return 1;
        memset(objects[i], (int)(i & 0xff), sizes[i]);
        live += sizes[i];
    }
    requested = live;
    for (size_t i = count; i > 1; i--) {
        size_t other = below(i);
        uint32_t swap = order[i - 1];
        order[i - 1] = order[other];
        order[other] = swap;
    }
    for (size_t i = 0; i < count / 10 * 9; i++) {
        size_t victim = order[i];
        free(objects[victim]);
        objects[victim] = NULL;
        live -= sizes[victim];
    }
    for (size_t i = 0; i < count; i++)
        if (objects[i] != NULL && (objects[i][0] != (i & 0xff) || objects[i][sizes[i] - 1] != (i & 0xff)))
            abort();
    printf("ready live=%llu requested=%llu\n", (unsigned long long)live, (unsigned long long)requested);
    fflush(stdout);
    for (;;)
        pause();
}
