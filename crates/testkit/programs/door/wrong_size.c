/* Sized frees with a size that is not the block's: each function, each kind of mistake.
 *
 * Arguments: the function, the size asked for, the size claimed. Afterwards the program fills memory
 * of both sizes and checks that no two blocks share a byte. Ending with "sound" means the mistake did
 * no harm; the other good end is a message and an abort at the call.
 */
#include "check.h"

#include <malloc.h>

enum { COUNT = 3000 };

static void give(const char *function, void *ptr, size_t claimed) {
  if (strcmp(function, "free_sized") == 0) {
    free_sized(ptr, claimed);
  } else if (strcmp(function, "free_aligned_sized") == 0) {
    free_aligned_sized(ptr, 16, claimed);
  } else if (strcmp(function, "sdallocx") == 0) {
    sdallocx(ptr, claimed, 0);
  } else {
    void (*delete_sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, function);
    CHECK(delete_sized != NULL);
    if (delete_sized != NULL) delete_sized(ptr, claimed);
  }
}

int main(int argc, char **argv) {
  static char *blocks[2][COUNT];
  expect_allocator();
  if (argc != 4) return 9;
  size_t sizes[2] = {strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0)};
  size_t count = sizes[0] > 100000 || sizes[1] > 100000 ? 20 : COUNT;
  char *neighbours[2] = {malloc(sizes[0]), malloc(sizes[0])};
  char *ptr = malloc(sizes[0]);
  for (int i = 0; i < 2; i++) fill(neighbours[i], malloc_usable_size(neighbours[i]), (unsigned)i);
  give(argv[1], opaque(ptr), sizes[1]);
  for (int s = 0; s < 2; s++) {
    for (size_t i = 0; i < count; i++) {
      blocks[s][i] = malloc(sizes[s]);
      CHECK(blocks[s][i] != NULL && malloc_usable_size(blocks[s][i]) >= sizes[s]);
      fill(blocks[s][i], sizes[s], (unsigned)(s * 7 + (int)i));
    }
  }
  for (int s = 0; s < 2; s++) {
    for (size_t i = 0; i < count; i++) {
      CHECK(is_filled(blocks[s][i], sizes[s], (unsigned)(s * 7 + (int)i)));
      free(blocks[s][i]);
    }
  }
  for (int i = 0; i < 2; i++) {
    CHECK(is_filled(neighbours[i], malloc_usable_size(neighbours[i]), (unsigned)i));
    free(neighbours[i]);
  }
  malloc_trim(0);
  if (failures == 0) printf("sound\n");
  return failures != 0;
}
