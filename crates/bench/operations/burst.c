/* 1000 mallocs of 48 bytes, then 1000 frees in the same order. One operation is one pair. */
#include <stdlib.h>

#define BURST 1000

static void *objects[BURST];

int main(int argc, char **argv)
{
    long operations = argc > 1 ? atol(argv[1]) : 1000;
    for (long done = 0; done < operations; done += BURST) {
        for (int i = 0; i < BURST; i++)
            objects[i] = malloc(48);
        __asm__ volatile("" : : : "memory");
        for (int i = 0; i < BURST; i++)
            free(objects[i]);
    }
    return 0;
}
