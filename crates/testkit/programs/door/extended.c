/* mallocx, rallocx, xallocx, sallocx, dallocx, sdallocx, nallocx with alignment and zero flags. */
#include "check.h"

static const size_t SIZES[] = {1,     8,     9,     17,    100,   1000,   4096,   4097,   14336,
                               14337, 16384, 16385, 32768, 40000, 100000, 300000, 1 << 21};
enum { COUNT = sizeof SIZES / sizeof *SIZES };

static void sizes_agree(void) {
  for (int i = 0; i < COUNT; i++) {
    for (int lg = 0; lg <= 22; lg++) {
      int flags = MALLOCX_LG_ALIGN(lg);
      CONTEXT("size %zu lg_align %d", SIZES[i], lg);
      errno = MARK;
      size_t wanted = nallocx(SIZES[i], flags);
      void *ptr = mallocx(SIZES[i], flags);
      CHECK(ptr != NULL && is_aligned(ptr, (size_t)1 << lg));
      CHECK(wanted >= SIZES[i] && sallocx(ptr, flags) == wanted && sallocx(ptr, 0) == wanted);
      CHECK(malloc_usable_size(ptr) == wanted);
      memset(ptr, 0x77, wanted);
      if (i % 2)
        dallocx(ptr, flags);
      else
        sdallocx(ptr, lg % 2 ? SIZES[i] : wanted, flags);
      CHECK(errno == MARK);
    }
  }
}

static void zero_flag(void) {
  for (int i = 0; i < COUNT; i++) {
    for (int lg = 0; lg <= 14; lg += 7) {
      CONTEXT("size %zu lg_align %d", SIZES[i], lg);
      void *dirty = mallocx(SIZES[i], MALLOCX_LG_ALIGN(lg));
      memset(dirty, 0xa5, sallocx(dirty, 0));
      dallocx(dirty, 0);
      void *ptr = mallocx(SIZES[i], MALLOCX_LG_ALIGN(lg) | MALLOCX_ZERO);
      CHECK(ptr != NULL && is_aligned(ptr, (size_t)1 << lg) && is_zero(ptr, sallocx(ptr, 0)));
      dallocx(ptr, 0);
    }
  }
}

/* A size of zero is undefined by contract; here it is the smallest block that keeps the alignment. */
static void zero_size(void) {
  CHECK(nallocx(0, 0) == 8);
  for (int lg = 0; lg <= 21; lg++) {
    int flags = MALLOCX_LG_ALIGN(lg);
    CONTEXT("lg_align %d", lg);
    errno = MARK;
    void *a = mallocx(0, flags), *b = mallocx(0, flags | MALLOCX_ZERO);
    CHECK(a != NULL && b != NULL && a != b && errno == MARK);
    if (a == NULL || b == NULL) continue;
    CHECK_OURS(is_aligned(a, (size_t)1 << lg) && is_aligned(b, (size_t)1 << lg));
    CHECK_OURS(sallocx(a, 0) == nallocx(1, flags));
    CHECK_OURS(nallocx(0, flags) == nallocx(1, flags));
    CHECK(is_zero(b, sallocx(b, 0)));
    dallocx(a, flags);
    dallocx(b, 0);
  }
}

static void failure_leaves_errno(void) {
  const size_t impossible[] = {TOO_MUCH, LARGEST, LARGEST + 1, SIZE_MAX, SIZE_MAX - PAGE, (size_t)1 << 63};
  for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
    CONTEXT("size %zx", impossible[i]);
    void *ptr = mallocx(100, 0);
    fill(ptr, 100, 3);
    errno = MARK;
    CHECK(mallocx(impossible[i], 0) == NULL);
    CHECK(mallocx(impossible[i], MALLOCX_ZERO | MALLOCX_LG_ALIGN(12)) == NULL);
    CHECK(rallocx(ptr, impossible[i], 0) == NULL);
    CHECK(rallocx(ptr, impossible[i], MALLOCX_ZERO) == NULL);
    CHECK(is_filled(ptr, 100, 3));
    CHECK(xallocx(ptr, 100, SIZE_MAX - 100, 0) == 112);
    /* jemalloc lets the refused system call's errno through. */
    CHECK_OURS(errno == MARK);
    dallocx(ptr, 0);
  }
  for (int lg = 48; lg < 64; lg++) {
    CONTEXT("lg_align %d", lg);
    errno = MARK;
    CHECK(mallocx(1, MALLOCX_LG_ALIGN(lg)) == NULL);
    CHECK_OURS(errno == MARK);
  }
}

static void nallocx_range(void) {
  errno = MARK;
  CHECK(nallocx(LARGEST, 0) == LARGEST);
  CHECK(nallocx(LARGEST + 1, 0) == 0);
  CHECK(nallocx(SIZE_MAX, 0) == 0);
  CHECK(nallocx((size_t)1 << 63, 0) == 0);
  CHECK(nallocx(1, MALLOCX_LG_ALIGN(63)) == 0);
  CHECK(nallocx(LARGEST, MALLOCX_LG_ALIGN(62)) == LARGEST);
  CHECK(nallocx(1, MALLOCX_LG_ALIGN(62)) == 16384);
  CHECK(nallocx(1, MALLOCX_LG_ALIGN(20)) == 16384);
  CHECK(nallocx(100, MALLOCX_ZERO) == 112 && nallocx(100, MALLOCX_TCACHE_NONE) == 112);
  CHECK(errno == MARK);
}

static void rallocx_contents(void) {
  for (int from = 0; from < COUNT; from++) {
    for (int to = 0; to < COUNT; to++) {
      for (int zero = 0; zero <= MALLOCX_ZERO; zero += MALLOCX_ZERO) {
        CONTEXT("%zu -> %zu, flags %x", SIZES[from], SIZES[to], (unsigned)zero);
        void *dirty = malloc(SIZES[to]);
        memset(dirty, 0xa5, malloc_usable_size(dirty));
        free(dirty);
        void *ptr = mallocx(SIZES[from], 0);
        size_t room = sallocx(ptr, 0);
        fill(ptr, room, 6);
        errno = MARK;
        ptr = rallocx(ptr, SIZES[to], zero);
        CHECK(ptr != NULL && errno == MARK && sallocx(ptr, 0) == nallocx(SIZES[to], 0));
        size_t now = sallocx(ptr, 0);
        CHECK(is_filled(ptr, room < SIZES[to] ? room : SIZES[to], 6));
        if (zero && now > room) CHECK(is_zero((char *)ptr + room, now - room));
        dallocx(ptr, 0);
      }
    }
  }
}

/* Moves when the block at hand does not meet the alignment asked for, even within its class. */
static void rallocx_alignment(void) {
  for (int i = 0; i < COUNT; i++) {
    for (int lg = 4; lg <= 21; lg++) {
      CONTEXT("size %zu lg_align %d", SIZES[i], lg);
      void *other = mallocx(SIZES[i], 0);
      void *ptr = mallocx(SIZES[i], 0);
      fill(ptr, SIZES[i], 8);
      ptr = rallocx(ptr, SIZES[i], MALLOCX_LG_ALIGN(lg));
      CHECK(ptr != NULL && is_aligned(ptr, (size_t)1 << lg) && is_filled(ptr, SIZES[i], 8));
      ptr = rallocx(ptr, SIZES[i] * 2, MALLOCX_LG_ALIGN(lg));
      CHECK(ptr != NULL && is_aligned(ptr, (size_t)1 << lg) && is_filled(ptr, SIZES[i], 8));
      sdallocx(ptr, SIZES[i] * 2, MALLOCX_LG_ALIGN(lg));
      dallocx(other, 0);
    }
  }
}

static void xallocx_in_place(void) {
  for (int i = 0; i < COUNT; i++) {
    void *ptr = mallocx(SIZES[i], 0);
    size_t room = sallocx(ptr, 0);
    fill(ptr, room, 2);
    errno = MARK;
    CONTEXT("size %zu", SIZES[i]);
    /* Within the class nothing changes. */
    CHECK(xallocx(ptr, SIZES[i], 0, 0) == room);
    CHECK(xallocx(ptr, room, 0, 0) == room);
    CHECK(xallocx(ptr, 1, room - 1, 0) == room);
    /* Growing: all, some, or none of it; never less than before. */
    size_t grown = xallocx(ptr, room + 1, room, 0);
    CONTEXT("size %zu usable %zu grown %zu", SIZES[i], room, grown);
    CHECK(grown >= room && grown <= nallocx(2 * room + 1, 0));
    /* jemalloc 5.3.0 may report the old size after growing by less than was asked. */
    CHECK_OURS(sallocx(ptr, 0) == grown);
    grown = sallocx(ptr, 0);
    if (room <= 14336) CHECK(grown == room);
    CHECK(is_filled(ptr, room, 2));
    memset((char *)ptr + room, 0x5a, grown - room);
    /* Shrinking: to the new size's class or not at all. */
    size_t target = SIZES[i] / 2 + 1;
    size_t shrunk = xallocx(ptr, target, 0, 0);
    CONTEXT("size %zu usable %zu grown %zu shrunk %zu", SIZES[i], room, grown, shrunk);
    CHECK(shrunk == grown || shrunk == nallocx(target, 0));
    if (room <= 14336) CHECK(shrunk == room);
    CHECK(sallocx(ptr, 0) == shrunk && is_filled(ptr, shrunk < room ? shrunk : room, 2));
    /* Back up, zeroed: whatever it gains is zero. */
    size_t regrown = xallocx(ptr, shrunk + 1, grown > shrunk ? grown - shrunk - 1 : 0, MALLOCX_ZERO);
    CHECK(regrown >= shrunk && sallocx(ptr, 0) == regrown);
    if (regrown > shrunk) CHECK(is_zero((char *)ptr + shrunk, regrown - shrunk));
    CHECK(xallocx(ptr, SIZES[i], SIZE_MAX - SIZES[i], 0) >= regrown);
    CHECK(errno == MARK);
    dallocx(ptr, 0);
  }
}

static void xallocx_alignment(void) {
  enum { BLOCKS = 8 };
  for (int i = 0; i < COUNT; i++) {
    void *blocks[BLOCKS];
    for (int j = 0; j < BLOCKS; j++) {
      blocks[j] = mallocx(SIZES[i], 0);
      size_t room = sallocx(blocks[j], 0);
      CONTEXT("size %zu at %p", SIZES[i], blocks[j]);
      /* An alignment that the address does not have is refused. */
      if (!is_aligned(blocks[j], (size_t)1 << 21)) {
        CHECK(xallocx(blocks[j], room + 1, room, MALLOCX_LG_ALIGN(21)) == room);
        CHECK(sallocx(blocks[j], 0) == room);
      }
    }
    for (int j = 0; j < BLOCKS; j++) dallocx(blocks[j], 0);
  }
}

static void null_is_safe(void) {
  errno = MARK;
  dallocx(NULL, 0);
  dallocx(NULL, MALLOCX_TCACHE_NONE);
  sdallocx(NULL, 0, 0);
  sdallocx(NULL, 100, MALLOCX_LG_ALIGN(6));
  sdallocx(NULL, 100000, 0);
  CHECK(sallocx(NULL, 0) == 0);
  void *ptr = rallocx(NULL, 100, MALLOCX_ZERO | MALLOCX_LG_ALIGN(8));
  CHECK(ptr != NULL && is_aligned(ptr, 256) && is_zero(ptr, sallocx(ptr, 0)));
  ptr = rallocx(ptr, 0, 0);
  CHECK(ptr != NULL && sallocx(ptr, 0) == 8);
  ptr = rallocx(ptr, 0, MALLOCX_LG_ALIGN(6));
  CHECK(ptr != NULL && is_aligned(ptr, 64) && sallocx(ptr, 0) == 64);
  dallocx(ptr, 0);
  CHECK(rallocx(NULL, TOO_MUCH, 0) == NULL);
  CHECK(errno == MARK);
}

/* Flags for caches and arenas have to be understood wherever they may stand. */
static void other_flags(void) {
  const int flags[] = {MALLOCX_TCACHE_NONE, MALLOCX_ARENA(0), MALLOCX_ARENA(0) | MALLOCX_TCACHE_NONE};
  for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
    for (int i = 0; i < COUNT; i++) {
      CONTEXT("flags %x size %zu", (unsigned)flags[f], SIZES[i]);
      void *ptr = mallocx(SIZES[i], flags[f] | MALLOCX_LG_ALIGN(6) | MALLOCX_ZERO);
      CHECK(ptr != NULL && is_aligned(ptr, 64) && is_zero(ptr, SIZES[i]));
      fill(ptr, SIZES[i], 1);
      CHECK(sallocx(ptr, flags[f]) == nallocx(SIZES[i], flags[f] | MALLOCX_LG_ALIGN(6)));
      ptr = rallocx(ptr, SIZES[i] * 2, flags[f]);
      CHECK(ptr != NULL && is_filled(ptr, SIZES[i], 1));
      CHECK(xallocx(ptr, SIZES[i] * 2, 0, flags[f]) >= SIZES[i] * 2);
      if (f % 2)
        dallocx(ptr, flags[f]);
      else
        sdallocx(ptr, SIZES[i] * 2, flags[f]);
    }
  }
}

int main(int argc, char **argv) {
  /* jemalloc crashes on some NULLs, as its contract allows. */
  if (is_upstream())
    RUN(argc, argv, TEST(sizes_agree), TEST(zero_flag), TEST(zero_size), TEST(failure_leaves_errno),
        TEST(nallocx_range), TEST(rallocx_contents), TEST(rallocx_alignment), TEST(xallocx_in_place),
        TEST(xallocx_alignment), TEST(other_flags));
  RUN(argc, argv, TEST(sizes_agree), TEST(zero_flag), TEST(zero_size), TEST(failure_leaves_errno),
      TEST(nallocx_range), TEST(rallocx_contents), TEST(rallocx_alignment), TEST(xallocx_in_place),
      TEST(xallocx_alignment), TEST(null_is_safe), TEST(other_flags));
}
