/* 1000 threads, each of which touched one object of each of 64 sizes (16..1024) and freed it, then idle.
 * Says "ready" once all of them wait, and stays until it is killed. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZES 64
#define STEP 16

static pthread_barrier_t all_idle;

static void *touch_and_wait(void *unused)
{
    void *objects[SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        objects[i] = malloc((i + 1) * STEP);
        if (objects[i] == NULL)
            abort();
        memset(objects[i], 0x5a, (i + 1) * STEP);
    }
    for (size_t i = 0; i < SIZES; i++)
        free(objects[i]);
    pthread_barrier_wait(&all_idle);
    for (;;)
        pause();
    return unused;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
    pthread_barrier_init(&all_idle, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, touch_and_wait, NULL) != 0)
            abort();
    }
    pthread_barrier_wait(&all_idle);
    printf("ready live=0 requested=0\n");
    fflush(stdout);
    for (;;)
        pause();
}
