/* What the programs here share: CHECK, and the proof that malloc is the library's. */
#pragma once
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* The library's path comes in LIBRARY_UNDER_TEST; valgrind could have put its own malloc first. */
static inline void assert_under_test(void) {
    Dl_info info;
    const char *library = getenv("LIBRARY_UNDER_TEST");
    CHECK(library && dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) && strcmp(info.dli_fname, library) == 0);
}
