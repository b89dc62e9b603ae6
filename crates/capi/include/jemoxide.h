/* libjemoxide: jemalloc's interface under its plain names, and our own. Made by `cargo xtask headers` from tables; do not edit. */
#ifndef JEMOXIDE_H_
#define JEMOXIDE_H_
#pragma GCC system_header

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#define JEMOXIDE_VERSION "0.1.0"

/* What jemalloc/jemalloc.h also defines, for either of the two alone. */
#ifndef JEMALLOC_H_
#define JEMALLOC_HAVE_ATTR
#define JEMALLOC_HAVE_ATTR_ALLOC_SIZE
#define JEMALLOC_HAVE_ATTR_FORMAT_ARG
#if !defined(__clang__)
#define JEMALLOC_HAVE_ATTR_FORMAT_GNU_PRINTF
#endif
#define JEMALLOC_HAVE_ATTR_FORMAT_PRINTF
#define JEMALLOC_HAVE_ATTR_FALLTHROUGH
#define JEMALLOC_HAVE_ATTR_COLD
#define JEMALLOC_HAVE_ATTR_DEPRECATED
#define JEMALLOC_OVERRIDE_MEMALIGN
#define JEMALLOC_OVERRIDE_VALLOC
#define JEMALLOC_OVERRIDE_PVALLOC
#define JEMALLOC_USABLE_SIZE_CONST
#define JEMALLOC_USE_CXX_THROW
#define JEMALLOC_CONFIG_ENV
#define JEMALLOC_CONFIG_FILE
#define LG_SIZEOF_PTR 3
#if defined(__cplusplus) && defined(JEMALLOC_USE_CXX_THROW)
#define JEMALLOC_CXX_THROW noexcept(true)
#else
#define JEMALLOC_CXX_THROW
#endif
#define JEMALLOC_ATTR(s) __attribute__((s))
#define JEMALLOC_ALIGNED(s) JEMALLOC_ATTR(aligned(s))
#define JEMALLOC_ALLOC_SIZE(s) JEMALLOC_ATTR(alloc_size(s))
#define JEMALLOC_ALLOC_SIZE2(s1, s2) JEMALLOC_ATTR(alloc_size(s1, s2))
#ifndef JEMALLOC_EXPORT
#define JEMALLOC_EXPORT JEMALLOC_ATTR(visibility("default"))
#endif
#define JEMALLOC_FORMAT_ARG(i) JEMALLOC_ATTR(format_arg(3))
#ifdef JEMALLOC_HAVE_ATTR_FORMAT_GNU_PRINTF
#define JEMALLOC_FORMAT_PRINTF(s, i) JEMALLOC_ATTR(format(gnu_printf, s, i))
#else
#define JEMALLOC_FORMAT_PRINTF(s, i) JEMALLOC_ATTR(format(printf, s, i))
#endif
#define JEMALLOC_FALLTHROUGH JEMALLOC_ATTR(fallthrough)
#define JEMALLOC_NOINLINE JEMALLOC_ATTR(noinline)
#define JEMALLOC_NOTHROW JEMALLOC_ATTR(nothrow)
#define JEMALLOC_SECTION(s) JEMALLOC_ATTR(section(s))
#define JEMALLOC_RESTRICT_RETURN
#define JEMALLOC_ALLOCATOR
#define JEMALLOC_COLD JEMALLOC_ATTR(cold)
#define JEMALLOC_SYS_NOTHROW JEMALLOC_NOTHROW
#define JEMALLOC_WARN_ON_USAGE(msg) JEMALLOC_ATTR(deprecated(msg))
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ALIGN(a) ((int)((size_t)(a) > UINT_MAX ? ffs((int)((size_t)(a) >> 32)) + 31 : ffs((int)(size_t)(a)) - 1))
#define MALLOCX_ZERO ((int)0x40)
#define MALLOCX_TCACHE(tc) ((int)(((unsigned)(tc) + 2U) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a) ((int)(((unsigned)(a) + 1U) << 20))
#define MALLCTL_ARENAS_ALL 4096
#define MALLCTL_ARENAS_DESTROYED 4097
#define EXTENT_ALLOC_FLAG_PINNED 0x1U
#define EXTENT_ALLOC_FLAG_MASK 0xFFU
#endif

/* Names of mallctl that jemalloc has not; docs/COMPAT.md tells their types. */
#define JEMOXIDE_PURGE "jemoxide.purge"
#define JEMOXIDE_RSS "jemoxide.rss"
#define JEMOXIDE_CONTROL "jemoxide.control"
#define JEMOXIDE_HEAP_USED "jemoxide.heap_used"
#define JEMOXIDE_HEAP_LIMIT_SOFT "jemoxide.heap_limit_soft"
#define JEMOXIDE_HEAP_LIMIT_HARD "jemoxide.heap_limit_hard"
#define JEMOXIDE_HEAP_LIMIT_CALLBACK "jemoxide.heap_limit_callback"

#ifdef __cplusplus
extern "C" {
#endif

/* How an arena gets its memory, where the program says so. */
#ifndef JEMALLOC_EXTENT_HOOKS_
#define JEMALLOC_EXTENT_HOOKS_
typedef struct extent_hooks_s extent_hooks_t;
typedef void *(extent_alloc_t)(extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment, bool *zero, bool *commit, unsigned arena_ind);
typedef bool (extent_dalloc_t)(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena_ind);
typedef void (extent_destroy_t)(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena_ind);
typedef bool (extent_commit_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length, unsigned arena_ind);
typedef bool (extent_decommit_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length, unsigned arena_ind);
typedef bool (extent_purge_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length, unsigned arena_ind);
typedef bool (extent_split_t)(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a, size_t size_b, bool committed, unsigned arena_ind);
typedef bool (extent_merge_t)(extent_hooks_t *hooks, void *addr_a, size_t size_a, void *addr_b, size_t size_b, bool committed, unsigned arena_ind);
struct extent_hooks_s {
	extent_alloc_t *alloc;
	extent_dalloc_t *dalloc;
	extent_destroy_t *destroy;
	extent_commit_t *commit;
	extent_decommit_t *decommit;
	extent_purge_t *purge_lazy;
	extent_purge_t *purge_forced;
	extent_split_t *split;
	extent_merge_t *merge;
};
#endif

/* Called above the soft limit: bytes used, and the limit. */
typedef void (jemoxide_soft_limit_t)(size_t used, size_t limit);

JEMALLOC_EXPORT void *malloc(size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *calloc(size_t num, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE2(1, 2);
JEMALLOC_EXPORT void *realloc(void *ptr, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void free(void *ptr)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT int posix_memalign(void **memptr, size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(nonnull(1));
JEMALLOC_EXPORT void *aligned_alloc(size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void *memalign(size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void *valloc(size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *pvalloc(size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc);
JEMALLOC_EXPORT size_t malloc_usable_size(void *ptr)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void free_sized(void *ptr, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void free_aligned_sized(void *ptr, size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void *mallocx(size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *rallocx(void *ptr, size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT size_t xallocx(void *ptr, size_t size, size_t extra, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT size_t sallocx(const void *ptr, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(pure);
JEMALLOC_EXPORT void dallocx(void *ptr, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void sdallocx(void *ptr, size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT size_t nallocx(size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(pure);
JEMALLOC_EXPORT int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT int mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT int mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void malloc_stats_print(void (*write_cb)(void *, const char *), void *cbopaque, const char *opts)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_COLD;
extern JEMALLOC_EXPORT const char *malloc_conf;
extern JEMALLOC_EXPORT const char *malloc_conf_2_conf_harder;
extern JEMALLOC_EXPORT void (*malloc_message)(void *cbopaque, const char *s);

/* As in the C library, on this heap. */
JEMALLOC_EXPORT void *reallocarray(void *ptr, size_t num, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ALLOC_SIZE2(2, 3);
JEMALLOC_EXPORT int malloc_trim(size_t pad)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;

#ifdef __cplusplus
}
#endif

#endif
