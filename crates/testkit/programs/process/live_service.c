/* A small service to be watched: it holds 40 MiB, makes and frees objects all the time, and ends when told. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELD 10000
#define HELD_BYTES 4096

static volatile sig_atomic_t enough;

static void stop(int signal) {
    (void)signal;
    enough = 1;
}

__attribute__((noinline)) static char *load_table(void) {
    char *table = malloc(HELD_BYTES);
    memset(table, 1, HELD_BYTES);
    return table;
}

__attribute__((noinline)) static void serve(void) {
    for (int i = 0; i < 2000; i++) {
        char *request = malloc(100 + i % 50 * 16);
        request[0] = 1;
        free(request);
    }
}

int main(void) {
    static char *tables[HELD];
    signal(SIGTERM, stop);
    for (int i = 0; i < HELD; i++)
        tables[i] = load_table();
    puts("ready");
    fflush(stdout);
    for (int round = 0; !enough; round++) {
        serve();
        /* So that samples appear once somebody switches profiling on. */
        int at = round % HELD;
        free(tables[at]);
        tables[at] = load_table();
        usleep(1000);
    }
    puts("stopped");
    return 7;
}
