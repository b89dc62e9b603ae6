/* posix_memalign, aligned_alloc, memalign, valloc, pvalloc: alignment, zero sizes, failure. */
#include "check.h"

enum { POSIX, ALIGNED, MEMALIGN, KINDS };
static const char *const NAMES[] = {"posix_memalign", "aligned_alloc", "memalign"};

static void *get(int kind, size_t alignment, size_t size) {
  void *ptr = NULL;
  switch (kind) {
  case POSIX:
    return posix_memalign(&ptr, alignment, size) == 0 ? ptr : NULL;
  case ALIGNED:
    return aligned_alloc(alignment, size);
  default:
    return memalign(alignment, size);
  }
}

static void every_alignment(void) {
  static const size_t sizes[] = {0, 1, 8, 9, 24, 100, 4095, 4096, 4097, 14336, 14337, 20000, 100000, 1 << 20};
  enum { COUNT = sizeof sizes / sizeof *sizes };
  for (int kind = 0; kind < KINDS; kind++) {
    for (size_t alignment = kind == POSIX ? sizeof(void *) : 1; alignment <= (size_t)64 << 20; alignment *= 2) {
      void *blocks[COUNT];
      errno = MARK;
      for (int i = 0; i < COUNT; i++) {
        CONTEXT("%s(%zu, %zu)", NAMES[kind], alignment, sizes[i]);
        blocks[i] = get(kind, alignment, sizes[i]);
        CHECK(blocks[i] != NULL && errno == MARK);
        /* A size of zero keeps the alignment too: it counts as one. */
        if (kind == MEMALIGN && sizes[i] == 0)
          CHECK_OURS(is_aligned(blocks[i], alignment));
        else
          CHECK(is_aligned(blocks[i], alignment));
        CHECK(malloc_usable_size(blocks[i]) >= sizes[i]);
        size_t touched = sizes[i] < 5000 ? sizes[i] : 5000;
        fill(blocks[i], touched, (unsigned)i);
      }
      for (int i = 0; i < COUNT; i++) {
        size_t touched = sizes[i] < 5000 ? sizes[i] : 5000;
        CHECK(is_filled(blocks[i], touched, (unsigned)i));
        free(blocks[i]);
      }
      CHECK(errno == MARK);
    }
  }
}

static void bad_alignment(void) {
  static const size_t bad[] = {0, 3, 5, 6, 7, 9, 12, 24, 100, 4095, 4097, SIZE_MAX, SIZE_MAX - 7, ((size_t)1 << 63) + 8};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CONTEXT("alignment %zx", bad[i]);
    char canary;
    void *ptr = &canary;
    errno = MARK;
    CHECK(posix_memalign(&ptr, bad[i], 100) == EINVAL && ptr == &canary && errno == MARK);
    CHECK(posix_memalign(&ptr, bad[i], 0) == EINVAL && ptr == &canary && errno == MARK);
    CHECK(posix_memalign(&ptr, bad[i], SIZE_MAX) == EINVAL && ptr == &canary && errno == MARK);
    errno = 0;
    CHECK(aligned_alloc(bad[i], 100) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(aligned_alloc(bad[i], SIZE_MAX) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(memalign(bad[i], 100) == NULL);
    CHECK_OURS(errno == EINVAL);
  }
  /* posix_memalign wants a multiple of the size of a pointer; the others any power of two. */
  for (size_t small = 1; small < sizeof(void *); small *= 2) {
    CONTEXT("alignment %zu", small);
    char canary;
    void *ptr = &canary;
    errno = MARK;
    CHECK(posix_memalign(&ptr, small, 100) == EINVAL && ptr == &canary && errno == MARK);
  }
}

static void too_large(void) {
  static const size_t alignments[] = {8, 16, 64, 4096, 8192, 1 << 21, (size_t)1 << 40, (size_t)1 << 62, (size_t)1 << 63};
  static const size_t sizes[] = {TOO_MUCH, LARGEST, LARGEST + 1, SIZE_MAX, SIZE_MAX - 8, SIZE_MAX - 4096, (size_t)1 << 63};
  for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
    for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
      CONTEXT("alignment %zx size %zx", alignments[i], sizes[j]);
      char canary;
      void *ptr = &canary;
      errno = MARK;
      CHECK(posix_memalign(&ptr, alignments[i], sizes[j]) == ENOMEM && ptr == &canary);
      CHECK_OURS(errno == MARK);
      errno = 0;
      CHECK(aligned_alloc(alignments[i], sizes[j]) == NULL && errno == ENOMEM);
      errno = 0;
      CHECK(memalign(alignments[i], sizes[j]) == NULL);
      CHECK_OURS(errno == ENOMEM);
    }
  }
  /* A small size under an impossible alignment. */
  for (size_t alignment = (size_t)1 << 48; alignment != 0; alignment <<= 1) {
    CONTEXT("alignment %zx", alignment);
    char canary;
    void *ptr = &canary;
    errno = MARK;
    CHECK(posix_memalign(&ptr, alignment, 1) == ENOMEM && ptr == &canary);
    CHECK_OURS(errno == MARK);
    errno = 0;
    CHECK(aligned_alloc(alignment, 1) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(memalign(alignment, 1) == NULL);
    CHECK_OURS(errno == ENOMEM);
  }
}

/* Aligned blocks shrink and grow like all others, keep their contents and reuse dirty memory. */
static void realloc_of_aligned(void) {
  for (size_t alignment = 8; alignment <= (size_t)1 << 21; alignment *= 4) {
    for (size_t size = 1; size < 200000; size = size * 5 + 3) {
      CONTEXT("alignment %zu size %zu", alignment, size);
      void *ptr = aligned_alloc(alignment, size);
      CHECK(ptr != NULL);
      size_t room = malloc_usable_size(ptr);
      fill(ptr, room, 4);
      ptr = realloc(ptr, room + 1);
      CHECK(ptr != NULL && is_filled(ptr, room, 4));
      ptr = realloc(ptr, size);
      CHECK(ptr != NULL && is_filled(ptr, size, 4));
      free(ptr);
    }
  }
}

/* After realloc a block is an ordinary one: a sized free may name the plain size, so its class is that
 * of the size alone, whatever alignment it once had. */
static void realloc_gives_the_plain_class(void) {
  static const size_t sizes[] = {1, 100, 1000, 4097, 14336, 20000, 100000};
  for (size_t alignment = 64; alignment <= (size_t)1 << 21; alignment *= 8) {
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
        CONTEXT("alignment %zu, %zu -> %zu", alignment, sizes[i], sizes[j]);
        void *ptr = aligned_alloc(alignment, sizes[i]), *plain = malloc(sizes[j]);
        fill(ptr, sizes[i], 5);
        ptr = realloc(ptr, sizes[j]);
        CHECK(ptr != NULL && is_filled(ptr, sizes[i] < sizes[j] ? sizes[i] : sizes[j], 5));
        CHECK(malloc_usable_size(ptr) == malloc_usable_size(plain));
        if (!is_upstream())
          free_sized(ptr, sizes[j]);
        else
          free(ptr);
        free(plain);
      }
    }
  }
}

static void page_aligned(void) {
  static const size_t sizes[] = {1, 8, 100, 4096, 4097, 14336, 14337, 100000, 1 << 21};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    CONTEXT("size %zu", sizes[i]);
    errno = MARK;
    void *a = valloc(sizes[i]), *b = pvalloc(sizes[i]);
    CHECK(a != NULL && is_aligned(a, PAGE) && malloc_usable_size(a) >= sizes[i]);
    CHECK(b != NULL && is_aligned(b, PAGE) && malloc_usable_size(b) >= ((sizes[i] + PAGE - 1) & ~(PAGE - 1)));
    CHECK(errno == MARK);
    memset(a, 1, sizes[i]);
    memset(b, 2, sizes[i]);
    free(a);
    free(b);
  }
  void *a = valloc(0), *b = pvalloc(0), *c = valloc(0);
  CHECK(a != NULL && b != NULL && c != NULL && a != c);
  CHECK_OURS(is_aligned(a, PAGE) && is_aligned(b, PAGE) && is_aligned(c, PAGE));
  free(a);
  free(b);
  free(c);
  static const size_t impossible[] = {TOO_MUCH, LARGEST, LARGEST + 1, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4094, SIZE_MAX - 4095, SIZE_MAX - 4096};
  for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
    CONTEXT("size %zx", impossible[i]);
    errno = 0;
    CHECK(valloc(impossible[i]) == NULL);
    CHECK_OURS(errno == ENOMEM);
    errno = 0;
    CHECK(pvalloc(impossible[i]) == NULL);
    CHECK_OURS(errno == ENOMEM);
  }
}

int main(int argc, char **argv) {
  /* jemalloc 5.3.0 leaves pvalloc to glibc. */
  if (is_upstream())
    RUN(argc, argv, TEST(every_alignment), TEST(bad_alignment), TEST(too_large), TEST(realloc_of_aligned),
      TEST(realloc_gives_the_plain_class));
  RUN(argc, argv, TEST(every_alignment), TEST(bad_alignment), TEST(too_large), TEST(realloc_of_aligned),
      TEST(realloc_gives_the_plain_class),
      TEST(page_aligned));
}
