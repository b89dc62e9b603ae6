/* What the profiler is asked of by a program: a case each. */
#define _GNU_SOURCE
#include "expect.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

static int dump(const char *path) { return mallctl("prof.dump", NULL, NULL, &path, sizeof path); }

static void act(const char *name) { EXPECT(mallctl(name, NULL, NULL, NULL, 0) == 0); }

static void set(const char *name, bool value) {
    EXPECT(mallctl(name, NULL, NULL, &value, sizeof value) == 0);
}

static bool is_on(const char *name) {
    bool value = false;
    size_t length = sizeof value;
    EXPECT(mallctl(name, &value, &length, NULL, 0) == 0);
    return value;
}

/* Objects of known sites: each keeps `count` of `size` bytes. */
static void **volatile kept[8];

#define SITE(name, place, size)                                                                    \
    __attribute__((noinline)) static void name(size_t count) {                                     \
        void **all = calloc(count, sizeof *all);                                                   \
        for (size_t at = 0; at < count; at++) {                                                    \
            all[at] = malloc(size);                                                                \
        }                                                                                          \
        kept[place] = all;                                                                         \
    }

SITE(site_small, 0, 100)
SITE(site_middle, 1, 3000)
SITE(site_large, 2, 50000)

static void truth(const char *path) {
    site_small(200000);
    site_middle(20000);
    site_large(1000);
    /* Gone again: not live. */
    for (size_t at = 0; at < 100000; at++) {
        void *volatile brief = malloc(2000);
        free(brief);
    }
    EXPECT(dump(path) == 0);
}

static void names(void) {
    const char *none = NULL;
    EXPECT(mallctl("prof.dump", NULL, NULL, NULL, 0) == 0);
    EXPECT(mallctl("prof.dump", NULL, NULL, &none, sizeof none) == 0);
    EXPECT(dump("named.heap") == 0);
    const char *other = "other";
    EXPECT(mallctl("prof.prefix", NULL, NULL, &other, sizeof other) == 0);
    act("prof.dump");
    const char *empty = "";
    EXPECT(mallctl("prof.prefix", NULL, NULL, &empty, sizeof empty) == 0);
    EXPECT(mallctl("prof.dump", NULL, NULL, NULL, 0) == EFAULT);
    EXPECT(mallctl("prof.prefix", NULL, NULL, &none, sizeof none) == EFAULT);
    EXPECT(mallctl("prof.prefix", NULL, NULL, &other, sizeof other) == 0);
    pid_t child = fork();
    if (child == 0) {
        act("prof.dump");
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    printf("child %d\n", (int)child);
}

static void refusals(void) {
    EXPECT(dump("missing/folder.heap") == EFAULT);
    EXPECT(dump(".") == EFAULT);
    EXPECT(dump("/dev/full") == EFAULT);
    EXPECT(dump("/dev/null") == 0);
    EXPECT(access("/dev/null", W_OK) == 0);
    char path[5000];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    EXPECT(dump(path) == EFAULT);
    path[300] = 0;
    EXPECT(dump(path) == EFAULT);
}

static volatile bool stop;

static void *churn(void *seed) {
    unsigned state = (unsigned)(uintptr_t)seed;
    void *mine[500] = {0};
    while (!stop) {
        state = state * 1664525u + 1013904223u;
        unsigned at = (state >> 8) % 500;
        free(mine[at]);
        mine[at] = malloc((state >> 16) % 5000);
    }
    for (int at = 0; at < 500; at++) {
        free(mine[at]);
    }
    return NULL;
}

/* Dumps while threads go on, come and go, and processes fork. */
static void busy(void) {
    pthread_t threads[3];
    for (uintptr_t at = 0; at < 3; at++) {
        EXPECT(pthread_create(&threads[at], NULL, churn, (void *)at) == 0);
    }
    for (int round = 0; round < 12; round++) {
        char path[32];
        snprintf(path, sizeof path, "busy.%d.heap", round);
        EXPECT(dump(path) == 0);
        pid_t child = fork();
        if (child == 0) {
            snprintf(path, sizeof path, "child.%d.heap", round);
            _exit(dump(path));
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        if (round == 6) {
            act("prof.reset");
        }
    }
    stop = true;
    for (int at = 0; at < 3; at++) {
        EXPECT(pthread_join(threads[at], NULL) == 0);
    }
}

/* A process that began without the profiler. */
static void late(void) {
    EXPECT(!is_on("prof.active") && !is_on("opt.prof"));
    EXPECT(dump("late.heap") == ENOENT);
    set("prof.active", false);
    EXPECT(dump("late.heap") == ENOENT);
    set("prof.active", true);
    EXPECT(is_on("prof.active") && is_on("thread.prof.active"));
    site_middle(10000);
    EXPECT(dump("late.heap") == 0);
    set("prof.active", false);
    EXPECT(!is_on("prof.active"));
}

static void leak(void) {
    site_small(50);
    site_middle(3);
}

static int told;
static void dumped(const char *path) {
    told++;
    EXPECT(strcmp(path, "hooked.heap") == 0);
    /* It may allocate. */
    free(malloc(100000));
}

static int sampled_objects, released_objects;
static void sampled(const void *object, size_t size, void **frames, unsigned count, size_t usable) {
    EXPECT(object != NULL && size <= usable && count > 0 && frames[0] != NULL);
    sampled_objects++;
    free(malloc(10));
}
static void released(const void *object, size_t usable) {
    EXPECT(object != NULL && usable > 0);
    released_objects++;
    free(malloc(10));
}

static void hooks(void) {
    void *hook = (void *)dumped;
    EXPECT(mallctl("experimental.hooks.prof_dump", NULL, NULL, &hook, sizeof hook) == 0);
    EXPECT(dump("hooked.heap") == 0 && told == 1);
    EXPECT(dump("missing/folder.heap") == EFAULT && told == 1);
    hook = (void *)sampled;
    EXPECT(mallctl("experimental.hooks.prof_sample", NULL, NULL, &hook, sizeof hook) == 0);
    hook = (void *)released;
    EXPECT(mallctl("experimental.hooks.prof_sample_free", NULL, NULL, &hook, sizeof hook) == 0);
    site_small(100);
    for (int at = 0; at < 100; at++) {
        free(kept[0][at]);
    }
    EXPECT(sampled_objects >= 100 && released_objects >= 100);
    hook = NULL;
    EXPECT(mallctl("experimental.hooks.prof_sample", NULL, NULL, &hook, sizeof hook) == 0);
    EXPECT(mallctl("experimental.hooks.prof_sample_free", NULL, NULL, &hook, sizeof hook) == 0);
    EXPECT(mallctl("experimental.hooks.prof_dump", NULL, NULL, &hook, sizeof hook) == 0);
}

static void written(void *pieces, const char *piece) {
    (void)pieces;
    fputs(piece, stdout);
}

/* The last samples and a log of lives, as JSON. */
static void lives(void) {
    const char *path = "lives.json";
    EXPECT(mallctl("prof.log_stop", NULL, NULL, NULL, 0) == EFAULT);
    EXPECT(mallctl("prof.log_start", NULL, NULL, &path, sizeof path) == 0);
    EXPECT(mallctl("prof.log_start", NULL, NULL, &path, sizeof path) == EFAULT);
    const char *name = "the main one";
    EXPECT(mallctl("thread.prof.name", NULL, NULL, &name, sizeof name) == 0);
    site_middle(20);
    for (int at = 0; at < 10; at++) {
        free(kept[1][at]);
    }
    EXPECT(mallctl("prof.log_stop", NULL, NULL, NULL, 0) == 0);
    struct {
        void (*write)(void *, const char *);
        void *word;
    } packet = {written, NULL};
    fflush(stdout);
    EXPECT(mallctl("experimental.prof_recent.alloc_dump", NULL, NULL, &packet, sizeof packet) == 0);
    puts("");
}

/* Tags and generations, told by the details. */
static void tags(void) {
    uint16_t tag = 7, before = 1;
    size_t length = sizeof before;
    EXPECT(mallctl("jemoxide.prof.tag", &before, &length, &tag, sizeof tag) == 0 && before == 0);
    site_small(10);
    uint32_t generation = 0;
    length = sizeof generation;
    EXPECT(mallctl("jemoxide.prof.generation", &generation, &length, &generation,
                   sizeof generation) == 0);
    EXPECT(generation == 1);
    site_large(3);
    EXPECT(dump("tags.heap") == 0);
}

/* Sampling by a signal, in a program that rests. */
static void signalled(void) {
    EXPECT(!is_on("prof.active"));
    EXPECT(kill(getpid(), SIGUSR1) == 0);
    while (!is_on("prof.active")) {
        usleep(1000);
    }
    site_middle(10000);
    EXPECT(kill(getpid(), SIGUSR1) == 0);
    while (is_on("prof.active")) {
        usleep(1000);
    }
    char path[64];
    snprintf(path, sizeof path, "jeprof.%d.0.m0.heap", (int)getpid());
    while (access(path, R_OK) != 0) {
        usleep(1000);
    }
}

static int asked;

/* Takes text as a string builder would: allocates enough for profiles to become due, and asks for one. */
static void building(void *word, const char *text) {
    (void)word;
    EXPECT(text[0] != 0);
    for (int at = 0; at < 2000; at++) {
        EXPECT(malloc(4000) != NULL);
    }
    EXPECT(dump("inner.heap") == EFAULT);
    EXPECT(mallctl("prof.reset", NULL, NULL, NULL, 0) == EFAULT);
    asked++;
}

static void ending(void *word, const char *text) {
    (void)word, (void)text;
    exit(0);
}

static void recents_to(void (*write)(void *, const char *)) {
    struct {
        void (*write)(void *, const char *);
        void *word;
    } packet = {write, NULL};
    EXPECT(mallctl("experimental.prof_recent.alloc_dump", NULL, NULL, &packet, sizeof packet) == 0);
}

/* Who reads the profiler's text comes back to the profiler. */
static void reader(void) {
    site_small(2000);
    recents_to(building);
    EXPECT(asked > 0);
    EXPECT(dump("reader.heap") == 0);
}

static void reader_ends(void) {
    site_small(200);
    recents_to(ending);
}

static void *kept_by_path[1 << 15];
static unsigned paths;

static void path_one(int depth, unsigned path);
static void path_zero(int depth, unsigned path);

__attribute__((noinline)) static void path_step(int depth, unsigned path) {
    if (depth == 0) {
        kept_by_path[paths++] = malloc(100);
    } else if (path & 1) {
        path_one(depth - 1, path >> 1);
    } else {
        path_zero(depth - 1, path >> 1);
    }
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void path_zero(int depth, unsigned path) {
    path_step(depth, path);
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void path_one(int depth, unsigned path) {
    path_step(depth, path);
    __asm__ volatile("nop" ::: "memory");
}

static size_t lg_sample(void) {
    size_t lg = 0, length = sizeof lg;
    EXPECT(mallctl("prof.lg_sample", &lg, &length, NULL, 0) == 0);
    return lg;
}

static void *resets(void *none) {
    size_t lg = 1;
    EXPECT(mallctl("prof.reset", NULL, NULL, &lg, sizeof lg) == 0);
    return none;
}

/* Forks in the middle of a reset of many stacks; the children free, allocate and dump. */
static void fork_reset(void) {
    for (unsigned path = 0; path < 1 << 15; path++) {
        path_step(15, path);
    }
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, resets, NULL) == 0);
    /* What was counted is void from the very moment on that has the new period. */
    while (lg_sample() == 0) {
    }
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            for (unsigned at = 0; at < paths; at += 2) {
                free(kept_by_path[at]);
            }
            for (int at = 0; at < 5000; at++) {
                EXPECT(malloc(100 + at % 50) != NULL);
            }
            char path[32];
            snprintf(path, sizeof path, "child.%d.heap", round);
            _exit(dump(path));
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    }
    EXPECT(pthread_join(thread, NULL) == 0);
}

/* Logs one after the other. */
static void logs(void) {
    for (int round = 0; round < 3; round++) {
        const char *path = "logs.json";
        EXPECT(mallctl("prof.log_start", NULL, NULL, &path, sizeof path) == 0);
        act("prof.log_stop");
    }
}

static int dumps;
static void spoiling(const char *path) {
    (void)path;
    dumps++;
    errno = 77;
}

/* A hook that is called in the middle of allocations changes errno. */
static void hook_errno(void) {
    void *hook = (void *)spoiling;
    EXPECT(mallctl("experimental.hooks.prof_dump", NULL, NULL, &hook, sizeof hook) == 0);
    for (int at = 0; at < 100000; at++) {
        errno = 5;
        void *volatile object = malloc(200);
        EXPECT(errno == 5);
        free(object);
        EXPECT(errno == 5);
    }
    EXPECT(dumps > 2);
}

static int depth, deepest, calls;
static void *victims[64];
static int victims_left;
static void nesting(const void *object, size_t size, void **frames, unsigned count,
                    size_t usable) {
    (void)object, (void)size, (void)frames, (void)count, (void)usable;
    calls++;
    depth++;
    if (depth > deepest) {
        deepest = depth;
    }
    if (depth < 5 && victims_left > 0) {
        /* Its own hook runs, and then no sample may be taken all the same. */
        free(victims[--victims_left]);
        EXPECT(malloc(48) != NULL);
        if (calls == 2) {
            /* Draws are void from here on; the thread is at work on a sample still. */
            act("prof.reset");
            EXPECT(malloc(48) != NULL);
        }
    }
    depth--;
}
static void ignoring(const void *object, size_t usable) { (void)object, (void)usable; }

static void nested_hooks(void) {
    for (int at = 0; at < 64; at++) {
        victims[victims_left++] = malloc(48);
    }
    void *hook = (void *)ignoring;
    EXPECT(mallctl("experimental.hooks.prof_sample_free", NULL, NULL, &hook, sizeof hook) == 0);
    hook = (void *)nesting;
    EXPECT(mallctl("experimental.hooks.prof_sample", NULL, NULL, &hook, sizeof hook) == 0);
    site_small(10);
    hook = NULL;
    EXPECT(mallctl("experimental.hooks.prof_sample", NULL, NULL, &hook, sizeof hook) == 0);
    EXPECT(calls >= 10 && deepest == 1);
}

static void *stops_log(void *none) {
    act("prof.log_stop");
    return none;
}

/* Forks while a log is being written; the child logs anew. */
static void fork_log(void) {
    EXPECT(mkfifo("pipe", 0600) == 0);
    int end = open("pipe", O_RDONLY | O_NONBLOCK);
    EXPECT(end >= 0);
    const char *path = "pipe";
    EXPECT(mallctl("prof.log_start", NULL, NULL, &path, sizeof path) == 0);
    for (int at = 0; at < 20000; at++) {
        void *volatile brief = malloc(100);
        free(brief);
    }
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, stops_log, NULL) == 0);
    /* Until the pipe is full: the log is longer. */
    char byte;
    while (read(end, &byte, 1) != 1) {
        usleep(1000);
    }
    usleep(100000);
    pid_t child = fork();
    if (child == 0) {
        path = "child.json";
        for (int round = 0; round < 2; round++) {
            EXPECT(mallctl("prof.log_start", NULL, NULL, &path, sizeof path) == 0);
            site_small(10);
            free(kept[0][0]);
            act("prof.log_stop");
        }
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(fcntl(end, F_SETFL, 0) == 0);
    char bytes[65536];
    while (read(end, bytes, sizeof bytes) > 0) {
    }
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(unlink("pipe") == 0);
}

/* A path beyond the thousand bytes that a message has room for. */
static char long_path[2000];
static int told_long;
static void dumped_far(const char *path) {
    EXPECT(strcmp(path, long_path) == 0);
    told_long++;
}
static void far(void) {
    for (int part = 0; part < 6; part++) {
        size_t length = strlen(long_path);
        memset(long_path + length, 'a' + part, 200);
        EXPECT(mkdir(long_path, 0755) == 0);
        strcat(long_path, "/");
    }
    strcat(long_path, "far.heap");
    EXPECT(strlen(long_path) > 1200);
    void *hook = (void *)dumped_far;
    EXPECT(mallctl("experimental.hooks.prof_dump", NULL, NULL, &hook, sizeof hook) == 0);
    EXPECT(dump(long_path) == 0 && told_long == 1);
}

/* More tags at one site than are told apart. */
static void many_tags(void) {
    for (uint16_t tag = 1; tag <= 200; tag++) {
        EXPECT(mallctl("jemoxide.prof.tag", NULL, NULL, &tag, sizeof tag) == 0);
        site_small(1);
    }
    EXPECT(dump("many_tags.heap") == 0 && dump("again.heap") == 0);
}

/* While a sample ends, nobody else has its address: more objects of its size than a slab has room for are none of them there. */
static int samples_ended;
static size_t asked_for;
static void meets_others(const void *object, size_t usable) {
    enum { MANY = 400 };
    (void)usable;
    void *others[MANY];
    for (int at = 0; at < MANY; at++) {
        others[at] = malloc(asked_for);
        EXPECT(others[at] != NULL && others[at] != object);
    }
    for (int at = 0; at < MANY; at++) {
        free(others[at]);
    }
    samples_ended++;
}
static void own_address(void) {
    const size_t sizes[] = {1, 100, 3000, 50000};
    enum { SIZES = sizeof sizes / sizeof sizes[0], EACH = 80 };
    void *hook = (void *)meets_others;
    EXPECT(mallctl("experimental.hooks.prof_sample_free", NULL, NULL, &hook, sizeof hook) == 0);
    for (int size = 0; size < SIZES; size++) {
        void *objects[EACH];
        asked_for = sizes[size];
        for (int at = 0; at < EACH; at++) {
            EXPECT((objects[at] = malloc(asked_for)) != NULL);
        }
        for (int at = 0; at < EACH; at++) {
            free(objects[at]);
        }
    }
    hook = NULL;
    EXPECT(mallctl("experimental.hooks.prof_sample_free", NULL, NULL, &hook, sizeof hook) == 0);
    EXPECT(samples_ended >= SIZES * EACH);
}

/* Threads that allocate all the time, as sampling goes on and off. */
enum { WORKERS = 3 };
static volatile bool is_over;
static uint64_t passed[WORKERS];
static void *works(void *own) {
    uint64_t *count = own;
    while (!is_over) {
        void *volatile object = malloc(100);
        free(object);
        __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* Lets every worker pass so many objects. */
static void let_pass(uint64_t objects) {
    for (int at = 0; at < WORKERS; at++) {
        uint64_t until = __atomic_load_n(&passed[at], __ATOMIC_RELAXED) + objects;
        while (__atomic_load_n(&passed[at], __ATOMIC_RELAXED) < until) {
            usleep(100);
        }
    }
}

/* Samples of the workers' size so far. */
static uint64_t samples(void) {
    static int own = -1;
    if (own < 0) {
        unsigned bins;
        size_t length = sizeof bins;
        EXPECT(mallctl("arenas.nbins", &bins, &length, NULL, 0) == 0);
        for (unsigned bin = 0; bin < bins; bin++) {
            char name[64];
            size_t size;
            length = sizeof size;
            snprintf(name, sizeof name, "arenas.bin.%u.size", bin);
            EXPECT(mallctl(name, &size, &length, NULL, 0) == 0);
            if (size == 112) {
                own = (int)bin;
            }
        }
        EXPECT(own >= 0);
    }
    char name[64];
    uint64_t counts[2];
    size_t length = sizeof counts;
    snprintf(name, sizeof name, "prof.stats.bins.%d.accum", own);
    EXPECT(mallctl(name, counts, &length, NULL, 0) == 0);
    return counts[1];
}

static void switch_by_key(bool on) { set("prof.active", on); }

/* Done by the next slow entry of whoever comes. */
static void switch_by_signal(bool on) {
    raise(SIGUSR1);
    while (is_on("prof.active") != on) {
        usleep(1000);
    }
}

static void switched(void (*by)(bool)) {
    enum { HEARD = 5000, COUNTED = 50000 };
    pthread_t threads[WORKERS];
    for (int at = 0; at < WORKERS; at++) {
        EXPECT(pthread_create(&threads[at], NULL, works, &passed[at]) == 0);
    }
    /* What the options had on goes off first. */
    if (is_on("prof.active")) {
        uint64_t before = samples();
        let_pass(COUNTED);
        EXPECT(samples() > before);
        by(false);
    }
    for (int round = 0; round < 10; round++) {
        let_pass(HEARD);
        uint64_t before = samples();
        let_pass(HEARD);
        EXPECT(samples() == before);
        by(true);
        let_pass(HEARD);
        before = samples();
        let_pass(COUNTED);
        /* One of 37 is one, at a mean of 4 KiB. */
        EXPECT(samples() > before + WORKERS * COUNTED / 37 / 2);
        by(false);
    }
    is_over = true;
    for (int at = 0; at < WORKERS; at++) {
        EXPECT(pthread_join(threads[at], NULL) == 0);
    }
}

/* A name that would be lines of a profile. */
static void system_name(void) {
    EXPECT(prctl(PR_SET_NAME, "a\n@ 0x1 0x2") == 0);
    site_small(1000);
    EXPECT(dump("system_name.heap") == 0);
}

int main(int count, char **words) {
    EXPECT(count >= 2 && mallctl != NULL);
    const char *name = words[1];
    if (strcmp(name, "truth") == 0) {
        truth(words[2]);
    } else if (strcmp(name, "names") == 0) {
        names();
    } else if (strcmp(name, "refusals") == 0) {
        refusals();
    } else if (strcmp(name, "busy") == 0) {
        busy();
    } else if (strcmp(name, "late") == 0) {
        late();
    } else if (strcmp(name, "leak") == 0) {
        leak();
    } else if (strcmp(name, "hooks") == 0) {
        hooks();
    } else if (strcmp(name, "lives") == 0) {
        lives();
    } else if (strcmp(name, "tags") == 0) {
        tags();
    } else if (strcmp(name, "signalled") == 0) {
        signalled();
    } else if (strcmp(name, "reader") == 0) {
        reader();
    } else if (strcmp(name, "reader_ends") == 0) {
        reader_ends();
    } else if (strcmp(name, "fork_reset") == 0) {
        fork_reset();
    } else if (strcmp(name, "logs") == 0) {
        logs();
    } else if (strcmp(name, "hook_errno") == 0) {
        hook_errno();
    } else if (strcmp(name, "nested_hooks") == 0) {
        nested_hooks();
    } else if (strcmp(name, "fork_log") == 0) {
        fork_log();
    } else if (strcmp(name, "far") == 0) {
        far();
    } else if (strcmp(name, "many_tags") == 0) {
        many_tags();
    } else if (strcmp(name, "switched") == 0) {
        switched(switch_by_key);
    } else if (strcmp(name, "signalled_often") == 0) {
        switched(switch_by_signal);
    } else if (strcmp(name, "system_name") == 0) {
        system_name();
    } else if (strcmp(name, "own_address") == 0) {
        own_address();
    } else if (strcmp(name, "allocate") == 0) {
        site_middle(20000);
    } else {
        fail("no case %s", name);
    }
    puts("done");
    return 0;
}
