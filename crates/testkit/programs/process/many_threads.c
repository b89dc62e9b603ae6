/* Ten thousand threads alive at once, each with memory of its own.
 *
 * Every thread allocates a few sizes and waits; when all are there, each frees half of its own
 * blocks and half of its neighbour's and leaves. Resident memory is read while all are alive and
 * after all are gone: what they cost must be bounded per thread, and what they leave behind must
 * not depend on how many there were.
 *
 * Argument: the number of threads. If the system refuses that many, the program goes on with
 * those it got and says so on standard error; the test shows that line.
 */
#include "expect.h"
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

enum { BLOCKS = 12, MOST = 10000 };
/* Stacks are ours: glibc then caches none of them, and the figures are the allocator's. */
enum { STACK_BYTES = 32768 };

static const size_t sizes[BLOCKS] = {8, 24, 40, 64, 100, 200, 400, 800, 1500, 3000, 48, 16};
static void *blocks[MOST][BLOCKS];
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int arrived, started = MOST, is_open;

static void *body(void *argument) {
    int index = (int)(intptr_t)argument;
    for (int i = 0; i < BLOCKS; i++) {
        blocks[index][i] = new_stamped(sizes[i], (uint64_t)index);
    }
    pthread_mutex_lock(&gate_lock);
    arrived++;
    pthread_cond_broadcast(&changed);
    while (!is_open) {
        pthread_cond_wait(&changed, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
    int neighbour = (index + 1) % started;
    for (int i = 0; i < BLOCKS; i++) {
        free_stamped(blocks[i % 2 == 0 ? index : neighbour][i]);
    }
    return NULL;
}

int main(int count, char **arguments) {
    static pthread_t threads[MOST];
    int wanted = count > 1 ? atoi(arguments[1]) : MOST;
    EXPECT(wanted > 1 && wanted <= MOST);
    free(malloc(100));
    char *stacks = mmap(NULL, (size_t)wanted * STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    EXPECT(stacks != MAP_FAILED);
    size_t before = rss_kib();
    for (int i = 0; i < wanted; i++) {
        pthread_attr_t attributes;
        EXPECT(pthread_attr_init(&attributes) == 0);
        EXPECT(pthread_attr_setstack(&attributes, stacks + (size_t)i * STACK_BYTES, STACK_BYTES) == 0);
        int refused = pthread_create(&threads[i], &attributes, body, (void *)(intptr_t)i);
        pthread_attr_destroy(&attributes);
        if (refused != 0) {
            char line[128];
            int length = snprintf(line, sizeof line, "SCALED DOWN: %d of %d threads (error %d)\n", i,
                                  wanted, refused);
            EXPECT(write(STDERR_FILENO, line, (size_t)length) == length);
            wanted = i;
            break;
        }
    }
    EXPECT(wanted >= 500);
    pthread_mutex_lock(&gate_lock);
    started = wanted;
    while (arrived < started) {
        pthread_cond_wait(&changed, &gate_lock);
    }
    size_t alive = rss_kib();
    is_open = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&gate_lock);
    for (int i = 0; i < wanted; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT(munmap(stacks, (size_t)atoi(arguments[1]) * STACK_BYTES) == 0);
    size_t after = rss_kib();
    malloc_trim(0);
    size_t trimmed = rss_kib();
    say("threads %d before %zu alive %zu after %zu trimmed %zu", wanted, before, alive, after, trimmed);
    return 0;
}
