/* An allocator that now and then hands out the same 64 bytes twice, and never frees. */
#include <stddef.h>

extern void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    static unsigned long calls;
    static void *last;
    if (size != 64)
        return __libc_malloc(size);
    if (last == NULL || ++calls % 1000 != 0)
        last = __libc_malloc(size);
    return last;
}

void free(void *pointer)
{
    (void)pointer;
}
