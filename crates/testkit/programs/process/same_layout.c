/* With one thread the addresses are a function of the calls alone: a long random sequence is
 * played with address randomisation off, and a digest of every address, counted from the first
 * one, is printed. The argument is the seed. Two runs must print the same, two seeds must not.
 *
 * The environment is replaced by a fixed one, as its size moves the stack and nothing else should.
 */
#include "expect.h"
#include <sys/personality.h>

enum { HELD = 20000, STEPS = 400000 };
static char *held[HELD];

int main(int count, char **arguments) {
    EXPECT(count == 2);
    int persona = personality(0xffffffff);
    EXPECT(persona >= 0);
    if ((persona & ADDR_NO_RANDOMIZE) == 0) {
        if (personality((unsigned long)persona | ADDR_NO_RANDOMIZE) < 0) {
            say("refused");
            return 0;
        }
        execv("/proc/self/exe", arguments);
        fail("exec: errno %d", errno);
    }
    uint64_t random = strtoul(arguments[1], NULL, 10);
    char *origin = malloc(1);
    EXPECT(origin != NULL);
    uint64_t digest = 0;
    for (int step = 0; step < STEPS; step++) {
        int slot = (int)(next_random(&random) % HELD);
        size_t size = next_size(&random);
        if (held[slot] != NULL && step % 4 == 0) {
            held[slot] = realloc(held[slot], size);
        } else {
            free(held[slot]);
            held[slot] = malloc(size);
        }
        EXPECT(held[slot] != NULL);
        held[slot][0] = 1;
        digest = (digest ^ (uint64_t)(held[slot] - origin)) * 0x100000001b3ULL;
        if (step % 50000 == 49999) {
            say("step %d digest %016llx", step, (unsigned long long)digest);
            usleep(30000);
        }
    }
    return 0;
}
