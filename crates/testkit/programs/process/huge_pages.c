/* Huge pages are earned while the program is silent, and cost little.
 *
 *   huge_pages MODE      earned  a large heap gets huge pages, its RSS grows by 5 % at most, and it shrinks as ever
 *                        none    it gets none
 *                        always  it has them from the start
 *                        records  the allocator's own records have them
 *                        busy    it gets them while the program allocates and frees
 *                        small   a small heap gets none
 *                        fork    a child gets them for its own memory, and not for its parent's
 *
 * Prints "done", or "no huge pages here" where the machine has none to give. */
#include "expect.h"
#include <sys/mman.h>
#include <sys/wait.h>

enum { HUGE_BYTES = 2 << 20, SIZE = 128, BLOCK = 40 << 20 };

static unsigned char **objects;
static size_t count;
static unsigned char *block;

static void read_text(const char *path, char *text, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, text, size - 1);
    text[length > 0 ? length : 0] = 0;
    if (file >= 0) {
        close(file);
    }
}

/* Memory in huge pages. */
static size_t huge_kib(void) {
    static const char name[] = "AnonHugePages:";
    char text[4096];
    read_text("/proc/self/smaps_rollup", text, sizeof text);
    char *at = strstr(text, name);
    EXPECT(at != NULL);
    return strtoul(at + sizeof name - 1, NULL, 10);
}

/* Whether the machine gives huge pages on request. */
static int has_huge_pages(void) {
    char policy[64], rollup[64];
    read_text("/sys/kernel/mm/transparent_hugepage/enabled", policy, sizeof policy);
    read_text("/proc/self/smaps_rollup", rollup, sizeof rollup);
    if (policy[0] == 0 || strstr(policy, "[never]") != NULL || rollup[0] == 0) {
        return 0;
    }
    char *map = mmap(NULL, 2 * HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(map != MAP_FAILED);
    char *huge = (char *)(((uintptr_t)map + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1));
    memset(huge, 1, HUGE_BYTES);
    int done = madvise(huge, HUGE_BYTES, 25 /* MADV_COLLAPSE */) == 0 && huge_kib() > 0;
    EXPECT(munmap(map, 2 * HUGE_BYTES) == 0);
    return done;
}

static void fill(size_t objects_kib) {
    count = objects_kib * 1024 / SIZE;
    objects = malloc(count * sizeof *objects);
    EXPECT(objects != NULL);
    for (size_t i = 0; i < count; i++) {
        objects[i] = malloc(SIZE);
        EXPECT(objects[i] != NULL);
        memset(objects[i], (int)(i % 251), SIZE);
    }
}

static void check(void) {
    for (size_t i = 0; i < count; i++) {
        for (int at = 0; objects[i] != NULL && at < SIZE; at += SIZE - 1) {
            EXPECT(objects[i][at] == i % 251);
        }
    }
    for (size_t at = 0; block != NULL && at < BLOCK; at += 4096) {
        EXPECT(block[at] == 7);
    }
}

/* Waits until the huge pages are `least_kib` or more; no call into the allocator. */
static void wait_for_huge(size_t least_kib) {
    for (int tenths = 0; huge_kib() < least_kib; tenths++) {
        EXPECT(tenths < 1200);
        usleep(100000);
    }
}

int main(int argc, char **arguments) {
    EXPECT(argc == 2);
    const char *mode = arguments[1];
    int small = strcmp(mode, "small") == 0;
    if (!has_huge_pages()) {
        say("no huge pages here");
        return 0;
    }
    EXPECT(huge_kib() == 0);
    fill(small ? 16 << 10 : strcmp(mode, "records") == 0 ? 400 << 10 : 100 << 10);
    if (strcmp(mode, "records") == 0) {
        /* Records of a gigabyte in small objects take more than one segment of 4 MiB. */
        EXPECT(huge_kib() > 0);
        check();
        say("done");
        return 0;
    }
    if (!small) {
        block = malloc(BLOCK);
        EXPECT(block != NULL);
        memset(block, 7, BLOCK);
    }
    size_t before = rss_kib();
    if (strcmp(mode, "fork") == 0) {
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            /* Some of it may lie in huge pages that the parent has pages of. */
            unsigned char *own = malloc(2 * BLOCK);
            EXPECT(own != NULL);
            memset(own, 7, 2 * BLOCK);
            wait_for_huge(BLOCK / 1024);
            sleep(3);
            EXPECT(huge_kib() <= 2 * BLOCK / 1024 + HUGE_BYTES / 1024);
            check();
            free(own);
            _exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    } else if (strcmp(mode, "always") == 0) {
        EXPECT(huge_kib() >= before / 5 * 4);
        check();
    } else if (strcmp(mode, "busy") == 0) {
        for (int rounds = 0; huge_kib() < before / 5 * 4; rounds++) {
            EXPECT(rounds < 120000);
            void *some[200];
            for (int i = 0; i < 200; i++) {
                EXPECT((some[i] = malloc(3000)) != NULL);
            }
            for (int i = 0; i < 200; i++) {
                free(some[i]);
            }
            usleep(1000);
        }
        check();
    } else if (strcmp(mode, "earned") == 0) {
        /* Four fifths: what lies across the borders of huge pages has none. */
        wait_for_huge(before / 5 * 4);
        sleep(1);
        EXPECT(rss_kib() <= before + before / 20);
        check();
        /* All objects but every fiftieth page of them go. */
        for (size_t i = 0; i < count; i++) {
            if (i / (4096 / SIZE) % 50 != 0) {
                free(objects[i]);
                objects[i] = NULL;
            }
        }
        for (int tenths = 0; rss_kib() > before - (60 << 10); tenths++) {
            EXPECT(tenths < 1200);
            usleep(100000);
        }
        check();
    } else {
        for (int tenths = 0; tenths < 50; tenths++) {
            EXPECT(huge_kib() == 0);
            usleep(100000);
        }
        check();
    }
    say("done");
    return 0;
}
