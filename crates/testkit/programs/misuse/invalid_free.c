/* Freeing what no allocation returned: other memory, made-up addresses, places inside or beside a block. */
#include "suite.h"
#include <alloca.h>
#include <sys/mman.h>

#define GROUP "invalid free"

static char static_data[256] __attribute__((aligned(64))) = {1};
static char static_zeroes[256] __attribute__((aligned(64)));
static const char constants[64] __attribute__((aligned(64))) = {1};
static __thread char thread_local_data[64] __attribute__((aligned(64)));

/* A live block of SMALL goes with it, so that something is churned. */
static void free_wrong(const void *pointer) {
    block(SMALL);
    erring();
    free(opaque(pointer));
    erred();
}

MISUSE(free_stack, "frees an array on the stack") {
    char on_stack[256] __attribute__((aligned(64))) = {1};
    free_wrong(on_stack + 64);
}

MISUSE(free_alloca, "frees what alloca gave") {
    free_wrong(memset(alloca(256), 1, 256));
}

MISUSE(free_static, "frees an initialised static array") { free_wrong(static_data + 64); }
MISUSE(free_static_zeroes, "frees a static array of zeroes") { free_wrong(static_zeroes); }
MISUSE(free_constant, "frees a constant") { free_wrong(constants); }
MISUSE(free_literal, "frees a string literal") { free_wrong("a literal of some length"); }
MISUSE(free_code, "frees a function") { free_wrong((const void *)free_wrong); }
MISUSE(free_thread_local, "frees a thread-local array") { free_wrong(thread_local_data); }
MISUSE(free_environment, "frees a string of the environment") { free_wrong(environ[0]); }

MISUSE(free_mapped, "frees pages of mmap") {
    void *pages = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(pages != MAP_FAILED);
    free_wrong((char *)pages + 8192);
}

MISUSE(free_unmapped, "frees an address that was unmapped") {
    void *pages = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(pages != MAP_FAILED && munmap(pages, MIB) == 0);
    free_wrong((char *)pages + 64);
}

MISUSE(free_never_allocated, "frees an uninitialised pointer, aligned") { free_wrong((void *)0x5a5a5a5a5a50); }
MISUSE(free_small_number, "frees a small number") { free_wrong((void *)0x10); }
MISUSE(free_not_canonical, "frees an address that no process can have") { free_wrong((void *)0xdeadbeefdeadbee0); }
MISUSE(free_far_above, "frees an address 16 GiB above a block") { free_wrong((char *)block(SMALL) + ((ptrdiff_t)16 << 30)); }
MISUSE(free_far_below, "frees an address 16 GiB below a block") { free_wrong((char *)block(SMALL) - ((ptrdiff_t)16 << 30)); }
MISUSE(free_mib_above, "frees an address a MiB above a block, in no block") { free_wrong(victim(SMALL) + MIB); }

static void free_inside(const char *memory, size_t size, ptrdiff_t offset) {
    (void)size;
    erring();
    free(opaque(memory + offset));
    erred();
}

static void free_interior(size_t size) { free_inside(victim(size), size, (ptrdiff_t)size / 2); }
static void free_unaligned(size_t size) { free_inside(victim(size), size, 1); }

IN_EACH_SIZE(free_interior, "frees the middle of a block")
IN_EACH_SIZE(free_unaligned, "frees a block's second byte")

MISUSE(free_header, "frees 16 bytes into a block, as if it had a header") { free_inside(victim(160), 160, 16); }
MISUSE(free_end_large, "frees the end of a large block") { free_inside(victim(LARGE), LARGE, LARGE - 4096); }

MISUSE(free_interior_freed, "frees the middle of a freed block") {
    char *memory = victim(1024);
    release(memory);
    free_inside(memory, 1024, 512);
}
