/* The live channel: who opens it, what is in the file, and what others may do to it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

#define MAILBOX_AT 16384
#define MAGIC 0x56494c584f4d454aULL   /* JEMOXLIV */
#define ASK_MAGIC 0x4b5341584f4d454aULL /* JEMOXASK */

static void nap(void) { usleep(10 * 1000); }

static uint64_t word_at(int file, size_t index) {
    uint64_t word = 0;
    if (pread(file, &word, 8, index * 8) != 8)
        return 0;
    return word;
}

/* Waits until the file at `name` has figures whose sequence is beyond `after`. */
static uint64_t await_figures(const char *name, uint64_t after) {
    for (;;) {
        int file = open(name, O_RDONLY | O_NOFOLLOW);
        uint64_t sequence = 0;
        if (file >= 0) {
            if (word_at(file, 0) == MAGIC && word_at(file, 3) == (uint64_t)getpid())
                sequence = word_at(file, 2);
            close(file);
        }
        if (sequence > after)
            return sequence;
        nap();
    }
}

static uint64_t check(const uint64_t *words, int count) {
    uint64_t sum = 0xcbf29ce484222325ULL;
    for (int i = 0; i < count; i++)
        sum = (sum ^ words[i]) * 0x100000001b3ULL;
    return sum;
}

/* Asks for `wanted` and waits for the answer; what was refused. */
static uint64_t ask(const char *name, uint64_t ticket, uint64_t wanted) {
    uint64_t words[5] = { ASK_MAGIC, 1, ticket, wanted, 0 };
    words[4] = check(words, 4);
    int file = open(name, O_RDWR | O_NOFOLLOW);
    EXPECT(file >= 0);
    EXPECT(pwrite(file, words, sizeof words, MAILBOX_AT) == sizeof words);
    while (word_at(file, 5) != ticket)
        nap();
    uint64_t refused = word_at(file, 6);
    close(file);
    return refused;
}

static const char *name_now(void) {
    const char *name = NULL;
    size_t len = sizeof name;
    EXPECT(mallctl("jemoxide.control", &name, &len, NULL, 0) == 0);
    return name;
}

static int open_at(const char *base) {
    return mallctl("jemoxide.control", NULL, NULL, &base, sizeof base);
}

static int threads(void) {
    DIR *folder = opendir("/proc/self/task");
    int count = 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2;
}

static char base[200], own[256];

int main(int argc, char **argv) {
    EXPECT(argc == 3 && mallctl);
    const char *what = argv[1];
    snprintf(base, sizeof base, "%s/live", argv[2]);
    snprintf(own, sizeof own, "%s.%d", base, getpid());
    struct stat told;
    free(malloc(100));

    if (!strcmp(what, "option")) {
        /* Opened by the start: control is set. */
        await_figures(own, 0);
        EXPECT(stat(own, &told) == 0 && (told.st_mode & 0777) == 0600);
        EXPECT(!strcmp(name_now(), own));
        /* Idle as it is, the process answers; unknown bits are refused. */
        EXPECT(ask(own, 11, 1) == 0);
        EXPECT(ask(own, 12, 1ULL << 40) == 1ULL << 40);
        /* The program's descriptors are not used: all of them may be closed. */
        for (int file = 3; file < 100; file++)
            close(file);
        await_figures(own, await_figures(own, 0));
    } else if (!strcmp(what, "mallctl")) {
        EXPECT(threads() == 1);
        EXPECT(!strcmp(name_now(), ""));
        EXPECT(open_at("/no/such/folder/live") == EFAULT);
        EXPECT(stat("/no/such/folder", &told) < 0);
        char longest[300];
        memset(longest, 'x', 299);
        longest[299] = 0;
        EXPECT(open_at(longest) == EINVAL);
        EXPECT(open_at(base) == 0);
        EXPECT(!strcmp(name_now(), own));
        await_figures(own, 0);
        EXPECT(open_at("") == 0);
        EXPECT(!strcmp(name_now(), ""));
        EXPECT(stat(own, &told) < 0 && errno == ENOENT);
        while (threads() > 1)
            nap();
        /* And again. */
        EXPECT(open_at(base) == 0);
        await_figures(own, 0);
    } else if (!strcmp(what, "signal")) {
        EXPECT(stat(own, &told) < 0 && threads() == 1);
        raise(SIGUSR2);
        await_figures(own, 0);
        raise(SIGUSR2);
        await_figures(own, await_figures(own, 0));
    } else if (!strcmp(what, "tampered")) {
        uint64_t sequence = await_figures(own, 0);
        for (int round = 0; round < 20; round++) {
            int file = open(own, O_RDWR);
            char junk[16500];
            memset(junk, round * 37 + 1, sizeof junk);
            EXPECT(ftruncate(file, round % 2 ? 0 : 100) == 0);
            if (round % 3 == 0)
                EXPECT(pwrite(file, junk, sizeof junk, 0) > 0);
            close(file);
            if (round % 10 == 0)
                sequence = await_figures(own, sequence);
        }
        EXPECT(ask(own, 5, 1) == 0);
        /* Taken away, and another's put there: the process goes on with its own. */
        EXPECT(unlink(own) == 0);
        EXPECT(symlink("/dev/full", own) == 0);
        for (int i = 0; i < 150; i++)
            nap();
        EXPECT(readlink(own, base, sizeof base) > 0);
        unlink(own);
    } else if (!strcmp(what, "fork")) {
        uint64_t before = await_figures(own, 0);
        pid_t child = fork();
        if (child == 0) {
            char parents[256];
            strcpy(parents, own);
            snprintf(own, sizeof own, "%s.%d", base, getpid());
            for (int i = 0; i < 100000; i++)
                free(malloc(10000 + i % 100 * 40));
            await_figures(own, 0);
            EXPECT(stat(parents, &told) == 0);
            exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        /* The child's went with it, ours is served. */
        char childs[256];
        snprintf(childs, sizeof childs, "%s.%d", base, child);
        EXPECT(stat(childs, &told) < 0);
        await_figures(own, before);
    } else if (!strcmp(what, "closed")) {
        raise(SIGURG);
        EXPECT(threads() == 1 && !strcmp(name_now(), ""));
    } else {
        return 2;
    }
    puts("done");
    return 0;
}
