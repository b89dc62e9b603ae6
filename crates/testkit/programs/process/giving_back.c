/* Memory goes back to the system: 300 MB in blocks of 32 to 511 bytes and some large ones are
 * allocated, written and freed; then malloc_trim(0). Prints resident memory at each step.
 */
#include "expect.h"
#include <malloc.h>

enum { COUNT = 1000000, LARGE = 20 };
static void *blocks[COUNT];

int main(void) {
    uint64_t random = 1;
    memset(blocks, 1, sizeof blocks);
    size_t before = rss_kib();
    for (int i = 0; i < COUNT; i++) {
        size_t size = i < LARGE ? 1300000 : 32 + next_random(&random) % 480;
        blocks[i] = malloc(size);
        EXPECT(blocks[i] != NULL);
        memset(blocks[i], 1, size);
    }
    size_t full = rss_kib();
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
    size_t freed = rss_kib();
    int had_effect = malloc_trim(0);
    say("before %zu full %zu freed %zu trimmed %zu effect %d", before, full, freed, rss_kib(), had_effect);
    /* What was given back can be had again. */
    for (int i = 0; i < 1000; i++) {
        blocks[i] = new_stamped(next_size(&random), random);
    }
    for (int i = 0; i < 1000; i++) {
        free_stamped(blocks[i]);
    }
    return 0;
}
