// C++ objects with thread storage: their destructors free and allocate while a thread ends,
// before its keys are destroyed, and the main thread's at exit, among the static destructors.
//
// Objects are built by one thread and handed to another that outlives it; an exception is thrown
// in a destructor's callee, because exception objects live on the heap too.
#include "expect.h"
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static int destroyed;

struct Hoard {
    std::vector<std::string> words;
    std::map<int, std::unique_ptr<std::string>> index;

    void fill(int count) {
        for (int i = 0; i < count; i++) {
            words.push_back(std::string(static_cast<size_t>(i % 700), 'w'));
            index[i] = std::make_unique<std::string>(std::to_string(i) + " and a long enough tail");
        }
    }

    ~Hoard() {
        try {
            throw std::runtime_error("thrown while a thread ends");
        } catch (const std::exception &error) {
            EXPECT(std::string(error.what()).size() > 10);
        }
        for (size_t i = 0; i < words.size(); i++) {
            EXPECT(words[i].size() == i % 700);
        }
        std::vector<std::string> late(words.rbegin(), words.rend());
        index.clear();
        destroyed += 1;
    }
};

static thread_local Hoard first;
static thread_local std::string second;
static Hoard lasting;
static std::vector<std::unique_ptr<Hoard>> handed_over;

static void body(int number) {
    first.fill(100 + number);
    second = std::string(static_cast<size_t>(1000 + number), 's');
    auto hoard = std::make_unique<Hoard>();
    hoard->fill(50);
    handed_over.push_back(std::move(hoard));
}

struct Report {
    ~Report() { say("%d hoards destroyed", destroyed); }
};

int main() {
    static Report report;
    lasting.fill(500);
    first.fill(300);
    for (int i = 0; i < 100; i++) {
        std::thread(body, i).join();
        if (i % 10 == 9) {
            handed_over.clear();
        }
    }
    EXPECT(handed_over.empty());
    EXPECT(destroyed == 200);
    return 0;
}
