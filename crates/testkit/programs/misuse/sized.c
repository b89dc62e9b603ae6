/* Frees that tell a size or an alignment, and tell it wrong. */
#include "suite.h"

#define GROUP "sized free"

static void free_with(void *memory, size_t given) {
    void (*call)(void *, size_t);
    *(void **)&call = function("free_sized");
    unwatch(memory);
    erring();
    call(memory, given);
    erred();
}

static void free_with_alignment(void *memory, size_t alignment, size_t given) {
    void (*call)(void *, size_t, size_t);
    *(void **)&call = function("free_aligned_sized");
    unwatch(memory);
    erring();
    call(memory, alignment, given);
    erred();
}

static void free_extended(void *memory, size_t given, int flags) {
    void (*call)(void *, size_t, int);
    *(void **)&call = function("sdallocx");
    unwatch(memory);
    erring();
    call(memory, given, flags);
    erred();
}

static void *aligned(size_t alignment, size_t size) {
    void *memory = aligned_alloc(alignment, size);
    watch(memory, size);
    return memory;
}

MISUSE(free_sized_smaller, "free_sized of 64 bytes as 24") { free_with(victim(SMALL), 24); }
MISUSE(free_sized_larger, "free_sized of 64 bytes as 200") { free_with(victim(SMALL), 200); }
MISUSE(free_sized_next, "free_sized of 64 bytes as 65") { free_with(victim(SMALL), 65); }
MISUSE(free_sized_same_class, "free_sized of 62 bytes as 60, the same size class") { free_with(victim(62), 60); }
MISUSE(free_sized_zero, "free_sized of 64 bytes as 0") { free_with(victim(SMALL), 0); }
MISUSE(free_sized_medium, "free_sized of 4 KiB as 64 bytes") { free_with(victim(MEDIUM), SMALL); }
MISUSE(free_sized_small_as_large, "free_sized of 64 bytes as 256 KiB") { free_with(victim(SMALL), LARGE); }
MISUSE(free_sized_large_as_small, "free_sized of 256 KiB as 64 bytes") { free_with(victim(LARGE), SMALL); }
MISUSE(free_sized_large_as_larger, "free_sized of 256 KiB as 512 KiB") { free_with(victim(LARGE), 2 * LARGE); }
MISUSE(free_sized_aligned, "free_sized of what aligned_alloc gave") { free_with(aligned(256, 256), 256); }
MISUSE(free_aligned_sized_size, "free_aligned_sized with another size") { free_with_alignment(aligned(64, 256), 64, 1024); }
MISUSE(free_aligned_sized_alignment, "free_aligned_sized with another alignment") {
    free_with_alignment(aligned(64, 192), 4096, 192);
}
MISUSE(free_aligned_sized_malloc, "free_aligned_sized of what malloc gave") { free_with_alignment(victim(SMALL), 64, SMALL); }
MISUSE(sdallocx_smaller, "sdallocx of 64 bytes as 24") { free_extended(victim(SMALL), 24, 0); }
MISUSE(sdallocx_larger, "sdallocx of 64 bytes as 4 KiB") { free_extended(victim(SMALL), MEDIUM, 0); }
MISUSE(sdallocx_large, "sdallocx of 256 KiB as 128 KiB") { free_extended(victim(LARGE), LARGE / 2, 0); }
MISUSE(sdallocx_alignment, "sdallocx of 64 bytes with an alignment of 4 KiB") { free_extended(victim(SMALL), SMALL, 12); }
