/* free_sized and free_aligned_sized (C23). */
#include "check.h"

static void any_size_from_requested_to_usable(void) {
  for (size_t size = 0; size < 200000; size += size / 5 + 1) {
    CONTEXT("size %zu", size);
    void *exact = malloc(size), *rounded = malloc(size), *zeroed = calloc(1, size);
    CHECK(exact != NULL && rounded != NULL && zeroed != NULL);
    errno = MARK;
    free_sized(exact, size);
    free_sized(rounded, malloc_usable_size(rounded));
    free_sized(zeroed, size);
    void *resized = realloc(malloc(size), size + 100);
    free_sized(resized, size + 100);
    CHECK(errno == MARK);
  }
}

static void aligned_blocks(void) {
  for (size_t alignment = 1; alignment <= (size_t)1 << 21; alignment *= 2) {
    for (size_t size = 0; size < 100000; size = size * 3 + 1) {
      CONTEXT("alignment %zu size %zu", alignment, size);
      void *a = aligned_alloc(alignment, size), *b = aligned_alloc(alignment, size);
      CHECK(a != NULL && b != NULL && a != b && is_aligned(a, alignment));
      errno = MARK;
      free_aligned_sized(a, alignment, size);
      free_aligned_sized(b, alignment, malloc_usable_size(b));
      CHECK(errno == MARK);
    }
  }
}

static void null_is_ignored(void) {
  errno = MARK;
  for (size_t size = 0; size < (size_t)1 << 62; size = size * 2 + 1) {
    free_sized(NULL, size);
    free_aligned_sized(NULL, 64, size);
    free_aligned_sized(NULL, (size_t)1 << 21, size);
  }
  CHECK(errno == MARK);
}

/* What was freed by size comes back whole: freeing with the wrong class would mix neighbours up. */
static void freed_memory_is_reused_soundly(void) {
  enum { COUNT = 500 };
  static unsigned char *blocks[COUNT];
  static size_t sizes[COUNT];
  for (int round = 0; round < 40; round++) {
    for (size_t i = 0; i < COUNT; i++) {
      sizes[i] = (i * 7919 + (size_t)round * 104729) % 3000 + 1;
      blocks[i] = (unsigned char *)malloc(sizes[i]);
      fill(blocks[i], malloc_usable_size(blocks[i]), (unsigned)i);
    }
    for (size_t i = 0; i < COUNT; i++) {
      CONTEXT("size %zu", sizes[i]);
      CHECK(is_filled(blocks[i], malloc_usable_size(blocks[i]), (unsigned)i));
      free_sized(blocks[i], i % 2 ? sizes[i] : malloc_usable_size(blocks[i]));
    }
  }
}

int main(int argc, char **argv) {
#ifndef STRONG
  if (free_sized == NULL || free_aligned_sized == NULL) {
    printf("differs: free_sized is missing\n");
    return !is_upstream();
  }
#endif
  RUN(argc, argv, TEST(any_size_from_requested_to_usable), TEST(aligned_blocks), TEST(null_is_ignored),
      TEST(freed_memory_is_reused_soundly));
}
