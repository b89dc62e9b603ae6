/* Arenas made by request at hardening:strong and paranoid: whose an object is, however it was asked for and freed; what resets,
 * ends and hooks do; figures; a child. The program ends with "done", and misuses nothing.
 */
#include "expect.h"
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>

#define ARENA(a) ((int)(((unsigned)(a) + 1) << 20))
#define TCACHE(t) ((int)(((t) + 2) << 8))
#define NONE 0x100
#define ZERO 0x40

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));
extern void *mallocx(size_t, int) __attribute__((weak));
extern void *rallocx(void *, size_t, int) __attribute__((weak));
extern size_t sallocx(const void *, int) __attribute__((weak));
extern void dallocx(void *, int) __attribute__((weak));
extern void sdallocx(void *, size_t, int) __attribute__((weak));

/* A table of hooks: nine functions, of which the first allocates. */
typedef struct { void *calls[9]; } hooks_t;

static const char *name_of(const char *format, unsigned index) {
    static __thread char name[100];
    snprintf(name, sizeof name, format, index);
    return name;
}

static void deed(const char *format, unsigned index) {
    int code = mallctl(name_of(format, index), NULL, NULL, NULL, 0);
    if (code != 0) {
        fail("%s: %d", name_of(format, index), code);
    }
}

static uint64_t number(const char *format, unsigned index) {
    uint64_t value = 0, epoch = 1;
    size_t length = sizeof value;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    int code = mallctl(name_of(format, index), &value, &length, NULL, 0);
    if (code != 0) {
        fail("%s: %d", name_of(format, index), code);
    }
    return value;
}

static unsigned make(const char *key) {
    unsigned index = 0;
    size_t length = sizeof index;
    EXPECT(mallctl(key, &index, &length, NULL, 0) == 0);
    return index;
}

static unsigned owner(void *address) {
    unsigned index = ~0u;
    size_t length = sizeof index;
    EXPECT(mallctl("arenas.lookup", &index, &length, &address, sizeof address) == 0);
    return index;
}

static void bind_to(unsigned index) {
    EXPECT(mallctl("thread.arena", NULL, NULL, &index, sizeof index) == 0);
}

/* An object of the arena that is hardened: its size is what was asked for. */
static char *hard(void *object, size_t size, unsigned index) {
    EXPECT(object != NULL && owner(object) == index && sallocx(object, 0) == size);
    return memset(object, 5, size);
}

static void *free_there(void *object) {
    free(object);
    return NULL;
}

static void free_elsewhere(void *object) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_there, object) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
}

/* Every way in, every way out. */
static void ways(unsigned index, unsigned cache) {
    uint64_t out = number("stats.arenas.%u.small.ndalloc", index);
    uint64_t in = number("stats.arenas.%u.small.nmalloc", index);
    EXPECT(in == out);
    free(hard(mallocx(100, ARENA(index)), 100, index));
    dallocx(hard(mallocx(101, ARENA(index) | NONE), 101, index), NONE);
    dallocx(hard(mallocx(102, ARENA(index) | TCACHE(cache)), 102, index), TCACHE(cache));
    sdallocx(hard(mallocx(103, ARENA(index) | ZERO), 103, index), 103, 0);
    free_elsewhere(hard(mallocx(104, ARENA(index)), 104, index));
    char *object = hard(mallocx(105, ARENA(index)), 105, index);
    object = rallocx(object, 3000, ARENA(index));
    EXPECT(owner(object) == index && sallocx(object, 0) == 3000 && object[104] == 5);
    free(object);
    EXPECT(number("stats.arenas.%u.small.nmalloc", index) == in + 7);
    EXPECT(number("stats.arenas.%u.small.ndalloc", index) == out + 7);
    EXPECT(number("stats.arenas.%u.small.allocated", index) == 0);

    bind_to(index);
    object = hard(malloc(200), 200, index);
    char *large = hard(calloc(1, 100000), 100000, index);
    free_elsewhere(hard(aligned_alloc(64, 640), 640, index));
    bind_to(0);
    EXPECT(number("stats.arenas.%u.small.allocated", index) == 224);
    EXPECT(number("stats.arenas.%u.large.allocated", index) == 102400);
    EXPECT(number("stats.arenas.%u.pactive", index) == 26);
    /* By a plain call it comes to the thread's arena. */
    object = realloc(object, 5000);
    EXPECT(owner(object) == 0 && object[199] == 5);
    free(object);
    free(large);
    EXPECT(number("stats.arenas.%u.pactive", index) == 0);
}

enum { COUNT = 3000 };

static size_t size_at(int at) {
    return at % 50 == 0 ? 20000 + at * 16 : 16 + at;
}

static void resets(unsigned index, unsigned other) {
    static char *theirs[COUNT];
    for (int round = 0; round < 3; round++) {
        for (int at = 0; at < COUNT; at++) {
            size_t size = size_at(at);
            hard(mallocx(size, ARENA(index)), size, index);
            theirs[at] = hard(mallocx(size, ARENA(other)), size, other);
        }
        uint64_t both = number("stats.allocated", 0), own = number("stats.arenas.%u.small.allocated", index);
        own += number("stats.arenas.%u.large.allocated", index);
        EXPECT(own > COUNT * 1000 && number("stats.allocated", 0) <= number("stats.active", 0));
        EXPECT(number("stats.active", 0) <= number("stats.mapped", 0));
        deed("arena.%u.reset", index);
        EXPECT(number("stats.allocated", 0) == both - own);
        EXPECT(number("stats.arenas.%u.small.allocated", index) == 0);
        EXPECT(number("stats.arenas.%u.large.allocated", index) == 0);
        EXPECT(number("stats.arenas.%u.pactive", index) == 0);
        EXPECT(number("stats.arenas.%u.small.nmalloc", index) == number("stats.arenas.%u.small.ndalloc", index));
        for (int at = 0; at < COUNT; at++) {
            size_t size = size_at(at);
            EXPECT(theirs[at][0] == 5 && theirs[at][size - 1] == 5 && owner(theirs[at]) == other);
            free(theirs[at]);
        }
    }
}

/* Who has hooks of its own has its own pages; what came before goes back where it came from. */
static void hooks(unsigned index) {
    static hooks_t mine;
    hooks_t *before, *given = &mine;
    size_t length = sizeof before;
    char *early = hard(mallocx(100, ARENA(index)), 100, index);
    EXPECT(mallctl(name_of("arena.%u.extent_hooks", index), &before, &length, NULL, 0) == 0);
    mine = *before;
    EXPECT(mallctl(name_of("arena.%u.extent_hooks", index), NULL, NULL, &given, sizeof given) == 0);
    char *own = mallocx(100, ARENA(index));
    EXPECT(own != NULL && owner(own) == index && sallocx(own, 0) == 112);
    EXPECT(number("stats.arenas.%u.small.allocated", index) == 112 + 112);
    free(early);
    EXPECT(mallctl(name_of("arena.%u.extent_hooks", index), NULL, NULL, &before, sizeof before) == 0);
    char *late = hard(mallocx(100, ARENA(index)), 100, index);
    EXPECT(number("stats.arenas.%u.small.allocated", index) == 112 + 112);
    free(own);
    free(late);
    EXPECT(number("stats.arenas.%u.small.allocated", index) == 0);
    own = mallocx(50000, ARENA(index));
    EXPECT(own != NULL);
    deed("arena.%u.reset", index);
}

static void child(unsigned index) {
    char *objects[50];
    for (int at = 0; at < 50; at++) {
        objects[at] = hard(mallocx(100 + at, ARENA(index)), 100 + at, index);
    }
    fflush(stdout);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        for (int at = 0; at < 25; at++) {
            free(objects[at]);
        }
        hard(mallocx(70, ARENA(index)), 70, index);
        deed("arena.%u.reset", index);
        EXPECT(number("stats.arenas.%u.small.allocated", index) == 0);
        deed("arena.%u.destroy", index);
        _exit(0);
    }
    int status = -1;
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    for (int at = 0; at < 50; at++) {
        EXPECT(owner(objects[at]) == index && objects[at][99] == 5);
        free(objects[at]);
    }
}

int main(void) {
    EXPECT(mallctl != NULL);
    unsigned index = make("arenas.create"), other = make("arenas.create"), cache = make("tcache.create");
    ways(index, cache);
    resets(index, other);
    hooks(index);
    child(index);
    uint64_t counted = number("stats.arenas.%u.small.nmalloc", index);
    mallocx(100, ARENA(index));
    deed("arena.%u.destroy", index);
    EXPECT(number("stats.arenas.%u.small.nmalloc", 4097) == counted + 1);
    EXPECT(number("stats.arenas.%u.small.ndalloc", 4097) == counted + 1);
    /* The index begins anew. */
    EXPECT(make("arenas.create") == index);
    EXPECT(number("stats.arenas.%u.small.nmalloc", index) == 0);
    free(hard(mallocx(100, ARENA(index)), 100, index));
    puts("done");
}
