/* Statistics printed to standard output: first argument a case, second the letters.
 *   write     by a callback that allocates and frees, and asks for a figure
 *   message   by the variable malloc_message, which misuse is told to as well
 *   plain     to standard error, as nobody says otherwise
 *   destroyed after two arenas were made by request and one of them destroyed
 *   interval  nothing but allocations: the option stats_interval prints
 *   exit      nothing at all: the option stats_print prints at exit
 */
#include "expect.h"
#include <pthread.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));
extern void *mallocx(size_t, int) __attribute__((weak));
extern void malloc_stats_print(void (*)(void *, const char *), void *, const char *) __attribute__((weak));
extern void (*malloc_message)(void *, const char *) __attribute__((weak));

static int pieces;

static void put(const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);
        EXPECT(written > 0);
        text += written;
        length -= (size_t)written;
    }
}

static void take(void *opaque, const char *text) {
    EXPECT(opaque == &pieces);
    EXPECT(strlen(text) > 0 && strlen(text) <= 65536);
    pieces++;
    /* As a program's own callback may. */
    char *copy = malloc(strlen(text) + 1);
    strcpy(copy, text);
    size_t active = 0, length = sizeof active;
    EXPECT(mallctl("stats.active", &active, &length, NULL, 0) == 0 && active > 0);
    put(copy);
    free(copy);
    free(malloc(3000000));
}

static void message(void *opaque, const char *text) {
    EXPECT(opaque == NULL);
    free(malloc(100));
    put(text);
}

static void *one(void *argument) { return malloc((size_t)argument); }

int main(int argc, char **argv) {
    EXPECT(argc >= 2);
    const char *letters = argc > 2 ? argv[2] : NULL;
    void *kept[200];
    for (int i = 0; i < 200; i++) {
        kept[i] = malloc((size_t)i * i * 20 + 1);
    }
    for (int i = 0; i < 200; i += 2) {
        free(kept[i]);
    }
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, one, (void *)5000) == 0 && pthread_join(thread, NULL) == 0);
    if (strcmp(argv[1], "write") == 0) {
        malloc_stats_print(take, &pieces, letters);
        EXPECT(pieces > 0);
    } else if (strcmp(argv[1], "message") == 0) {
        malloc_message = message;
        malloc_stats_print(NULL, NULL, letters);
        char *misused = malloc(100000);
        free(misused + 16);
    } else if (strcmp(argv[1], "plain") == 0) {
        malloc_stats_print(NULL, NULL, letters);
    } else if (strcmp(argv[1], "destroyed") == 0) {
        unsigned gone, stays;
        size_t length = sizeof gone;
        char name[64];
        EXPECT(mallctl("arenas.create", &gone, &length, NULL, 0) == 0);
        EXPECT(mallctl("arenas.create", &stays, &length, NULL, 0) == 0);
        for (int i = 0; i < 100; i++) {
            EXPECT(mallocx(100, (int)((gone + 1) << 20) | 1 << 8) != NULL);
        }
        EXPECT(mallocx(100000, (int)((gone + 1) << 20) | 1 << 8) != NULL);
        for (int i = 0; i < 7; i++) {
            EXPECT(mallocx(100, (int)((stays + 1) << 20) | 1 << 8) != NULL);
        }
        const char *called = "kept";
        snprintf(name, sizeof name, "arena.%u.name", stays);
        EXPECT(mallctl(name, NULL, NULL, &called, sizeof called) == 0);
        snprintf(name, sizeof name, "arena.%u.destroy", gone);
        EXPECT(mallctl(name, NULL, NULL, NULL, 0) == 0);
        malloc_stats_print(take, &pieces, letters);
    } else if (strcmp(argv[1], "interval") == 0) {
        /* 64 MiB, kept: they come from fresh slabs. */
        for (int i = 0; i < 65536; i++) {
            EXPECT(malloc(1024) != NULL);
        }
    } else {
        EXPECT(strcmp(argv[1], "exit") == 0);
    }
    return 0;
}
