/* Threads are born and die by the thousands, with memory handed on from each to the next.
 *
 * Eight lanes run at once; a lane's thread takes over the blocks its predecessor left, frees some
 * of them, leaves others, and starts its successor before it ends. Resident memory is noted after
 * the first tenth and at the end: it must not grow with the number of the dead.
 *
 * Argument: how many threads a lane has.
 */
#include "expect.h"
#include <pthread.h>

enum { LANES = 8, BLOCKS = 400 };

static void *kept[LANES][BLOCKS];
static int threads_per_lane, warm_lanes;
static size_t warm_rss;
static pthread_mutex_t finish_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finish = PTHREAD_COND_INITIALIZER;
static int finished;

struct life {
    int lane;
    int number;
};

static void start(int lane, int number);

static void *body(void *argument) {
    struct life life = *(struct life *)argument;
    free(argument);
    uint64_t random = (uint64_t)life.number * LANES + (uint64_t)life.lane;
    for (int i = 0; i < BLOCKS; i++) {
        if (kept[life.lane][i] == NULL || next_random(&random) % 2 == 0) {
            free_stamped(kept[life.lane][i]);
            kept[life.lane][i] = new_stamped(next_size(&random), random);
        }
    }
    for (int i = 0; i < 300; i++) {
        free_stamped(new_stamped(next_size(&random), random));
    }
    if (life.number + 1 < threads_per_lane) {
        start(life.lane, life.number + 1);
    }
    pthread_mutex_lock(&finish_lock);
    if (life.number == threads_per_lane / 10 && ++warm_lanes == LANES) {
        warm_rss = rss_kib();
    }
    finished += life.number + 1 == threads_per_lane;
    pthread_cond_signal(&finish);
    pthread_mutex_unlock(&finish_lock);
    return NULL;
}

static void start(int lane, int number) {
    pthread_t thread;
    pthread_attr_t attributes;
    struct life *life = malloc(sizeof *life);
    EXPECT(life != NULL);
    *life = (struct life){lane, number};
    EXPECT(pthread_attr_init(&attributes) == 0);
    EXPECT(pthread_attr_setstacksize(&attributes, 65536) == 0);
    EXPECT(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    EXPECT(pthread_create(&thread, &attributes, body, life) == 0);
    pthread_attr_destroy(&attributes);
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    threads_per_lane = atoi(arguments[1]);
    for (int lane = 0; lane < LANES; lane++) {
        start(lane, 0);
    }
    pthread_mutex_lock(&finish_lock);
    while (finished < LANES) {
        pthread_cond_wait(&finish, &finish_lock);
    }
    pthread_mutex_unlock(&finish_lock);
    say("threads %d warm %zu end %zu", threads_per_lane * LANES, warm_rss, rss_kib());
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; i < BLOCKS; i++) {
            free_stamped(kept[lane][i]);
        }
    }
    return 0;
}
