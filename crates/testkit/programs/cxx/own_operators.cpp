// A program that brings its own operators: they win over the library's, in every kind of link.
#include "door/check.h"

#include <new>
#include <string>
#include <vector>

static int news, deletes;

void *operator new(size_t size) {
  news++;
  if (void *ptr = malloc(size)) return ptr;
  throw std::bad_alloc();
}
void operator delete(void *ptr) noexcept {
  deletes++;
  free(ptr);
}
void operator delete(void *ptr, size_t) noexcept {
  deletes++;
  free(ptr);
}

static void ours_are_called(void) {
  news = deletes = 0;
  {
    std::vector<std::string> texts;
    for (int i = 0; i < 100; i++) texts.push_back(std::string(200, 'x'));
  }
  CHECK(news >= 100 && news == deletes);
}

// An array form that the program did not replace: the library's own, not by way of ours.
static void the_rest_stays_with_the_library(void) {
  char *bytes = new char[33];
  opaque(bytes);
  CHECK(malloc_usable_size(bytes) == 48);
  delete[] bytes;
}

int main(int argc, char **argv) { RUN(argc, argv, TEST(ours_are_called), TEST(the_rest_stays_with_the_library)); }
