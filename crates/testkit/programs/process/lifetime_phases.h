/* One stage of a process's life, as the allocator sees it: allocate, keep, free what came before.
 *
 * Each stage frees blocks that earlier stages left behind and leaves some for later ones, so that
 * memory crosses every boundary: before the constructors, constructors, main, exit handlers,
 * destructors. The trail records which stages ran; the last one prints it.
 */
#ifndef PROCESS_LIFETIME_PHASES_H
#define PROCESS_LIFETIME_PHASES_H

#include "expect.h"

enum { KEPT = 64, PER_PHASE = 2000 };

struct phases {
    char trail[512];
    void *kept[KEPT];
    uint64_t random;
};

static inline void phase(struct phases *phases, const char *name) {
    void *passing[PER_PHASE];
    errno = 0;
    for (int i = 0; i < PER_PHASE; i++) {
        size_t size = next_size(&phases->random);
        passing[i] = new_stamped(size, (uint64_t)i);
        if (i % 3 == 0) {
            free_stamped(passing[i / 2]);
            passing[i / 2] = NULL;
        }
    }
    for (int i = 0; i < KEPT; i++) {
        if (i % 2 == 0 || phases->kept[i] == NULL) {
            free_stamped(phases->kept[i]);
            phases->kept[i] = passing[PER_PHASE - 1 - i];
            passing[PER_PHASE - 1 - i] = NULL;
        }
    }
    for (int i = 0; i < PER_PHASE; i++) {
        free_stamped(passing[i]);
    }
    EXPECT(strlen(phases->trail) + strlen(name) + 2 < sizeof phases->trail);
    strcat(phases->trail, name);
    strcat(phases->trail, " ");
}

#endif
