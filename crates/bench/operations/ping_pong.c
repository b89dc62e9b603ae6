/* malloc(64) and free at once: the shortest life an object can have. One operation is one pair. */
#include <stdlib.h>

#define KEEP(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

int main(int argc, char **argv)
{
    long operations = argc > 1 ? atol(argv[1]) : 1000;
    for (long i = 0; i < operations; i++) {
        void *object = malloc(64);
        KEEP(object);
        free(object);
    }
    return 0;
}
