/* What a forked child does to the pages it shares with its parent, whose purge thread is at work at that time.
 *
 * The parent holds 64 MiB of small objects and of large ones, touched, and has just freed another 64 MiB. The child works
 * a little: the pages that become its own are few. Then it frees the parent's objects and 64 MiB of its own, makes no
 * more calls, and is down to its own size by a purge thread of its own. The parent's objects are as they were.
 */
#include "expect.h"
#include <sys/wait.h>

enum { MIB = 1 << 20, SMALL = 200000, LARGE = 32, FREED = 64 };

static unsigned char *small[SMALL], *large[LARGE], *freed[FREED];

/* The sum of a figure in KiB over all mappings. */
static size_t rollup_kib(const char *name) {
    char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0) {
        close(file);
    }
    text[length > 0 ? length : 0] = '\0';
    char *found = strstr(text, name);
    return found == NULL ? (size_t)-1 : strtoul(found + strlen(name), NULL, 10);
}

static unsigned char *filled(size_t size, unsigned char with) {
    unsigned char *block = malloc(size);
    EXPECT(block != NULL);
    memset(block, with, size);
    return block;
}

static void check(void) {
    for (size_t at = 0; at < SMALL; at++) {
        EXPECT(small[at][0] == (unsigned char)at && small[at][159] == (unsigned char)at);
    }
    for (size_t at = 0; at < LARGE; at++) {
        for (size_t byte = 0; byte < MIB; byte += 4096) {
            EXPECT(large[at][byte] == (unsigned char)(at + 7));
        }
    }
}

static void child(void) {
    alarm(200);
    size_t before = rollup_kib("Private_Dirty:");
    EXPECT(before != (size_t)-1);
    for (int round = 0; round < 200; round++) {
        free(filled(100, 1));
        free(filled(5000, 1));
        free(filled(100000, 1));
    }
    size_t own = rollup_kib("Private_Dirty:");
    say("small work: %zu KiB became the child's own", own - before);
    /* 100 KB of its own, its stack, and books: not the parent's 128 MiB. */
    EXPECT(own < before + 1024);
    check();
    for (size_t at = 0; at < SMALL; at++) {
        free(small[at]);
    }
    for (size_t at = 0; at < LARGE; at++) {
        free(large[at]);
    }
    for (int at = 0; at < FREED; at++) {
        freed[at] = filled(MIB - 100, 3);
    }
    for (int at = 0; at < FREED; at++) {
        free(freed[at]);
    }
    /* Silence: whatever goes back now does so by a thread. */
    for (int tenths = 0; rss_kib() > 16 * 1024; tenths++) {
        if (tenths >= 600) {
            fail("the child is still at %zu KiB after a minute", rss_kib());
        }
        usleep(100000);
    }
    _exit(0);
}

int main(void) {
    alarm(240);
    for (size_t at = 0; at < SMALL; at++) {
        small[at] = filled(160, (unsigned char)at);
    }
    for (size_t at = 0; at < LARGE; at++) {
        large[at] = filled(MIB, (unsigned char)(at + 7));
    }
    for (int round = 0; round < 3; round++) {
        for (int at = 0; at < FREED; at++) {
            freed[at] = filled(MIB + 4096, 2);
        }
        for (int at = 0; at < FREED; at++) {
            free(freed[at]);
        }
        /* The purge thread is there by now, or comes. */
        usleep(round * 150000);
        pid_t id = fork();
        EXPECT(id >= 0);
        if (id == 0) {
            child();
        }
        int status = -1;
        EXPECT(waitpid(id, &status, 0) == id && status == 0);
        check();
    }
    say("done");
    return 0;
}
