// A program that replaces some operators and leaves the rest to the library: whatever form is called, an object that the
// program's new has made goes back by its delete. Its objects have a header, which tells.
//
//   #define PLAIN, ARRAY, ALIGNED, ALIGNED_ARRAY: the pairs that the including program replaces
#include "door/check.h"

#include <new>
#include <string>
#include <vector>

using std::align_val_t;

enum Pair { PAIR_PLAIN, PAIR_ARRAY, PAIR_ALIGNED, PAIR_ALIGNED_ARRAY, PAIRS };
static long live[PAIRS], made[PAIRS];
static bool refuses;

struct Header {
  size_t magic, pair;
};
static const size_t MAGIC = 0x6a656d6f;

[[maybe_unused]] static void *make(size_t size, size_t alignment, Pair pair) {
  size_t before = alignment > sizeof(Header) ? alignment : sizeof(Header);
  char *start = refuses ? nullptr : static_cast<char *>(aligned_alloc(before, (before + size + before - 1) / before * before));
  if (!start) throw std::bad_alloc();
  Header *header = reinterpret_cast<Header *>(start + before) - 1;
  *header = Header{MAGIC, size_t(pair)};
  live[pair]++;
  made[pair]++;
  return start + before;
}

[[maybe_unused]] static void unmake(void *ptr, size_t alignment, Pair pair) {
  if (!ptr) return;
  size_t before = alignment > sizeof(Header) ? alignment : sizeof(Header);
  Header *header = reinterpret_cast<Header *>(ptr) - 1;
  CHECK(header->magic == MAGIC && header->pair == size_t(pair));
  header->magic = 0;
  live[pair]--;
  free(static_cast<char *>(ptr) - before);
}

#ifdef PLAIN
void *operator new(size_t size) { return make(size, 1, PAIR_PLAIN); }
void operator delete(void *ptr) noexcept { unmake(ptr, 1, PAIR_PLAIN); }
#endif
#ifdef ARRAY
void *operator new[](size_t size) { return make(size, 1, PAIR_ARRAY); }
void operator delete[](void *ptr) noexcept { unmake(ptr, 1, PAIR_ARRAY); }
#endif
#ifdef ALIGNED
void *operator new(size_t size, align_val_t to) { return make(size, size_t(to), PAIR_ALIGNED); }
void operator delete(void *ptr, align_val_t to) noexcept { unmake(ptr, size_t(to), PAIR_ALIGNED); }
#endif
#ifdef ALIGNED_ARRAY
void *operator new[](size_t size, align_val_t to) { return make(size, size_t(to), PAIR_ALIGNED_ARRAY); }
void operator delete[](void *ptr, align_val_t to) noexcept { unmake(ptr, size_t(to), PAIR_ALIGNED_ARRAY); }
#endif

#ifdef PLAIN
static const int of_plain = PAIR_PLAIN;
#else
static const int of_plain = PAIRS;
#endif
#ifdef ARRAY
static const int of_array = PAIR_ARRAY;
#else
static const int of_array = of_plain;
#endif
#ifdef ALIGNED
static const int of_aligned = PAIR_ALIGNED;
#else
static const int of_aligned = PAIRS;
#endif
#ifdef ALIGNED_ARRAY
static const int of_aligned_array = PAIR_ALIGNED_ARRAY;
#else
static const int of_aligned_array = of_aligned;
#endif

// What `body` makes and gives back is of `pair`, once; of nobody's where that is PAIRS.
template <class Body> static void comes_by(int pair, const char *what, size_t size, Body body) {
  long before[PAIRS], after[PAIRS];
  CONTEXT("%s, size %zu", what, size);
  for (int each = 0; each < PAIRS; each++) before[each] = made[each];
  body();
  for (int each = 0; each < PAIRS; each++) {
    after[each] = made[each];
    CHECK(live[each] == 0);
    CHECK(after[each] - before[each] == (each == pair));
  }
}

static const size_t SIZES[] = {0, 1, 8, 9, 24, 100, 3000, 4096, 5000, 20000, 300000};

static void plain_forms(void) {
  for (size_t size : SIZES) {
    auto filled = [size](void *ptr) {
      CHECK(ptr != nullptr);
      memset(ptr, 7, size);
      return opaque(ptr);
    };
    comes_by(of_plain, "new, delete", size, [&] { ::operator delete(filled(::operator new(size))); });
    comes_by(of_plain, "new, sized delete", size, [&] { ::operator delete(filled(::operator new(size)), size); });
    comes_by(of_plain, "nothrow new, delete", size, [&] { ::operator delete(filled(::operator new(size, std::nothrow))); });
    comes_by(of_plain, "new, nothrow delete", size, [&] { ::operator delete(filled(::operator new(size)), std::nothrow); });
    comes_by(of_array, "new[], delete[]", size, [&] { ::operator delete[](filled(::operator new[](size))); });
    comes_by(of_array, "new[], sized delete[]", size, [&] { ::operator delete[](filled(::operator new[](size)), size); });
    comes_by(of_array, "nothrow new[], delete[]", size,
             [&] { ::operator delete[](filled(::operator new[](size, std::nothrow))); });
    comes_by(of_array, "new[], nothrow delete[]", size,
             [&] { ::operator delete[](filled(::operator new[](size)), std::nothrow); });
  }
}

static void aligned_forms(void) {
  align_val_t to{64};
  for (size_t size : SIZES) {
    auto filled = [size](void *ptr) {
      CHECK(ptr != nullptr && reinterpret_cast<size_t>(ptr) % 64 == 0);
      memset(ptr, 7, size);
      return opaque(ptr);
    };
    comes_by(of_aligned, "aligned", size, [&] { ::operator delete(filled(::operator new(size, to)), to); });
    comes_by(of_aligned, "aligned sized", size, [&] { ::operator delete(filled(::operator new(size, to)), size, to); });
    comes_by(of_aligned, "aligned nothrow", size,
             [&] { ::operator delete(filled(::operator new(size, to, std::nothrow)), to, std::nothrow); });
    comes_by(of_aligned_array, "aligned[]", size, [&] { ::operator delete[](filled(::operator new[](size, to)), to); });
    comes_by(of_aligned_array, "aligned[] sized", size,
             [&] { ::operator delete[](filled(::operator new[](size, to)), size, to); });
    comes_by(of_aligned_array, "aligned[] nothrow", size,
             [&] { ::operator delete[](filled(::operator new[](size, to, std::nothrow)), to, std::nothrow); });
  }
}

static void containers_and_classes(void) {
  struct Base {
    virtual ~Base() {}
    char bytes[40];
  };
  struct Derived : Base {
    std::string text = std::string(100, 'x');
  };
  {
    std::vector<std::string> texts;
    for (int i = 0; i < 1000; i++) texts.push_back(std::string(size_t(i), 'y'));
    Base *one = new Derived;
    Base *many = new Derived[3];
    opaque(one);
    delete one;
    delete[] static_cast<Derived *>(opaque(many));
  }
  for (int each = 0; each < PAIRS; each++) CHECK(live[each] == 0);
}

// The program's new throws: the nothrow forms give null, the others let it through.
static void what_they_throw(void) {
  if (of_plain == PAIRS || of_array == PAIRS) return;
  refuses = true;
  CHECK(::operator new(10, std::nothrow) == nullptr);
  CHECK(::operator new[](10, std::nothrow) == nullptr);
  int caught = 0;
  try {
    opaque(::operator new[](10));
  } catch (const std::bad_alloc &) {
    caught++;
  }
  try {
    opaque(::operator new(10));
  } catch (const std::bad_alloc &) {
    caught++;
  }
  CHECK(caught == 2);
  refuses = false;
}

int main(int argc, char **argv) {
  RUN(argc, argv, TEST(plain_forms), TEST(aligned_forms), TEST(containers_and_classes), TEST(what_they_throw));
}
