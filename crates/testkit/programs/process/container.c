/* A program in a container whose limit is above what it needs at any time, and below what it has freed and kept.
 *
 * Arguments: the folder of a group of version 1 or 2 to move into ("-": stay), megabytes a phase, and what to do.
 *   phases    six phases of that many megabytes, each of another size, each freed before the next
 *   shrink    frees that many megabytes; then waits, without a call, while a neighbour takes as many, little by little
 *   tell      says what the library knows of the limit, before it needed to
 *   changing  phases, with files of a group of version 2 made up in a /proc and /sys of our own, which change and vanish
 *             between them ("refused": as below); says what the library knew of the limit at first
 *   blind     phases, with /proc and /sys out of sight ("refused": the system does not let us hide them)
 * The kernel ends what goes past the limit: the test reads how it ended.
 */
#include "expect.h"
#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <signal.h>
#include <sys/wait.h>

typedef int (*mallctl_function)(const char *, void *, size_t *, void *, size_t);

enum { MIB = 1 << 20, PHASES = 6 };
static const size_t sizes[PHASES] = {64, 3000, 20000, 500, 200000, 1500000};

static void move_into(const char *folder) {
    char path[4096], text[32];
    if (strcmp(folder, "-") == 0) {
        return;
    }
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    EXPECT(file >= 0);
    int length = snprintf(text, sizeof text, "%d", (int)getpid());
    EXPECT(write(file, text, (size_t)length) == length);
    close(file);
}

static void **allocate(size_t total, size_t size, size_t *count) {
    *count = total / (size + sizeof(void *));
    void **blocks = malloc(*count * sizeof *blocks);
    EXPECT(blocks != NULL);
    for (size_t i = 0; i < *count; i++) {
        blocks[i] = malloc(size);
        EXPECT(blocks[i] != NULL);
        memset(blocks[i], 1, size);
    }
    return blocks;
}

static void release(void **blocks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(blocks[i]);
    }
    free(blocks);
}

/* What stands in a file; NULL: the file is not there; "/": it is a folder. */
static void place(const char *path, const char *text) {
    rmdir(path);
    unlink(path);
    if (text == NULL) {
        return;
    }
    if (strcmp(text, "/") == 0) {
        EXPECT(mkdir(path, 0755) == 0);
        return;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    EXPECT(file >= 0);
    EXPECT(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

/* A file system in memory at `path`, for us alone. 0: refused. */
static int cover(const char *path) { return mount("none", path, "tmpfs", 0, NULL) == 0; }

static size_t known_limit(void) {
    size_t limit = 1, length = sizeof limit;
    mallctl_function mallctl = (mallctl_function)dlsym(RTLD_DEFAULT, "mallctl");
    EXPECT(mallctl != NULL);
    EXPECT(mallctl("jemoxide.cgroup.memory_limit", &limit, &length, NULL, 0) == 0);
    return limit;
}

#define GROUP "/sys/fs/cgroup/"

static void changing(size_t total) {
    static const struct {
        const char *path, *text;
    } steps[] = {
        {GROUP "memory.max", "max\n"},
        {GROUP "memory.max", "none of your business\n"},
        {GROUP "memory.max", ""},
        {GROUP "memory.max", "99999999999999999999999999999999\n"},
        {GROUP "memory.max", "-1\n"},
        {GROUP "memory.max", "/"},
        {GROUP "memory.max", NULL},
        {GROUP "memory.max", "0\n"},
        {GROUP "memory.current", NULL},
        {GROUP "memory.current", "/"},
        {GROUP "memory.pressure", "some avg10=99.99 avg60=1e9 total=-5\n"},
        {GROUP "cpu.max", "0 0\n"},
        {"/proc/self/cgroup", "0::/somewhere/else\n"},
        {"/proc/self/cgroup", "12:memory"},
        {"/proc/self/mountinfo", "\n\n - - -\n"},
        {"/proc/self/cgroup", NULL},
        {"/proc/self/mountinfo", NULL},
    };
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || !cover("/proc") ||
        !cover("/sys")) {
        say("refused");
        return;
    }
    EXPECT(mkdir("/proc/self", 0755) == 0 && mkdir("/sys/fs", 0755) == 0 && mkdir("/sys/fs/cgroup", 0755) == 0);
    place("/proc/self/cgroup", "0::/\n");
    place("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    place(GROUP "memory.max", "314572800\n");
    place(GROUP "memory.high", "max\n");
    place(GROUP "memory.current", "50000000\n");
    size_t count, first = known_limit();
    for (size_t step = 0; step < sizeof steps / sizeof *steps; step++) {
        place(steps[step].path, steps[step].text);
        void **blocks = allocate(total, sizes[step % PHASES], &count);
        release(blocks, count);
        known_limit();
        /* Longer than what was read is taken for true. */
        usleep(150000);
    }
    say("limit %zu", first);
}

int main(int argc, char **arguments) {
    EXPECT(argc == 4);
    size_t total = strtoul(arguments[2], NULL, 10) * MIB, count;
    move_into(arguments[1]);
    if (strcmp(arguments[3], "phases") == 0) {
        for (int phase = 0; phase < PHASES; phase++) {
            void **blocks = allocate(total, sizes[phase], &count);
            release(blocks, count);
            say("phase %d", phase);
        }
        say("done");
        return 0;
    }
    if (strcmp(arguments[3], "changing") == 0) {
        changing(total);
        return 0;
    }
    if (strcmp(arguments[3], "tell") == 0) {
        size_t limit = known_limit(), cpus = 0, length = sizeof cpus;
        const char *pressure = NULL;
        mallctl_function mallctl = (mallctl_function)dlsym(RTLD_DEFAULT, "mallctl");
        EXPECT(mallctl != NULL);
        EXPECT(mallctl("jemoxide.cgroup.cpus", &cpus, &length, NULL, 0) == 0);
        length = sizeof pressure;
        EXPECT(mallctl("jemoxide.cgroup.pressure", &pressure, &length, NULL, 0) == 0);
        EXPECT(cpus >= 1 && cpus <= (size_t)sysconf(_SC_NPROCESSORS_ONLN));
        say("limit %zu, %s", limit, pressure);
        return 0;
    }
    if (strcmp(arguments[3], "blind") == 0) {
        /* Neither /proc nor /sys from here on, before the allocator has asked for anything. */
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", "/proc", "tmpfs", 0, NULL) != 0 || mount("none", "/sys", "tmpfs", 0, NULL) != 0) {
            say("refused");
            return 0;
        }
        EXPECT(access("/proc/self/cgroup", F_OK) != 0 && access("/sys/fs/cgroup", F_OK) != 0);
        for (int phase = 0; phase < PHASES; phase++) {
            void **blocks = allocate(total, sizes[phase], &count);
            release(blocks, count);
        }
        say("done");
        return 0;
    }
    EXPECT(strcmp(arguments[3], "shrink") == 0);
    int start[2];
    EXPECT(pipe(start) == 0);
    pid_t neighbour = fork();
    EXPECT(neighbour >= 0);
    if (neighbour == 0) {
        char byte;
        /* It must not outlive a parent that the kernel ended. */
        EXPECT(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        EXPECT(read(start[0], &byte, 1) == 1);
        for (size_t taken = 0; taken < total; taken += MIB) {
            void *block = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            EXPECT(block != MAP_FAILED);
            memset(block, 1, MIB);
            usleep(80000);
        }
        _exit(0);
    }
    void **blocks = allocate(total, 500, &count);
    release(blocks, count);
    EXPECT(write(start[1], "", 1) == 1);
    int status;
    EXPECT(waitpid(neighbour, &status, 0) == neighbour);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    say("done");
    return 0;
}
