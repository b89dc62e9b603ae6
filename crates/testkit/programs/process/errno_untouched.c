/* Every entry point, at sizes of every kind, leaves errno alone when it succeeds.
 *
 * errno is set to a mark no call would choose before each call and compared after it. The
 * sequence goes through the slow paths on purpose: a thread's first call, bins filled for the
 * first time, runs of frees that flush, fresh extents, large objects grown, shrunk and moved,
 * memory given back, memory freed by another thread.
 *
 * Entry points that not every allocator has are looked up by name and counted, so that the
 * test sees how many were there.
 */
#include "expect.h"
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>

enum { MARK = 7777 };

#define UNTOUCHED(call)                                                                            \
    do {                                                                                           \
        errno = MARK;                                                                              \
        call;                                                                                      \
        if (errno != MARK) {                                                                       \
            fail("%s:%d: %s left errno %d (size %zu)", __FILE__, __LINE__, #call, errno, size);    \
        }                                                                                          \
    } while (0)

static int optional_found;

static void *entry(const char *name) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    optional_found += symbol != NULL;
    return symbol;
}

typedef void *(*takes_size)(size_t);
typedef void *(*takes_two)(size_t, size_t);
typedef void *(*takes_size_flags)(size_t, int);
typedef void *(*resizes)(void *, size_t);
typedef void *(*resizes_flags)(void *, size_t, int);
typedef size_t (*resizes_in_place)(void *, size_t, size_t, int);
typedef size_t (*asks)(const void *, int);
typedef size_t (*asks_size)(size_t, int);
typedef void (*drops)(void *);
typedef void (*drops_flags)(void *, int);
typedef void (*drops_sized)(void *, size_t);
typedef void (*drops_two)(void *, size_t, size_t);
typedef void (*drops_sized_flags)(void *, size_t, int);

static takes_size operator_new, operator_new_array, pvalloc_entry, libc_malloc;
static takes_two operator_new_aligned, operator_new_array_aligned, libc_calloc, libc_memalign;
static resizes libc_realloc;
static drops operator_delete, operator_delete_array, cfree_entry, libc_free;
static drops_sized operator_delete_sized, operator_delete_array_sized, free_sized_entry;
static drops_sized operator_delete_aligned;
static drops_two operator_delete_sized_aligned, free_aligned_sized_entry;
static takes_size_flags mallocx_entry;
static resizes_flags rallocx_entry;
static resizes_in_place xallocx_entry;
static asks sallocx_entry;
static asks_size nallocx_entry;
static drops_flags dallocx_entry;
static drops_sized_flags sdallocx_entry;

static void look_up(void) {
    operator_new = (takes_size)entry("_Znwm");
    operator_new_array = (takes_size)entry("_Znam");
    pvalloc_entry = (takes_size)entry("pvalloc");
    operator_new_aligned = (takes_two)entry("_ZnwmSt11align_val_t");
    operator_new_array_aligned = (takes_two)entry("_ZnamSt11align_val_t");
    operator_delete = (drops)entry("_ZdlPv");
    operator_delete_array = (drops)entry("_ZdaPv");
    operator_delete_sized = (drops_sized)entry("_ZdlPvm");
    operator_delete_array_sized = (drops_sized)entry("_ZdaPvm");
    operator_delete_aligned = (drops_sized)entry("_ZdlPvSt11align_val_t");
    operator_delete_sized_aligned = (drops_two)entry("_ZdlPvmSt11align_val_t");
    cfree_entry = (drops)entry("cfree");
    free_sized_entry = (drops_sized)entry("free_sized");
    free_aligned_sized_entry = (drops_two)entry("free_aligned_sized");
    libc_malloc = (takes_size)entry("__libc_malloc");
    libc_calloc = (takes_two)entry("__libc_calloc");
    libc_memalign = (takes_two)entry("__libc_memalign");
    libc_realloc = (resizes)entry("__libc_realloc");
    libc_free = (drops)entry("__libc_free");
    mallocx_entry = (takes_size_flags)entry("mallocx");
    rallocx_entry = (resizes_flags)entry("rallocx");
    xallocx_entry = (resizes_in_place)entry("xallocx");
    sallocx_entry = (asks)entry("sallocx");
    nallocx_entry = (asks_size)entry("nallocx");
    dallocx_entry = (drops_flags)entry("dallocx");
    sdallocx_entry = (drops_sized_flags)entry("sdallocx");
}

/* Every standard entry point once, at one size. */
static void standard_entries(size_t size) {
    void *a, *b, *c, *d, *e, *f, *g;
    UNTOUCHED(a = malloc(size));
    UNTOUCHED(b = calloc(1, size));
    UNTOUCHED(c = aligned_alloc(64, size));
    UNTOUCHED(d = memalign(256, size));
    UNTOUCHED(e = valloc(size));
    UNTOUCHED(EXPECT(posix_memalign(&f, 32, size) == 0));
    UNTOUCHED(g = reallocarray(NULL, 1, size));
    EXPECT(a && b && c && d && e && f && g);
    UNTOUCHED(EXPECT(malloc_usable_size(a) >= size));
    UNTOUCHED(EXPECT(malloc_usable_size(NULL) == 0));
    UNTOUCHED(a = realloc(a, size + 1));
    UNTOUCHED(a = realloc(a, size * 2 + 1));
    UNTOUCHED(a = realloc(a, size / 2 + 1));
    UNTOUCHED(g = reallocarray(g, 3, size / 2 + 1));
    EXPECT(a && g);
    UNTOUCHED(free(NULL));
    UNTOUCHED(free(a));
    UNTOUCHED(free(b));
    UNTOUCHED(free(c));
    UNTOUCHED(free(d));
    UNTOUCHED(free(e));
    UNTOUCHED(free(f));
    UNTOUCHED(free(g));
}

/* The entry points that were found, each block given back through its own counterpart. */
static void optional_entries(size_t size) {
    void *p;
    if (operator_new && operator_delete) {
        UNTOUCHED(p = operator_new(size));
        UNTOUCHED(operator_delete(p));
        UNTOUCHED(operator_delete(NULL));
    }
    if (operator_new && operator_delete_sized) {
        UNTOUCHED(p = operator_new(size));
        UNTOUCHED(operator_delete_sized(p, size));
    }
    if (operator_new_array && operator_delete_array) {
        UNTOUCHED(p = operator_new_array(size));
        UNTOUCHED(operator_delete_array(p));
    }
    if (operator_new_array && operator_delete_array_sized) {
        UNTOUCHED(p = operator_new_array(size));
        UNTOUCHED(operator_delete_array_sized(p, size));
    }
    if (operator_new_aligned && operator_delete_aligned && operator_delete_sized_aligned) {
        UNTOUCHED(p = operator_new_aligned(size, 64));
        UNTOUCHED(operator_delete_aligned(p, 64));
        UNTOUCHED(p = operator_new_aligned(size, 128));
        UNTOUCHED(operator_delete_sized_aligned(p, size, 128));
    }
    if (operator_new_array_aligned && operator_delete_aligned) {
        UNTOUCHED(p = operator_new_array_aligned(size, 64));
        UNTOUCHED(operator_delete_aligned(p, 64));
    }
    if (pvalloc_entry) {
        UNTOUCHED(p = pvalloc_entry(size));
        UNTOUCHED(free(p));
    }
    if (cfree_entry) {
        UNTOUCHED(p = malloc(size));
        UNTOUCHED(cfree_entry(p));
    }
    if (free_sized_entry && free_aligned_sized_entry) {
        UNTOUCHED(p = malloc(size));
        UNTOUCHED(free_sized_entry(p, size));
        UNTOUCHED(p = aligned_alloc(64, size));
        UNTOUCHED(free_aligned_sized_entry(p, 64, size));
    }
    if (libc_malloc && libc_free && libc_realloc && libc_calloc && libc_memalign) {
        UNTOUCHED(p = libc_malloc(size));
        UNTOUCHED(p = libc_realloc(p, size * 2 + 1));
        UNTOUCHED(libc_free(p));
        UNTOUCHED(p = libc_calloc(1, size));
        UNTOUCHED(libc_free(p));
        UNTOUCHED(p = libc_memalign(64, size));
        UNTOUCHED(libc_free(p));
    }
    if (mallocx_entry && rallocx_entry && xallocx_entry && sallocx_entry && nallocx_entry &&
        dallocx_entry && sdallocx_entry && size > 0) {
        int zero_flag = 0x40, align_64_flag = 6;
        UNTOUCHED(EXPECT(nallocx_entry(size, 0) >= size));
        UNTOUCHED(p = mallocx_entry(size, zero_flag));
        UNTOUCHED(p = rallocx_entry(p, size * 2, 0));
        UNTOUCHED(EXPECT(xallocx_entry(p, size * 3, 0, 0) >= size * 2));
        UNTOUCHED(EXPECT(sallocx_entry(p, 0) >= size * 2));
        UNTOUCHED(dallocx_entry(p, 0));
        UNTOUCHED(p = mallocx_entry(size, align_64_flag));
        UNTOUCHED(sdallocx_entry(p, size, align_64_flag));
    }
}

enum { HELD = 30000 };
static void *held[HELD];

/* Many live blocks, then all of them freed: fills, fresh slabs, flushes. */
static void fill_and_flush(size_t size, size_t bytes) {
    size_t count = bytes / (size + 16);
    count = count > HELD ? HELD : count;
    for (size_t i = 0; i < count; i++) {
        UNTOUCHED(held[i] = malloc(size));
        EXPECT(held[i] != NULL);
        memset(held[i], 1, size < 4096 ? size : 4096);
    }
    for (size_t i = 0; i < count; i++) {
        UNTOUCHED(free(held[i]));
    }
}

static void *all_sizes(void *unused) {
    size_t size;
    (void)unused;
    for (size = 0; size <= 600; size += 5) {
        standard_entries(size);
        optional_entries(size);
    }
    for (; size <= (size_t)24 << 20; size += size / 7) {
        standard_entries(size);
        optional_entries(size);
    }
    return NULL;
}

static void *frees_held(void *unused) {
    size_t size = 80;
    (void)unused;
    for (size_t i = 0; i < HELD; i++) {
        UNTOUCHED(free(held[i]));
    }
    return NULL;
}

static void run_in_thread(void *(*body)(void *)) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, body, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
}

int main(void) {
    size_t size = 80;
    struct mallinfo2 counts;
    look_up();
    all_sizes(NULL);
    for (int i = 0; i < 8; i++) {
        run_in_thread(all_sizes);
    }
    for (size_t i = 8; i <= (size_t)1 << 20; i *= 2) {
        fill_and_flush(i, (size_t)48 << 20);
    }
    for (size_t i = 0; i < HELD; i++) {
        held[i] = malloc(size);
    }
    run_in_thread(frees_held);
    UNTOUCHED(malloc_trim(0));
    UNTOUCHED(counts = mallinfo2());
    (void)counts;
    usleep(300000);
    fill_and_flush(640, (size_t)48 << 20);
    all_sizes(NULL);
    say("errno untouched, %d optional entry points", optional_found);
    return 0;
}
