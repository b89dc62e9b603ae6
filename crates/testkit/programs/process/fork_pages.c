/* What a forked child does to the pages it shares with its parent, whose purge thread is at work at that time.
 *
 * The parent holds 64 MiB of small objects and of large ones, touched, and has just freed another 64 MiB. The child works
 * a little: the pages that become its own are few. Then it frees the parent's objects and 64 MiB of its own, makes no
 * more calls, and is down to its own size by a purge thread of its own. The parent's objects are as they were.
 */
#include "expect.h"
#include <sys/resource.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, SMALL = 200000, LARGE = 32, FREED = 64 };

static unsigned char *small[SMALL], *large[LARGE], *freed[FREED];

/* Pages that became this process's own so far: each takes a fault. That pages are private is no sign of it, as those are
 * too which the parent has given up meanwhile. */
static long own_pages(void) {
    struct rusage usage;
    EXPECT(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_minflt;
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
    long before = own_pages();
    for (int round = 0; round < 200; round++) {
        free(filled(100, 1));
        free(filled(5000, 1));
        free(filled(100000, 1));
    }
    long own = own_pages() - before;
    say("small work: %ld pages became the child's own", own);
    /* 100 KB of its own, its stack, and books: not the parent's 128 MiB. */
    EXPECT(own < 256);
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
