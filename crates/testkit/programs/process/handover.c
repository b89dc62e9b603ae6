/* Memory allocated by a thread and freed by another after its death, in every class, joined and
 * detached; and memory that died with nobody, adopted by nobody, freed last by main.
 *
 * Two generations hand blocks through a ring: a thread frees what the one before it left, leaves
 * its own, and ends. Blocks carry their pattern all the way.
 */
#include "expect.h"
#include <pthread.h>
#include <semaphore.h>

enum { GENERATIONS = 600, BLOCKS = 1500 };

static void *ring[BLOCKS];
static sem_t finished;

static void *generation(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < BLOCKS; i++) {
        free_stamped(ring[i]);
        ring[i] = new_stamped(next_size(&random) % (i % 100 == 0 ? 300000 : 2000), random);
    }
    /* Some are freed by their owner in another order, so that its own cache has contents. */
    for (int i = 0; i < BLOCKS; i += 2) {
        int other = (int)(next_random(&random) % BLOCKS);
        free_stamped(ring[other]);
        ring[other] = NULL;
    }
    sem_post(&finished);
    return NULL;
}

int main(void) {
    EXPECT(sem_init(&finished, 0, 0) == 0);
    for (uintptr_t i = 1; i <= GENERATIONS; i++) {
        pthread_t thread;
        pthread_attr_t attributes;
        EXPECT(pthread_attr_init(&attributes) == 0);
        if (i % 2 == 0) {
            EXPECT(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
        }
        EXPECT(pthread_create(&thread, &attributes, generation, (void *)i) == 0);
        pthread_attr_destroy(&attributes);
        while (sem_wait(&finished) != 0) {
        }
        if (i % 2 != 0) {
            EXPECT(pthread_join(thread, NULL) == 0);
        }
    }
    int count = 0;
    for (int i = 0; i < BLOCKS; i++) {
        count += ring[i] != NULL;
        free_stamped(ring[i]);
    }
    EXPECT(count > BLOCKS / 3);
    say("%d generations", GENERATIONS);
    return 0;
}
