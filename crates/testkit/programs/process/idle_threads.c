/* 400 threads each free a burst of mixed sizes and then sleep: what they cached goes back without them.
 *
 * Arguments: "sleep": they just sleep, and the purge thread sees to it; "tell": each says thread.idle
 * before it sleeps, and there is no purge thread.
 * Told are the figures (thread caches and what lies between threads); the resident size has to follow.
 */
#include "expect.h"
#include <pthread.h>
#include <semaphore.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

enum { THREADS = 400, AT_ONCE = 40, BURST = 3 << 20, EACH = 64 << 10, SLOTS = 40000 };

static sem_t turns, done;
static int tells;

static void *worker(void *argument) {
    uint64_t random = (uintptr_t)argument;
    sem_wait(&turns);
    void **blocks = malloc(SLOTS * sizeof *blocks);
    EXPECT(blocks != NULL);
    int count = 0;
    for (size_t bytes = 0; bytes < BURST && count < SLOTS; count++) {
        size_t size = 16 + next_random(&random) % (next_random(&random) % 8 == 0 ? 16000 : 500);
        blocks[count] = malloc(size);
        EXPECT(blocks[count] != NULL);
        memset(blocks[count], 1, size);
        bytes += size;
    }
    EXPECT(count > 500);
    for (int i = 0; i < count; i++) {
        free(blocks[i]);
    }
    free(blocks);
    if (tells) {
        EXPECT(mallctl("thread.idle", NULL, NULL, NULL, 0) == 0);
    }
    sem_post(&turns);
    sem_post(&done);
    for (;;) {
        pause();
    }
    return NULL;
}

static size_t cached_bytes(void) {
    uint64_t epoch = 1;
    size_t bytes = 0, length = sizeof bytes;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    EXPECT(mallctl("stats.arenas.0.tcache_bytes", &bytes, &length, NULL, 0) == 0);
    return bytes;
}

int main(int count, char **arguments) {
    EXPECT(count == 2 && mallctl != NULL);
    tells = strcmp(arguments[1], "tell") == 0;
    sem_init(&turns, 0, 0);
    sem_init(&done, 0, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    for (intptr_t i = 0; i < THREADS; i++) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, &attributes, worker, (void *)(i + 1)) == 0);
    }
    size_t before = rss_kib();
    for (int i = 0; i < AT_ONCE; i++) {
        sem_post(&turns);
    }
    for (int i = 0; i < THREADS; i++) {
        while (sem_wait(&done) != 0) {
        }
    }
    /* What each may keep; and the records of its cache, 2 KiB for each class it used, pages that its last objects
     * share with others', and its stack. */
    size_t allowed = before + THREADS * (EACH / 1024 + 96) + 4096;
    size_t cached = 0, rss = 0;
    for (int tenths = 0;; tenths++) {
        cached = cached_bytes();
        rss = rss_kib();
        if (cached <= (size_t)THREADS * EACH && (tells || rss <= allowed)) {
            break;
        }
        if (tenths == 900) {
            fail("%zu KiB cached, %zu resident, %zu allowed", cached >> 10, rss, allowed);
        }
        usleep(100000);
    }
    /* Without a purge thread what lies in pages goes when somebody asks; it is no thread's. */
    if (tells) {
        EXPECT(mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0);
        rss = rss_kib();
        if (rss > allowed) {
            fail("%zu resident after a purge, %zu allowed", rss, allowed);
        }
    }
    say("done: %zu KiB cached, %zu KiB more than before", cached >> 10, rss - before);
    return 0;
}
