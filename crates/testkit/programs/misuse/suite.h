/* The misuse suite: one misuse a case, one case a process.
 *
 *   suite.c        overflow.c double_free.c invalid_free.c after_free.c resize.c usable.c     misuse-c
 *   main, watch,   zero.c sized.c impossible.c strings.c execute.c
 *   churn          operators.cpp objects.cpp                                                 misuse-cxx
 *                  rust/ (a package that says the same lines)                                misuse-rust
 *
 *   program                     lists its cases: group, name, what it does
 *   program CASE                commits one; these lines on standard output tell how far it came:
 *
 *     erring                    the next call or access is the misuse
 *     refused                   it was answered as an error should be: null, an exception, nothing lent
 *     wiped                     a read of freed memory gave nothing of what the block had held
 *     erred                     it has returned
 *     absent                    there is no such call here: nothing was done
 *     damaged: ...              memory that was live is not as it was, or was handed out twice
 *     ran on                    the end, with status 0
 *
 * M1  Before the misuse, blocks of many sizes are live and filled; whatever `block` gives is too. After the misuse
 *     they are compared, kept, compared again and freed.
 * M2  After the misuse the program goes on as a program would: `churn` allocates and frees some MiB in each size the
 *     case has used, in the thread that erred, then that thread ends, then malloc_trim. A fault that is noticed late
 *     has its chance.
 * M3  Nothing here allocates on its own: no stdio.
 * M4  Sizes of victims are size classes of every allocator compared, so that there is no slack for an overflow to
 *     vanish in. Slack is the subject of `usable.c` and `strings.c`.
 */
#ifndef MISUSE_SUITE_H
#define MISUSE_SUITE_H

#include "process/expect.h"
#include <malloc.h>
#include <stdbool.h>

enum { SMALL = 64, MEDIUM = 4096, LARGE = 256 << 10, MIB = 1 << 20 };

struct misuse {
    const char *group, *name, *what;
    void (*commit)(void);
};

/* Opens a case; GROUP is defined by each file. The linker gathers the entries between two symbols of its own. */
#define MISUSE(name, what)                                                                         \
    static void commit_##name(void);                                                               \
    static const struct misuse misuse_##name = {GROUP, #name, what, commit_##name};                \
    static const struct misuse *const entry_##name __attribute__((used, section("misuses"))) =     \
        &misuse_##name;                                                                            \
    static void commit_##name(void)

/* Three cases of one function, which takes the size of its victim. */
#define IN_EACH_SIZE(name, what)                                                                   \
    MISUSE(name##_small, what ", 64 bytes") { name(SMALL); }                                       \
    MISUSE(name##_medium, what ", 4 KiB") { name(MEDIUM); }                                        \
    MISUSE(name##_large, what ", 256 KiB") { name(LARGE); }

/* A block that is live: filled, and compared until `unwatch` (rule M1). */
void *block(size_t size);
/* A block amid live ones of its size, which were allocated before and after it. */
char *victim(size_t size);
/* The same for memory that came from elsewhere; `size` is churned too. */
void watch(void *memory, size_t size);
void unwatch(void *memory);
/* Unwatches and frees. */
void release(void *memory);
/* Allocates until `freed` comes again; a watched block, or NULL if it does not come. */
void *reuse(void *freed, size_t size);
/* Allocates and frees some MiB of blocks of `size`, checking them. */
void churn(size_t size);

void erring(void);
void erred(void);
void refused(bool is_refused);
/* Reads `size` bytes of a freed block that `watch` had filled, and tells what they are. */
void read_stale(const void *freed, size_t size);
/* The function of that name, which not every C library has; without it the process ends as `absent`. */
void *function(const char *name);
/* Says that the misuse cannot be committed here, and ends. */
__attribute__((noreturn)) void absent(void);

/* Keeps the compiler from knowing where a pointer comes from. */
static inline char *opaque(const void *pointer) {
    char *hidden = (char *)(uintptr_t)pointer;
    __asm__ volatile("" : "+r"(hidden) : : "memory");
    return hidden;
}

/* An access that is made, whatever the compiler thinks of it. The value is none that `block` fills with. */
static inline void poke(void *memory, ptrdiff_t offset) {
    ((volatile char *)opaque(memory))[offset] = 'A';
}

static inline char peek(const void *memory, ptrdiff_t offset) {
    return ((volatile char *)opaque(memory))[offset];
}

#endif
