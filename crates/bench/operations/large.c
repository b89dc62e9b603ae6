/* malloc of 100 000..340 000 bytes and free at once, untouched. One operation is one pair. */
#include <stdint.h>
#include <stdlib.h>

#define KEEP(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

int main(int argc, char **argv)
{
    long operations = argc > 1 ? atol(argv[1]) : 1000;
    uint64_t state = 42;
    for (long i = 0; i < operations; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        void *object = malloc(100000 + (((state >> 40) * 240001) >> 24));
        KEEP(object);
        free(object);
    }
    return 0;
}
