/* Random calls on a table of blocks, each filled with a pattern of its own that must survive. */
#include "harness.h"

enum { BLOCKS = 700, STEPS = 40000 };

static struct { unsigned char *at; size_t size; unsigned char fill; } blocks[BLOCKS];
static unsigned long seed = 88172645463325252UL;

static unsigned long dice(unsigned long n) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static size_t some_size(void) {
    return dice(200) == 0 ? dice(500000) : dice(dice(10) == 0 ? 20000 : 600);
}

static void verify(int b, size_t size) {
    for (size_t i = 0; i < size; i += 1 + i / 16) CHECK(blocks[b].at[i] == blocks[b].fill);
    if (size) CHECK(blocks[b].at[size - 1] == blocks[b].fill);
}

static void fill(int b) { memset(blocks[b].at, blocks[b].fill = (unsigned char)dice(256), blocks[b].size); }

int main(void) {
    assert_under_test();
    for (int step = 0; step < STEPS; step++) {
        int b = (int)dice(BLOCKS);
        size_t size = some_size();
        if (!blocks[b].at) {
            blocks[b].at = dice(3) ? malloc(size) : calloc(1, size);
            blocks[b].size = size;
        } else if (dice(3) == 0) {
            unsigned char *moved = realloc(blocks[b].at, size + 1);
            CHECK(moved);
            blocks[b].at = moved;
            verify(b, size + 1 < blocks[b].size ? size + 1 : blocks[b].size);
            blocks[b].size = size + 1;
        } else {
            verify(b, blocks[b].size);
            free(blocks[b].at);
            blocks[b].at = NULL;
            continue;
        }
        CHECK(blocks[b].at);
        fill(b);
    }
    for (int b = 0; b < BLOCKS; b++) {
        if (blocks[b].at) verify(b, blocks[b].size);
        free(blocks[b].at);
    }
    return 0;
}
