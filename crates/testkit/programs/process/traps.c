/* Touches a freed object whose pages nobody may touch, with different things done about the signal, by the first argument.
 * Meant for hardening:strong and above, with -rdynamic.
 *
 * chain      a handler that was there first, with flags and a mask: it is called as the system would have called it
 * reset      one that is to be called once: then the process ends by the signal
 * default    no handler: the process ends by the signal, at the very access (seen by a tracer)
 * callback   a function for misuse: it gets the line, and may allocate; then the process ends by the signal
 * message    malloc_message is the program's: the line goes to standard error all the same
 * fork       the function for misuse waits for another thread, which forks: the fork is not kept waiting, and the child is sound
 * fork_exit  the same for what the look at the end finds, several faults at once: in the child nobody tells of them
 */
#include "expect.h"
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { BYTES = 1 << 20, FAR = 700 * 1000 };
static char *volatile object;
static char other_stack[64 << 10];

static void take_message(void *data, const char *text) {
    (void)data;
    (void)text;
    say("a message");
}

void (*malloc_message)(void *, const char *);

static void touch(void) {
    errno = 77;
    object[FAR]++;
}

static void expect_place(const siginfo_t *info) {
    EXPECT(info->si_signo == SIGSEGV && info->si_code == SEGV_ACCERR);
    EXPECT(info->si_addr == object + FAR);
}

static void handle_fully(int signal, siginfo_t *info, void *context) {
    EXPECT(errno == 77 && signal == SIGSEGV && context != NULL);
    expect_place(info);
    sigset_t held;
    EXPECT(sigprocmask(SIG_BLOCK, NULL, &held) == 0);
    EXPECT(sigismember(&held, SIGUSR1) == 1 && sigismember(&held, SIGSEGV) == 1 && sigismember(&held, SIGUSR2) == 0);
    char *here = (char *)&held;
    EXPECT(here < other_stack || here >= other_stack + sizeof other_stack);
    say("as it was");
    _exit(7);
}

static void handle_once(int signal) {
    struct sigaction now;
    EXPECT(errno == 77 && sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    say("once");
}

static void heed(const char *line) {
    free(malloc(5000));
    say("heard: %s", line);
}

static sem_t is_told, may_go_on;
static int heard;

static void heed_and_wait(const char *line) {
    say("heard: %s", line);
    if (heard++ == 0) {
        sem_post(&is_told);
        sem_wait(&may_go_on);
    }
}

static void *touches(void *none) {
    touch();
    return none;
}

static void *leaves(void *none) {
    exit(7);
    return none;
}

/* Has a thread run `body`, and forks while it tells of its first fault. */
static void fork_meanwhile(void *(*body)(void *)) {
    pthread_t thread;
    EXPECT(sem_init(&is_told, 0, 0) == 0 && sem_init(&may_go_on, 0, 0) == 0);
    EXPECT(pthread_create(&thread, NULL, body, NULL) == 0);
    EXPECT(sem_wait(&is_told) == 0);
    /* A fork that waits for the other one waits for good. */
    alarm(60);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 10000; i++) {
            free(malloc((size_t)i));
        }
        EXPECT(heard == 1);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    say("forked");
    sem_post(&may_go_on);
    for (;;) {
        pause();
    }
}

static void set_callback(void (*function)(const char *)) {
    int (*control)(const char *, void *, size_t *, void *, size_t);
    *(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
    EXPECT(control("experimental.hooks.safety_check_abort", NULL, NULL, &function, sizeof function) == 0);
}

static void watch(pid_t child) {
    int status, stops = 0;
    for (;;) {
        EXPECT(waitpid(child, &status, 0) == child);
        if (!WIFSTOPPED(status)) {
            break;
        }
        if (WSTOPSIG(status) != SIGSEGV) {
            EXPECT(ptrace(PTRACE_CONT, child, 0, 0) == 0);
            continue;
        }
        siginfo_t info;
        EXPECT(ptrace(PTRACE_GETSIGINFO, child, 0, &info) == 0);
        expect_place(&info);
        stops++;
        EXPECT(ptrace(PTRACE_CONT, child, 0, SIGSEGV) == 0);
    }
    EXPECT(stops == 2 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    say("died at the access");
}

static void prepare(void) {
    for (int i = 0; i < 1000; i++) {
        free(malloc((size_t)i));
    }
    object = malloc(BYTES);
    memset(object, 1, BYTES);
    free(object);
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    const char *what = arguments[1];
    if (strcmp(what, "chain") == 0) {
        stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
        EXPECT(sigaltstack(&stack, NULL) == 0);
        struct sigaction action = {.sa_sigaction = handle_fully, .sa_flags = SA_SIGINFO};
        sigaddset(&action.sa_mask, SIGUSR1);
        EXPECT(sigaction(SIGSEGV, &action, NULL) == 0);
    } else if (strcmp(what, "reset") == 0) {
        struct sigaction action = {.sa_handler = handle_once, .sa_flags = SA_RESETHAND};
        EXPECT(sigaction(SIGSEGV, &action, NULL) == 0);
    } else if (strcmp(what, "message") == 0) {
        malloc_message = take_message;
    } else if (strcmp(what, "default") == 0) {
        prepare();
        pid_t child = fork();
        if (child == 0) {
            EXPECT(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
            touch();
        }
        watch(child);
        return 0;
    } else if (strcmp(what, "callback") == 0) {
        set_callback(heed);
    } else if (strcmp(what, "fork") == 0) {
        prepare();
        set_callback(heed_and_wait);
        fork_meanwhile(touches);
    } else if (strcmp(what, "fork_exit") == 0) {
        for (int i = 0; i < 3; i++) {
            char *volatile spoiled = malloc(50);
            spoiled[50]++;
        }
        set_callback(heed_and_wait);
        fork_meanwhile(leaves);
    }
    prepare();
    touch();
    return 0;
}
