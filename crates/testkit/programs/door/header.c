/* The installed headers, as a program sees them: every name of jemalloc's header, the types of all functions, and a
 * heap that works. Compiled as C and as C++, with jemalloc/jemalloc.h, with jemoxide.h, and with both in either order.
 */
#if defined(OWN_FIRST) || defined(OWN_ONLY)
#include <jemoxide.h>
#endif
#ifndef OWN_ONLY
#include <jemalloc/jemalloc.h>
#endif
#if defined(OWN_LAST)
#include <jemoxide.h>
#endif

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* The types that programs rely on: an assignment that does not fit does not compile. */
static void *(*const malloc_)(size_t) = malloc;
static void *(*const calloc_)(size_t, size_t) = calloc;
static void *(*const realloc_)(void *, size_t) = realloc;
static void (*const free_)(void *) = free;
static int (*const posix_memalign_)(void **, size_t, size_t) = posix_memalign;
static void *(*const aligned_alloc_)(size_t, size_t) = aligned_alloc;
static void *(*const memalign_)(size_t, size_t) = memalign;
static void *(*const valloc_)(size_t) = valloc;
static void *(*const pvalloc_)(size_t) = pvalloc;
static size_t (*const usable_)(void *) = malloc_usable_size;
static void (*const free_sized_)(void *, size_t) = free_sized;
static void (*const free_aligned_sized_)(void *, size_t, size_t) = free_aligned_sized;
static void *(*const mallocx_)(size_t, int) = mallocx;
static void *(*const rallocx_)(void *, size_t, int) = rallocx;
static size_t (*const xallocx_)(void *, size_t, size_t, int) = xallocx;
static size_t (*const sallocx_)(const void *, int) = sallocx;
static void (*const dallocx_)(void *, int) = dallocx;
static void (*const sdallocx_)(void *, size_t, int) = sdallocx;
static size_t (*const nallocx_)(size_t, int) = nallocx;
static int (*const mallctl_)(const char *, void *, size_t *, void *, size_t) = mallctl;
static int (*const mallctlnametomib_)(const char *, size_t *, size_t *) = mallctlnametomib;
static int (*const mallctlbymib_)(const size_t *, size_t, void *, size_t *, void *, size_t) = mallctlbymib;

static void (*const stats_print_)(void (*)(void *, const char *), void *, const char *) = malloc_stats_print;
static void (**const message_)(void *, const char *) = &malloc_message;

static void add_length(void *total, const char *text) {
    *(size_t *)total += strlen(text);
}

/* Hooks are a structure of nine pointers at known places. */
static const size_t offsets[] = {
    offsetof(extent_hooks_t, alloc), offsetof(extent_hooks_t, dalloc), offsetof(extent_hooks_t, destroy),
    offsetof(extent_hooks_t, commit), offsetof(extent_hooks_t, decommit), offsetof(extent_hooks_t, purge_lazy),
    offsetof(extent_hooks_t, purge_forced), offsetof(extent_hooks_t, split), offsetof(extent_hooks_t, merge),
};

int main(void) {
    for (size_t at = 0; at < 9; at++)
        CHECK(offsets[at] == at * sizeof(void *));
    CHECK(sizeof(extent_hooks_t) == 72);

    CHECK(MALLOCX_ZERO == 0x40 && MALLOCX_TCACHE_NONE == 0x100);
    CHECK(MALLOCX_ALIGN(1) == 0 && MALLOCX_ALIGN(64) == 6 && MALLOCX_ALIGN((size_t)1 << 40) == 40);
    CHECK(MALLOCX_LG_ALIGN(12) == 12);
    CHECK(MALLOCX_TCACHE(0) == 2 << 8 && MALLOCX_TCACHE(4093) == 4095 << 8);
    CHECK((unsigned)MALLOCX_ARENA(4094) == 4095U << 20);
    CHECK(MALLCTL_ARENAS_ALL == 4096 && MALLCTL_ARENAS_DESTROYED == 4097);
    CHECK(EXTENT_ALLOC_FLAG_PINNED == 1U && EXTENT_ALLOC_FLAG_MASK == 255U && LG_SIZEOF_PTR == 3);
    char purge[64];
#define TEXT_(number) #number
#define TEXT(number) TEXT_(number)
    snprintf(purge, sizeof purge, "arena." TEXT(MALLCTL_ARENAS_ALL) ".purge");
    CHECK(strcmp(purge, "arena.4096.purge") == 0);
    CHECK(mallctl_(purge, NULL, NULL, NULL, 0) == 0);

#ifndef OWN_ONLY
    const char *version;
    size_t len = sizeof version;
    CHECK(mallctl_("version", &version, &len, NULL, 0) == 0);
    CHECK(strcmp(version, JEMALLOC_VERSION) == 0);
    CHECK(strstr(JEMALLOC_VERSION, JEMALLOC_VERSION_GID) != NULL);
    CHECK(JEMALLOC_VERSION_MAJOR == 5 && JEMALLOC_VERSION_MINOR == 3);
#if !defined(JEMALLOC_HAVE_ATTR) || !defined(JEMALLOC_OVERRIDE_PVALLOC) || !defined(JEMALLOC_CONFIG_ENV)
#error "features that there are"
#endif
#if defined(je_malloc) != defined(JEMALLOC_NO_DEMANGLE)
#error "names with je_ are the header's own"
#endif
#ifdef JEMALLOC_NO_DEMANGLE
    je_free(je_malloc(10));
#endif
#endif
#if defined(OWN_FIRST) || defined(OWN_ONLY) || defined(OWN_LAST)
    size_t used, size = sizeof used;
    jemoxide_soft_limit_t *none = NULL;
    CHECK(none == NULL && mallctl_(JEMOXIDE_HEAP_USED, &used, &size, NULL, 0) == 0 && used > 0);
#endif

    size_t mib[2], miblen = 2;
    unsigned count;
    size_t size_of_count = sizeof count;
    CHECK(mallctlnametomib_("arenas.narenas", mib, &miblen) == 0 && miblen == 2);
    CHECK(mallctlbymib_(mib, miblen, &count, &size_of_count, NULL, 0) == 0 && count >= 1);

    char *ptr = (char *)mallocx_(100, MALLOCX_ALIGN(64) | MALLOCX_ZERO);
    CHECK(ptr != NULL && ((size_t)ptr & 63) == 0 && ptr[99] == 0);
    CHECK(sallocx_(ptr, 0) == nallocx_(100, MALLOCX_ALIGN(64)) && usable_(ptr) == sallocx_(ptr, 0));
    CHECK(xallocx_(ptr, 100, 0, 0) >= 100);
    ptr = (char *)rallocx_(ptr, 5000, 0);
    sdallocx_(ptr, 5000, 0);
    dallocx_(mallocx_(1, 0), 0);
    free_(realloc_(malloc_(10), 20));
    free_(calloc_(2, 3));
    void *aligned;
    CHECK(posix_memalign_(&aligned, 64, 10) == 0);
    free_(aligned);
    free_(aligned_alloc_(64, 64));
    free_(memalign_(64, 10));
    free_(valloc_(10));
    free_(pvalloc_(10));
    free_sized_(malloc_(10), 10);
    free_aligned_sized_(aligned_alloc_(64, 64), 64, 64);
    size_t printed = 0;
    stats_print_(add_length, &printed, "J");
    CHECK(printed > 1000 && message_ != NULL);
    puts("header: fine");
    return 0;
}
