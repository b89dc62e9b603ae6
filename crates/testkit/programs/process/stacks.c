// Allocates at the bottom of two functions of its own, and in a signal handler; writes a heap profile to the path given, and
// prints the return addresses that its stacks must have in them.
#include "expect.h"
#include <signal.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

static void *volatile kept[64];
static void *in_leaf, *in_middle, *in_handlers_caller;

__attribute__((noinline)) static void *leaf(int bytes) {
    char *block = malloc((size_t)bytes);
    block[0] = 1;
    in_leaf = __builtin_return_address(0);
    return block;
}

__attribute__((noinline)) static void *middle(int bytes) {
    char *block = leaf(bytes);
    block[1] = 2;
    in_middle = __builtin_return_address(0);
    return block;
}

static void handler(int signal) {
    (void)signal;
    kept[63] = malloc(333);
}

__attribute__((noinline)) static int raising(int signal) {
    int result = raise(signal);
    in_handlers_caller = __builtin_return_address(0);
    return result + 1;
}

int main(int argc, char **argv) {
    EXPECT(argc == 2 && mallctl);
    for (int i = 0; i < 50; i++) kept[i] = middle(1000);
    signal(SIGUSR1, handler);
    EXPECT(raising(SIGUSR1) == 1);
    EXPECT(mallctl("prof.dump", NULL, NULL, &(const char *){argv[1]}, sizeof(char *)) == 0);
    say("0x%lx 0x%lx", (unsigned long)in_leaf, (unsigned long)in_middle);
    say("0x%lx", (unsigned long)in_handlers_caller);
    return 0;
}
