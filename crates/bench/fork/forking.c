/* How long a fork takes in a large program with many threads, and what its child can do.
 *
 * forking THREADS MIB FORKS: MIB mebibytes live, in objects of 4000 bytes that are all written; THREADS threads that
 * have allocated and freed, and sleep. Then FORKS forks: each child allocates and frees a thousand objects, checks some of
 * its parent's and ends. Prints, in nanoseconds:
 *
 *   fork_median fork_worst     the call, in the parent
 *   child_median               from the fork to the end of the child, as the parent sees it
 *   bare_median                the call where malloc has no hand in it: a bare system call */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 4000, MOST = 1000 };

static pthread_barrier_t ready;
static unsigned char **objects;
static size_t count;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void some_work(size_t seed)
{
    void *held[1000];
    for (size_t i = 0; i < 1000; i++) {
        size_t size = 16 + (seed + i * 37) % 1000;
        if ((held[i] = malloc(size)) == NULL)
            abort();
        memset(held[i], (int)i, size);
    }
    for (size_t i = 0; i < 1000; i++)
        free(held[i]);
}

static void *sleeper(void *seed)
{
    some_work((size_t)seed);
    pthread_barrier_wait(&ready);
    for (;;)
        pause();
    return NULL;
}

static void child(size_t seed)
{
    some_work(seed);
    for (size_t i = 0; i < 100 && i < count; i++) {
        size_t at = (i * 7919 + seed) % count;
        if (objects[at][0] != (at & 0xff) || objects[at][SIZE - 1] != (at & 0xff))
            abort();
    }
    _exit(0);
}

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void await(pid_t pid)
{
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        abort();
}

int main(int argc, char **argv)
{
    static uint64_t forks[MOST], children[MOST], bare[MOST];
    size_t threads = argc == 4 ? (size_t)atol(argv[1]) : 0;
    size_t times = argc == 4 ? (size_t)atol(argv[3]) : 0;
    if (times == 0 || times > MOST) {
        fprintf(stderr, "usage: forking THREADS MIB FORKS\n");
        return 2;
    }
    count = ((size_t)atol(argv[2]) << 20) / SIZE;
    objects = malloc(count * sizeof *objects);
    for (size_t i = 0; i < count; i++) {
        if ((objects[i] = malloc(SIZE)) == NULL)
            return 1;
        memset(objects[i], (int)(i & 0xff), SIZE);
    }
    pthread_barrier_init(&ready, NULL, (unsigned)threads + 1);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    for (size_t i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, sleeper, (void *)i) != 0)
            return 1;
    }
    pthread_barrier_wait(&ready);
    for (size_t i = 0; i < times; i++) {
        uint64_t begun = now();
        pid_t pid = fork();
        if (pid == 0)
            child(i);
        forks[i] = now() - begun;
        await(pid);
        children[i] = now() - begun;
        begun = now();
        pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (pid == 0)
            syscall(SYS_exit, 0);
        bare[i] = now() - begun;
        await(pid);
    }
    qsort(forks, times, sizeof *forks, ascending);
    qsort(children, times, sizeof *children, ascending);
    qsort(bare, times, sizeof *bare, ascending);
    printf("{\"fork_median\":%llu,\"fork_worst\":%llu,\"child_median\":%llu,\"bare_median\":%llu}\n",
           (unsigned long long)forks[times / 2], (unsigned long long)forks[times - 1],
           (unsigned long long)children[times / 2], (unsigned long long)bare[times / 2]);
    return 0;
}
