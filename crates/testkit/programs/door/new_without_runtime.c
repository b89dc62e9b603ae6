/* operator new in a process without the C++ runtime: nothing can be thrown there. */
#include "check.h"

int main(int argc, char **argv) {
  expect_allocator();
  if (argc != 2) return 9;
  size_t size = strtoull(argv[1], NULL, 0);
  if (dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD) != NULL) {
    fprintf(stderr, "the C++ runtime is here\n");
    return 8;
  }
  void *(*quiet)(size_t, const void *) = (void *(*)(size_t, const void *))dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
  void *(*plain)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "_Znwm");
  void (*give)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "_ZdlPv");
  CHECK(quiet != NULL && plain != NULL && give != NULL);
  if (failures) return 1;
  char tag;
  CHECK(quiet(TOO_MUCH, &tag) == NULL);
  void *ptr = plain(100);
  CHECK(ptr != NULL && malloc_usable_size(ptr) == 112);
  give(ptr);
  fprintf(stderr, "about to fail\n");
  ptr = plain(size);
  printf("%p\n", ptr);
  return failures != 0;
}
