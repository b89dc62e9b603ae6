/* Allocates, writes, frees a part, and compares what the library says is resident with what the system says.
 *
 * Writes "<what it says> <what the system says>", both in KiB and as differences to the start: after allocating, and after
 * freeing most of it.
 */
#include "expect.h"
#include <dlfcn.h>

enum { SMALL = 60000, LARGE = 300 };
static char *small[SMALL], *large[LARGE];

static long by_system(void) {
    char text[256] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    EXPECT(file >= 0 && read(file, text, sizeof text - 1) > 0);
    close(file);
    long size, pages;
    EXPECT(sscanf(text, "%ld %ld", &size, &pages) == 2);
    return pages * 4;
}

static long by_library(void) {
    static int (*control)(const char *, void *, size_t *, void *, size_t);
    if (control == NULL) {
        *(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
        EXPECT(control != NULL);
    }
    uint64_t epoch = 1;
    EXPECT(control("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    size_t resident, active, allocated, length = sizeof resident;
    EXPECT(control("stats.resident", &resident, &length, NULL, 0) == 0);
    EXPECT(control("stats.active", &active, &length, NULL, 0) == 0);
    EXPECT(control("stats.allocated", &allocated, &length, NULL, 0) == 0);
    EXPECT(allocated <= active && active <= resident);
    return (long)(resident / 1024);
}

int main(void) {
    /* Both have done what they do at first. */
    free(memset(malloc(100), 1, 100));
    by_library();
    long library = by_library(), rest = by_system();
    for (int i = 0; i < SMALL; i++) {
        size_t bytes = 1 + (size_t)(i * 37 % 700);
        small[i] = memset(malloc(bytes), 1, bytes);
    }
    for (int i = 0; i < LARGE; i++) {
        size_t bytes = 17000 + (size_t)(i * 977 % 90000);
        large[i] = memset(malloc(bytes), 1, bytes);
    }
    say("%ld %ld", by_library() - library, by_system() - rest);
    for (int i = 0; i < SMALL; i++) {
        if (i % 10 != 0) {
            free(small[i]);
        }
    }
    for (int i = 0; i < LARGE; i++) {
        if (i % 10 != 0) {
            free(large[i]);
        }
    }
    say("%ld %ld", by_library() - library, by_system() - rest);
    return 0;
}
