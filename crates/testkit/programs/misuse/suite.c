/* What the cases of the misuse suite stand on; suite.h has the idea and the rules. */
#include "suite.h"
#include <dlfcn.h>
#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif
extern const struct misuse *const __start_misuses[];
extern const struct misuse *const __stop_misuses[];
#ifdef __cplusplus
}
#endif

#define CHURNED ((size_t)20000)
enum { WATCHED = 1024, NEIGHBOURS = 3, ROUNDS = 3, SIZES = 16, TRIES = 512 };

static struct watched {
    unsigned char *memory;
    size_t size;
    unsigned key;
} watched[WATCHED];
static int watched_count;
static unsigned next_key;
static size_t used_sizes[SIZES];
static bool is_damaged;

/* Bytes with the high bit: none of them is what a misuse writes. */
static unsigned char pattern(unsigned key, size_t index) {
    return (unsigned char)(0x80 | (key * 31 + index * 7 + (index >> 8)));
}

/* Every byte near the ends, then one in 61: all of a small block. */
static size_t step(size_t index, size_t size) {
    return index >= 256 && index + 512 < size ? 61 : 1;
}

static void fill(unsigned char *memory, size_t size, unsigned key) {
    for (size_t i = 0; i < size; i += step(i, size)) {
        memory[i] = pattern(key, i);
    }
}

static void compare(const unsigned char *memory, size_t size, unsigned key, const char *which) {
    for (size_t i = 0; i < size; i += step(i, size)) {
        if (memory[i] != pattern(key, i)) {
            if (!is_damaged) {
                say("damaged: %s block of %zu bytes, at byte %zu", which, size, i);
            }
            is_damaged = true;
            return;
        }
    }
}

static void compare_watched(void) {
    for (int i = 0; i < watched_count; i++) {
        compare(watched[i].memory, watched[i].size, watched[i].key, "a live");
    }
}

void watch(void *memory, size_t size) {
    EXPECT(memory != NULL && watched_count < WATCHED);
    struct watched fresh = {(unsigned char *)memory, size, next_key++};
    fill(fresh.memory, size, fresh.key);
    watched[watched_count++] = fresh;
    for (int i = 0; i < SIZES && used_sizes[i] != size; i++) {
        if (used_sizes[i] == 0) {
            used_sizes[i] = size;
            break;
        }
    }
}

void unwatch(void *memory) {
    for (int i = watched_count - 1; i >= 0; i--) {
        if (watched[i].memory == memory) {
            watched[i] = watched[--watched_count];
            return;
        }
    }
    fail("%p is not watched", memory);
}

void release(void *memory) {
    unwatch(memory);
    free(memory);
}

void *block(size_t size) {
    void *memory = malloc(size);
    watch(memory, size);
    return memory;
}

char *victim(size_t size) {
    for (int i = 0; i < NEIGHBOURS; i++) {
        block(size);
    }
    char *middle = (char *)block(size);
    for (int i = 0; i < NEIGHBOURS; i++) {
        block(size);
    }
    return opaque(middle);
}

void *reuse(void *freed, size_t size) {
    for (int i = 0; i < TRIES; i++) {
        if (block(size) == freed) {
            return freed;
        }
    }
    return NULL;
}

/* In C++ all rounds but the first are by `new` and `delete`: their frees have ways of their own through an allocator, and
 * more of them in a row than 16 bits count. */
static void *churned(size_t size, int round) {
#ifdef __cplusplus
    if (round > 0) {
        return operator new(size);
    }
#endif
    (void)round;
    /* Most of it first, then the rest: mostly in the same size class. */
    void *most = malloc(size - size / 16);
    return most == NULL ? NULL : realloc(most, size);
}

static void free_churned(void *memory, int round) {
#ifdef __cplusplus
    if (round > 0) {
        operator delete(memory);
        return;
    }
#endif
    (void)round;
    free(memory);
}

void churn(size_t size) {
    static unsigned char *blocks[CHURNED];
    size_t count = (2 << 20) / (size + 1);
    count = count < 24 ? 24 : count > CHURNED ? CHURNED : count;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            blocks[i] = (unsigned char *)churned(size, round);
            EXPECT(blocks[i] != NULL);
            fill(blocks[i], size, (unsigned)i);
        }
        for (size_t i = 0; i < count; i++) {
            compare(blocks[i], size, (unsigned)i, "a later");
            free_churned(blocks[i], round);
        }
    }
}

void erring(void) { say("erring"); }
void erred(void) { say("erred"); }

void refused(bool is_refused) {
    if (is_refused) {
        say("refused");
    }
}

void absent(void) {
    say("absent");
    _exit(0);
}

void *function(const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    if (found == NULL) {
        absent();
    }
    return found;
}

void read_stale(const void *freed, size_t size) {
    const volatile unsigned char *bytes = (const volatile unsigned char *)opaque(freed);
    size_t stale = 0;
    for (size_t i = 0; i < size; i++) {
        stale += bytes[i] >= 0x80;
    }
    /* A fill pattern of the allocator's may have the high bit, but is one byte over and over. */
    bool is_uniform = size > 1;
    for (size_t i = 1; i < size; i++) {
        is_uniform = is_uniform && bytes[i] == bytes[0];
    }
    if (stale == 0 || is_uniform) {
        say("wiped");
    }
}

static void churn_used(void) {
    for (int i = 0; i < SIZES && used_sizes[i] != 0; i++) {
        churn(used_sizes[i]);
    }
}

/* Rule M2, in the thread that errs. What was live before stays so until the main thread frees it. */
static void *live_on(void *argument) {
    const struct misuse *misuse = (const struct misuse *)argument;
    int before = watched_count;
    misuse->commit();
    compare_watched();
    churn_used();
    compare_watched();
    while (watched_count > before) {
        free(watched[--watched_count].memory);
    }
    churn_used();
    malloc_trim(0);
    churn_used();
    return NULL;
}

static int list(void) {
    for (const struct misuse *const *entry = __start_misuses; entry < __stop_misuses; entry++) {
        say("%s\t%s\t%s", (*entry)->group, (*entry)->name, (*entry)->what);
    }
    return 0;
}

int main(int count, char **arguments) {
    static const size_t live_before[] = {8, 16, 48, 80, 200, 1000, 3000, 6000, 12000, 30000, 100000};
    if (count < 2) {
        return list();
    }
    const struct misuse *chosen = NULL;
    for (const struct misuse *const *entry = __start_misuses; entry < __stop_misuses; entry++) {
        if (strcmp((*entry)->name, arguments[1]) == 0) {
            chosen = *entry;
        }
    }
    if (chosen == NULL) {
        fail("no case %s", arguments[1]);
    }
    for (size_t i = 0; i < sizeof live_before / sizeof *live_before; i++) {
        block(live_before[i]);
    }
    /* Only the case's own sizes are churned. */
    memset(used_sizes, 0, sizeof used_sizes);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, live_on, (void *)chosen) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    compare_watched();
    malloc_trim(0);
    while (watched_count > 0) {
        free(watched[--watched_count].memory);
    }
    malloc_trim(0);
    say("ran on");
    return 0;
}
