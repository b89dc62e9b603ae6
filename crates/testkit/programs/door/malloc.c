/* malloc, calloc, free, malloc_usable_size: sizes, errno, alignment, zeroing. */
#include "check.h"

static void zero_sizes(void) {
  errno = MARK;
  void *a = malloc(0), *b = malloc(0);
  CHECK(a != NULL && b != NULL && a != b);
  CHECK(malloc_usable_size(a) == no_bytes() && malloc_usable_size(b) == no_bytes());
  void *zeroed[] = {calloc(0, 0), calloc(0, 100), calloc(100, 0), calloc(0, SIZE_MAX), calloc(SIZE_MAX, 0)};
  for (size_t i = 0; i < sizeof zeroed / sizeof *zeroed; i++) {
    CHECK(zeroed[i] != NULL && malloc_usable_size(zeroed[i]) == no_bytes() && is_zero(zeroed[i], no_bytes()));
    for (size_t j = 0; j < i; j++) CHECK(zeroed[i] != zeroed[j]);
    free(zeroed[i]);
  }
  free(a);
  free(b);
  CHECK(errno == MARK);
}

static void too_large(void) {
  const size_t sizes[] = {TOO_MUCH, LARGEST,      LARGEST + 1,           (size_t)PTRDIFF_MAX,
                          SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - PAGE,       SIZE_MAX - PAGE + 1,
                          (size_t)1 << 63,        ((size_t)1 << 63) + 1, LARGEST - PAGE};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    CONTEXT("size %zx", sizes[i]);
    errno = 0;
    CHECK(malloc(sizes[i]) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(1, sizes[i]) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(sizes[i], 1) == NULL && errno == ENOMEM);
  }
}

static void calloc_overflow(void) {
  const size_t pairs[][2] = {{SIZE_MAX, 2},
                             {2, SIZE_MAX},
                             {SIZE_MAX, SIZE_MAX},
                             {(size_t)1 << 32, (size_t)1 << 32},
                             {((size_t)1 << 32) + 1, ((size_t)1 << 32)},
                             {SIZE_MAX / 3 + 1, 3},
                             {(size_t)1 << 63, 2},
                             /* The product wraps to a small number. */
                             {(size_t)0x5555555555555556, 3},
                             {((size_t)1 << 60) + 1, 16}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    CONTEXT("%zx * %zx", pairs[i][0], pairs[i][1]);
    errno = 0;
    CHECK(calloc(pairs[i][0], pairs[i][1]) == NULL && errno == ENOMEM);
  }
}

static void success_leaves_errno(void) {
  for (size_t size = 0; size < (size_t)64 << 20; size = size * 2 + 1) {
    CONTEXT("size %zu", size);
    errno = MARK;
    void *a = malloc(size), *b = calloc(1, size), *c = realloc(malloc(1), size + 1);
    CHECK(a != NULL && b != NULL && c != NULL && errno == MARK);
    malloc_usable_size(a);
    CHECK(errno == MARK);
    free(a);
    free(b);
    free(c);
    CHECK(errno == MARK);
  }
}

static void free_preserves_errno(void) {
  enum { COUNT = 4096 };
  static void *blocks[COUNT];
  const size_t sizes[] = {1, 64, 1000, 14336, 20000, 100000, 5 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    CONTEXT("size %zu", sizes[i]);
    size_t count = sizes[i] > 100000 ? 8 : sizes[i] > 10000 ? 256 : COUNT;
    for (size_t j = 0; j < count; j++) {
      blocks[j] = malloc(sizes[i]);
      CHECK(blocks[j] != NULL);
      memset(blocks[j], 1, sizes[i] < 4096 ? sizes[i] : 4096);
    }
    errno = MARK;
    for (size_t j = 0; j < count; j++) free(blocks[j]);
    CHECK(errno == MARK);
  }
  errno = MARK;
  free(NULL);
  CHECK(errno == MARK);
}

static void alignment_by_size(void) {
  for (size_t size = 0; size <= 70000; size += size < 5000 ? 1 : 61) {
    CONTEXT("size %zu", size);
    void *ptr = malloc(size);
    CHECK(ptr != NULL && is_aligned(ptr, size <= 8 ? 8 : 16));
    CHECK(malloc_usable_size(ptr) >= size);
    free(ptr);
  }
}

static void usable_size_is_usable(void) {
  CHECK(malloc_usable_size(NULL) == 0);
  for (size_t size = 1; size < (size_t)4 << 20; size += size / 3 + 1) {
    CONTEXT("size %zu", size);
    void *a = malloc(size), *b = malloc(size);
    size_t room = malloc_usable_size(a);
    CHECK(room == malloc_usable_size(b) && room >= size);
    fill(a, room, 1);
    fill(b, room, 2);
    CHECK(is_filled(a, room, 1) && is_filled(b, room, 2));
    free(a);
    free(b);
  }
}

/* Dirty memory comes back zero from calloc, over all of its usable size. */
static void calloc_zeroes_reused_memory(void) {
  enum { COUNT = 64 };
  static void *blocks[COUNT];
  for (size_t size = 1; size < (size_t)4 << 20; size += size / 2 + 1) {
    CONTEXT("size %zu", size);
    for (int round = 0; round < 2; round++) {
      size_t count = size > 300000 ? 4 : COUNT;
      for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 0xa5, malloc_usable_size(blocks[i]));
      }
      for (size_t i = 0; i < count; i++) free(blocks[i]);
      for (size_t i = 0; i < count; i++) {
        blocks[i] = round == 0 ? calloc(1, size) : calloc(size, 1);
        CHECK(blocks[i] != NULL && is_zero(blocks[i], malloc_usable_size(blocks[i])));
        CHECK(malloc_usable_size(blocks[i]) >= size);
        memset(blocks[i], 0x5a, malloc_usable_size(blocks[i]));
      }
      for (size_t i = 0; i < count; i++) free(blocks[i]);
    }
  }
}

/* Memory that went back to the system and returns, in part or whole, is zero for calloc too. */
static void calloc_zeroes_after_trim(void) {
  enum { COUNT = 200 };
  static void *blocks[COUNT];
  static const size_t sizes[] = {64, 4000, 20000, 300000};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    for (int round = 0; round < 4; round++) {
      CONTEXT("size %zu round %d", sizes[s], round);
      for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(sizes[s]);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 0xa5, malloc_usable_size(blocks[i]));
      }
      for (int i = 0; i < COUNT; i += 2) free(blocks[i]);
      if (round % 2) malloc_trim(0);
      for (int i = 0; i < COUNT; i += 2) {
        blocks[i] = calloc(1, sizes[s]);
        CHECK(blocks[i] != NULL && is_zero(blocks[i], malloc_usable_size(blocks[i])));
        memset(blocks[i], 0x5a, malloc_usable_size(blocks[i]));
      }
      for (int i = 1; i < COUNT; i += 2) {
        unsigned char *bytes = (unsigned char *)blocks[i];
        size_t room = malloc_usable_size(bytes);
        CHECK(bytes[0] == 0xa5 && bytes[room / 2] == 0xa5 && bytes[room - 1] == 0xa5);
      }
      for (int i = 0; i < COUNT; i++) free(blocks[i]);
      if (round == 2) malloc_trim(0);
    }
  }
}

/* A call that fails leaves all blocks alone. */
static void failure_harms_nothing(void) {
  char *kept = (char *)malloc(100);
  fill(kept, 100, 9);
  for (int i = 0; i < 1000; i++) {
    CHECK(malloc(TOO_MUCH + (size_t)i * PAGE) == NULL);
    CHECK(calloc(TOO_MUCH, 2) == NULL);
  }
  CHECK(is_filled(kept, 100, 9));
  free(kept);
}

int main(int argc, char **argv) {
  RUN(argc, argv, TEST(zero_sizes), TEST(too_large), TEST(calloc_overflow), TEST(success_leaves_errno),
      TEST(free_preserves_errno), TEST(alignment_by_size), TEST(usable_size_is_usable),
      TEST(calloc_zeroes_reused_memory),
      TEST(calloc_zeroes_after_trim), TEST(failure_harms_nothing));
}
