/* A C program that loads a C++ plugin, and the C++ runtime with it, long after start. */
#include "check.h"

int main(int argc, char **argv) {
  expect_allocator();
  if (argc != 2) return 9;
  free(opaque(malloc(100)));
  void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 8;
  }
  int (*probe)(size_t) = (int (*)(size_t))dlsym(plugin, "probe");
  CHECK(probe != NULL && probe(1000) == 1);
  CHECK(probe(TOO_MUCH) == 2);
  CHECK(probe(1000) == 1);
  return failures != 0;
}
