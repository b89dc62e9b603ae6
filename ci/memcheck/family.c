/* Every call of the malloc family once or twice, with contents checked and errors provoked. */
#include "harness.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>

static volatile size_t huge = PTRDIFF_MAX; /* volatile: the compiler must not see the overflow */

static void sizes(void) {
    for (size_t size = 0; size <= 70000; size = size < 300 ? size + 1 : size + size / 7) {
        unsigned char *p = malloc(size);
        CHECK(p && (uintptr_t)p % (size >= 16 ? 16 : 8) == 0);
        CHECK(malloc_usable_size(p) >= size);
        memset(p, 0x11, malloc_usable_size(p));
        free(p);
        p = calloc(size, 3);
        CHECK(p);
        for (size_t i = 0; i < size * 3; i++) CHECK(p[i] == 0);
        free(p);
    }
}

static void growing(void) {
    unsigned char *p = NULL;
    size_t old = 0;
    for (size_t size = 1; size < 3000000; size += size / 3 + 1) {
        p = realloc(p, size);
        CHECK(p);
        for (size_t i = 0; i < old; i += 1 + i / 50) CHECK(p[i] == (unsigned char)(i * 7));
        for (size_t i = 0; i < size; i++) p[i] = (unsigned char)(i * 7);
        old = size;
    }
    for (size_t size = old / 2; size > 0; size /= 2) {
        p = realloc(p, size);
        CHECK(p);
        for (size_t i = 0; i < size; i += 1 + i / 50) CHECK(p[i] == (unsigned char)(i * 7));
    }
    free(p);
}

static void aligned(void) {
    for (size_t align = sizeof(void *); align <= 1 << 22; align *= 2) {
        void *p = NULL;
        CHECK(posix_memalign(&p, align, 100) == 0 && (uintptr_t)p % align == 0);
        memset(p, 1, 100);
        free(p);
        p = aligned_alloc(align, align * 2);
        CHECK(p && (uintptr_t)p % align == 0);
        memset(p, 2, align * 2);
        free(p);
        p = memalign(align, 33);
        CHECK(p && (uintptr_t)p % align == 0);
        p = realloc(p, 5000);
        CHECK(p);
        memset(p, 3, 5000);
        free(p);
    }
    void *page = valloc(10);
    CHECK(page && (uintptr_t)page % 4096 == 0);
    free(page);
    page = pvalloc(10);
    CHECK(page && (uintptr_t)page % 4096 == 0 && malloc_usable_size(page) >= 4096);
    free(page);
}

static void refusals(void) {
    void *p = &p;
    errno = 0;
    CHECK(malloc(huge) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(huge, 4) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(reallocarray(NULL, huge, 4) == NULL && errno == ENOMEM);
    char *kept = malloc(10);
    strcpy(kept, "kept");
    CHECK(realloc(kept, huge) == NULL && strcmp(kept, "kept") == 0);
    free(kept);
    CHECK(posix_memalign(&p, 24, 10) == EINVAL && p == &p);
    errno = 1234;
    free(malloc(10));
    free(NULL);
    CHECK(errno == 1234);
}

int main(void) {
    assert_under_test();
    sizes();
    growing();
    aligned();
    refusals();
    return 0;
}
