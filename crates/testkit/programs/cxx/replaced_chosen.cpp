// Replaced by the program, which has the loader choose its operators at the start (IFUNC): forms that are ours lead to them.
#include "door/check.h"

#include <new>

static const size_t MAGIC = 0x6a656d6f;
static int live;

static void *make(size_t size) {
  size_t *start = static_cast<size_t *>(malloc(size + 16));
  if (!start) throw std::bad_alloc();
  *start = MAGIC;
  live++;
  return start + 2;
}

static void unmake(void *ptr) {
  if (!ptr) return;
  size_t *start = static_cast<size_t *>(ptr) - 2;
  CHECK(*start == MAGIC);
  *start = 0;
  live--;
  free(start);
}

extern "C" void *(*choose_new())(size_t) { return make; }
extern "C" void (*choose_delete())(void *) { return unmake; }

void *operator new(size_t) __attribute__((ifunc("choose_new")));
void operator delete(void *) noexcept __attribute__((ifunc("choose_delete")));

int main() {
  expect_allocator();
  int *volatile array = new int[10];
  CHECK(live == 1);
  delete[] array;
  long *volatile word = new (std::nothrow) long;
  CHECK(live == 1);
  ::operator delete(word, sizeof(long));
  CHECK(live == 0);
  return failures != 0;
}
