/* Names that glibc has beside the standard ones: cfree, __libc_*, malloc_trim, mallinfo, mallinfo2.
 *
 * All of them must reach the one allocator: a block from any of these may be freed through any other.
 */
#include "check.h"

#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);
extern void *__libc_memalign(size_t, size_t);
extern void *__libc_valloc(size_t);
extern void *__libc_pvalloc(size_t);

/* glibc keeps cfree for old binaries only, so nothing new links against it: it is looked up. */
static void cfree_frees(void) {
#ifndef STRONG
  void (*cfree_door)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
  CHECK_OURS(cfree_door != NULL);
  if (cfree_door == NULL) return;
  Dl_info cfree_info, malloc_info;
  dladdr((void *)cfree_door, &cfree_info);
  dladdr(dlsym(RTLD_DEFAULT, "malloc"), &malloc_info);
  CHECK_OURS(cfree_info.dli_fbase == malloc_info.dli_fbase);
  if (cfree_info.dli_fbase != malloc_info.dli_fbase) return;
  errno = MARK;
  for (int i = 0; i < 100000; i++) cfree_door(malloc(100000));
  cfree_door(NULL);
  CHECK(errno == MARK);
#endif
}

static void libc_aliases(void) {
  if (is_upstream()) {
    printf("differs: the __libc_ names stay with glibc\n");
    return;
  }
  errno = MARK;
  void *a = __libc_malloc(33), *b = __libc_calloc(3, 11), *c = __libc_realloc(malloc(1), 33);
  void *d = __libc_memalign(256, 33), *e = __libc_valloc(33), *f = __libc_pvalloc(4097);
  /* 48 is this allocator's class for 33 bytes; glibc's would be 40. */
  CHECK(a != NULL && malloc_usable_size(a) == 48);
  CHECK(b != NULL && malloc_usable_size(b) == 48 && is_zero(b, 48));
  CHECK(c != NULL && malloc_usable_size(c) == 48);
  CHECK(d != NULL && malloc_usable_size(d) == 256 && is_aligned(d, 256));
  CHECK(e != NULL && malloc_usable_size(e) == 4096 && is_aligned(e, PAGE));
  CHECK(f != NULL && malloc_usable_size(f) == 8192 && is_aligned(f, PAGE));
  free(a);
  __libc_free(b);
  c = __libc_realloc(c, 1000);
  CHECK(c != NULL && malloc_usable_size(c) == 1024);
  __libc_free(c);
  __libc_free(d);
  free(e);
  __libc_free(f);
  __libc_free(NULL);
  CHECK(errno == MARK);
  CHECK(__libc_malloc(SIZE_MAX) == NULL && errno == ENOMEM);
}

static size_t resident(void) {
  char text[128] = {0};
  FILE *file = fopen("/proc/self/statm", "r");
  size_t pages = 0;
  if (file == NULL || fgets(text, sizeof text, file) == NULL || sscanf(text, "%*u %zu", &pages) != 1) {
    CHECK(!"/proc/self/statm can be read");
  }
  if (file != NULL) fclose(file);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

enum { BLOCKS = 50000, SIZE = 1000 };
static void *blocks[BLOCKS];

static void take(void) {
  for (int i = 0; i < BLOCKS; i++) memset(blocks[i] = malloc(SIZE), 1, SIZE);
}

static void give(void) {
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
}

static void trim_gives_memory_back(void) {
  size_t before = resident();
  take();
  size_t peak = resident();
  CHECK(peak > before + (size_t)BLOCKS * SIZE);
  give();
  errno = MARK;
  int released = malloc_trim(0);
  CHECK(errno == MARK);
  size_t after = resident();
  CONTEXT("before %zu peak %zu after %zu", before, peak, after);
  CHECK_OURS(released == 1);
  CHECK_OURS(after < before + (peak - before) / 4);
  /* A second call finds nothing, or nearly nothing; either answer is honest, a third one is not. */
  released = malloc_trim(0);
  CHECK(released == 0 || released == 1);
}

static size_t in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static void mallinfo_tells_the_truth(void) {
  struct mallinfo2 start = mallinfo2();
  size_t before = in_use();
  take();
  size_t during = in_use();
  size_t asked = (size_t)BLOCKS * SIZE;
  CONTEXT("in use: %zu, then %zu", before, during);
  CHECK_OURS(during >= before + asked && during <= before + asked + asked / 4);
  struct mallinfo2 full = mallinfo2();
  CHECK_OURS(full.arena + full.hblkhd >= full.uordblks + full.hblkhd);
  CHECK_OURS(full.arena + full.hblkhd > start.arena + start.hblkhd);
  give();
  size_t after = in_use();
  CONTEXT("in use: %zu, then %zu, then %zu", before, during, after);
  CHECK_OURS(after < before + asked / 8);
  /* One large block, exactly. */
  before = in_use();
  void *large = malloc(32 << 20);
  during = in_use();
  CHECK_OURS(during - before == (size_t)32 << 20);
  free(large);
  CHECK_OURS(in_use() == before);
}

static void old_mallinfo_agrees(void) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  struct mallinfo old = mallinfo();
#pragma GCC diagnostic pop
  struct mallinfo2 now = mallinfo2();
  CHECK((size_t)old.uordblks == now.uordblks && (size_t)old.hblkhd == now.hblkhd);
  CHECK((size_t)old.arena == now.arena);
}

int main(int argc, char **argv) {
  RUN(argc, argv, TEST(cfree_frees), TEST(libc_aliases), TEST(trim_gives_memory_back), TEST(mallinfo_tells_the_truth),
      TEST(old_mallinfo_agrees));
}
