// Ordinary C++: strings, maps, vectors, shared pointers and functions, in several threads.
#include "door/check.h"

#include <atomic>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

// Fills a map by a fixed rule, then recounts it: any lost or mixed-up node changes the sum.
static void words(void) {
  std::map<std::string, std::vector<int>> index;
  std::unordered_map<int, std::string> names;
  long wanted = 0;
  for (int i = 0; i < 40000; i++) {
    std::string word = "word-" + std::to_string(i % 5003) + std::string((size_t)(i % 90), 'x');
    index[word].push_back(i);
    names[i] = word;
    wanted += i;
  }
  long found = 0;
  for (auto &entry : index) {
    for (int i : entry.second) {
      CHECK(names[i] == entry.first);
      found += i;
    }
  }
  CHECK(found == wanted);
  for (int i = 0; i < 40000; i += 2) names.erase(i);
  CHECK(names.size() == 20000);
}

struct alignas(256) Wide {
  char bytes[300];
  Wide() { memset(bytes, 7, sizeof bytes); }
};

static void overaligned_types(void) {
  std::vector<std::unique_ptr<Wide>> kept;
  for (int i = 0; i < 2000; i++) {
    kept.push_back(std::make_unique<Wide>());
    CHECK(is_aligned(kept.back().get(), 256));
  }
  std::vector<Wide> row(100);
  row.resize(1000);
  CHECK(is_aligned(row.data(), 256) && row[999].bytes[299] == 7);
}

// Blocks made in one thread and released in another, by the last owner of each.
static void shared_between_threads(void) {
  std::mutex lock;
  std::deque<std::shared_ptr<std::string>> queue;
  std::atomic<int> taken{0};
  std::atomic<long> length{0};
  const int each = 20000;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; i++) {
        auto text = std::make_shared<std::string>((size_t)(i % 200 + 1), (char)('a' + t));
        std::lock_guard<std::mutex> guard(lock);
        queue.push_back(std::move(text));
      }
    });
    threads.emplace_back([&] {
      while (taken < 2 * each) {
        std::shared_ptr<std::string> text;
        {
          std::lock_guard<std::mutex> guard(lock);
          if (!queue.empty()) {
            text = std::move(queue.front());
            queue.pop_front();
          }
        }
        if (!text) {
          std::this_thread::yield();
          continue;
        }
        CHECK(text->find_first_not_of((*text)[0]) == std::string::npos);
        length += (long)text->size();
        taken++;
      }
    });
  }
  for (auto &thread : threads) thread.join();
  long wanted = 0;
  for (int i = 0; i < each; i++) wanted += 2 * (i % 200 + 1);
  CHECK(length == wanted);
}

static void futures_streams_functions(void) {
  std::vector<std::future<std::string>> jobs;
  for (int i = 0; i < 50; i++) {
    std::function<std::string()> job = [i, padding = std::string(500, 'p')] {
      std::ostringstream out;
      for (int j = 0; j < 1000; j++) out << i << ',' << padding[(size_t)(j % 500)];
      return out.str();
    };
    jobs.push_back(std::async(std::launch::async, job));
  }
  for (int i = 0; i < 50; i++) {
    std::string text = jobs[(size_t)i].get();
    CHECK(text.compare(0, 4, std::to_string(i) + ",p" + std::to_string(i), 0, 4) == 0);
    CHECK(text.size() == 1000u * (std::to_string(i).size() + 2));
  }
}

int main(int argc, char **argv) {
  RUN(argc, argv, TEST(words), TEST(overaligned_types), TEST(shared_between_threads), TEST(futures_streams_functions));
}
