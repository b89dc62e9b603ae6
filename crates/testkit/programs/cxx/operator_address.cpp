// Takes the address of an operator of ours, which it has not replaced, and uses the forms that lead to it.
#include <cstdio>
#include <new>

int main() {
  void (*volatile plain)(void *) = ::operator delete;
  void (*volatile array)(void *) = ::operator delete[];
  for (int round = 0; round < 100; round++) {
    plain(::operator new(round));
    array(::operator new[](round * 16));
    ::operator delete[](::operator new[](8 + round), static_cast<std::size_t>(8 + round));
    delete[] new int[4 + round];
  }
  std::puts("sound");
}
