// A plugin for a C program: throws and catches bad_alloc inside.
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

extern "C" int probe(size_t size) {
  try {
    std::string text(100, 'x');
    char *ptr = new char[size];
    *(volatile char *)ptr = text[0];
    delete[] ptr;
    return 1;
  } catch (const std::bad_alloc &) {
    return 2;
  }
}
