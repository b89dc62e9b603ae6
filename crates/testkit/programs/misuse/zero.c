/* Accesses to objects of no bytes. */
#include "suite.h"

#define GROUP "zero size"

static void write_to(void *memory) {
    block(8);
    erring();
    if (memory == NULL) {
        refused(true);
    } else {
        poke(memory, 0);
    }
    erred();
    free(memory);
}

static void read_from(void *memory) {
    block(8);
    erring();
    if (memory == NULL) {
        refused(true);
    } else {
        peek(memory, 0);
    }
    erred();
    free(memory);
}

MISUSE(write_zero_malloc, "writes to what malloc(0) gave") { write_to(malloc(0)); }
MISUSE(read_zero_malloc, "reads what malloc(0) gave") { read_from(malloc(0)); }
MISUSE(write_zero_calloc, "writes to what calloc(0, 8) gave") { write_to(calloc(0, 8)); }
MISUSE(read_zero_calloc, "reads what calloc(8, 0) gave") { read_from(calloc(8, 0)); }
MISUSE(write_zero_realloc, "writes to what realloc(NULL, 0) gave") { write_to(realloc(NULL, 0)); }
MISUSE(write_zero_aligned, "writes to what aligned_alloc(64, 0) gave") { write_to(aligned_alloc(64, 0)); }
