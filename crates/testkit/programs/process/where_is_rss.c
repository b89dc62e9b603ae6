/* Where is my RSS? The report of the key `jemoxide.rss`, through the phases of a program that keeps its own books:
 * a live set, a tenth of it left, the pages inside slabs purged, threads with caches, a forked child. The lines add up
 * to the resident set at any time, and what they leave unexplained is small.
 *
 * While it waits it calls nothing that allocates.
 */
#include "expect.h"
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>

static int (*mallctl)(const char *, void *, size_t *, void *, size_t);

enum { OBJECTS = 200000, THREADS = 12, LIMIT_S = 60 };
static const double MIB = 1 << 20;
static void *objects[OBJECTS];

static const char *report(void) {
    const char *text = NULL;
    size_t length = sizeof text;
    EXPECT(mallctl("jemoxide.rss", &text, &length, NULL, 0) == 0);
    EXPECT(text != NULL && text[0] == '{' && text[strlen(text) - 1] == '}');
    return text;
}

static double line_of(const char *text, const char *name) {
    char key[40];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(text, key);
    EXPECT(at != NULL);
    return strtod(at + strlen(key), NULL);
}

/* The report, after the checks that hold at any time: a copy. */
static void look(const char *phase, char copy[1024]) {
    static const char *const LINES[] = {
        "live",   "internal_slack", "free_slots",    "thread_caches", "depot",  "run_cache", "dirty",
        "muzzy",  "huge_rounding",  "arenas",        "metadata",      "stacks", "files",     "other", "unexplained",
    };
    strcpy(copy, report());
    double sum = 0, rss = line_of(copy, "rss"), unexplained = line_of(copy, "unexplained");
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        sum += line_of(copy, LINES[i]);
    }
    EXPECT(sum == rss);
    double most = rss / 50 + MIB / 4;
    if (unexplained > most || unexplained < -most) {
        fprintf(stderr, "%s: %s\n", phase, copy);
        EXPECT(!"little is unexplained");
    }
}

static int is_near(double value, double expected) {
    double apart = value > expected ? value - expected : expected - value;
    return apart <= expected / 50 + MIB / 2;
}

static double live_bytes(void) {
    double sum = 0;
    for (int i = 0; i < OBJECTS; i++) {
        sum += (double)malloc_usable_size(objects[i]);
    }
    return sum;
}

/* Pages of an arena made by request are ours, in use and idle. */
static void expect_arenas(void) {
    static char then[1024], now[1024];
    unsigned index;
    size_t length = sizeof index;
    ssize_t never = -1;
    char name[60];
    look("before an arena", then);
    EXPECT(line_of(then, "arenas") == 0);
    EXPECT(mallctl("arenas.create", &index, &length, NULL, 0) == 0);
    snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", index);
    EXPECT(mallctl(name, NULL, NULL, &never, sizeof never) == 0);
    EXPECT(mallctl("thread.arena", NULL, NULL, &index, sizeof index) == 0);
    void *blocks[200];
    for (int i = 0; i < 200; i++) {
        blocks[i] = malloc(i % 2 == 0 ? 100000 : 1000);
        EXPECT(blocks[i] != NULL);
        memset(blocks[i], 1, malloc_usable_size(blocks[i]));
    }
    look("an arena", now);
    EXPECT(is_near(line_of(now, "arenas"), 100 * 102400.0));
    EXPECT(is_near(line_of(now, "other"), line_of(then, "other")));
    for (int i = 0; i < 200; i += 2) {
        free(blocks[i]);
    }
    look("an arena's dirty pages", now);
    EXPECT(is_near(line_of(now, "arenas"), 100 * 102400.0));
    unsigned first = 0;
    EXPECT(mallctl("thread.arena", NULL, NULL, &first, sizeof first) == 0);
    snprintf(name, sizeof name, "arena.%u.destroy", index);
    EXPECT(mallctl(name, NULL, NULL, NULL, 0) == 0);
    look("no arena", now);
    EXPECT(line_of(now, "arenas") == 0);
}

static pthread_barrier_t full, done;

static void *worker(void *unused) {
    void *own[500];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 500; i++) {
            own[i] = malloc(256);
            EXPECT(own[i] != NULL);
            memset(own[i], 1, 256);
        }
        for (int i = 0; i < 500; i++) {
            free(own[i]);
        }
    }
    pthread_barrier_wait(&full);
    pthread_barrier_wait(&done);
    return unused;
}

int main(void) {
    char start[1024], now[1024], then[1024];
    *(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
    EXPECT(mallctl != NULL);
    strcpy(start, report());
    if (strstr(start, "\"is_measured\":true") == NULL || strstr(start, "\"is_divided\":true") == NULL) {
        puts("not told");
        return 0;
    }
    expect_arenas();
    look("start", start);
    uint64_t random = 1;
    for (int i = 0; i < OBJECTS; i++) {
        size_t size = 16 + next_random(&random) % 1025;
        objects[i] = malloc(size);
        EXPECT(objects[i] != NULL);
        memset(objects[i], 1, size);
    }
    look("a live set", then);
    EXPECT(is_near(line_of(then, "live") - line_of(start, "live"), live_bytes()));

    for (int i = 0; i < OBJECTS; i++) {
        if (next_random(&random) % 10 != 0) {
            free(objects[i]);
            objects[i] = NULL;
        }
    }
    look("a tenth left", now);
    EXPECT(is_near(line_of(now, "live") - line_of(start, "live"), live_bytes()));
    double idle = line_of(now, "free_slots") + line_of(now, "depot") + line_of(now, "dirty");
    EXPECT(idle > line_of(then, "live") / 2);

    /* Pages on which only free slots lie go back: the same slots, without memory. */
    for (int waited = 0; line_of(now, "slots_untouched") < line_of(now, "live") / 2; waited++) {
        EXPECT(waited < LIMIT_S * 10);
        struct timespec pause = {0, 100000000};
        nanosleep(&pause, NULL);
        look("purged inside slabs", now);
    }
    EXPECT(is_near(line_of(now, "live") - line_of(start, "live"), live_bytes()));
    EXPECT(line_of(now, "rss") < line_of(then, "rss"));

    EXPECT(pthread_barrier_init(&full, NULL, THREADS + 1) == 0);
    EXPECT(pthread_barrier_init(&done, NULL, THREADS + 1) == 0);
    pthread_t threads[THREADS];
    /* Nobody is to empty the caches while the threads wait. */
    bool off = false;
    EXPECT(mallctl("background_thread", NULL, NULL, &off, sizeof off) == 0);
    look("before the threads", then);
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, worker, NULL) == 0);
    }
    pthread_barrier_wait(&full);
    look("threads with caches", now);
    EXPECT(line_of(now, "thread_caches") > line_of(then, "thread_caches") + THREADS * 5000);
    EXPECT(line_of(now, "stacks") >= line_of(then, "stacks") + THREADS * 4096);

    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        look("a child", now);
        EXPECT(is_near(line_of(now, "live") - line_of(start, "live"), live_bytes()));
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);

    pthread_barrier_wait(&done);
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    for (int i = 0; i < OBJECTS; i++) {
        free(objects[i]);
    }
    malloc_trim(0);
    look("all freed", now);
    EXPECT(line_of(now, "live") < line_of(start, "live") + MIB / 2);
    EXPECT(line_of(now, "dirty") < MIB);
    puts("done");
    return 0;
}
