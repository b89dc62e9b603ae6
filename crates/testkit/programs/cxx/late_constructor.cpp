// A library whose constructor waits for a thread that calls the first sized delete of the process. Whoever loads it holds the
// loader's lock meanwhile.
#include <cstddef>
#include <cstdlib>
#include <pthread.h>

extern "C" void *sized(void *) {
  struct Word { long value; };
  Word *volatile word = new Word;
  delete word;
  int *volatile array = new int[10];
  delete[] array;
  return nullptr;
}

__attribute__((constructor)) static void wait_for_a_thread() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, sized, nullptr) != 0 || pthread_join(thread, nullptr) != 0) {
    abort();
  }
}

extern "C" int probe(size_t) { return 1; }
