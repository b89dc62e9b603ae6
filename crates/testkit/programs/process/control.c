/* What keys do, seen from outside: argument, a case.
 *   switch   the purge thread is switched off and on while there is something to give back
 *   trim     malloc_trim answers 1 exactly when memory went back
 *   purge    arena.<i>.purge, arena.<i>.decay and jemoxide.purge give back what was freed
 *   decay    decay times are read and set by any automatic arena's name and by arenas.*
 *   cache    a thread without a cache allocates, frees, is flushed, and gets its cache again
 *   arena    a thread moves to another arena (run with narenas:4)
 *   loader   a library's constructor frees much: nothing hangs, it goes back
 *   signal   a signal handler frees much: likewise
 *   child    a forked child has the settings of its parent and a purge thread of its own
 *   lookup   arenas.lookup tells our memory from others'
 */
#include "expect.h"
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

enum { COUNT = 200000, SIZE = 512 };
static void *blocks[COUNT];

static void allocate(void) {
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZE);
        EXPECT(blocks[i] != NULL);
        memset(blocks[i], 1, SIZE);
    }
}

static void release(void) {
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
}

/* To be called by a library: see purge_constructor.c. */
void control_release(void) { release(); }

static size_t size_of(const char *name) {
    size_t value = 0, length = sizeof value;
    int code = mallctl(name, &value, &length, NULL, 0);
    if (code != 0) {
        fail("%s: %d", name, code);
    }
    return value;
}

static void refresh(void) {
    uint64_t epoch = 1;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
}

static void deed(const char *name) {
    int code = mallctl(name, NULL, NULL, NULL, 0);
    if (code != 0) {
        fail("%s: %d", name, code);
    }
}

/* Sets a switch and answers what it was. */
static int set_switch(const char *name, unsigned char wanted) {
    unsigned char before = 7;
    size_t length = 1;
    EXPECT(mallctl(name, &before, &length, &wanted, 1) == 0 && before <= 1);
    return before;
}

static size_t purge_threads(void) {
    refresh();
    return size_of("stats.background_thread.num_threads");
}

/* Waits until memory is down to `goal` KiB. */
static void wait_until_down(size_t goal) {
    for (int tenths = 0; rss_kib() > goal; tenths++) {
        if (tenths == 900) {
            fail("still %zu KiB, goal %zu", rss_kib(), goal);
        }
        usleep(100000);
    }
}

static void switch_case(size_t before) {
    refresh();
    EXPECT(set_switch("background_thread", 1) == 1);
    EXPECT(set_switch("background_thread", 0) == 1);
    EXPECT(set_switch("background_thread", 0) == 0);
    allocate();
    release();
    for (int tenths = 0; tenths < 15; tenths++) {
        EXPECT(purge_threads() == 0);
        usleep(100000);
    }
    EXPECT(rss_kib() > before + 20000);
    /* The switch itself starts it. */
    EXPECT(set_switch("background_thread", 1) == 0);
    wait_until_down(before + 8192);
    refresh();
    EXPECT(size_of("stats.background_thread.num_runs") > 0);
    /* Off while it is at work: once the call is back it is gone. */
    for (int round = 0; round < 20; round++) {
        allocate();
        release();
        EXPECT(set_switch("background_thread", 0) == 1);
        EXPECT(purge_threads() == 0);
        EXPECT(set_switch("background_thread", 1) == 0);
    }
    size_t most = size_of("max_background_threads"), length = sizeof most, wanted = 1;
    EXPECT(most == 4 && most == size_of("opt.max_background_threads"));
    EXPECT(mallctl("max_background_threads", &most, &length, &wanted, sizeof wanted) == 0);
    EXPECT(most == 4 && size_of("max_background_threads") == 1);
    for (wanted = 0; wanted < 6; wanted += 5) {
        EXPECT(mallctl("max_background_threads", NULL, NULL, &wanted, sizeof wanted) == EINVAL);
    }
}

static void trim_case(size_t before) {
    while (malloc_trim(0) == 1) {
    }
    EXPECT(malloc_trim(0) == 0);
    allocate();
    release();
    EXPECT(malloc_trim(0) == 1);
    EXPECT(rss_kib() < before + 4096);
    EXPECT(malloc_trim(0) == 0);
    /* Pages inside slabs: all but one object of each eight pages go. */
    allocate();
    for (int i = 0; i < COUNT; i++) {
        if (i % 64 != 0) {
            free(blocks[i]);
        }
    }
    size_t full = rss_kib();
    EXPECT(malloc_trim(0) == 1);
    EXPECT(rss_kib() < full - 60000);
    EXPECT(malloc_trim(0) == 0);
}

static void purge_case(size_t before) {
    static const char *const names[] = {"arena.0.purge", "arena.4096.purge", "arena.1.purge"};
    for (int i = 0; i < 3; i++) {
        allocate();
        release();
        deed("thread.tcache.flush");
        deed(names[i]);
        if (rss_kib() > before + 4096) {
            fail("%s leaves %zu KiB", names[i], rss_kib() - before);
        }
        refresh();
        EXPECT(size_of("stats.arenas.0.pdirty") == 0);
    }
    refresh();
    EXPECT(size_of("stats.arenas.0.dirty_purged") > 0 && size_of("stats.arenas.0.dirty_npurge") > 0);
    /* None is left of those that were destroyed. */
    allocate();
    release();
    size_t full = rss_kib();
    deed("arena.4097.purge");
    EXPECT(rss_kib() + 1024 > full);
    size_t given = 0, length = sizeof given, any = 1;
    EXPECT(mallctl("jemoxide.purge", &given, &length, &any, sizeof any) == 0);
    EXPECT(given > 90 * 1000 * 1000 && given == size_of("jemoxide.purge"));
    EXPECT(rss_kib() < before + 4096);
    /* Nothing is due yet, and all of it with a decay time of 0. */
    ssize_t none = 0;
    EXPECT(mallctl("arena.0.dirty_decay_ms", NULL, NULL, &none, sizeof none) == 0);
    allocate();
    release();
    deed("thread.tcache.flush");
    deed("arena.4096.decay");
    refresh();
    EXPECT(size_of("stats.arenas.4096.pdirty") == 0);
}

static ssize_t set_decay(const char *name, ssize_t wanted, int code) {
    ssize_t before = -7;
    size_t length = sizeof before;
    EXPECT(mallctl(name, &before, &length, &wanted, sizeof wanted) == code);
    return before;
}

static void decay_case(size_t before) {
    EXPECT(set_decay("arena.0.dirty_decay_ms", 5000, 0) == 10000);
    EXPECT(set_decay("arenas.dirty_decay_ms", 4000, 0) == 5000);
    EXPECT(set_decay("arena.0.muzzy_decay_ms", 300, 0) == 0);
    EXPECT((ssize_t)size_of("stats.arenas.0.muzzy_decay_ms") == 300);
    EXPECT((ssize_t)size_of("arenas.muzzy_decay_ms") == 300);
    EXPECT(set_decay("arena.0.muzzy_decay_ms", 0, 0) == 300);
    EXPECT(set_decay("arena.0.dirty_decay_ms", -2, EFAULT) == 4000);
    EXPECT(set_decay("arena.0.dirty_decay_ms", LONG_MAX, EFAULT) == 4000);
    EXPECT((ssize_t)size_of("opt.dirty_decay_ms") == 10000);
    /* Never: no thread comes, nothing goes. */
    EXPECT(set_decay("arena.0.dirty_decay_ms", -1, 0) == 4000);
    allocate();
    release();
    for (int tenths = 0; tenths < 15; tenths++) {
        EXPECT(purge_threads() == 0);
        usleep(100000);
    }
    size_t idle = size_of("stats.arenas.0.pdirty");
    /* A short time: it comes, all goes. */
    EXPECT(idle > 0 && set_decay("arenas.dirty_decay_ms", 200, 0) == -1);
    free(malloc(64 << 20));
    wait_until_down(before + 8192);
    /* At once. */
    EXPECT(set_decay("arena.0.dirty_decay_ms", 0, 0) == 200);
    free(malloc(64 << 20));
    refresh();
    EXPECT(size_of("stats.arenas.0.pdirty") == 0);
}

static void *uncached(void *argument) {
    EXPECT(set_switch("thread.tcache.enabled", 0) == 1);
    EXPECT(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == EFAULT);
    deed("thread.idle");
    refresh();
    size_t cached = size_of("stats.arenas.4096.tcache_bytes");
    uint64_t random = 5;
    for (int round = 0; round < 20000; round++) {
        int at = (int)(next_random(&random) % 1000);
        free_stamped(blocks[at]);
        blocks[at] = new_stamped(next_size(&random), random);
    }
    for (int at = 0; at < 1000; at++) {
        free_stamped(blocks[at]);
        blocks[at] = NULL;
    }
    refresh();
    /* What it freed went to the slabs. */
    EXPECT(size_of("stats.arenas.4096.tcache_bytes") <= cached);
    EXPECT(set_switch("thread.tcache.enabled", argument != NULL) == 0);
    for (int round = 0; round < 1000; round++) {
        free_stamped(new_stamped(100 + (size_t)round, 1));
    }
    EXPECT(set_switch("thread.tcache.enabled", argument != NULL) == (argument != NULL));
    return NULL;
}

static void *fresh(void *argument) {
    EXPECT(set_switch("thread.tcache.enabled", 1) == 1);
    deed("thread.tcache.flush");
    return argument;
}

static void cache_case(size_t before) {
    (void)before;
    static void *(*const bodies[])(void *) = {uncached, fresh, uncached, fresh};
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        /* The second ends with its cache off: whoever takes it over has one. */
        EXPECT(pthread_create(&thread, NULL, bodies[i], (void *)(intptr_t)(i < 2)) == 0);
        EXPECT(pthread_join(thread, NULL) == 0);
    }
    uncached((void *)1);
}

static unsigned set_arena(unsigned wanted, int code) {
    unsigned old = 77;
    size_t length = sizeof old;
    EXPECT(mallctl("thread.arena", &old, &length, &wanted, sizeof wanted) == code);
    return old;
}

static void arena_case(size_t before) {
    (void)before;
    unsigned number = 0;
    size_t length = sizeof number;
    EXPECT(mallctl("opt.narenas", &number, &length, NULL, 0) == 0 && number == 4);
    EXPECT(set_arena(2, 0) < 4 && set_arena(2, 0) == 2 && set_arena(4, EFAULT) == 2);
    EXPECT(set_arena(2, 0) == 2);
    refresh();
    EXPECT(mallctl("stats.arenas.2.nthreads", &number, &length, NULL, 0) == 0 && number == 1);
    deed("thread.tcache.flush");
    deed("jemoxide.purge");
    void *block = malloc(3000);
    unsigned arena = 77;
    EXPECT(mallctl("arenas.lookup", &arena, &length, &block, sizeof block) == 0 && arena == 2);
    free(block);
    EXPECT(mallctl("arena.3.purge", NULL, NULL, NULL, 0) == 0);
    EXPECT(mallctl("arena.5.purge", NULL, NULL, NULL, 0) == ENOENT);
}

static void handler(int signal) {
    (void)signal;
    int saved = errno;
    release();
    errno = saved;
}

static void *spin(void *argument) { return argument; }

static void loader_case(size_t before) {
    const char *library = getenv("CONSTRUCTOR");
    EXPECT(library != NULL);
    for (int round = 0; round < 3; round++) {
        allocate();
        void *handle = dlopen(library, RTLD_NOW);
        if (handle == NULL) {
            fail("%s", dlerror());
        }
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, spin, NULL) == 0);
        EXPECT(pthread_join(thread, NULL) == 0);
        EXPECT(dlclose(handle) == 0);
        wait_until_down(before + 8192);
    }
}

static void signal_case(size_t before) {
    struct sigaction action = {.sa_handler = handler};
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int round = 0; round < 3; round++) {
        allocate();
        EXPECT(raise(SIGUSR1) == 0);
        wait_until_down(before + 8192);
    }
}

static void child_case(size_t before) {
    (void)before;
    set_decay("arena.0.dirty_decay_ms", 300, 0);
    for (int off = 0; off < 2; off++) {
        set_switch("background_thread", !off);
        allocate();
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            EXPECT(set_switch("background_thread", !off) == !off);
            EXPECT(set_decay("arena.0.dirty_decay_ms", 400, 0) == 300);
            size_t full = rss_kib();
            release();
            allocate();
            release();
            if (!off) {
                wait_until_down(full - 80000);
                refresh();
                EXPECT(size_of("stats.background_thread.num_runs") > 0);
            }
            EXPECT(set_switch("background_thread", 0) == !off);
            EXPECT(purge_threads() == 0);
            _exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        release();
    }
}

static void lookup_case(size_t before) {
    (void)before;
    unsigned arena = 77;
    size_t length = sizeof arena;
    void *ours[] = {malloc(1), (char *)malloc(100) + 50, malloc(100000), malloc(20000)};
    for (int i = 0; i < 4; i++) {
        EXPECT(mallctl("arenas.lookup", &arena, &length, &ours[i], sizeof ours[i]) == 0 && arena == 0);
    }
    void *others[] = {NULL, &arena, &errno, (void *)-1, (void *)(1L << 47), (void *)4096};
    for (int i = 0; i < 6; i++) {
        EXPECT(mallctl("arenas.lookup", &arena, &length, &others[i], 8) == EINVAL);
    }
    EXPECT(mallctl(NULL, NULL, NULL, NULL, 0) == ENOENT);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*body)(size_t);
    } cases[] = {{"switch", switch_case}, {"trim", trim_case},     {"purge", purge_case},
                 {"decay", decay_case},   {"cache", cache_case},   {"arena", arena_case},
                 {"loader", loader_case}, {"signal", signal_case}, {"child", child_case},
                 {"lookup", lookup_case}};
    EXPECT(count == 2 && mallctl != NULL);
    memset(blocks, 1, sizeof blocks);
    memset(blocks, 0, sizeof blocks);
    free(malloc(1));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(arguments[1], cases[i].name) == 0) {
            errno = 4242;
            cases[i].body(rss_kib());
            say("done");
            return 0;
        }
    }
    fail("no case %s", arguments[1]);
}
