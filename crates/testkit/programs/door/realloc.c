/* realloc and reallocarray: contents, the zero-size conventions, failure. */
#include "check.h"

#include <sys/resource.h>

static const size_t SIZES[] = {1,     7,     8,     9,     16,     100,     128,     1000,    4096,    14336,
                               14337, 16384, 20000, 32768, 40961,  100000,  131072,  1 << 20, 3 << 20, (3 << 20) + 1,
                               9 << 20};
enum { COUNT = sizeof SIZES / sizeof *SIZES };

static void keeps_contents(void) {
  for (int from = 0; from < COUNT; from++) {
    for (int to = 0; to < COUNT; to++) {
      CONTEXT("%zu -> %zu", SIZES[from], SIZES[to]);
      size_t kept = SIZES[from] < SIZES[to] ? SIZES[from] : SIZES[to];
      void *ptr = malloc(SIZES[from]);
      CHECK(ptr != NULL);
      fill(ptr, SIZES[from], (unsigned)from);
      errno = MARK;
      void *moved = realloc(ptr, SIZES[to]);
      CHECK(moved != NULL && errno == MARK);
      CHECK(malloc_usable_size(moved) >= SIZES[to]);
      CHECK(is_aligned(moved, SIZES[to] <= 8 ? 8 : 16));
      CHECK(is_filled(moved, kept, (unsigned)from));
      free(moved);
    }
  }
}

/* A block that grows and shrinks step by step keeps what both steps hold, neighbours unharmed. */
static void keeps_contents_in_steps(void) {
  size_t size = 1;
  char *ptr = (char *)malloc(size);
  fill(ptr, size, 3);
  for (int step = 0; step < 400; step++) {
    size_t next = step < 200 ? size + size / 12 + 1 : size - size / 12 - (size > 20);
    char *neighbour = (char *)malloc(next);
    memset(neighbour, 0xee, next);
    ptr = (char *)realloc(ptr, next);
    CONTEXT("%zu -> %zu", size, next);
    CHECK(ptr != NULL && is_filled(ptr, next < size ? next : size, 3));
    fill(ptr, next, 3);
    free(neighbour);
    size = next;
  }
  free(ptr);
}

static void null_acts_as_malloc(void) {
  errno = MARK;
  void *empty = realloc(NULL, 0);
  CHECK(empty != NULL && malloc_usable_size(empty) == no_bytes());
  void *some = realloc(NULL, 100);
  CHECK(some != NULL && malloc_usable_size(some) == 112);
  CHECK(errno == MARK);
  free(empty);
  free(some);
  errno = 0;
  CHECK(realloc(NULL, TOO_MUCH) == NULL && errno == ENOMEM);
}

static void zero_size_frees(void) {
  errno = MARK;
  for (int i = 0; i < COUNT; i++) {
    CONTEXT("size %zu", SIZES[i]);
    CHECK(realloc(opaque(malloc(SIZES[i])), 0) == NULL);
  }
  CHECK(errno == MARK);
  /* If it did not free, this would need some 12 GiB of a limited address space. */
  struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  errno = MARK;
  for (int i = 0; i < 100000; i++) {
    void *small = malloc(1000), *large = malloc(120000);
    CHECK(small != NULL && large != NULL);
    CHECK(realloc(small, 0) == NULL);
    CHECK(realloc(large, 0) == NULL);
  }
  CHECK(errno == MARK);
}

static void failure_keeps_the_block(void) {
  const size_t impossible[] = {TOO_MUCH, LARGEST, LARGEST + 1, SIZE_MAX, SIZE_MAX - PAGE, (size_t)1 << 63};
  for (int i = 0; i < COUNT; i++) {
    void *ptr = malloc(SIZES[i]);
    fill(ptr, SIZES[i], 5);
    for (size_t j = 0; j < sizeof impossible / sizeof *impossible; j++) {
      CONTEXT("%zu -> %zx", SIZES[i], impossible[j]);
      errno = 0;
      CHECK(realloc(ptr, impossible[j]) == NULL);
      CHECK_OURS(errno == ENOMEM);
      CHECK(is_filled(ptr, SIZES[i], 5));
    }
    free(ptr);
  }
}

static void same_class_stays(void) {
  for (int i = 0; i < COUNT; i++) {
    CONTEXT("size %zu", SIZES[i]);
    void *ptr = malloc(SIZES[i]);
    size_t room = malloc_usable_size(ptr);
    CHECK(realloc(ptr, room) == ptr);
    CHECK(realloc(ptr, SIZES[i]) == ptr);
    CHECK(malloc_usable_size(ptr) == room);
    free(ptr);
  }
}

static void array(void) {
  errno = MARK;
  char *ptr = (char *)reallocarray(NULL, 10, 10);
  CHECK(ptr != NULL && malloc_usable_size(ptr) == 112);
  fill(ptr, 100, 1);
  ptr = (char *)reallocarray(ptr, 1000, 10);
  CHECK(ptr != NULL && malloc_usable_size(ptr) == 10240 && is_filled(ptr, 100, 1));
  CHECK(errno == MARK);
  const size_t pairs[][2] = {{SIZE_MAX, 2}, {2, SIZE_MAX}, {(size_t)1 << 32, (size_t)1 << 32},
                             {((size_t)1 << 60) + 1, 16}, {TOO_MUCH, 1}, {1, LARGEST + 1}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    CONTEXT("%zx * %zx", pairs[i][0], pairs[i][1]);
    errno = 0;
    CHECK(reallocarray(opaque(ptr), pairs[i][0], pairs[i][1]) == NULL);
    CHECK_OURS(errno == ENOMEM);
    CHECK(is_filled(ptr, 100, 1));
    errno = 0;
    CHECK(reallocarray(NULL, pairs[i][0], pairs[i][1]) == NULL && errno == ENOMEM);
  }
  errno = MARK;
  CHECK(reallocarray(opaque(ptr), 0, 10) == NULL && errno == MARK);
  CHECK(reallocarray(opaque(malloc(5)), 10, 0) == NULL && errno == MARK);
  void *empty = reallocarray(NULL, 0, SIZE_MAX);
  CHECK(empty != NULL && malloc_usable_size(empty) == no_bytes() && errno == MARK);
  free(empty);
}

int main(int argc, char **argv) {
  RUN(argc, argv, TEST(keeps_contents), TEST(keeps_contents_in_steps), TEST(null_acts_as_malloc),
      TEST(failure_keeps_the_block), TEST(same_class_stays), TEST(array),
      /* Last: it limits the process. */
      TEST(zero_size_frees));
}
