/* Random sizes of 16..1040 bytes over 256 live objects. One operation replaces the oldest object: a free
 * and a malloc. The sizes are drawn beforehand, so that the loop stays a small part of the figure. */
#include <stdint.h>
#include <stdlib.h>

#define LIVE 256
#define SIZES 65536

static void *live[LIVE];
static uint16_t sizes[SIZES];

int main(int argc, char **argv)
{
    size_t operations = argc > 1 ? (size_t)atol(argv[1]) : 1000;
    uint64_t state = 42;
    for (size_t i = 0; i < SIZES; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        sizes[i] = (uint16_t)(16 + (((state >> 48) * 1025) >> 16));
    }
    for (size_t i = 0; i < operations; i++) {
        free(live[i % LIVE]);
        live[i % LIVE] = malloc(sizes[i % SIZES]);
    }
    return live[0] == NULL;
}
