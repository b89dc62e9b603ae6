/* The control: reads a dead part of the stack, and acts on what was never written. */
#include "harness.h"

/* Makes the stack reach further down than it will when `wild` runs. */
__attribute__((noinline)) static void dig(void) {
    volatile char deep[100000];
    deep[0] = deep[sizeof deep - 1] = 1;
}

__attribute__((noinline)) static int wild(volatile char *base, volatile int *never_written) {
    int found = *(base - 60000);
    if (*never_written == 42) puts("by chance");
    return found;
}

int main(void) {
    assert_under_test();
    dig();
    char here;
    int nothing;
    return wild(&here, &nothing) == 1000;
}
