/* Threads that hand blocks to one another, are born and die, and a fork in the midst of them. */
#include "harness.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, GENERATIONS = 3, STEPS = 3000, SHELF = 64 };

static _Atomic(char *) shelf[SHELF];

static void *work(void *argument) {
    unsigned long n = (unsigned long)argument;
    for (int step = 0; step < STEPS; step++) {
        n = n * 6364136223846793005UL + 1442695040888963407UL;
        size_t size = 1 + (n >> 33) % ((n >> 20) % 64 ? 900 : 40000);
        char *fresh = malloc(size);
        CHECK(fresh);
        memset(fresh, 'a' + step % 26, size);
        fresh[size - 1] = 0;
        char *old = atomic_exchange(&shelf[n % SHELF], fresh);
        if (old) {
            size_t length = strlen(old);
            CHECK(length == 0 || old[0] == old[length - 1]);
            if (n & 64) old = realloc(old, length + 500);
            free(old);
        }
    }
    return NULL;
}

static void generation(int number) {
    pthread_t threads[THREADS];
    for (long t = 0; t < THREADS; t++) CHECK(pthread_create(&threads[t], NULL, work, (void *)(t + 10 * number + 1)) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char *mine[200];
        for (int i = 0; i < 200; i++) CHECK((mine[i] = calloc(1, 10 + i * 37)) != NULL);
        for (int i = 0; i < 200; i++) free(mine[i]);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int t = 0; t < THREADS; t++) CHECK(pthread_join(threads[t], NULL) == 0);
}

int main(void) {
    assert_under_test();
    for (int g = 0; g < GENERATIONS; g++) generation(g);
    for (int i = 0; i < SHELF; i++) free(atomic_load(&shelf[i]));
    return 0;
}
