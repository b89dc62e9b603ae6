/* C++'s ways to the same errors: two owners, stale iterators and views, objects used after their end. */
#include "suite.h"
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#define GROUP "C++ objects"

namespace {

struct Shape {
    virtual ~Shape() = default;
    virtual int corners() const { return 0; }
    char name[56] = {};
};

struct Square : Shape {
    int corners() const override { return 4; }
};

template <typename T> T *hidden(T *pointer) { return (T *)opaque(pointer); }

/* What `read_stale` knows again. */
template <typename Bytes> void mark(Bytes &bytes) {
    for (size_t i = 0; i < bytes.size(); i++) {
        bytes[i] = (typename Bytes::value_type)(0x80 | (i & 0x3f));
    }
}

} // namespace

MISUSE(delete_twice, "deletes an object twice") {
    long *object = new long[8];
    block(SMALL);
    delete[] hidden(object);
    erring();
    delete[] hidden(object);
    erred();
}

MISUSE(delete_stack_object, "deletes an object on the stack") {
    long object[8] = {1};
    block(SMALL);
    erring();
    operator delete(hidden(object));
    erred();
}

MISUSE(delete_member, "deletes a member of a larger object") {
    struct Pair {
        long first[8], second[8];
    };
    Pair *pair = new Pair;
    block(sizeof *pair);
    erring();
    operator delete(hidden(pair->second));
    erred();
}

MISUSE(unique_twice, "two unique_ptr of one object") {
    block(sizeof(Square));
    Square *object = new Square;
    std::unique_ptr<Square> first(hidden(object)), second(hidden(object));
    first.reset();
    erring();
    /* The destructor would run on what is freed: memory alone is given back, as by the second owner's delete. */
    operator delete(second.release());
    erred();
}

MISUSE(shared_twice, "two independent shared_ptr of one array") {
    block(SMALL);
    char *memory = new char[SMALL];
    {
        std::shared_ptr<char[]> first(hidden(memory));
    }
    erring();
    {
        std::shared_ptr<char[]> second(hidden(memory));
    }
    erred();
}

MISUSE(virtual_after_delete, "calls a virtual function of a deleted object") {
    block(sizeof(Square));
    Shape *shape = new Square;
    delete hidden(shape);
    erring();
    volatile int corners = hidden(shape)->corners();
    erred();
    (void)corners;
}

MISUSE(write_member_after_delete, "writes a member of a deleted object") {
    block(sizeof(Square));
    Shape *shape = new Square;
    delete hidden(shape);
    erring();
    poke(shape->name, 20);
    erred();
}

MISUSE(stale_iterator_write, "writes through a vector's iterator after push_back moved the elements") {
    block(16 * sizeof(long));
    std::vector<long> numbers(16, 1);
    long *first = hidden(numbers.data());
    numbers.push_back(2);
    erring();
    poke(first, 8);
    erred();
}

MISUSE(stale_reference_read, "reads through a reference into a vector that has grown") {
    block(1024);
    std::vector<unsigned char> bytes(1024);
    mark(bytes);
    const unsigned char *first = hidden(bytes.data());
    bytes.resize(4096);
    erring();
    read_stale(first, 1024);
    erred();
}

MISUSE(view_of_dead_string, "reads a string_view of a string that is gone") {
    block(101);
    std::string *text = new std::string(100, 'a');
    mark(*text);
    std::string_view view = *text;
    delete hidden(text);
    erring();
    read_stale(view.data(), view.size());
    erred();
}

MISUSE(vector_index_write, "writes the element behind a vector's last") {
    block(16 * sizeof(long));
    std::vector<long> numbers(16, 1);
    block(16 * sizeof(long));
    erring();
    hidden(numbers.data())[16] = 'A';
    erred();
}

MISUSE(vector_index_minus_one, "writes the element before a vector's first") {
    block(16 * sizeof(long));
    std::vector<long> numbers(16, 1);
    block(16 * sizeof(long));
    erring();
    hidden(numbers.data())[-1] = 'A';
    erred();
}

MISUSE(string_off_by_one, "writes behind a string's NUL") {
    block(64);
    std::string text(63, 'a');
    block(64);
    erring();
    poke(text.data(), 64);
    erred();
}

MISUSE(placement_too_large, "placement new of an object larger than its memory") {
    void *memory = victim(sizeof(Square) - 8);
    unwatch(memory);
    erring();
    Square *square = new (opaque(memory)) Square;
    memset(square->name, 'A', sizeof square->name);
    erred();
    operator delete(memory);
}
