/* malloc_usable_size of what is no block, and slack taken for granted. */
#include "suite.h"

#define GROUP "usable size"

static char static_data[256] __attribute__((aligned(64))) = {1};

static void ask(const void *pointer) {
    block(SMALL);
    erring();
    size_t usable = malloc_usable_size(opaque(pointer));
    /* Nothing is lent: an answer that harms nobody. */
    refused(usable == 0);
    erred();
}

static void usable_size_of_freed(size_t size) {
    char *memory = victim(size);
    release(memory);
    ask(memory);
}

static void usable_size_of_interior(size_t size) { ask(victim(size) + size / 2); }

IN_EACH_SIZE(usable_size_of_freed, "malloc_usable_size of a freed block")
IN_EACH_SIZE(usable_size_of_interior, "malloc_usable_size of the middle of a block")

MISUSE(usable_size_of_unaligned, "malloc_usable_size of a block's second byte") { ask(victim(SMALL) + 1); }
MISUSE(usable_size_of_static, "malloc_usable_size of static data") { ask(static_data + 64); }
MISUSE(usable_size_of_never_allocated, "malloc_usable_size of an uninitialised pointer") { ask((void *)0x5a5a5a5a5a50); }

/* The size asked for leaves slack in every allocator compared. */
static void fill_slack(size_t size) {
    char *memory = victim(size);
    erring();
    size_t usable = malloc_usable_size(memory);
    for (size_t i = size; i < usable; i++) {
        poke(memory, (ptrdiff_t)i);
    }
    refused(usable == size);
    erred();
}

MISUSE(fill_slack_small, "asks for 97 bytes and uses malloc_usable_size of them") { fill_slack(97); }
MISUSE(fill_slack_medium, "asks for 2601 bytes and uses malloc_usable_size of them") { fill_slack(2601); }
MISUSE(fill_slack_large, "asks for 100000 bytes and uses malloc_usable_size of them") { fill_slack(100000); }
