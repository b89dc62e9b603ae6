/* The live channel: who opens it, what is in the file, and what others may do to it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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

static char base[200], stem[230], own[256];

/* What names begin with: in a namespace of processes of its own the process is told apart by that. */
static void names(const char *folder) {
    struct stat told;
    snprintf(base, sizeof base, "%s/live", folder);
    if (stat("/proc/self/ns/pid", &told) == 0 && told.st_ino != 0xeffffffcU)
        snprintf(stem, sizeof stem, "%s.%lu", base, (unsigned long)told.st_ino);
    else
        strcpy(stem, base);
    snprintf(own, sizeof own, "%s.%d", stem, getpid());
}

/* Files in the folder of `base`. */
static int files(void) {
    char folder[200];
    strcpy(folder, base);
    *strrchr(folder, '/') = 0;
    DIR *open = opendir(folder);
    int count = 0;
    while (readdir(open))
        count++;
    closedir(open);
    return count - 2;
}

/* Forks a child that has its file and ends by `_exit`, or waits for the end of a pipe. */
static pid_t child_with_a_file(int wait_for) {
    pid_t child = fork();
    if (child == 0) {
        char name[300];
        snprintf(name, sizeof name, "%s.%d", own, getpid());
        for (int i = 0; i < 100000; i++)
            free(malloc(10000 + i % 100 * 40));
        await_figures(name, 0);
        char byte;
        if (wait_for >= 0)
            EXPECT(read(wait_for, &byte, 1) == 1);
        _exit(0);
    }
    return child;
}

/* Forks a child that is process 1 of a namespace of its own, by way of one that is not; 0 in the child, else its status. */
static int nested(void) {
    int status;
    pid_t between = fork();
    if (between == 0) {
        EXPECT(unshare(CLONE_NEWPID) == 0);
        pid_t child = fork();
        if (child == 0) {
            EXPECT(getpid() == 1);
            return 0;
        }
        EXPECT(waitpid(child, &status, 0) == child);
        _exit(WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 7 : 1);
    }
    EXPECT(waitpid(between, &status, 0) == between && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static unsigned long namespace_now(void) {
    struct stat told;
    EXPECT(stat("/proc/self/ns/pid", &told) == 0);
    return told.st_ino;
}

int main(int argc, char **argv) {
    EXPECT(argc == 3 && mallctl);
    const char *what = argv[1];
    names(argv[2]);
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
        /* What is no place leaves it where it is; the same place is no news. */
        EXPECT(open_at("/no/such/folder/live") == EFAULT);
        EXPECT(open_at(longest) == EINVAL);
        EXPECT(!strcmp(name_now(), own) && stat(own, &told) == 0);
        ino_t which = told.st_ino;
        EXPECT(open_at(base) == 0);
        EXPECT(stat(own, &told) == 0 && told.st_ino == which);
        await_figures(own, await_figures(own, 0));
        /* Another place: the old file goes. */
        strcat(base, "2");
        EXPECT(open_at(base) == 0);
        EXPECT(stat(own, &told) < 0 && strstr(name_now(), "live2"));
    } else if (!strcmp(what, "relative")) {
        /* Opened by the start in the folder, as `live`; where the process goes does not matter. */
        EXPECT(chdir("/") == 0);
        await_figures(own, 0);
        EXPECT(!strcmp(name_now(), own));
        EXPECT(open_at("") == 0 && files() == 0);
        EXPECT(chdir(argv[2]) == 0 && open_at("live") == 0 && chdir("/") == 0);
        await_figures(own, 0);
    } else if (!strcmp(what, "opened to all")) {
        await_figures(own, 0);
        EXPECT(open_at("") == 0);
        while (threads() > 1)
            nap();
        /* Others were let in before the thread had it open: it is made anew. */
        EXPECT(open_at(base) == 0);
        EXPECT(chmod(own, 0644) == 0);
        for (int round = 0; round < 200; round++) {
            if (stat(own, &told) == 0 && (told.st_mode & 0777) == 0600)
                break;
            nap();
        }
        await_figures(own, 0);
    } else if (!strcmp(what, "killed children")) {
        int status, tell[2];
        await_figures(own, 0);
        EXPECT(pipe(tell) == 0);
        pid_t lives = child_with_a_file(tell[0]);
        pid_t first = child_with_a_file(-1);
        EXPECT(waitpid(first, &status, 0) == first && status == 0);
        char firsts[300], livings[300];
        snprintf(firsts, sizeof firsts, "%s.%d", own, first);
        snprintf(livings, sizeof livings, "%s.%d", own, lives);
        EXPECT(stat(firsts, &told) == 0);
        /* The next one sweeps. */
        pid_t second = child_with_a_file(-1);
        EXPECT(waitpid(second, &status, 0) == second && status == 0);
        EXPECT(stat(firsts, &told) < 0 && stat(livings, &told) == 0);
        EXPECT(write(tell[1], "x", 1) == 1);
        EXPECT(waitpid(lives, &status, 0) == lives && status == 0);
        /* So does our own end: nothing is left, which the test sees. */
        EXPECT(files() == 3);
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
            snprintf(own, sizeof own, "%s.%d", parents, getpid());
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
        snprintf(childs, sizeof childs, "%s.%d", own, child);
        EXPECT(stat(childs, &told) < 0);
        await_figures(own, before);
    } else if (!strcmp(what, "neighbour")) {
        await_figures(own, 0);
        puts("ready");
        fflush(stdout);
        EXPECT(getchar() == EOF);
    } else if (!strcmp(what, "nested")) {
        /* Process 1 of a namespace, and below it process 1 of another one. */
        uint64_t before = await_figures(own, 0);
        EXPECT(getpid() == 1 && stat(own, &told) == 0);
        ino_t parents = told.st_ino;
        for (int round = 0; round < 2; round++) {
            int status = nested();
            if (status == 0) {
                char name[300];
                snprintf(name, sizeof name, "%s.%lu.1", own, namespace_now());
                for (int i = 0; i < 100000; i++)
                    free(malloc(10000 + i % 100 * 40));
                await_figures(name, 0);
                EXPECT(!strcmp(name_now(), name));
                /* The second leaves its file, and a profile, which our own end takes away: the test sees it. */
                EXPECT(round == 0 || ask(name, 5, 2 | 8) == 0);
                fflush(NULL);
                if (round == 0)
                    exit(7);
                _exit(7);
            }
            EXPECT(status == 7);
        }
        EXPECT(stat(own, &told) == 0 && told.st_ino == parents);
        await_figures(own, before);
        EXPECT(files() == 3);
    } else if (!strcmp(what, "nested signal")) {
        /* At the fork it is open to nobody, then to the parent. */
        for (int round = 0; round < 2; round++) {
            int status = nested();
            if (status == 0) {
                char name[300];
                snprintf(name, sizeof name, "%s.%lu.1", base, namespace_now());
                EXPECT(open_at("") == 0);
                raise(SIGUSR2);
                while (!*name_now())
                    nap();
                EXPECT(!strcmp(name_now(), name) && files() == 1 + round);
                await_figures(name, 0);
                exit(7);
            }
            EXPECT(status == 7);
            raise(SIGUSR2);
            await_figures(own, 0);
        }
        EXPECT(files() == 1);
    } else if (!strcmp(what, "closed")) {
        raise(SIGURG);
        EXPECT(threads() == 1 && !strcmp(name_now(), ""));
    } else {
        return 2;
    }
    puts("done");
    return 0;
}
