// What memcheck is to see through the library: each run makes one mistake, named by the argument, or none.
#include "expect.h"

static char *volatile lost[8];

int main(int argc, char **argv) {
    const char *mistake = argc > 1 ? argv[1] : "none";
    char *volatile small = malloc(40), *volatile other = malloc(40), *volatile zeroes = calloc(5, 9), *volatile large = malloc(100000);
    memset(small, 1, 40);
    memset(large, 1, 100000);
    EXPECT(zeroes[44] == 0);
    small = realloc(small, 70);
    small[69] = 2;
    EXPECT(small[39] == 1);
    large = realloc(large, 100500);
    EXPECT(large[99999] == 1);
    volatile int sum = 0;
    if (!strcmp(mistake, "use_after_free")) {
        free(small);
        sum += small[3];
        small = NULL;
    } else if (!strcmp(mistake, "overflow")) {
        other[40] = 1;
        other[40] = 0;
    } else if (!strcmp(mistake, "uninitialised")) {
        if (other[7] == 3) say("by chance");
    } else if (!strcmp(mistake, "leak")) {
        for (int i = 0; i < 8; i++) lost[i] = malloc(777);
        for (int i = 0; i < 8; i++) lost[i] = NULL;
    }
    free(small);
    free(other);
    free(zeroes);
    free(large);
    return 0;
}
