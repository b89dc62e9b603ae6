/* A library that comes and goes (sudden_ends.c): it allocates when it is loaded, and frees that when it leaves; what it made
 * for others outlives it. */
#include <stdlib.h>
#include <string.h>

static __thread char *of_thread;
static char *blocks[50];

__attribute__((constructor)) static void arrive(void) {
    for (int i = 0; i < 50; i++) {
        blocks[i] = malloc((size_t)(i + 1) * 300);
        if (blocks[i] != NULL) {
            memset(blocks[i], i, (size_t)(i + 1) * 300);
        }
    }
}

__attribute__((destructor)) static void leave(void) {
    for (int i = 0; i < 50; i++) {
        if (blocks[i] != NULL && blocks[i][(i + 1) * 300 - 1] != i) {
            abort();
        }
        free(blocks[i]);
    }
}

void *plugin_make(size_t size) {
    of_thread = malloc(size);
    if (of_thread != NULL) {
        memset(of_thread, 1, size);
    }
    return of_thread;
}
