/* jemalloc's interface, as libjemoxide has it. Made by `cargo xtask headers` from tables; do not edit. */
#ifndef JEMALLOC_H_
#define JEMALLOC_H_
#pragma GCC system_header

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#define JEMALLOC_VERSION "5.3.1-0-g6a656d6f78696465000000000000000000000000"
#define JEMALLOC_VERSION_MAJOR 5
#define JEMALLOC_VERSION_MINOR 3
#define JEMALLOC_VERSION_BUGFIX 1
#define JEMALLOC_VERSION_NREV 0
#define JEMALLOC_VERSION_GID "6a656d6f78696465000000000000000000000000"
#define JEMALLOC_VERSION_GID_IDENT 6a656d6f78696465000000000000000000000000

/* What there is. */
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

/* Attributes. */
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

/* Flags, and special arenas. */
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

/* Names below begin with je_, and mean the plain ones. */
#ifndef JEMALLOC_NO_RENAME
#define je_malloc malloc
#define je_calloc calloc
#define je_realloc realloc
#define je_free free
#define je_posix_memalign posix_memalign
#define je_aligned_alloc aligned_alloc
#define je_memalign memalign
#define je_valloc valloc
#define je_pvalloc pvalloc
#define je_malloc_usable_size malloc_usable_size
#define je_free_sized free_sized
#define je_free_aligned_sized free_aligned_sized
#define je_mallocx mallocx
#define je_rallocx rallocx
#define je_xallocx xallocx
#define je_sallocx sallocx
#define je_dallocx dallocx
#define je_sdallocx sdallocx
#define je_nallocx nallocx
#define je_mallctl mallctl
#define je_mallctlnametomib mallctlnametomib
#define je_mallctlbymib mallctlbymib
#define je_malloc_stats_print malloc_stats_print
#define je_malloc_conf malloc_conf
#define je_malloc_conf_2_conf_harder malloc_conf_2_conf_harder
#define je_malloc_message malloc_message
#endif

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

JEMALLOC_EXPORT void *je_malloc(size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *je_calloc(size_t num, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE2(1, 2);
JEMALLOC_EXPORT void *je_realloc(void *ptr, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void je_free(void *ptr)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT int je_posix_memalign(void **memptr, size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(nonnull(1));
JEMALLOC_EXPORT void *je_aligned_alloc(size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void *je_memalign(size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void *je_valloc(size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *je_pvalloc(size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc);
JEMALLOC_EXPORT size_t je_malloc_usable_size(void *ptr)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void je_free_sized(void *ptr, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void je_free_aligned_sized(void *ptr, size_t alignment, size_t size)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void *je_mallocx(size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *je_rallocx(void *ptr, size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT size_t je_xallocx(void *ptr, size_t size, size_t extra, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT size_t je_sallocx(const void *ptr, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(pure);
JEMALLOC_EXPORT void je_dallocx(void *ptr, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void je_sdallocx(void *ptr, size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT size_t je_nallocx(size_t size, int flags)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ATTR(pure);
JEMALLOC_EXPORT int je_mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT int je_mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT int je_mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp, void *newp, size_t newlen)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;
JEMALLOC_EXPORT void je_malloc_stats_print(void (*write_cb)(void *, const char *), void *cbopaque, const char *opts)
    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_COLD;
extern JEMALLOC_EXPORT const char *je_malloc_conf;
extern JEMALLOC_EXPORT const char *je_malloc_conf_2_conf_harder;
extern JEMALLOC_EXPORT void (*je_malloc_message)(void *cbopaque, const char *s);

#ifdef __cplusplus
}
#endif

/* The program's plain names become ones with je_. */
#ifdef JEMALLOC_MANGLE
#ifndef JEMALLOC_NO_DEMANGLE
#define JEMALLOC_NO_DEMANGLE
#endif
#define malloc je_malloc
#define calloc je_calloc
#define realloc je_realloc
#define free je_free
#define posix_memalign je_posix_memalign
#define aligned_alloc je_aligned_alloc
#define memalign je_memalign
#define valloc je_valloc
#define pvalloc je_pvalloc
#define malloc_usable_size je_malloc_usable_size
#define free_sized je_free_sized
#define free_aligned_sized je_free_aligned_sized
#define mallocx je_mallocx
#define rallocx je_rallocx
#define xallocx je_xallocx
#define sallocx je_sallocx
#define dallocx je_dallocx
#define sdallocx je_sdallocx
#define nallocx je_nallocx
#define mallctl je_mallctl
#define mallctlnametomib je_mallctlnametomib
#define mallctlbymib je_mallctlbymib
#define malloc_stats_print je_malloc_stats_print
#define malloc_conf je_malloc_conf
#define malloc_conf_2_conf_harder je_malloc_conf_2_conf_harder
#define malloc_message je_malloc_message
#endif

/* Names with je_ were for this header alone, unless they are kept. */
#ifndef JEMALLOC_NO_DEMANGLE
#undef je_malloc
#undef je_calloc
#undef je_realloc
#undef je_free
#undef je_posix_memalign
#undef je_aligned_alloc
#undef je_memalign
#undef je_valloc
#undef je_pvalloc
#undef je_malloc_usable_size
#undef je_free_sized
#undef je_free_aligned_sized
#undef je_mallocx
#undef je_rallocx
#undef je_xallocx
#undef je_sallocx
#undef je_dallocx
#undef je_sdallocx
#undef je_nallocx
#undef je_mallctl
#undef je_mallctlnametomib
#undef je_mallctlbymib
#undef je_malloc_stats_print
#undef je_malloc_conf
#undef je_malloc_conf_2_conf_harder
#undef je_malloc_message
#endif

#endif
