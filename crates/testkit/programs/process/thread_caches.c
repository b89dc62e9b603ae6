/* What bounds a thread's cache: options, thread.tcache.max, thread.tcache.ncached_max. The first argument says which options
 * the process was started with. Seen is what stays out of its slabs after everything was freed.
 */
#include "expect.h"
#include <pthread.h>

extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

static size_t number(const char *name) {
    size_t value = 0, length = sizeof value;
    EXPECT(mallctl(name, &value, &length, NULL, 0) == 0);
    return value;
}

static size_t slots(size_t size) {
    size_t value = 0, length = sizeof value;
    EXPECT(mallctl("thread.tcache.ncached_max.read_sizeclass", &value, &length, &size, sizeof size) == 0);
    return value;
}

static int bound(const char *text) {
    return mallctl("thread.tcache.ncached_max.write", NULL, NULL, &text, sizeof text);
}

static size_t largest(void) { return number("thread.tcache.max"); }

static void set_largest(size_t size) {
    EXPECT(mallctl("thread.tcache.max", NULL, NULL, &size, sizeof size) == 0);
}

/* Objects of the small class with that index that are out of their slabs though nobody has them. */
static size_t cached(int index, size_t size) {
    void *objects[600];
    for (int i = 0; i < 600; i++) {
        objects[i] = malloc(size);
        EXPECT(objects[i] != NULL);
    }
    for (int i = 0; i < 600; i++) {
        free(objects[i]);
    }
    uint64_t epoch = 1;
    EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    char name[64];
    snprintf(name, sizeof name, "stats.arenas.0.bins.%d.curregs", index);
    return number(name);
}

enum { OF_80 = 5, OF_1024 = 20, OF_8192 = 32 };

static void by_default(void) {
    EXPECT(largest() == 32768 && number("arenas.tcache_max") == 32768);
    EXPECT(slots(80) >= 200 && slots(32768) >= 8);
    EXPECT(cached(OF_80, 80) > 300);
    EXPECT(bound("80-80:7|1000-1024:0") == 0);
    EXPECT(slots(80) == 7 && slots(96) > 7 && slots(1024) == 0 && slots(896) > 0);
    EXPECT(mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0);
    EXPECT(cached(OF_80, 80) <= 7 && cached(OF_1024, 1024) == 0);
    /* The largest class begins anew. */
    set_largest(1000);
    EXPECT(largest() == 1024 && slots(80) > 7 && slots(1024) > 0 && slots(1280) == 0);
    EXPECT(cached(OF_8192, 8192) == 0);
    set_largest(1 << 20);
    EXPECT(largest() == 32768 && slots(8192) > 0);
    /* What is wrong changes nothing. */
    EXPECT(bound("80-80") == EINVAL && bound("80:7") == EINVAL && bound("x-80:7") == EINVAL);
    EXPECT(bound(NULL) == EINVAL && bound("80-96:5|nonsense") == EINVAL && bound("") == 0);
    EXPECT(slots(80) > 7);
    EXPECT(bound("40000-50000:3") == 0 && bound("1-1000000:9999") == 0 && slots(32768) >= 8);
    size_t size = 32769, length = sizeof size, value;
    EXPECT(mallctl("thread.tcache.ncached_max.read_sizeclass", &value, &length, &size, sizeof size) == EINVAL);
    EXPECT(mallctl("thread.tcache.ncached_max.read_sizeclass", &value, &length, NULL, 0) == EINVAL);
    _Bool uses = 0;
    EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &uses, sizeof uses) == 0);
    EXPECT(slots(80) == 0 && bound("80-80:7") == ENOENT);
    set_largest(2048);
    uses = 1;
    EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &uses, sizeof uses) == 0);
    EXPECT(largest() == 2048 && slots(2560) == 0);
}

static void *another(void *which) {
    const char *options = which;
    if (strcmp(options, "none") == 0) {
        _Bool uses = 1;
        size_t length = sizeof uses;
        EXPECT(mallctl("thread.tcache.enabled", &uses, &length, NULL, 0) == 0 && !uses);
        EXPECT(slots(80) == 0 && cached(OF_80, 80) == 0);
        uses = 1;
        EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &uses, sizeof uses) == 0);
        EXPECT(cached(OF_80, 80) > 0);
        EXPECT(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
        EXPECT(mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0);
    } else if (strcmp(options, "max") == 0) {
        EXPECT(largest() == 4096 && slots(4096) > 0 && slots(5120) == 0);
        EXPECT(number("arenas.tcache_max") == 4096 && number("opt.tcache_max") == 4096);
        EXPECT(cached(OF_8192, 8192) == 0);
    } else if (strcmp(options, "slots") == 0) {
        EXPECT(slots(80) == 10 && slots(1024) == 10 && slots(32768) == 2 && slots(8) == 3);
        /* Those that ended may have left theirs. */
        EXPECT(cached(OF_80, 80) <= 50);
    }
    return NULL;
}

int main(int count, char **arguments) {
    EXPECT(count == 2 && mallctl != NULL);
    if (strcmp(arguments[1], "default") == 0) {
        by_default();
    } else {
        another(arguments[1]);
        /* Others begin the same, also on the cache of one that had other bounds. */
        for (int i = 0; i < 3; i++) {
            pthread_t thread;
            EXPECT(pthread_create(&thread, NULL, another, arguments[1]) == 0);
            EXPECT(pthread_join(thread, NULL) == 0);
        }
    }
    say("bounded");
    return 0;
}
