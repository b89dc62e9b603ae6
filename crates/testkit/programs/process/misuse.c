/* One way to err per run: the first argument names it. The faulty pointer is printed on standard
 * output, then the program errs, then it drives the pointer to where it must be noticed: blocks
 * of the same class are freed by the thousand, the cache is emptied by malloc_trim and by the
 * thread's end, all of it twice, with a pause longer than the caches' memory of peaks between.
 *
 * A program that survives all that says so and ends with status 3: the fault was not seen.
 */
#include "expect.h"
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

enum { COMPANIONS = 60000 };
static void *companions[COMPANIONS];
static char in_static_memory[256] __attribute__((aligned(64)));

static void *faulty(void *pointer) {
    say("%p", pointer);
    return pointer;
}

static void allocate_companions(size_t size) {
    for (int i = 0; i < COMPANIONS; i++) {
        companions[i] = malloc(size);
        EXPECT(companions[i] != NULL);
    }
}

static void free_companions(int from, int to) {
    for (int i = from; i < to; i++) {
        free(companions[i]);
    }
}

struct plan {
    void *pointer;
    size_t size;
    int delay;
    int is_double;
};

/* Frees `pointer` (twice if so planned) amid its companions, then empties every cache. */
static void *commit(void *argument) {
    const struct plan *plan = argument;
    for (int round = 0; round < 2; round++) {
        allocate_companions(plan->size);
        if (round == 0) {
            free_companions(0, 1000);
            free(plan->pointer);
            free_companions(1000, 1000 + plan->delay);
            if (plan->is_double) {
                free(plan->pointer);
            }
            free_companions(1000 + plan->delay, COMPANIONS);
        } else {
            free_companions(0, COMPANIONS);
        }
        malloc_trim(0);
        usleep(1300000);
        for (int i = 0; i < 2000; i++) {
            free(malloc(plan->size));
        }
        malloc_trim(0);
    }
    return NULL;
}

static void commit_in_thread(struct plan plan) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, commit, &plan) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    malloc_trim(0);
}

static void free_once(void *pointer, size_t size) {
    commit_in_thread((struct plan){.pointer = faulty(pointer), .size = size});
}

/* `delay` frees of others come between the two. */
static void free_twice(size_t size, int delay) {
    commit_in_thread((struct plan){faulty(malloc(size)), size, delay, 1});
}

/* The size given belongs to another class, as with a missing virtual destructor. */
static void free_with_size(size_t size, size_t given) {
    void (*delete_sized)(void *, size_t);
    *(void **)&delete_sized = dlsym(RTLD_DEFAULT, "_ZdlPvm");
    EXPECT(delete_sized != NULL);
    delete_sized(faulty(malloc(size)), given);
}

static void *mapped(void) {
    void *pages = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(pages != MAP_FAILED);
    return pages;
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    const char *name = arguments[1];
    char on_stack[256] __attribute__((aligned(64)));
    size_t large = 300000, huge = (size_t)40 << 20;
    free(malloc(100));
#define CASE(text) else if (strcmp(name, text) == 0)
    if (0) {
    }
    CASE("stack") free_once(on_stack + 64, 64);
    CASE("static") free_once(in_static_memory + 64, 64);
    CASE("mapped") free_once(mapped(), 64);
    CASE("mapped-inside") free_once((char *)mapped() + 8192, 64);
    CASE("code") free_once((void *)main, 64);
    CASE("first-page") free_once((void *)0x10, 64);
    CASE("above-48-bits") free_once((void *)0xdeadbeefdeadbee0, 64);
    CASE("above-47-bits") free_once((void *)0x0000dead00001000, 64);
    CASE("interior-small") free_once((char *)malloc(640) + 128, 640);
    CASE("unaligned-small") free_once((char *)malloc(640) + 1, 640);
    CASE("interior-large") free_once((char *)malloc(large) + 8192, large / 100);
    CASE("unaligned-large") free_once((char *)malloc(large) + 1, large / 100);
    CASE("interior-cached-large") free_once((char *)malloc(20000) + 64, 20000);
    CASE("interior-huge") free_once((char *)malloc(huge) + (huge / 2), large / 100);
    CASE("double-at-once") free_twice(64, 0);
    CASE("double-delayed") free_twice(64, 10000);
    CASE("double-medium") free_twice(2048, 100);
    CASE("double-cached-large") free_twice(20000, 10);
    CASE("double-large") {
        void *block = malloc(large);
        free(block);
        free(faulty(block));
    }
    CASE("double-huge") {
        void *block = malloc(huge);
        memset(block, 1, huge);
        free(block);
        free(faulty(block));
    }
    CASE("double-huge-trimmed") {
        void *block = malloc(huge);
        free(block);
        malloc_trim(0);
        free(faulty(block));
    }
    CASE("realloc-of-freed-large") {
        void *block = malloc(large);
        free(block);
        block = realloc(faulty(block), large * 2);
    }
    CASE("realloc-of-foreign") {
        void *block = realloc(faulty(in_static_memory), 1000);
        (void)block;
    }
    CASE("usable-size-of-foreign") {
        size_t usable = malloc_usable_size(faulty(in_static_memory));
        (void)usable;
    }
    CASE("usable-size-of-interior") {
        size_t usable = malloc_usable_size(faulty((char *)malloc(2048) + 1024));
        (void)usable;
    }
    CASE("double-empty") {
        void *block = malloc(0);
        free(block);
        free(faulty(block));
    }
    CASE("interior-empty") free(faulty((char *)malloc(0) + 1));
    CASE("touch-empty") *(volatile char *)malloc(0) = 1;
    CASE("beyond-large") ((volatile char *)malloc(40 * 4096))[40 * 4096] = 1;
    CASE("wrong-pages-large") free_with_size(large, large / 2);
    CASE("wrong-size-small") free_with_size(64, 200);
    CASE("wrong-size-large") free_with_size(large, 64);
    else {
        fail("no case %s", name);
    }
    say("survived");
    return 3;
}
