// All twenty operators new and delete: sizes, alignment, null, freeing by any of them.
#include "door/check.h"

#include <initializer_list>
#include <new>

using std::align_val_t;

// One way to allocate; the plain ones ignore the alignment.
struct New {
  const char *name;
  void *(*call)(size_t size, size_t alignment);
  bool is_aligned;
};
static const New NEWS[] = {
    {"new", [](size_t size, size_t) { return ::operator new(size); }, false},
    {"new[]", [](size_t size, size_t) { return ::operator new[](size); }, false},
    {"new nothrow", [](size_t size, size_t) { return ::operator new(size, std::nothrow); }, false},
    {"new[] nothrow", [](size_t size, size_t) { return ::operator new[](size, std::nothrow); }, false},
    {"new aligned", [](size_t size, size_t to) { return ::operator new(size, align_val_t(to)); }, true},
    {"new[] aligned", [](size_t size, size_t to) { return ::operator new[](size, align_val_t(to)); }, true},
    {"new aligned nothrow",
     [](size_t size, size_t to) { return ::operator new(size, align_val_t(to), std::nothrow); }, true},
    {"new[] aligned nothrow",
     [](size_t size, size_t to) { return ::operator new[](size, align_val_t(to), std::nothrow); }, true},
};

struct Delete {
  const char *name;
  void (*call)(void *ptr, size_t size, size_t alignment);
  bool is_aligned;
};
static const Delete DELETES[] = {
    {"delete", [](void *ptr, size_t, size_t) { ::operator delete(ptr); }, false},
    {"delete[]", [](void *ptr, size_t, size_t) { ::operator delete[](ptr); }, false},
    {"delete nothrow", [](void *ptr, size_t, size_t) { ::operator delete(ptr, std::nothrow); }, false},
    {"delete[] nothrow", [](void *ptr, size_t, size_t) { ::operator delete[](ptr, std::nothrow); }, false},
    {"delete sized", [](void *ptr, size_t size, size_t) { ::operator delete(ptr, size); }, false},
    {"delete[] sized", [](void *ptr, size_t size, size_t) { ::operator delete[](ptr, size); }, false},
    {"delete aligned", [](void *ptr, size_t, size_t to) { ::operator delete(ptr, align_val_t(to)); }, true},
    {"delete[] aligned", [](void *ptr, size_t, size_t to) { ::operator delete[](ptr, align_val_t(to)); }, true},
    {"delete aligned nothrow",
     [](void *ptr, size_t, size_t to) { ::operator delete(ptr, align_val_t(to), std::nothrow); }, true},
    {"delete[] aligned nothrow",
     [](void *ptr, size_t, size_t to) { ::operator delete[](ptr, align_val_t(to), std::nothrow); }, true},
    {"delete sized aligned",
     [](void *ptr, size_t size, size_t to) { ::operator delete(ptr, size, align_val_t(to)); }, true},
    {"delete[] sized aligned",
     [](void *ptr, size_t size, size_t to) { ::operator delete[](ptr, size, align_val_t(to)); }, true},
};

static const size_t SIZES[] = {0, 1, 8, 9, 24, 100, 4096, 14336, 14337, 20000, 100000, 1 << 20};

static void every_pair(void) {
  for (const New &get : NEWS) {
    for (const Delete &give : DELETES) {
      if (get.is_aligned != give.is_aligned) continue;
      for (size_t size : SIZES) {
        for (size_t alignment = 1; alignment <= (get.is_aligned ? 1u << 16 : 1u); alignment *= 4) {
          CONTEXT("%s, %s, size %zu alignment %zu", get.name, give.name, size, alignment);
          errno = MARK;
          void *a = opaque(get.call(size, alignment)), *b = opaque(get.call(size, alignment));
          CHECK(a != nullptr && b != nullptr && a != b);
          if (size == 0)
            CHECK_OURS(is_aligned(a, alignment) && is_aligned(b, alignment));
          else
            CHECK(is_aligned(a, alignment) && is_aligned(b, alignment));
          if (!get.is_aligned) CHECK(malloc_usable_size(a) == (size ? nallocx(size, 0) : no_bytes()));
          CHECK(malloc_usable_size(a) >= size);
          fill(a, size, 1);
          fill(b, size, 2);
          CHECK(is_filled(a, size, 1) && is_filled(b, size, 2));
          give.call(a, size, alignment);
          give.call(b, size, alignment);
          CHECK(errno == MARK);
        }
      }
    }
  }
}

static void delete_null(void) {
  for (const Delete &give : DELETES) {
    CONTEXT("%s", give.name);
    errno = MARK;
    for (size_t size : SIZES) give.call(nullptr, size, 64);
    CHECK(errno == MARK);
  }
}

// What new gave may go to free, and back: libraries written in C hand such blocks over.
static void free_takes_what_new_gave(void) {
  for (const New &get : NEWS) {
    for (size_t size : SIZES) free(opaque(get.call(size, 64)));
  }
  for (size_t size : SIZES) ::operator delete(opaque(malloc(size)));
  CHECK(true);
}

// Without a handler: the throwing forms throw bad_alloc, the others give null. errno may be set.
static void too_large(void) {
  const size_t sizes[] = {TOO_MUCH, LARGEST, LARGEST + 1, SIZE_MAX, SIZE_MAX - PAGE, (size_t)1 << 63};
  for (const New &get : NEWS) {
    for (size_t size : sizes) {
      CONTEXT("%s, size %zx", get.name, size);
      bool throws = strstr(get.name, "nothrow") == nullptr;
      void *ptr = nullptr;
      bool caught = false;
      try {
        ptr = get.call(size, 64);
      } catch (const std::bad_alloc &) {
        caught = true;
      }
      CHECK(ptr == nullptr && caught == throws);
    }
  }
}

// An alignment that is no power of two, or beyond all memory: a failure like any other.
static void bad_alignment(void) {
  for (const New &get : NEWS) {
    if (!get.is_aligned) continue;
    for (size_t alignment : {(size_t)0, (size_t)3, (size_t)24, (size_t)4097, (size_t)1 << 62, (size_t)1 << 63}) {
      CONTEXT("%s, alignment %zx", get.name, alignment);
      void *ptr = nullptr;
      bool caught = false;
      try {
        ptr = get.call(100, alignment);
      } catch (const std::bad_alloc &) {
        caught = true;
      }
      CHECK(ptr == nullptr && caught == (strstr(get.name, "nothrow") == nullptr));
    }
  }
}

int main(int argc, char **argv) {
  // Upstream's sized delete trusts the size even of a zero-sized aligned block, which it rounds
  // differently.
  if (is_upstream()) RUN(argc, argv, TEST(delete_null), TEST(free_takes_what_new_gave), TEST(too_large),
      TEST(bad_alignment));
  RUN(argc, argv, TEST(every_pair), TEST(delete_null), TEST(free_takes_what_new_gave), TEST(too_large),
      TEST(bad_alignment));
}
