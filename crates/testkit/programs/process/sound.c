/* What a sound program may do with sizes and alignments, by every family of calls, beside threads that ask for usable
 * sizes while the process forks. Run at every level of hardening, where objects end at the byte that was asked for.
 */
#include "expect.h"
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>

extern void *mallocx(size_t, int) __attribute__((weak));
extern void *rallocx(void *, size_t, int) __attribute__((weak));
extern size_t xallocx(void *, size_t, size_t, int) __attribute__((weak));
extern void sdallocx(void *, size_t, int) __attribute__((weak));
extern void dallocx(void *, int) __attribute__((weak));
extern size_t nallocx(size_t, int) __attribute__((weak));
extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));
extern void free_sized(void *, size_t) __attribute__((weak));

enum { ROUNDS = 2000, NONE = 0x100 };

static void fill(char *object, size_t bytes, int value) {
    EXPECT(object != NULL);
    memset(object, value, bytes);
}

static void expect_filled(const char *object, size_t bytes, int value) {
    for (size_t at = 0; at < bytes; at++) {
        EXPECT(object[at] == (char)value);
    }
}

static void resize(size_t from, size_t to, int flags) {
    char *object = flags == 0 ? malloc(from) : mallocx(from, flags);
    fill(object, from, 7);
    object = flags == 0 ? realloc(object, to) : rallocx(object, to, flags);
    expect_filled(object, from < to ? from : to, 7);
    fill(object, malloc_usable_size(object), 8);
    if (flags == 0) {
        free_sized(object, to);
    } else {
        dallocx(object, flags);
    }
}

static void resizes(void) {
    static const size_t SIZES[] = {1, 60, 97, 105, 112, 200, 1030, 3000, 4000, 20000, 100000};
    enum { COUNT = sizeof SIZES / sizeof *SIZES };
    for (int round = 0; round < 20; round++) {
        for (int from = 0; from < COUNT; from++) {
            for (int to = 0; to < COUNT; to++) {
                resize(SIZES[from], SIZES[to], 0);
                resize(SIZES[from], SIZES[to], NONE);
            }
        }
    }
}

static void alignments(void) {
    for (int lg = 4; lg <= 12; lg++) {
        for (size_t size = 1; size < 5000; size += 211) {
            void *object = mallocx(size, lg);
            sdallocx(object, nallocx(size, lg), lg);
            object = mallocx(size, lg);
            sdallocx(object, size, lg);
            object = mallocx(size, 0);
            object = rallocx(object, size + 5, lg);
            sdallocx(object, size + 5, lg);
            object = aligned_alloc((size_t)1 << lg, size);
            object = realloc(object, size + 5);
            free_sized(object, size + 5);
            object = mallocx(size, lg);
            size_t now = xallocx(object, size, 20, lg);
            fill(object, now, 3);
            sdallocx(object, now, lg);
        }
    }
}

static void arenas(void) {
    unsigned arena;
    size_t length = sizeof arena;
    EXPECT(mallctl("arenas.create", &arena, &length, NULL, 0) == 0);
    int flags = ((int)(arena + 1) << 20) | NONE;
    for (int round = 0; round < ROUNDS; round++) {
        char *object = mallocx(200, flags);
        fill(object, 200, 5);
        object = realloc(object, 60);
        expect_filled(object, 60, 5);
        free(object);
    }
}

static bool stop;

static void *ask(void *unused) {
    char *small = malloc(100), *large = malloc(50000);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        EXPECT(malloc_usable_size(small) >= 100 && malloc_usable_size(large) >= 50000);
    }
    free(small);
    free(large);
    return unused;
}

static void forks(void) {
    pthread_t threads[2];
    for (int at = 0; at < 2; at++) {
        EXPECT(pthread_create(&threads[at], NULL, ask, NULL) == 0);
    }
    for (int round = 0; round < 200; round++) {
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            char *object = malloc(100);
            _exit(malloc_usable_size(object) >= 100 ? 0 : 1);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int at = 0; at < 2; at++) {
        EXPECT(pthread_join(threads[at], NULL) == 0);
    }
}

int main(void) {
    resizes();
    alignments();
    arenas();
    forks();
    say("sound");
    return 0;
}
