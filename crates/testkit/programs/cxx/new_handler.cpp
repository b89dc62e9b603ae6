// The new-handler: called in a loop until memory is found, it is removed, or it throws.
#include "door/check.h"

#include <initializer_list>
#include <new>
#include <sys/resource.h>

static int calls;

static void *throwing(size_t size, size_t alignment) {
  return alignment > 1 ? ::operator new(size, std::align_val_t(alignment)) : ::operator new(size);
}
static void *throwing_array(size_t size, size_t alignment) {
  return alignment > 1 ? ::operator new[](size, std::align_val_t(alignment)) : ::operator new[](size);
}
static void *nothrow(size_t size, size_t alignment) {
  return alignment > 1 ? ::operator new(size, std::align_val_t(alignment), std::nothrow)
                       : ::operator new(size, std::nothrow);
}
static void *nothrow_array(size_t size, size_t alignment) {
  return alignment > 1 ? ::operator new[](size, std::align_val_t(alignment), std::nothrow)
                       : ::operator new[](size, std::nothrow);
}
typedef void *(*Form)(size_t, size_t);
static const Form THROWING[] = {throwing, throwing_array};
static const Form NOTHROW[] = {nothrow, nothrow_array};
static const size_t ALIGNMENTS[] = {1, 64, 1 << 21};

// Calls `form`; says how it ended: 'p' pointer, 'n' null, 'b' bad_alloc, 'i' an int was thrown.
static char outcome(Form form, size_t size, size_t alignment) {
  try {
    void *ptr = form(size, alignment);
    char end = ptr != nullptr ? 'p' : 'n';
    free(ptr);
    return end;
  } catch (const std::bad_alloc &) {
    return 'b';
  } catch (int) {
    return 'i';
  }
}

static void gives_up_at_the_third_call(void) {
  for (size_t alignment : ALIGNMENTS) {
    CONTEXT("alignment %zu", alignment);
    for (int i = 0; i < 2; i++) {
      auto handler = [] {
        if (++calls == 3) std::set_new_handler(nullptr);
      };
      calls = 0;
      std::set_new_handler(handler);
      CHECK(outcome(THROWING[i], TOO_MUCH, alignment) == 'b' && calls == 3);
      calls = 0;
      std::set_new_handler(handler);
      CHECK(outcome(NOTHROW[i], TOO_MUCH, alignment) == 'n' && calls == 3);
    }
  }
}

struct Worse : std::bad_alloc {};

static void handler_throws_bad_alloc(void) {
  for (auto handler : {+[] { calls++; throw std::bad_alloc(); }, +[] { calls++; throw Worse(); }}) {
    for (size_t alignment : ALIGNMENTS) {
      CONTEXT("alignment %zu", alignment);
      for (int i = 0; i < 2; i++) {
        std::set_new_handler(handler);
        calls = 0;
        CHECK(outcome(THROWING[i], TOO_MUCH, alignment) == 'b' && calls == 1);
        CHECK(outcome(NOTHROW[i], TOO_MUCH, alignment) == 'n' && calls == 2);
      }
    }
  }
  std::set_new_handler(nullptr);
}

static void handler_throws_something_else(void) {
  for (size_t alignment : ALIGNMENTS) {
    CONTEXT("alignment %zu", alignment);
    std::set_new_handler([] { throw 7; });
    for (Form form : THROWING) CHECK(outcome(form, TOO_MUCH, alignment) == 'i');
  }
  std::set_new_handler(nullptr);
}

static rlim_t roof;

static rlim_t address_space(void) {
  size_t pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != nullptr && fscanf(file, "%zu", &pages) == 1);
  if (file != nullptr) fclose(file);
  return pages * PAGE;
}

static void set_roof(rlim_t bytes) {
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = bytes;
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

// A handler that finds memory: here it lifts the limit that made the call fail. An allocator may hold
// address space in reserve, so blocks are taken, and kept, until one meets the limit.
static void retry_succeeds_and_keeps_the_alignment(void) {
  enum { MOST = 400 };
  static void *kept[MOST];
  const size_t size = (size_t)64 << 20;
  struct rlimit before;
  getrlimit(RLIMIT_AS, &before);
  roof = before.rlim_cur;
  int count = 0;
  for (size_t alignment : {(size_t)1, (size_t)64, (size_t)4096, (size_t)1 << 21, (size_t)1 << 25}) {
    for (Form form : {throwing, throwing_array, nothrow, nothrow_array}) {
      CONTEXT("alignment %zu", alignment);
      calls = 0;
      std::set_new_handler([] {
        calls++;
        set_roof(roof);
      });
      set_roof(address_space() + ((rlim_t)16 << 20));
      while (calls == 0 && count < MOST) {
        void *ptr = form(size, alignment);
        CHECK(ptr != nullptr && malloc_usable_size(ptr) >= size);
        if (calls == 0)
          CHECK(is_aligned(ptr, alignment));
        else
          CHECK_OURS(is_aligned(ptr, alignment));
        kept[count++] = ptr;
      }
      CHECK(calls == 1);
    }
  }
  for (int i = 0; i < count; i++) free(kept[i]);
  std::set_new_handler(nullptr);
  set_roof(roof);
}

// The handler itself may allocate, and an exception may leave it in mid-air.
static void handler_allocates(void) {
  std::set_new_handler([] {
    char *text = new char[1000];
    memset(text, 1, 1000);
    delete[] text;
    if (++calls == 5) throw std::bad_alloc();
  });
  calls = 0;
  CHECK(outcome(throwing, TOO_MUCH, 1) == 'b' && calls == 5);
  std::set_new_handler(nullptr);
  char *after = new char[100];
  CHECK(after != nullptr);
  delete[] after;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "nothrow_meets_an_int") == 0) {
    // Either answer is sound: null (as the standard says today) or std::terminate (noexcept).
    std::set_new_handler([] { throw 7; });
    printf("%s\n", nothrow(TOO_MUCH, 1) == nullptr ? "null" : "pointer");
    return 0;
  }
  RUN(argc, argv, TEST(gives_up_at_the_third_call), TEST(handler_throws_bad_alloc),
      TEST(handler_throws_something_else), TEST(handler_allocates),
      TEST(retry_succeeds_and_keeps_the_alignment));
}
