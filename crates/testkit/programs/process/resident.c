/* Allocates, writes, frees a part, and compares what the library says is resident with what the system says.
 *
 * Writes "<what it says> <what the system says>", both in KiB and as differences to the start: after allocating, and after
 * freeing most of it; then the live objects of its report of the resident set and what was asked for, of both moments.
 */
#include "expect.h"
#include <dlfcn.h>

enum { SMALL = 60000, LARGE = 300 };
static char *small[SMALL], *large[LARGE];
static long asked, left;

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

/* A line of the report of the resident set, in KiB. */
static long line_of(const char *name) {
    int (*control)(const char *, void *, size_t *, void *, size_t);
    *(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
    const char *text = NULL;
    size_t length = sizeof text;
    EXPECT(control("jemoxide.rss", &text, &length, NULL, 0) == 0);
    const char *at = strstr(text, name);
    EXPECT(at != NULL);
    return strtol(strchr(at, ':') + 1, NULL, 10) / 1024;
}

int main(void) {
    /* Both have done what they do at first. */
    free(memset(malloc(100), 1, 100));
    by_library();
    long library = by_library(), rest = by_system();
    for (int i = 0; i < SMALL; i++) {
        size_t bytes = 1 + (size_t)(i * 37 % 700);
        small[i] = memset(malloc(bytes), 1, bytes);
        asked += (long)bytes;
        left += i % 10 == 0 ? (long)bytes : 0;
    }
    for (int i = 0; i < LARGE; i++) {
        size_t bytes = 17000 + (size_t)(i * 977 % 90000);
        large[i] = memset(malloc(bytes), 1, bytes);
        asked += (long)bytes;
        left += i % 10 == 0 ? (long)bytes : 0;
    }
    say("%ld %ld", by_library() - library, by_system() - rest);
    long live = line_of("\"live\""), slack = line_of("\"internal_slack\"");
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
    say("%ld %ld", live, asked / 1024);
    say("%ld %ld", line_of("\"live\""), left / 1024);
    EXPECT(labs(line_of("\"unexplained\"")) < 2000 && slack >= 0);
    return 0;
}
