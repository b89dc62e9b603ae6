// bad_alloc on its way out: through frames with destructors, across threads, many times over.
#include "door/check.h"

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static int alive;
struct Counted {
  std::string text = std::string(100, 'x');
  Counted() { alive++; }
  ~Counted() { alive--; }
};

static volatile size_t too_much = TOO_MUCH;

__attribute__((noinline)) static char *descend(int depth) {
  Counted here;
  std::vector<Counted> more(2);
  if (depth == 0) return new char[too_much];
  char *found = descend(depth - 1);
  return found + here.text.size() + more.size();
}

static void destructors_run(void) {
  alive = 0;
  bool caught = false;
  try {
    descend(30);
  } catch (const std::exception &error) {
    caught = true;
    CHECK(alive == 0);
    CHECK(error.what() != nullptr && strstr(error.what(), "bad_alloc") != nullptr);
    CHECK(dynamic_cast<const std::bad_alloc *>(&error) != nullptr);
  }
  CHECK(caught && alive == 0);
}

static void every_throwing_form(void) {
  int caught = 0;
  for (int form = 0; form < 4; form++) {
    try {
      Counted here;
      switch (form) {
      case 0: opaque(::operator new(too_much)); break;
      case 1: opaque(::operator new[](too_much)); break;
      case 2: opaque(::operator new(too_much, std::align_val_t(128))); break;
      case 3: opaque(::operator new[](too_much, std::align_val_t(128))); break;
      }
    } catch (const std::bad_alloc &) {
      caught++;
    }
  }
  CHECK(caught == 4 && alive == 0);
}

static void rethrown_and_carried_away(void) {
  std::exception_ptr carried;
  std::thread([&] {
    try {
      try {
        descend(3);
      } catch (...) {
        throw;
      }
    } catch (...) {
      carried = std::current_exception();
    }
  }).join();
  bool caught = false;
  try {
    std::rethrow_exception(carried);
  } catch (const std::bad_alloc &) {
    caught = true;
  }
  CHECK(caught);
}

// A function that promises not to throw, and a catch inside it.
static bool quiet(void) noexcept {
  try {
    descend(1);
  } catch (...) {
    return true;
  }
  return false;
}

static void many_times_in_many_threads(void) {
  std::vector<std::thread> threads;
  std::vector<int> caught(4);
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&caught, i] {
      for (int round = 0; round < 2000; round++) {
        try {
          std::unique_ptr<char[]> kept(new char[1000]);
          kept[0] = (char)*new char[too_much];
        } catch (const std::bad_alloc &) {
          caught[i]++;
        }
      }
    });
  }
  for (auto &thread : threads) thread.join();
  for (int count : caught) CHECK(count == 2000);
  CHECK(quiet());
}

static void containers_throw_it_too(void) {
  int caught = 0;
  try {
    std::vector<char> bytes;
    bytes.reserve(too_much);
  } catch (const std::bad_alloc &) {
    caught++;
  }
  try {
    std::string text;
    text.resize(too_much);
  } catch (const std::bad_alloc &) {
    caught++;
  }
  CHECK(caught == 2);
}

int main(int argc, char **argv) {
  RUN(argc, argv, TEST(destructors_run), TEST(every_throwing_form), TEST(rethrown_and_carried_away),
      TEST(many_times_in_many_threads), TEST(containers_throw_it_too));
}
