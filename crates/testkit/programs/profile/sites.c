// Allocation sites whose functions, lines and sizes are known: a profile of this must say the same.
//
// Each site's line carries a mark; tests look for it in this file.

#include <stdlib.h>

enum { SMALL = 1000, MEDIUM = 200, LARGE = 5, FREED = 500 };

static void *volatile kept[SMALL + MEDIUM + LARGE];
static void *volatile freed;

__attribute__((noinline)) static void *small_site(void) {
    return malloc(100); // SITE small_site
}

__attribute__((noinline)) static void *medium_site(void) {
    return calloc(10, 500); // SITE medium_site
}

__attribute__((noinline)) static void *large_site(void) {
    return malloc(1 << 20); // SITE large_site
}

__attribute__((noinline)) static void freed_site(void) {
    freed = malloc(64); // SITE freed_site
    free(freed);
}

int main(void) {
    int at = 0;
    for (int i = 0; i < SMALL; i++)
        kept[at++] = small_site();
    for (int i = 0; i < MEDIUM; i++)
        kept[at++] = medium_site();
    for (int i = 0; i < LARGE; i++)
        kept[at++] = large_site();
    for (int i = 0; i < FREED; i++)
        freed_site();
    return 0;
}
