/* Sizes that no process can have: the answer is null (ENOMEM), and what was there stays. */
#include "suite.h"

#define GROUP "impossible size"

/* Reads a number that the compiler does not know. */
static size_t unknown(size_t number) { return (size_t)(uintptr_t)opaque((const void *)(uintptr_t)number); }

static void expect_null(void *memory) {
    refused(memory == NULL && errno == ENOMEM);
    erred();
}

/* A live block goes with each; errno is cleared. */
static void begin(void) {
    block(SMALL);
    erring();
    errno = 0;
}

MISUSE(malloc_half, "malloc of PTRDIFF_MAX + 1") { begin(); expect_null(malloc(unknown((size_t)PTRDIFF_MAX + 1))); }
MISUSE(malloc_all, "malloc of SIZE_MAX") { begin(); expect_null(malloc(unknown(SIZE_MAX))); }
MISUSE(malloc_minus_page, "malloc of SIZE_MAX - 4096, which rounding may wrap") { begin(); expect_null(malloc(unknown(SIZE_MAX - 4096))); }
MISUSE(malloc_negative, "malloc of -1 elements less a header") { begin(); expect_null(malloc(unknown((size_t)-32))); }
MISUSE(calloc_overflow, "calloc whose product wraps to 64") { begin(); expect_null(calloc(unknown(SIZE_MAX / 4 + 17), 4)); }
MISUSE(calloc_overflow_square, "calloc of 2^32 by 2^32") { begin(); expect_null(calloc(unknown((size_t)1 << 32), unknown((size_t)1 << 32))); }
MISUSE(calloc_huge, "calloc whose product is PTRDIFF_MAX + 1") { begin(); expect_null(calloc(unknown((size_t)1 << 62), 2)); }
MISUSE(aligned_alloc_huge, "aligned_alloc of PTRDIFF_MAX + 1") { begin(); expect_null(aligned_alloc(64, unknown((size_t)PTRDIFF_MAX + 1))); }
MISUSE(aligned_alloc_wrap, "aligned_alloc whose size and alignment wrap") {
    begin();
    expect_null(aligned_alloc(unknown((size_t)1 << 63), unknown((size_t)1 << 63)));
}
MISUSE(pvalloc_wrap, "pvalloc of SIZE_MAX, which rounding to pages wraps to 0") {
    void *(*call)(size_t);
    *(void **)&call = function("pvalloc");
    begin();
    expect_null(call(unknown(SIZE_MAX)));
}

MISUSE(posix_memalign_huge, "posix_memalign of SIZE_MAX") {
    void *memory = NULL;
    begin();
    int error = posix_memalign(&memory, 64, unknown(SIZE_MAX));
    refused(error == ENOMEM && memory == NULL);
    erred();
}

MISUSE(posix_memalign_alignment, "posix_memalign with an alignment of 24") {
    void *memory = NULL;
    begin();
    int error = posix_memalign(&memory, unknown(24), SMALL);
    refused(error == EINVAL && memory == NULL);
    erred();
}

/* The block is live and unchanged afterwards: it stays watched. */
MISUSE(realloc_huge, "realloc to PTRDIFF_MAX + 1") {
    char *memory = victim(SMALL);
    begin();
    expect_null(realloc(memory, unknown((size_t)PTRDIFF_MAX + 1)));
}
MISUSE(realloc_all, "realloc of a large block to SIZE_MAX") {
    char *memory = victim(LARGE);
    begin();
    expect_null(realloc(memory, unknown(SIZE_MAX)));
}
MISUSE(reallocarray_overflow, "reallocarray whose product wraps to 64") {
    char *memory = victim(SMALL);
    begin();
    expect_null(reallocarray(memory, unknown(SIZE_MAX / 4 + 17), 4));
}
