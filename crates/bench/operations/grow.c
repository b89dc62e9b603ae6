/* realloc from 16 up to 1024 bytes in steps of 16, then free. One operation is one step; the free is
 * shared among the 64 steps of a round. */
#include <stdlib.h>

#define STEP 16
#define LARGEST 1024

int main(int argc, char **argv)
{
    long operations = argc > 1 ? atol(argv[1]) : 1024;
    for (long done = 0; done < operations; done += LARGEST / STEP) {
        void *object = NULL;
        for (size_t size = STEP; size <= LARGEST; size += STEP) {
            object = realloc(object, size);
            if (object == NULL)
                return 1;
        }
        free(object);
    }
    return 0;
}
