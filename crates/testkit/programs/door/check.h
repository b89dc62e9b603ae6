/* check: the small frame under every program that knocks at the C door.
 *
 *   static void zero_sizes(void) { CHECK(malloc(0) != NULL); ... }
 *   int main(int argc, char **argv) { RUN(argc, argv, TEST(zero_sizes), TEST(...)); }
 *
 * A failed CHECK is reported with its place and the program goes on, so that one run shows all that
 * is wrong. CHECK_OURS marks what jemoxide does better than jemalloc: with JEMOXIDE_CHECK=upstream
 * in the environment a difference there is listed, not counted, so that jemalloc itself can stand
 * trial and show that every other CHECK is true of it.
 *
 * The extended calls are weak here, so that a program to be preloaded links without them. In a
 * static link only a strong reference pulls an archive member: -DSTRONG makes them so.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef STRONG
#define DOOR extern
#else
#define DOOR extern __attribute__((weak))
#endif

#ifdef __cplusplus
extern "C" {
#endif

DOOR void *mallocx(size_t size, int flags);
DOOR void *rallocx(void *ptr, size_t size, int flags);
DOOR size_t xallocx(void *ptr, size_t size, size_t extra, int flags);
DOOR size_t sallocx(const void *ptr, int flags);
DOOR void dallocx(void *ptr, int flags);
DOOR void sdallocx(void *ptr, size_t size, int flags);
DOOR size_t nallocx(size_t size, int flags);
DOOR void free_sized(void *ptr, size_t size);
DOOR void free_aligned_sized(void *ptr, size_t alignment, size_t size);

#ifdef __cplusplus
}
#endif

#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ALIGN(a) (__builtin_ctzll((unsigned long long)(a)))
#define MALLOCX_ZERO 0x40
#define MALLOCX_TCACHE_NONE 0x100
#define MALLOCX_ARENA(a) ((int)((a) + 1) << 20)

#define PAGE ((size_t)4096)
#define LARGEST ((size_t)7 << 60)
/* More than any process can map, less than the largest class. */
#define TOO_MUCH ((size_t)1 << 50)
/* An errno that no call sets. */
#define MARK 4242

static int failures;

static inline int is_upstream(void) {
  const char *mode = getenv("JEMOXIDE_CHECK");
  return mode != NULL && strcmp(mode, "upstream") == 0;
}

/* Bytes that an object of no bytes lends: nobody can touch those of the library under test. */
static inline size_t no_bytes(void) { return is_upstream() ? 8 : 0; }

/* What is known about the case at hand, shown with a failure. */
static char context[160];
#define CONTEXT(...) snprintf(context, sizeof context, __VA_ARGS__)

static void report(const char *file, int line, const char *text, int counts) {
  int saved = errno;
  fprintf(counts ? stderr : stdout, "%s: %s:%d: %s [%s] errno %d\n", counts ? "FAILED" : "differs",
          file, line, text, context, saved);
  failures += counts;
  if (failures > 50) {
    fprintf(stderr, "too many failures\n");
    exit(1);
  }
  errno = saved;
}

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) report(__FILE__, __LINE__, #condition, 1);                                   \
  } while (0)
#define CHECK_OURS(condition)                                                                      \
  do {                                                                                             \
    if (!(condition)) report(__FILE__, __LINE__, #condition, !is_upstream());                      \
  } while (0)

/* Hides a value from the optimiser, which otherwise judges sizes and frees on its own. */
static inline void *opaque(void *ptr) {
  __asm__ volatile("" : "+r"(ptr) : : "memory");
  return ptr;
}

static inline int is_aligned(const void *ptr, size_t alignment) {
  return ((uintptr_t)ptr & (alignment - 1)) == 0;
}

static inline void fill(void *ptr, size_t size, unsigned seed) {
  unsigned char *bytes = (unsigned char *)ptr;
  for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(seed + i * 131 + (i >> 8));
}

static inline int is_filled(const void *ptr, size_t size, unsigned seed) {
  const unsigned char *bytes = (const unsigned char *)ptr;
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != (unsigned char)(seed + i * 131 + (i >> 8))) return 0;
  return 1;
}

static inline int is_zero(const void *ptr, size_t size) {
  const unsigned char *bytes = (const unsigned char *)ptr;
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != 0) return 0;
  return 1;
}

/* Asserts that the malloc this process uses is the library under test (JEMOXIDE_EXPECT: its path). */
static inline void expect_allocator(void) {
  const char *path = getenv("JEMOXIDE_EXPECT");
  if (path == NULL) return;
  Dl_info info;
  struct stat wanted, found;
  void *door = dlsym(RTLD_DEFAULT, "malloc");
  if (door == NULL || dladdr(door, &info) == 0 || stat(path, &wanted) != 0 ||
      stat(info.dli_fname, &found) != 0 || wanted.st_ino != found.st_ino ||
      wanted.st_dev != found.st_dev) {
    fprintf(stderr, "malloc is not from %s\n", path);
    exit(1);
  }
}

struct test {
  const char *name;
  void (*body)(void);
};
#define TEST(name) {#name, name}
#define RUN(argc, argv, ...)                                                                       \
  do {                                                                                             \
    static const struct test tests[] = {__VA_ARGS__};                                              \
    return run_tests(argc, argv, tests, sizeof tests / sizeof *tests);                             \
  } while (0)

/* Runs all tests, or the one named by the first argument. */
static inline int run_tests(int argc, char **argv, const struct test *tests, size_t count) {
  setvbuf(stdout, NULL, _IONBF, 0);
  expect_allocator();
  int ran = 0;
  for (size_t i = 0; i < count; i++) {
    if (argc > 1 && strcmp(argv[1], tests[i].name) != 0) continue;
    int before = failures;
    context[0] = 0;
    tests[i].body();
    printf("%s %s\n", failures == before ? "ok" : "FAILED", tests[i].name);
    ran++;
  }
  if (ran == 0) fprintf(stderr, "no such test\n");
  return failures != 0 || ran == 0;
}

#endif
