/* Allocation at every stage of a program's life, from before the constructors to after exit.
 *
 * `.preinit_array` runs before any library's constructor, so the allocator's own library is not
 * initialised yet either. The trail is printed by the last destructor; by then stdio is closed,
 * which does not matter to write(2).
 */
#include "lifetime_phases.h"

static struct phases phases;

static void preinit(int count, char **arguments, char **environment) {
    (void)count;
    (void)arguments;
    (void)environment;
    phase(&phases, "preinit");
}

__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **,
                                                                              char **) = preinit;

__attribute__((constructor(101))) static void first_constructor(void) {
    phase(&phases, "constructor-101");
}

__attribute__((constructor)) static void constructor(void) { phase(&phases, "constructor"); }

static void at_exit(void) { phase(&phases, "atexit"); }

static void on_exit_handler(int status, void *block) {
    EXPECT(status == 0);
    free_stamped(block);
    phase(&phases, "on_exit");
}

__attribute__((destructor)) static void destructor(void) { phase(&phases, "destructor"); }

__attribute__((destructor(101))) static void last_destructor(void) {
    phase(&phases, "destructor-101");
    say("%s", phases.trail);
}

int main(void) {
    phase(&phases, "main");
    EXPECT(atexit(at_exit) == 0);
    EXPECT(on_exit(on_exit_handler, new_stamped(500, 1)) == 0);
    /* Buffered output is written, and its buffer freed, after the handlers. */
    printf("buffered\n");
    return 0;
}
