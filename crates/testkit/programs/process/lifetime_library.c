/* A second preloaded library that allocates in its constructor and destructor, and in a thread
 * that its constructor starts, before main and possibly before the allocator's own library has
 * run its initialisers. Its destructor runs after the program's last one.
 */
#include "lifetime_phases.h"
#include <pthread.h>

static struct phases phases;
static void *from_thread;

static void *thread_body(void *unused) {
    (void)unused;
    phase(&phases, "library-thread");
    from_thread = new_stamped(3000, 5);
    return NULL;
}

__attribute__((constructor(101))) static void library_constructor(void) {
    pthread_t thread;
    phase(&phases, "library-constructor");
    EXPECT(pthread_create(&thread, NULL, thread_body, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
}

__attribute__((destructor(101))) static void library_destructor(void) {
    free_stamped(from_thread);
    phase(&phases, "library-destructor");
    say("%s", phases.trail);
}
