/* Using a block after its free: at once, and after its memory was handed out again. */
#include "suite.h"

#define GROUP "use after free"

static void write_after_free(size_t size) {
    char *memory = victim(size);
    release(memory);
    erring();
    for (int i = 0; i < 16; i++) {
        poke(memory, i);
    }
    erred();
}

/* In the middle, where no allocator keeps anything. */
static void write_inside_after_free(size_t size) {
    char *memory = victim(size);
    release(memory);
    erring();
    poke(memory, (ptrdiff_t)size / 2);
    erred();
}

static void write_after_reuse(size_t size) {
    char *memory = victim(size);
    release(memory);
    reuse(memory, size);
    erring();
    for (int i = 0; i < 16; i++) {
        poke(memory, i);
    }
    erred();
}

static void read_after_free(size_t size) {
    char *memory = victim(size);
    release(memory);
    erring();
    read_stale(memory, size);
    erred();
}

/* What is read is the next owner's, unless the memory waits in a quarantine. */
static void read_after_reuse(size_t size) {
    char *memory = victim(size);
    release(memory);
    reuse(memory, size);
    erring();
    read_stale(memory, size);
    erred();
}

IN_EACH_SIZE(write_after_free, "writes to the start of a freed block")
IN_EACH_SIZE(write_inside_after_free, "writes one byte inside a freed block")
IN_EACH_SIZE(write_after_reuse, "writes through the old pointer to a block that was handed out again")
IN_EACH_SIZE(read_after_free, "reads a freed block")
IN_EACH_SIZE(read_after_reuse, "reads through the old pointer a block that was handed out again")

MISUSE(write_long_after_free, "writes to a freed block after MiBs of other traffic in its size") {
    char *memory = victim(SMALL);
    release(memory);
    churn(SMALL);
    erring();
    for (int i = 0; i < 16; i++) {
        poke(memory, i);
    }
    erred();
}

struct node {
    struct node *next;
    void (*visit)(void);
    char name[48];
};

static void visited(void) {}

MISUSE(call_after_free, "calls through a function pointer in a freed object") {
    struct node *node = (struct node *)victim(sizeof *node);
    release(node);
    /* Another object of the same size, filled by whoever wants the call to go elsewhere. */
    struct node *other = (struct node *)block(sizeof *node);
    other->visit = visited;
    erring();
    struct node *stale = (struct node *)opaque(node);
    if (stale == other) {
        stale->visit();
    } else {
        ((void (*volatile)(void))stale->visit)();
    }
    erred();
}

MISUSE(walk_after_free, "frees the nodes of a list while walking it by them") {
    struct node *first = NULL;
    for (int i = 0; i < 8; i++) {
        struct node *node = (struct node *)block(sizeof *node);
        unwatch(node);
        node->next = first;
        first = node;
    }
    erring();
    for (int i = 0; i < 8; i++) {
        struct node *node = (struct node *)opaque(first);
        free(node);
        first = ((struct node *volatile *)opaque(node))[0];
    }
    erred();
}
