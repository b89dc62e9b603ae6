/* A program that frees much and then makes no call: its memory goes back all the same, by a thread of
 * the allocator's own that is gone once there is nothing left to do.
 *
 * Arguments: what to do, and whether a purge thread is expected (1) or must never be seen (0).
 *   silent    one thread frees 300 MB and sleeps
 *   threads   eight threads free them; four end, four sleep with their caches full
 *   fork      a child frees what its parent allocated, and what it allocated itself
 *   little    5 MB only: not worth a thread
 *   misuse    as silent, then a wrong free, while SIGABRT is ignored: it must end the process all the same
 * While it waits it calls nothing that allocates: /proc is read by system calls.
 */
#include "expect.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { MOST = 1000000, WORKERS = 8 };
static void *blocks[MOST];
static int used = MOST;

struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* The text of a file of /proc, cut at the size of `text`. */
static void read_file(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, size - 1);
    text[length > 0 ? length : 0] = '\0';
    if (file >= 0) {
        close(file);
    }
}

/* Whether the purge thread is there; it must have all signals blocked. */
static int is_purging(void) {
    char listing[8192], path[80], text[4096];
    int found = 0;
    int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long length = syscall(SYS_getdents64, folder, listing, sizeof listing);
    for (long at = 0; at < length;) {
        struct entry *entry = (struct entry *)(listing + at);
        at += entry->length;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", entry->name);
        read_file(path, text, sizeof text);
        if (strcmp(text, "jemoxide-purge\n") != 0) {
            continue;
        }
        found++;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/status", entry->name);
        read_file(path, text, sizeof text);
        char *mask = strstr(text, "SigBlk:\t");
        /* It may have left in between. SIGKILL and SIGSTOP cannot be blocked. */
        EXPECT(mask == NULL || strncmp(mask + 8, "fffffffffffbfeff", 16) == 0);
    }
    close(folder);
    EXPECT(found <= 1);
    return found;
}

static long cpu_us(void) {
    struct rusage usage;
    EXPECT(getrusage(RUSAGE_SELF, &usage) == 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static void allocate(int from, int step) {
    uint64_t random = 1 + (uint64_t)from;
    for (int i = from; i < used; i += step) {
        size_t size = 32 + next_random(&random) % 480;
        blocks[i] = malloc(size);
        EXPECT(blocks[i] != NULL);
        memset(blocks[i], 1, size);
    }
}

static void release(int from, int step) {
    for (int i = from; i < used; i += step) {
        free(blocks[i]);
    }
}

/* Waits until memory is down to `goal` KiB and the purge thread, if any was seen, has left. */
static void wait_silently(size_t goal, int expected) {
    int seen = 0;
    for (int tenths = 0;; tenths++) {
        int now = is_purging();
        seen |= now;
        if (rss_kib() <= goal && !now && (seen || !expected)) {
            break;
        }
        EXPECT(expected || tenths < 30);
        if (tenths >= 600) {
            fail("still %zu KiB after a minute, goal %zu, thread %d", rss_kib(), goal, now);
        }
        usleep(100000);
    }
    EXPECT(seen == expected);
}

static pthread_barrier_t barrier;

static void *worker(void *argument) {
    int index = (int)(intptr_t)argument;
    allocate(index, WORKERS);
    pthread_barrier_wait(&barrier);
    /* What the neighbour allocated. */
    release((index + 1) % WORKERS, WORKERS);
    pthread_barrier_wait(&barrier);
    for (;;) {
        if (index % 2 == 0) {
            return NULL;
        }
        pause();
    }
}

int main(int count, char **arguments) {
    EXPECT(count == 3);
    const char *what = arguments[1];
    int expected = arguments[2][0] == '1';
    memset(blocks, 1, sizeof blocks);
    free(malloc(100));
    size_t before = rss_kib(), allowed = 4096;
    if (strcmp(what, "threads") == 0) {
        pthread_t threads[WORKERS];
        pthread_barrier_init(&barrier, NULL, WORKERS + 1);
        for (int i = 0; i < WORKERS; i++) {
            EXPECT(pthread_create(&threads[i], NULL, worker, (void *)(intptr_t)i) == 0);
        }
        pthread_barrier_wait(&barrier);
        EXPECT(rss_kib() > before + 250000);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < WORKERS; i += 2) {
            EXPECT(pthread_join(threads[i], NULL) == 0);
        }
        allowed += 4096;
    } else {
        used = strcmp(what, "little") == 0 ? MOST / 60 : MOST;
        allocate(0, 1);
        EXPECT(used < MOST || rss_kib() > before + 250000);
        if (strcmp(what, "fork") == 0) {
            pid_t child = fork();
            EXPECT(child >= 0);
            if (child != 0) {
                int status;
                EXPECT(waitpid(child, &status, 0) == child && status == 0);
                say("done");
                return 0;
            }
            allowed += 4096;
            release(0, 1);
            allocate(0, 1);
        }
        release(0, 1);
    }
    if (expected) {
        wait_silently(before + allowed, 1);
        long start = cpu_us();
        sleep(3);
        EXPECT(cpu_us() - start < 20000);
        EXPECT(rss_kib() <= before + allowed);
        EXPECT(strcmp(what, "silent") != 0 || rss_kib() < 12 * 1024);
    } else {
        wait_silently((size_t)-1, 0);
        for (int tenths = 0; tenths < 20; tenths++) {
            EXPECT(!is_purging());
            usleep(100000);
        }
    }
    /* What went back can be had again. */
    used = 1000;
    allocate(0, 1);
    release(0, 1);
    if (strcmp(what, "misuse") == 0) {
        signal(SIGABRT, SIG_IGN);
        free((char *)&used);
    }
    if (strcmp(what, "fork") != 0) {
        say("done");
    }
    return 0;
}
