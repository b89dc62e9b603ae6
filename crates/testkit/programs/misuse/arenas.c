/* Objects of arenas made by request: misused as others are, and after their arena discarded them. */
#include "suite.h"

#define GROUP "arenas by request"
#define ARENA(a) ((int)(((unsigned)(a) + 1) << 20))

static int (*control)(const char *, void *, size_t *, void *, size_t);
static unsigned arena;
static char *objects[9];

/* An object of an arena of its own, amid others of the arena. */
static char *of_arena(size_t size) {
    void *(*alloc)(size_t, int) = (void *(*)(size_t, int))function("mallocx");
    control = (int (*)(const char *, void *, size_t *, void *, size_t))function("mallctl");
    size_t length = sizeof arena;
    EXPECT(control("arenas.create", &arena, &length, NULL, 0) == 0);
    for (int at = 0; at < 9; at++) {
        objects[at] = alloc(size, ARENA(arena));
        watch(objects[at], size);
    }
    return objects[4];
}

static void reset(void) {
    for (int at = 0; at < 9; at++) {
        unwatch(objects[at]);
    }
    char name[] = "arena.0000.reset";
    unsigned rest = arena;
    for (int at = 9; at >= 6; at--) {
        name[at] = (char)('0' + rest % 10);
        rest /= 10;
    }
    EXPECT(control(name, NULL, NULL, NULL, 0) == 0);
}

MISUSE(arena_double_free, "frees an object of an arena made by request twice") {
    char *object = of_arena(SMALL);
    release(object);
    erring();
    free(object);
    erred();
}

MISUSE(arena_write_over_1, "writes a byte behind an object of such an arena, and frees it") {
    char *object = of_arena(SMALL);
    erring();
    poke(object, SMALL);
    erred();
    release(object);
}

MISUSE(arena_write_after_free, "writes to a freed object of such an arena") {
    char *object = of_arena(SMALL);
    release(object);
    erring();
    poke(object, 8);
    erred();
}

MISUSE(arena_interior_free, "frees an address within an object of such an arena") {
    char *object = of_arena(MEDIUM);
    erring();
    free(opaque(object + 64));
    erred();
}

MISUSE(arena_write_after_reset, "writes to an object after its arena was reset") {
    char *object = of_arena(SMALL);
    reset();
    erring();
    poke(object, 8);
    erred();
}

MISUSE(arena_free_after_reset, "frees an object after its arena was reset") {
    char *object = of_arena(SMALL);
    reset();
    erring();
    free(object);
    erred();
}
