/* realloc of what is no block, and the old pointer after realloc has moved or shrunk the block. */
#include "suite.h"

#define GROUP "realloc"

static char static_data[256] __attribute__((aligned(64))) = {1};

static void resize_wrong(const void *pointer, size_t size) {
    erring();
    void *moved = realloc(opaque(pointer), size);
    erred();
    (void)moved;
}

static void realloc_freed(size_t size) {
    char *memory = victim(size);
    release(memory);
    resize_wrong(memory, 2 * size);
}

static void realloc_interior(size_t size) { resize_wrong(victim(size) + size / 2, 2 * size); }

IN_EACH_SIZE(realloc_freed, "realloc of a freed block")
IN_EACH_SIZE(realloc_interior, "realloc of the middle of a block")

MISUSE(realloc_unaligned, "realloc of a block's second byte") { resize_wrong(victim(SMALL) + 1, 200); }
MISUSE(realloc_static, "realloc of static data") { resize_wrong(static_data, 1000); }
MISUSE(realloc_stack, "realloc of an array on the stack") {
    char on_stack[256] __attribute__((aligned(64))) = {1};
    resize_wrong(on_stack, 1000);
}
MISUSE(realloc_never_allocated, "realloc of an uninitialised pointer") { resize_wrong((void *)0x5a5a5a5a5a50, 1000); }

/* Grows the block until it moves; the new one is watched. */
static char *moved(char *memory, size_t size) {
    unwatch(memory);
    for (size_t larger = 2 * size; larger <= 64 * size; larger *= 2) {
        char *fresh = (char *)realloc(memory, larger);
        watch(fresh, larger);
        if (fresh != memory) {
            return fresh;
        }
        unwatch(fresh);
    }
    absent();
}

static void write_after_move(size_t size) {
    char *memory = victim(size);
    moved(memory, size);
    erring();
    for (int i = 0; i < 16; i++) {
        poke(memory, i);
    }
    erred();
}

static void read_after_move(size_t size) {
    char *memory = victim(size);
    moved(memory, size);
    erring();
    read_stale(memory, size);
    erred();
}

static void free_after_move(size_t size) {
    char *memory = victim(size);
    moved(memory, size);
    erring();
    free(memory);
    erred();
}

static void write_after_shrink(size_t size) {
    char *memory = victim(size);
    unwatch(memory);
    char *shrunk = (char *)realloc(memory, size / 4);
    watch(shrunk, size / 4);
    erring();
    poke(shrunk, (ptrdiff_t)size / 4);
    erred();
}

IN_EACH_SIZE(write_after_move, "writes through the old pointer after realloc moved the block")
IN_EACH_SIZE(read_after_move, "reads through the old pointer after realloc moved the block")
IN_EACH_SIZE(free_after_move, "frees the old pointer after realloc moved the block")
IN_EACH_SIZE(write_after_shrink, "writes behind the end that realloc has drawn in")
