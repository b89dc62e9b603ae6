/* Threads that pass blocks on under a lock of their own, are born and die; every block is whole wherever it comes.
 *
 * Valgrind knows nothing of the library's malloc, and nothing of atomics. So the program says what it got: a block is new
 * memory to the tools from the instant that malloc returns. What they then report is a block that two threads have, or
 * the library touching what the program holds. With the argument `racy` two threads write to a block without the lock:
 * the control.
 */
#include "../memcheck/harness.h"
#include <malloc.h>
#include <pthread.h>
#include <valgrind/drd.h>
#include <valgrind/helgrind.h>

enum { THREADS = 4, GENERATIONS = 3, STEPS = 1500, SHELF = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *shelf[SHELF];
static int racy;

/* Both tools read the request that is theirs. */
static char *fresh(char *block, size_t size) {
    CHECK(block);
    VALGRIND_HG_CLEAN_MEMORY(block, size);
    ANNOTATE_NEW_MEMORY(block, size);
    return block;
}

static void *work(void *argument) {
    unsigned long n = (unsigned long)argument;
    for (int step = 0; step < STEPS; step++) {
        n = n * 6364136223846793005UL + 1442695040888963407UL;
        size_t size = 2 + (n >> 33) % ((n >> 20) % 64 ? 900 : 60000);
        /* Not calloc: that the library clears a block before the program has it, the tools cannot know. */
        char *block = fresh(malloc(size), size);
        memset(block, 'a' + step % 26, size);
        block[size - 1] = 0;
        pthread_mutex_lock(&lock);
        char *old = shelf[n % SHELF];
        shelf[n % SHELF] = block;
        pthread_mutex_unlock(&lock);
        if (racy) block[0] = 'r';
        if (old) {
            size_t length = strlen(old);
            CHECK(racy || length == 0 || old[0] == old[length - 1]);
            if (racy) old[0] = 'q';
            free(old);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    assert_under_test();
    racy = count > 1 && strcmp(arguments[1], "racy") == 0;
    for (int g = 0; g < GENERATIONS; g++) {
        pthread_t threads[THREADS];
        for (long t = 0; t < THREADS; t++) CHECK(pthread_create(&threads[t], NULL, work, (void *)(t + 10 * g + 1)) == 0);
        for (int t = 0; t < THREADS; t++) CHECK(pthread_join(threads[t], NULL) == 0);
    }
    for (int i = 0; i < SHELF; i++) free(shelf[i]);
    return 0;
}
