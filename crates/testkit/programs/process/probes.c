// A tracer of its own: counts the semaphores of the library's probes up, puts traps over their instructions, does things
// with memory, and looks at what the traps tell.
//
// Arguments: PROVIDER:NAME@PLACE@SEMAPHORE@REGISTER,REGISTER... one a probe, numbers in hexadecimal from the library's
// first byte. Prints a line a name: how often it was met, and what the program knows of it to be true.
#include "expect.h"
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { PROBES = 512, EVENTS = 1 << 16, ARGUMENTS = 3 };

struct probe {
    char name[64];
    unsigned char *place;
    uint16_t *semaphore;
    int registers[ARGUMENTS];
    int arguments;
};

struct event {
    const struct probe *probe;
    uint64_t arguments[ARGUMENTS];
};

static struct probe probes[PROBES];
static int probe_count;
static struct event events[EVENTS];
static volatile int event_count;

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned char *place = (unsigned char *)registers[REG_RIP] - 1;
    for (int i = 0; i < probe_count; i++) {
        if (probes[i].place != place) continue;
        int number = __atomic_fetch_add(&event_count, 1, __ATOMIC_RELAXED);
        if (number >= EVENTS) return;
        events[number].probe = &probes[i];
        for (int a = 0; a < probes[i].arguments; a++) events[number].arguments[a] = (uint64_t)registers[probes[i].registers[a]];
        return;
    }
    _exit(98);
}

static int register_of(const char *name) {
    static const struct {
        const char *name;
        int number;
    } known[] = {{"rax", REG_RAX}, {"rbx", REG_RBX}, {"rcx", REG_RCX}, {"rdx", REG_RDX}, {"rsi", REG_RSI}, {"rdi", REG_RDI},
                 {"rbp", REG_RBP}, {"r8", REG_R8},   {"r9", REG_R9},   {"r10", REG_R10}, {"r11", REG_R11}, {"r12", REG_R12},
                 {"r13", REG_R13}, {"r14", REG_R14}, {"r15", REG_R15}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) return known[i].number;
    EXPECT(!"a register");
    return -1;
}

static void parse(char *text, unsigned char *base) {
    struct probe *probe = &probes[probe_count++];
    char *name = strtok(text, "@"), *place = strtok(NULL, "@"), *semaphore = strtok(NULL, "@");
    snprintf(probe->name, sizeof probe->name, "%s", name);
    probe->place = base + strtoull(place, NULL, 16);
    probe->semaphore = (uint16_t *)(base + strtoull(semaphore, NULL, 16));
    for (char *one; (one = strtok(NULL, ",")) != NULL;) probe->registers[probe->arguments++] = register_of(one);
}

static void set_traps(int on) {
    for (int i = 0; i < probe_count; i++) {
        unsigned char *page = (unsigned char *)((uintptr_t)probes[i].place & ~(uintptr_t)4095);
        EXPECT(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
        EXPECT(*probes[i].place == (on ? 0x90 : 0xcc));
        *probes[i].place = on ? 0xcc : 0x90;
        EXPECT(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
        *probes[i].semaphore += on ? 1 : -1;
    }
}

// Whether an event of that name has `value` in argument `number`.
static int told(const char *name, int number, uint64_t value) {
    for (int i = 0; i < event_count && i < EVENTS; i++)
        if (!strcmp(events[i].probe->name, name) && events[i].arguments[number] == value) return 1;
    return 0;
}

static uint64_t sum(const char *name, int number) {
    uint64_t sum = 0;
    for (int i = 0; i < event_count && i < EVENTS; i++)
        if (!strcmp(events[i].probe->name, name)) sum += events[i].arguments[number];
    return sum;
}

int main(int argc, char **argv) {
    Dl_info info;
    EXPECT(dladdr((void *)(uintptr_t)malloc, &info));
    EXPECT(argc > 1 && argc < PROBES);
    for (int i = 1; i < argc; i++) parse(argv[i], info.dli_fbase);
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGTRAP, &action, NULL);
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) =
        (int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "mallctl");
    EXPECT(mallctl != NULL);

    if (getenv("SAMPLED")) {
        // Every object is a sample.
        set_traps(1);
        uint64_t sampled = (uintptr_t)malloc(123), large = (uintptr_t)malloc(70000);
        free((void *)sampled);
        free((void *)large);
        set_traps(0);
        EXPECT(told("otel_memory:alloc", 0, sampled) && told("otel_memory:alloc", 1, 123));
        EXPECT(told("otel_memory:alloc", 0, large) && told("otel_memory:alloc", 1, 70000));
        EXPECT(told("otel_memory:free", 0, sampled) && told("otel_memory:free", 0, large));
        EXPECT(sum("otel_memory:alloc", 2) >= 123 + 70000);
        say("sampled objects are told");
        return 0;
    }
    set_traps(1);
    enum { OBJECTS = 400, SIZE = 1792, LARGE = 3 << 20, HUGE = 64 << 20 };
    static char *small[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) small[i] = malloc(SIZE);
    char *large = malloc(LARGE), *huge = malloc(HUGE);
    memset(large, 1, LARGE);
    memset(huge, 1, HUGE);
    uint64_t large_address = (uintptr_t)large;
    free(huge);
    free(large);
    for (int i = 0; i < OBJECTS; i++) free(small[i]);
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
    char *giant = malloc((size_t)2 << 30);
    uint64_t giant_address = (uintptr_t)giant & ~(uint64_t)4095;
    free(giant);
    set_traps(0);
    int seen = event_count;
    free(malloc(HUGE));
    EXPECT(event_count == seen);
    EXPECT(seen < EVENTS);

    EXPECT(told("jemoxide:slab_new", 1, SIZE));
    uint64_t start = (uintptr_t)small[0] & ~(uint64_t)4095;
    int found = 0;
    for (int pages = 0; pages < 16; pages++) found |= told("jemoxide:slab_new", 0, start - 4096 * (uint64_t)pages);
    EXPECT(found);
    found = 0;
    for (int i = 0; i < seen; i++)
        found |= !strcmp(events[i].probe->name, "jemoxide:slab_gone") && told("jemoxide:slab_new", 0, events[i].arguments[0]);
    EXPECT(found);
    EXPECT(told("jemoxide:extent_alloc", 0, large_address));
    EXPECT(told("jemoxide:extent_dalloc", 0, large_address));
    EXPECT(sum("jemoxide:purge", 1) >= HUGE / 2);
    EXPECT(sum("jemoxide:map", 1) >= HUGE);
    EXPECT(told("jemoxide:unmap", 0, giant_address));
    say("%d events", seen);
    return 0;
}
