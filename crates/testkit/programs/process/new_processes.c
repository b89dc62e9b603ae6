/* Other ways to start a process, while threads allocate: vfork and exec, posix_spawn, system,
 * popen, and a daemon's double fork, whose grandchild has no parent here and reports by a pipe.
 */
#include "expect.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

enum { WORKERS = 4, ROUNDS = 60 };
static volatile int is_stopping;
extern char **environ;

static void *worker(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    void *held[500] = {0};
    while (!is_stopping) {
        int slot = (int)(next_random(&random) % 500);
        free_stamped(held[slot]);
        held[slot] = new_stamped(next_size(&random), random);
    }
    for (int i = 0; i < 500; i++) {
        free_stamped(held[i]);
    }
    return NULL;
}

static void expect_exit(pid_t child, int code) {
    int status;
    EXPECT(child > 0);
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void by_vfork(char **arguments) {
    pid_t child = vfork();
    if (child == 0) {
        execv("/proc/self/exe", arguments);
        _exit(98);
    }
    expect_exit(child, 17);
}

static void by_spawn(char **arguments) {
    pid_t child = -1;
    EXPECT(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
    expect_exit(child, 17);
}

static void by_shell(void) {
    char line[64] = {0};
    EXPECT(system("exit 0") == 0);
    FILE *words = popen("echo spoken", "r");
    EXPECT(words != NULL);
    EXPECT(fgets(line, sizeof line, words) != NULL && strcmp(line, "spoken\n") == 0);
    EXPECT(pclose(words) == 0);
}

static void by_double_fork(uint64_t seed) {
    int ends[2];
    EXPECT(pipe(ends) == 0);
    void *inherited = new_stamped(5000, seed);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        EXPECT(setsid() > 0);
        pid_t daemon = fork();
        EXPECT(daemon >= 0);
        if (daemon == 0) {
            pthread_t thread;
            alarm(60);
            is_stopping = 1;
            free_stamped(inherited);
            EXPECT(pthread_create(&thread, NULL, worker, (void *)1) == 0);
            EXPECT(pthread_join(thread, NULL) == 0);
            free_stamped(new_stamped(100000, seed));
            EXPECT(write(ends[1], "d", 1) == 1);
            _exit(0);
        }
        _exit(3);
    }
    expect_exit(child, 3);
    close(ends[1]);
    char letter = 0;
    EXPECT(read(ends[0], &letter, 1) == 1 && letter == 'd');
    close(ends[0]);
    free_stamped(inherited);
}

int main(int count, char **arguments) {
    if (count == 2) {
        free_stamped(new_stamped(12345, 1));
        return 17;
    }
    pthread_t threads[WORKERS];
    char *again[] = {arguments[0], (char *)"child", NULL};
    for (uintptr_t i = 0; i < WORKERS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        by_vfork(again);
        by_spawn(again);
        if (i % 10 == 0) {
            by_shell();
        }
        by_double_fork((uint64_t)i);
    }
    is_stopping = 1;
    for (int i = 0; i < WORKERS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    say("%d rounds", ROUNDS);
    return 0;
}
