/* Accesses before and beyond a block: by 1, 8, 32 bytes and a MiB, one by one and by memcpy. Every byte between the
 * block and the far end is touched, as a loop does that runs too far.
 */
#include "suite.h"

#define GROUP "overflow"

static void write_over(size_t size, size_t distance) {
    char *memory = victim(size);
    erring();
    for (size_t i = 0; i < distance; i++) {
        poke(memory, (ptrdiff_t)(size + i));
    }
    erred();
}

static void write_under(size_t size, size_t distance) {
    char *memory = victim(size);
    erring();
    for (size_t i = 1; i <= distance; i++) {
        poke(memory, -(ptrdiff_t)i);
    }
    erred();
}

static void read_over(size_t size, size_t distance) {
    char *memory = victim(size);
    erring();
    for (size_t i = 0; i < distance; i++) {
        peek(memory, (ptrdiff_t)(size + i));
    }
    erred();
}

static void read_under(size_t size, size_t distance) {
    char *memory = victim(size);
    erring();
    for (size_t i = 1; i <= distance; i++) {
        peek(memory, -(ptrdiff_t)i);
    }
    erred();
}

#define AT_DISTANCE(verb, far, distance, what)                                                     \
    static void verb##_##far(size_t size) { verb(size, distance); }                                \
    IN_EACH_SIZE(verb##_##far, what)

AT_DISTANCE(write_over, 1, 1, "writes 1 byte beyond a block")
AT_DISTANCE(write_over, 8, 8, "writes 8 bytes beyond a block")
AT_DISTANCE(write_over, 32, 32, "writes 32 bytes beyond a block")
AT_DISTANCE(write_over, mib, MIB, "writes a MiB beyond a block")
AT_DISTANCE(write_under, 1, 1, "writes 1 byte before a block")
AT_DISTANCE(write_under, 8, 8, "writes 8 bytes before a block")
AT_DISTANCE(write_under, 32, 32, "writes 32 bytes before a block")
AT_DISTANCE(write_under, mib, MIB, "writes a MiB before a block")
AT_DISTANCE(read_over, 1, 1, "reads 1 byte beyond a block")
AT_DISTANCE(read_over, 8, 8, "reads 8 bytes beyond a block")
AT_DISTANCE(read_over, 32, 32, "reads 32 bytes beyond a block")
AT_DISTANCE(read_over, mib, MIB, "reads a MiB beyond a block")
AT_DISTANCE(read_under, 1, 1, "reads 1 byte before a block")
AT_DISTANCE(read_under, 8, 8, "reads 8 bytes before a block")
AT_DISTANCE(read_under, 32, 32, "reads 32 bytes before a block")
AT_DISTANCE(read_under, mib, MIB, "reads a MiB before a block")

/* What memcpy writes from; none of its bytes is what blocks are filled with. */
static char letters[LARGE + 64];

static void memcpy_over(size_t size) {
    char *memory = victim(size);
    memset(letters, 'A', sizeof letters);
    erring();
    memcpy(opaque(memory), letters, size + 16);
    erred();
}

static void memcpy_under(size_t size) {
    char *memory = victim(size);
    memset(letters, 'A', sizeof letters);
    erring();
    memcpy(opaque(memory - 16), letters, 16 + 16);
    erred();
}

IN_EACH_SIZE(memcpy_over, "memcpy of 16 bytes too many")
IN_EACH_SIZE(memcpy_under, "memcpy to 16 bytes before the block")
