/* Freeing twice: at once, later, with other frees between, after the address was handed out again, in another thread. */
#include "suite.h"
#include <pthread.h>

#define GROUP "double free"

static void double_free(size_t size) {
    void *memory = victim(size);
    release(memory);
    erring();
    free(memory);
    erred();
}

static void double_free_delayed(size_t size) {
    void *memory = victim(size);
    enum { BETWEEN = 300 };
    void *between[BETWEEN];
    for (int i = 0; i < BETWEEN; i++) {
        between[i] = block(size);
    }
    release(memory);
    for (int i = 0; i < BETWEEN; i++) {
        release(between[i]);
    }
    erring();
    free(memory);
    erred();
}

static void double_free_interleaved(size_t size) {
    void *first = victim(size), *second = block(size);
    release(first);
    release(second);
    erring();
    free(first);
    erred();
}

/* The second free takes the block of whoever has it by then; that one's own free is the third. */
static void double_free_after_reuse(size_t size) {
    void *memory = victim(size);
    release(memory);
    reuse(memory, size);
    erring();
    free(memory);
    erred();
}

static void *free_there(void *memory) {
    free(memory);
    return NULL;
}

static void double_free_across_threads(size_t size) {
    void *memory = victim(size);
    release(memory);
    pthread_t thread;
    erring();
    EXPECT(pthread_create(&thread, NULL, free_there, memory) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    erred();
}

static void free_after_realloc_to_zero(size_t size) {
    void *memory = victim(size);
    unwatch(memory);
    void *none = realloc(memory, 0);
    erring();
    free(memory);
    erred();
    /* Where realloc(p, 0) gives a new minimal block, the old one is gone all the same. */
    if (none != memory) {
        free(none);
    }
}

IN_EACH_SIZE(double_free, "frees a block twice in a row")
IN_EACH_SIZE(double_free_delayed, "frees a block, 300 others, the block again")
IN_EACH_SIZE(double_free_interleaved, "frees a block, another, the block again")
IN_EACH_SIZE(double_free_after_reuse, "frees a block again that was handed out again, its new owner frees it too")
IN_EACH_SIZE(double_free_across_threads, "frees a block in one thread and in another")
IN_EACH_SIZE(free_after_realloc_to_zero, "frees what realloc(p, 0) had freed")

MISUSE(double_free_aligned, "frees a block of aligned_alloc twice") {
    void *memory = aligned_alloc(256, 1024);
    watch(memory, 1024);
    release(memory);
    erring();
    free(memory);
    erred();
}

MISUSE(double_free_zero_size, "frees what malloc(0) gave twice") {
    watch(malloc(1), 1);
    void *memory = malloc(0);
    free(memory);
    erring();
    free(memory);
    erred();
}
