/* Address space runs short: `ulimit -v` set before the program starts, or a limit that drops
 * while it runs and is lifted again.
 *
 * started   - the limit came from outside; exhaust, release, work, twice; then in threads.
 * dropped   - RLIMIT_AS drops to just above what is mapped; exhaust; lift it; more is to be had.
 * bounded   - another limit, by number and value, is lowered; what it leaves is served; lifted, all is.
 * zero      - RLIMIT_AS drops below what is mapped already: nothing can be mapped at all.
 */
#include "exhaustion.h"
#include <pthread.h>
#include <sys/resource.h>

static const size_t ALL = (size_t)1 << 40;

static void set_limit(size_t bytes) {
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
}

static size_t mapped_bytes(void) { return address_space_kib() * 1024; }

static void *thread_body(void *argument) {
    struct hoard small = {0};
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < 30; i++) {
        hoard(&small, 16 + next_random(&random) % 30000, (size_t)1 << 26);
        release(&small);
    }
    return NULL;
}

static void in_threads(void) {
    pthread_t threads[4];
    pthread_attr_t attributes;
    int started = 0;
    EXPECT(pthread_attr_init(&attributes) == 0);
    EXPECT(pthread_attr_setstacksize(&attributes, 65536) == 0);
    for (uintptr_t i = 0; i < 4; i++) {
        started += pthread_create(&threads[started], &attributes, thread_body, (void *)i) == 0;
    }
    pthread_attr_destroy(&attributes);
    for (int i = 0; i < started; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
}

static void started(void) {
    struct hoard all = {0};
    size_t first = exhaust(&all, ALL);
    release(&all);
    size_t second = exhaust(&all, ALL);
    release(&all);
    /* What was freed is there again, whatever shape it had. */
    EXPECT(second >= first / 2);
    expect_working(first * 2, 1);
    in_threads();
    say("held %zu then %zu", first, second);
}

static void dropped(void) {
    struct hoard all = {0};
    expect_working((size_t)4 << 20, 1);
    for (int round = 0; round < 5; round++) {
        set_limit(mapped_bytes() + ((size_t)40 << 20));
        exhaust(&all, ALL);
        set_limit(0);
        EXPECT(!hoard(&all, (size_t)1 << 20, all.bytes + ((size_t)64 << 20)));
        EXPECT(!hoard(&all, 500, all.bytes + ((size_t)16 << 20)));
        release(&all);
        expect_working((size_t)32 << 20, (uint64_t)round);
    }
    in_threads();
    say("served again");
}

static void zero(void) {
    struct hoard all = {0};
    set_limit(4096);
    exhaust(&all, ALL);
    release(&all);
    exhaust(&all, ALL);
    thread_body((void *)1);
    set_limit(0);
    EXPECT(!hoard(&all, (size_t)1 << 20, all.bytes + ((size_t)64 << 20)));
    release(&all);
    expect_working((size_t)32 << 20, 1);
    in_threads();
    say("served again");
}

static void bounded(int resource, rlim_t value) {
    struct rlimit limit;
    struct hoard all = {0};
    EXPECT(getrlimit(resource, &limit) == 0);
    limit.rlim_cur = value;
    EXPECT(setrlimit(resource, &limit) == 0);
    for (int round = 0; round < 3; round++) {
        if (resource == RLIMIT_DATA) {
            exhaust(&all, ALL);
            release(&all);
        } else {
            expect_working((size_t)32 << 20, (uint64_t)round);
            malloc_trim(0);
        }
    }
    limit.rlim_cur = limit.rlim_max;
    EXPECT(setrlimit(resource, &limit) == 0);
    expect_working((size_t)32 << 20, 1);
    in_threads();
    say("served again");
}

int main(int count, char **arguments) {
    EXPECT(count == 2 || count == 4);
    const char *name = arguments[1];
    if (count == 4) {
        EXPECT(strcmp(name, "bounded") == 0);
        bounded(atoi(arguments[2]), strtoul(arguments[3], NULL, 10));
        return 0;
    }
    strcmp(name, "started") == 0   ? started()
    : strcmp(name, "dropped") == 0 ? dropped()
                                   : zero();
    return 0;
}
