/* Running bytes of the heap as code. */
#include "suite.h"

#define GROUP "executable heap"

static void execute(size_t size) {
    char *memory = victim(size);
#if defined(__x86_64__)
    static const unsigned char code[] = {0xc3}; /* ret */
#elif defined(__aarch64__)
    static const unsigned char code[] = {0xc0, 0x03, 0x5f, 0xd6}; /* ret */
#endif
    memcpy(memory, code, sizeof code);
    unwatch(memory);
    __builtin___clear_cache(memory, memory + sizeof code);
    void (*call)(void);
    *(void **)&call = memory;
    erring();
    call();
    erred();
    free(memory);
}

IN_EACH_SIZE(execute, "calls a return instruction written into a block")
