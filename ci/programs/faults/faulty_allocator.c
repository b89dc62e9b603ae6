/* glibc's allocator with one fault, chosen by -DFAULT_...: what the harness must notice.
 *
 * Without any of them it is a sound allocator, the control that shows that the others fail for
 * their fault and not for the way they are built.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static atomic_ulong calls;

/* Most faults strike late, when the program is well under way. */
static int strikes(unsigned long after, unsigned long every) {
    unsigned long n = atomic_fetch_add(&calls, 1) + 1;
    return n > after && n % every == 0;
}

static void *allocate(size_t size) {
#ifdef FAULT_NULL
    if (strikes(20000, 1)) { errno = ENOMEM; return 0; }
#endif
#ifdef FAULT_CRASH
    if (strikes(150, 1)) *(volatile int *)8 = 1;
#endif
#ifdef FAULT_HANG
    if (strikes(20000, 1)) for (;;) pause();
#endif
#ifdef FAULT_OVERLAP
    /* The same block twice. */
    static _Atomic(void *) last;
    if (size > 64) return __libc_malloc(size);
    void *again = atomic_exchange(&last, (void *)0);
    if (again && strikes(1000, 10)) return again;
    void *fresh = __libc_malloc(64);
    atomic_store(&last, fresh);
    return fresh;
#else
    return __libc_malloc(size);
#endif
}

__attribute__((constructor)) static void start(void) {
#ifdef FAULT_MESSAGE
    static const char text[] = "<jemoxide>: something is not quite right\n";
    if (write(2, text, sizeof text - 1) < 0) _exit(1);
#endif
#ifdef FAULT_NOT_INHERITED
    unsetenv("LD_PRELOAD");
#endif
#ifdef FAULT_FORK
    pthread_atfork(0, 0, abort);
#endif
}

#ifndef FAULT_NO_SYMBOLS
void *malloc(size_t size) { return allocate(size); }

void *calloc(size_t count, size_t size) {
#ifdef FAULT_CALLOC
    void *fresh = __libc_calloc(count, size);
    if (fresh && strikes(1000, 5)) memset(fresh, 0x5a, count * size);
    return fresh;
#else
    return __libc_calloc(count, size);
#endif
}

void *realloc(void *old, size_t size) {
    if (!old) return allocate(size);
    void *fresh = __libc_realloc(old, size);
#ifdef FAULT_REALLOC
    if (fresh && size >= 64 && strikes(100, 5)) *(char *)fresh ^= 1;
#endif
    return fresh;
}

void free(void *old) { __libc_free(old); }
void *memalign(size_t align, size_t size) { return __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { return __libc_memalign(align, size); }
int posix_memalign(void **place, size_t align, size_t size) {
    void *fresh = __libc_memalign(align, size);
    if (fresh) *place = fresh;
    return fresh ? 0 : ENOMEM;
}
#endif
