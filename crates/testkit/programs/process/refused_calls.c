/* The system refuses: a seccomp filter makes chosen memory calls fail with ENOMEM.
 *
 * mappings  - mmap, mremap and brk fail from some point on: exhaustion, then what is freed is
 *             served again, in this thread and others.
 * brk-left  - mmap and mremap fail, brk does not: the second source of pages still serves.
 * moves     - only mremap fails: large blocks grow by copying.
 * advice    - madvise, mprotect and munmap fail: memory is not given back, and nothing else
 *             happens.
 * strangers - whatever else the library asks of the system fails, as a sandbox has it: opening files, names, processors,
 *             numbers of chance, barriers, residence, new threads. Memory is there, and so is all that is done with it.
 * start     - from the program's first instruction on (the filter is set and the program executed
 *             again) only small anonymous mappings are allowed and no brk: whatever the first
 *             calls answer, they answer in order.
 * start-brk - the same with brk allowed: everything is served.
 *
 * Stacks could not be mapped either, so threads get one that exists already.
 */
#include "exhaustion.h"
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const size_t ALL = (size_t)1 << 40;

/* Refuses call `number` when its second argument (a length) is `shortest` or more. */
struct refusal {
    int number;
    uint32_t shortest;
};

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(test, value, then, otherwise) BPF_JUMP(BPF_JMP | (test) | BPF_K, value, then, otherwise)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)

static void install(struct sock_filter *program, int length);

/* brk never returns an error: it answers with an end below the one asked for, here with 0.
 *
 * Files may always be mapped, and pages be placed inside a mapping that exists (MAP_FIXED):
 * that is how programs and their zeroed data are loaded. */
static void refuse(const struct refusal *refusals, int count) {
    enum { PER_CALL = 9 };
    struct sock_filter program[3 * PER_CALL + 2];
    int length = 0;
    program[length++] = (struct sock_filter)LOAD(nr);
    for (int i = 0; i < count; i++) {
        int is_mmap = refusals[i].number == SYS_mmap, is_brk = refusals[i].number == SYS_brk;
        const struct sock_filter part[PER_CALL] = {
            IF(BPF_JEQ, (uint32_t)refusals[i].number, 0, PER_CALL - 1),
            LOAD(args[3]),
            IF(BPF_JSET, is_mmap ? MAP_FIXED : 0, 5, 0),
            LOAD(args[4]),
            IF(BPF_JEQ, UINT32_MAX, 0, is_mmap ? 3 : 0),
            LOAD(args[1]),
            IF(BPF_JGE, refusals[i].shortest, 0, 1),
            ANSWER(SECCOMP_RET_ERRNO | (is_brk ? 0 : ENOMEM)),
            ANSWER(SECCOMP_RET_ALLOW),
        };
        memcpy(program + length, part, sizeof part);
        length += PER_CALL;
    }
    program[length++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
    install(program, length);
}

static void install(struct sock_filter *program, int length) {
    struct sock_fprog whole = {.len = (unsigned short)length, .filter = program};
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) != 0) {
        say("refused");
        _exit(0);
    }
}

/* Not every call has a length; 0 stands for any. */
#define ANY_LENGTH 0

static void *stack_for_thread;
enum { STACK_BYTES = 1 << 18 };

static void *thread_body(void *unused) {
    (void)unused;
    expect_working((size_t)1 << 20, 9);
    return NULL;
}

static void run_thread(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    EXPECT(pthread_attr_init(&attributes) == 0);
    EXPECT(pthread_attr_setstack(&attributes, stack_for_thread, STACK_BYTES) == 0);
    EXPECT(pthread_create(&thread, &attributes, thread_body, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

static void expect_mmap_refused(void) {
    errno = 0;
    EXPECT(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    EXPECT(errno == ENOMEM);
}

static void mappings(void) {
    static const struct refusal refusals[] = {
        {SYS_mmap, ANY_LENGTH}, {SYS_mremap, ANY_LENGTH}, {SYS_brk, ANY_LENGTH}};
    struct hoard all = {0};
    hoard(&all, 100000, (size_t)32 << 20);
    hoard(&all, 300, (size_t)48 << 20);
    refuse(refusals, 3);
    expect_mmap_refused();
    exhaust(&all, ALL);
    size_t held = all.bytes;
    release(&all);
    for (int i = 0; i < 3; i++) {
        EXPECT(exhaust(&all, ALL) >= held / 2);
        release(&all);
    }
    expect_working((size_t)100 << 20, 3);
    run_thread();
    say("served again");
}

static void brk_left(void) {
    static const struct refusal refusals[] = {{SYS_mmap, ANY_LENGTH}, {SYS_mremap, ANY_LENGTH}};
    struct hoard all = {0};
    refuse(refusals, 2);
    expect_mmap_refused();
    EXPECT(!hoard(&all, 100000, (size_t)32 << 20));
    EXPECT(!hoard(&all, 300, (size_t)64 << 20));
    EXPECT(!hoard(&all, (size_t)4 << 20, (size_t)128 << 20));
    release(&all);
    expect_working((size_t)64 << 20, 3);
    run_thread();
    say("second source served");
}

static void moves(void) {
    static const struct refusal refusals[] = {{SYS_mremap, ANY_LENGTH}};
    refuse(refusals, 1);
    for (int round = 0; round < 4; round++) {
        size_t size = 100;
        unsigned char *block = malloc(size), *between = NULL;
        EXPECT(block != NULL);
        memset(block, round + 1, size);
        while (size < (size_t)100 << 20) {
            /* A neighbour now and then, so that growing in place is not always possible. */
            unsigned char *neighbour = malloc(size);
            size_t grown = size * 3 / 2;
            block = realloc(block, grown);
            EXPECT(block != NULL && neighbour != NULL);
            for (size_t i = 0; i < size; i += i + 17 < size ? 17 : 1) {
                EXPECT(block[i] == (unsigned char)(round + 1));
            }
            memset(block + size, round + 1, grown - size);
            free(between);
            between = neighbour;
            size = grown;
        }
        free(between);
        block = realloc(block, 1000);
        EXPECT(block != NULL && block[999] == (unsigned char)(round + 1));
        free(block);
    }
    say("moved by copying");
}

static void advice(void) {
    static const struct refusal refusals[] = {
        {SYS_madvise, ANY_LENGTH}, {SYS_mprotect, ANY_LENGTH}, {SYS_munmap, ANY_LENGTH}};
    struct hoard all = {0};
    refuse(refusals, 3);
    for (int round = 0; round < 4; round++) {
        EXPECT(!hoard(&all, 3000, (size_t)40 << 20));
        EXPECT(!hoard(&all, 700000, (size_t)80 << 20));
        release(&all);
        malloc_trim(0);
        for (int i = 0; i < 8; i++) {
            /* Memory that could not be given back is not mistaken for fresh zeroes. */
            unsigned char *zeroed = calloc(1, (size_t)5 << 20);
            EXPECT(zeroed != NULL);
            for (size_t k = 0; k < (size_t)5 << 20; k += 64) {
                EXPECT(zeroed[k] == 0);
            }
            memset(zeroed, 0xee, (size_t)5 << 20);
            free(zeroed);
        }
        expect_working((size_t)32 << 20, (uint64_t)round);
        usleep(50000);
    }
    run_thread();
    say("kept its memory");
}

/* All that the library calls beside memory, clock, writing, and sleeping on a word; and what it might. */
static const int strange[] = {
    SYS_open, SYS_openat, SYS_readlink, SYS_readlinkat, SYS_prctl, SYS_membarrier, SYS_getrandom, SYS_sched_getaffinity,
    SYS_getcpu, SYS_clone, SYS_clone3, SYS_mincore, SYS_process_vm_readv, SYS_unlinkat, SYS_fallocate, SYS_fstat,
    SYS_rt_sigaction, SYS_sched_yield, SYS_getpid, SYS_gettid};
enum { STRANGERS = sizeof strange / sizeof *strange };

static void refuse_strangers(int error) {
    struct sock_filter program[2 * STRANGERS + 2];
    int length = 0;
    program[length++] = (struct sock_filter)LOAD(nr);
    for (int i = 0; i < STRANGERS; i++) {
        program[length++] = (struct sock_filter)IF(BPF_JEQ, (uint32_t)strange[i], 0, 1);
        program[length++] = (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | (uint32_t)error);
    }
    program[length++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
    install(program, length);
}

static sem_t strangers_refused, thread_worked;

static void *thread_of_before(void *unused) {
    (void)unused;
    EXPECT(sem_wait(&strangers_refused) == 0);
    expect_working((size_t)8 << 20, 5);
    EXPECT(sem_post(&thread_worked) == 0);
    return NULL;
}

/* Asks for what needs the system: an answer or an error number, and the heap stays whole. */
static void ask_everything(void) {
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) =
        (int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "mallctl");
    EXPECT(mallctl != NULL);
    uint64_t epoch = 1;
    size_t number = 0, length = sizeof number;
    unsigned char on = 1;
    const char *file = "/tmp/jemoxide-refused.heap";
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    EXPECT(mallctl("stats.allocated", &number, &length, NULL, 0) == 0 && number > 0);
    static const char *const asked[] = {"jemoxide.rss", "jemoxide.cgroup.memory_limit", "jemoxide.cgroup.cpus",
                                        "stats.resident", "stats.metadata"};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        unsigned char answer[4096];
        length = i == 0 ? 0 : sizeof number;
        int error = mallctl(asked[i], answer, &length, NULL, 0);
        EXPECT(error == 0 || error == EINVAL || error == EAGAIN || error == ENOENT || error == EFAULT);
    }
    /* Each wants a thread or a file that is not to be had. */
    mallctl("background_thread", NULL, NULL, &on, sizeof on);
    mallctl("prof.dump", NULL, NULL, &file, sizeof file);
    mallctl("jemoxide.control", NULL, NULL, &file, sizeof file);
    EXPECT(mallctl("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
}

static void strangers(int error) {
    struct hoard all = {0};
    pthread_t thread;
    EXPECT(sem_init(&strangers_refused, 0, 0) == 0 && sem_init(&thread_worked, 0, 0) == 0);
    EXPECT(pthread_create(&thread, NULL, thread_of_before, NULL) == 0);
    refuse_strangers(error);
    errno = 0;
    EXPECT(open("/proc/self/maps", O_RDONLY) == -1 && errno == error);
    EXPECT(sem_post(&strangers_refused) == 0);
    for (int round = 0; round < 4; round++) {
        EXPECT(!hoard(&all, 100, (size_t)8 << 20));
        EXPECT(!hoard(&all, 100000, (size_t)64 << 20));
        ask_everything();
        release(&all);
        malloc_trim(0);
        expect_working((size_t)32 << 20, (uint64_t)round);
        usleep(20000);
    }
    EXPECT(sem_wait(&thread_worked) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    say("did without");
}

static void start(char **arguments, int has_brk) {
    static const struct refusal refusals[] = {
        {SYS_mmap, 48 << 10}, {SYS_mremap, ANY_LENGTH}, {SYS_brk, ANY_LENGTH}};
    if (getenv("PROCESS_REFUSED") == NULL) {
        EXPECT(setenv("PROCESS_REFUSED", "1", 1) == 0);
        refuse(refusals, has_brk ? 2 : 3);
        execv("/proc/self/exe", arguments);
        fail("exec: errno %d", errno);
    }
    expect_mmap_refused();
    int served = 0;
    for (int i = 0; i < 1000; i++) {
        errno = 0;
        void *block = i % 2 ? malloc((size_t)i * 100) : calloc(10, (size_t)i * 10);
        EXPECT(block != NULL || errno == ENOMEM);
        served += block != NULL;
        free(block);
    }
    if (has_brk) {
        EXPECT(served == 1000);
        expect_working((size_t)16 << 20, 1);
    }
    say("answered in order");
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    const char *name = arguments[1];
    if (strncmp(name, "start", 5) == 0) {
        start(arguments, strcmp(name, "start-brk") == 0);
        return 0;
    }
    stack_for_thread = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    EXPECT(stack_for_thread != MAP_FAILED);
    if (strcmp(name, "mappings") == 0) {
        mappings();
    } else if (strcmp(name, "brk-left") == 0) {
        brk_left();
    } else if (strcmp(name, "moves") == 0) {
        moves();
    } else if (strncmp(name, "strangers-", 10) == 0) {
        strangers(atoi(name + 10));
    } else {
        EXPECT(strcmp(name, "advice") == 0);
        advice();
    }
    return 0;
}
