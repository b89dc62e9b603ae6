/* Misuse at the levels of hardening, by the first argument.
 *
 * callback   every kind of misuse, with a function called in place of the end: the call in question does nothing, the
 *            function may allocate, and the heap serves on. Meant for hardening:strong and above.
 * over, after, twice   a walk over sampled objects, beyond their ends, after their free, freeing them again: among many
 *            thousand objects some lie in guarded pages, where each ends the program. Meant for guarded_sampling.
 * alone_over, alone_beyond, alone_after, alone_twice, alone_exit, alone_child   the same with objects that are known to lie
 *            alone: at a page's start, with pages on both sides that nobody may touch, or between two of those. A byte beyond
 *            the end is written, of one that ends its page (over) and of one that does not (beyond; exit: which nobody frees).
 *            child: all are sound, and a forked child frees them. Meant for guarded_sampling at any level.
 * handler    as `after`, with a handler of the program's own that was there first.
 */
#include "expect.h"
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

enum { OBJECTS = 100000, BYTES = 48, PAGE = 4096 };
static char *objects[OBJECTS];

/* Volatile, as compilers know that malloc and free change nothing. */
static volatile int calls;
static char last[2048];
static void *volatile made_meanwhile;

static void heed(const char *line) {
    calls++;
    snprintf(last, sizeof last, "%s", line);
    /* Of a class that nothing is done to here: a neighbour of what was damaged would be told too. */
    free(made_meanwhile);
    made_meanwhile = malloc(3000);
}

/* One call more than before, with a line that holds `words`. */
static void expect_told(int before, const char *words) {
    if (calls != before + 1 || strstr(last, words) == NULL || strncmp(last, "<jemoxide>: ", 12) != 0) {
        fail("wanted once: %s; %d calls, last: %s", words, calls - before, last);
    }
}

#define TOLD(words, deed)                                                                          \
    do {                                                                                           \
        int before = calls;                                                                        \
        deed;                                                                                      \
        expect_told(before, words);                                                                \
    } while (0)

static void *entry(const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    EXPECT(found != NULL);
    return found;
}

static void misuse_everything(void) {
    int (*control)(const char *, void *, size_t *, void *, size_t);
    void (*delete_object)(void *), (*free_with_size)(void *, size_t);
    *(void **)&control = entry("mallctl");
    *(void **)&delete_object = entry("_ZdlPv");
    *(void **)&free_with_size = entry("free_sized");
    void (*function)(const char *) = heed;
    EXPECT(control("experimental.hooks.safety_check_abort", NULL, NULL, &function, sizeof function) == 0);
    size_t length = sizeof function;
    EXPECT(control("experimental.hooks.safety_check_abort", &function, &length, NULL, 0) == EPERM);
    size_t sizes[] = {1, 24, 100, 1000, 10000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        char *volatile p = malloc(size);
        memset(p, 7, size);
        EXPECT(malloc_usable_size(p) == size);
        TOLD("wrong deallocation function", delete_object(p));
        TOLD("wrong size", free_with_size(p, size + 1));
        TOLD("not the start of an allocation", free(p + 1));
        TOLD("not the start of an allocation", EXPECT(realloc(p + 1, size) == NULL));
        for (size_t at = 0; at < size; at++) {
            EXPECT(p[at] == 7);
        }
        if (size < 100000) {
            /* Within the slot, whatever the level: sizes that end before a multiple of 16, or are no multiple of it. */
            char *volatile q = malloc(size - size % 16 + 9);
            size_t beyond = malloc_usable_size(q);
            char kept = q[beyond];
            q[beyond] = 0;
            TOLD("overflow", EXPECT(malloc_usable_size(q) == 0));
            TOLD("overflow", free(q));
            TOLD("overflow", EXPECT(realloc(q, 2 * beyond) == NULL));
            q[beyond] = kept;
            free(q);
        }
        free(p);
        TOLD("double free", free(p));
        TOLD("double free", EXPECT(realloc(p, size) == NULL));
    }
    int on_stack;
    TOLD("not from this allocator", free(&on_stack));
    function = NULL;
    EXPECT(control("experimental.hooks.safety_check_abort", NULL, NULL, &function, sizeof function) == 0);
    for (int i = 0; i < 1000; i++) {
        free_stamped(new_stamped(100 + (size_t)i, 3));
    }
    say("%d told", calls);
}

/* Whether the page at `page` may be read: the system says so without a signal. */
static int is_open(const char *page) {
    static int ends[2];
    if (ends[1] == 0) {
        EXPECT(pipe(ends) == 0);
    }
    char byte;
    return write(ends[1], page, 1) == 1 && read(ends[0], &byte, 1) == 1;
}

static char *page_of(char *object) {
    return object - (uintptr_t)object % PAGE;
}

static void misuse_alone(const char *what) {
    /* Between the first and the last that lie alone at a page's start are guarded pages and nothing else. */
    char *first = NULL, *last = NULL, *at_start = NULL, *at_end = NULL;
    for (int i = 0; i < OBJECTS; i++) {
        char *page = page_of(objects[i]);
        if (objects[i] == page && !is_open(page - PAGE) && !is_open(page + PAGE)) {
            first = first == NULL || page < first ? page : first;
            last = last == NULL || page > last ? page : last;
            at_start = objects[i];
        }
    }
    EXPECT(at_start != NULL && last < first + 130 * PAGE);
    for (int i = 0; i < OBJECTS; i++) {
        if (objects[i] > first && objects[i] < last && objects[i] != page_of(objects[i])) {
            EXPECT(objects[i] + BYTES == page_of(objects[i]) + PAGE);
            at_end = objects[i];
        }
    }
    EXPECT(at_end != NULL);
    char *volatile object = strcmp(what, "over") == 0 ? at_end : at_start;
    if (strcmp(what, "child") == 0) {
        pid_t child = fork();
        EXPECT(child >= 0);
        for (int i = 0; i < OBJECTS; i++) {
            free(objects[i]);
        }
        if (child == 0) {
            exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    } else if (strcmp(what, "over") == 0 || strcmp(what, "beyond") == 0 || strcmp(what, "exit") == 0) {
        object[BYTES] ^= 1;
        if (strcmp(what, "exit") != 0) {
            free(object);
        }
    } else {
        free(object);
        if (strcmp(what, "after") == 0) {
            object[1] = 1;
        } else {
            free(object);
        }
    }
    say("the end");
}

static void handle(int signal) {
    (void)signal;
    say("the program's own handler");
    _exit(7);
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    const char *what = arguments[1];
    if (strcmp(what, "callback") == 0) {
        misuse_everything();
        return 0;
    }
    if (strcmp(what, "handler") == 0) {
        struct sigaction action = {.sa_handler = handle};
        EXPECT(sigaction(SIGSEGV, &action, NULL) == 0);
    }
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = malloc(BYTES);
        EXPECT(objects[i] != NULL && malloc_usable_size(objects[i]) >= BYTES);
        memset(objects[i], 1, BYTES);
    }
    if (strncmp(what, "alone_", 6) == 0) {
        misuse_alone(what + 6);
        return 0;
    }
    volatile char seen = 0;
    if (strcmp(what, "over") == 0) {
        for (int i = 0; i < OBJECTS; i++) {
            seen += objects[i][BYTES];
            seen += objects[i][-1];
        }
    }
    for (int i = 0; i < OBJECTS; i++) {
        free(objects[i]);
    }
    for (int i = 0; i < OBJECTS; i++) {
        if (strcmp(what, "twice") == 0) {
            free(objects[i]);
        } else {
            seen += objects[i][1];
        }
    }
    say("the end");
    return 0;
}
