/* A C program that loads a library whose constructor waits for a thread. */
#include "check.h"
#include <unistd.h>

int main(int argc, char **argv) {
  expect_allocator();
  if (argc != 2) return 9;
  free(opaque(malloc(100)));
  /* Both wait for good where the thread wants the loader's lock. */
  alarm(30);
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 8;
  }
  int (*probe)(size_t) = (int (*)(size_t))dlsym(library, "probe");
  CHECK(probe != NULL && probe(0) == 1);
  return failures != 0;
}
