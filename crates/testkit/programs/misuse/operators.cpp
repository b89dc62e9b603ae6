/* C++'s operators: each form of delete belongs to one form of new, and what it is told must be true. */
#include "suite.h"
#include <new>

#define GROUP "delete mismatch"

namespace {

/* Operators are called by name: a delete expression computes its size itself, which is what some cases get wrong. */
void *made(void *memory, size_t size) {
    block(size);
    watch(memory, size);
    block(size);
    unwatch(memory);
    return opaque(memory);
}

struct Part {
    long value = 1;
    ~Part() { value = 0; }
};

struct Base {
    long value = 1;
    ~Base() { value = 0; } /* not virtual, though it is deleted through */
};

struct Derived : Base {
    char more[200] = {};
};

struct alignas(64) Wide {
    char bytes[192] = {};
};

constexpr std::align_val_t WIDE{64};

} // namespace

MISUSE(new_array_delete, "new[] and delete") {
    void *memory = made(operator new[](SMALL), SMALL);
    erring();
    operator delete(memory);
    erred();
}

MISUSE(new_delete_array, "new and delete[]") {
    void *memory = made(operator new(SMALL), SMALL);
    erring();
    operator delete[](memory);
    erred();
}

MISUSE(malloc_delete, "malloc and delete") {
    void *memory = made(malloc(SMALL), SMALL);
    erring();
    operator delete(memory);
    erred();
}

MISUSE(malloc_delete_array, "malloc and delete[]") {
    void *memory = made(malloc(SMALL), SMALL);
    erring();
    operator delete[](memory);
    erred();
}

MISUSE(new_free, "new and free") {
    void *memory = made(operator new(SMALL), SMALL);
    erring();
    free(memory);
    erred();
}

MISUSE(new_array_free, "new[] and free") {
    void *memory = made(operator new[](SMALL), SMALL);
    erring();
    free(memory);
    erred();
}

MISUSE(new_free_large, "new of 256 KiB and free") {
    void *memory = made(operator new(LARGE), LARGE);
    erring();
    free(memory);
    erred();
}

MISUSE(new_realloc, "realloc of what new gave") {
    void *memory = made(operator new(SMALL), SMALL);
    erring();
    void *moved = realloc(memory, 1000);
    erred();
    free(moved);
}

MISUSE(strdup_delete, "strdup and delete") {
    void *memory = opaque(strdup("a text of some length, to be freed"));
    block(35);
    erring();
    operator delete(memory);
    erred();
}

MISUSE(delete_sized_smaller, "sized delete of 64 bytes as 24") {
    void *memory = made(operator new(SMALL), SMALL);
    erring();
    operator delete(memory, (size_t)24);
    erred();
}

MISUSE(delete_sized_larger, "sized delete of 64 bytes as 4 KiB") {
    void *memory = made(operator new(SMALL), SMALL);
    erring();
    operator delete(memory, (size_t)MEDIUM);
    erred();
}

MISUSE(delete_sized_large, "sized delete of 256 KiB as 64 bytes") {
    void *memory = made(operator new(LARGE), LARGE);
    erring();
    operator delete(memory, (size_t)SMALL);
    erred();
}

MISUSE(delete_array_sized, "sized delete[] of 4 KiB as 64 bytes") {
    void *memory = made(operator new[](MEDIUM), MEDIUM);
    erring();
    operator delete[](memory, (size_t)SMALL);
    erred();
}

MISUSE(delete_without_virtual, "delete through a base without virtual destructor, which gives the base's size") {
    Derived *object = new Derived;
    block(sizeof *object);
    Base *base = (Base *)opaque(object);
    erring();
    delete base;
    erred();
}

MISUSE(delete_array_of_one, "delete of an array of objects with destructors") {
    Part *parts = new Part[6];
    block(6 * sizeof *parts + sizeof(size_t));
    erring();
    delete (Part *)opaque(parts);
    erred();
}

MISUSE(delete_one_as_array, "delete[] of a single object with a destructor") {
    /* The word before the object is read as a count; here it is a neighbour's end or nobody's. */
    Part *part = new Part;
    block(sizeof *part);
    erring();
    operator delete[]((size_t *)opaque(part) - 1);
    erred();
}

MISUSE(aligned_new_delete, "new aligned to 64 and plain delete") {
    void *memory = made(operator new(192, WIDE), 192);
    erring();
    operator delete(memory);
    erred();
}

MISUSE(new_aligned_delete, "new and delete aligned to 64") {
    void *memory = made(operator new(192), 192);
    erring();
    operator delete(memory, WIDE);
    erred();
}

MISUSE(delete_other_alignment, "new aligned to 64, delete aligned to 4096 with the size") {
    void *memory = made(operator new(192, WIDE), 192);
    erring();
    operator delete(memory, (size_t)192, std::align_val_t{4096});
    erred();
}

MISUSE(delete_aligned_size, "new aligned to 64, delete with another size") {
    void *memory = made(operator new(192, WIDE), 192);
    erring();
    operator delete(memory, (size_t)1024, WIDE);
    erred();
}

MISUSE(aligned_array_delete, "new[] of an over-aligned type and plain delete") {
    Wide *memory = new Wide[2];
    block(2 * sizeof(Wide));
    erring();
    operator delete((void *)opaque(memory));
    erred();
}

#undef GROUP
#define GROUP "impossible size"

namespace {

/* `make` throws what it should, or not. */
template <typename Make> void expect_bad_alloc(Make make) {
    block(SMALL);
    erring();
    try {
        void *memory = make();
        refused(false);
        operator delete(memory);
    } catch (const std::bad_alloc &) {
        refused(true);
    }
    erred();
}

size_t unknown(size_t number) { return (size_t)(uintptr_t)opaque((const void *)(uintptr_t)number); }

} // namespace

MISUSE(new_half, "operator new of PTRDIFF_MAX + 1") {
    expect_bad_alloc([] { return operator new(unknown((size_t)PTRDIFF_MAX + 1)); });
}
MISUSE(new_array_all, "operator new[] of SIZE_MAX") {
    expect_bad_alloc([] { return operator new[](unknown(SIZE_MAX)); });
}
MISUSE(new_array_overflow, "new long[n] whose size wraps") {
    expect_bad_alloc([] { return (void *)new long[unknown(SIZE_MAX / 8 + 9)]; });
}
MISUSE(new_aligned_wrap, "operator new of SIZE_MAX aligned to a page") {
    expect_bad_alloc([] { return operator new(unknown(SIZE_MAX - 4000), std::align_val_t{4096}); });
}
MISUSE(new_nothrow_half, "nothrow operator new of PTRDIFF_MAX + 1") {
    block(SMALL);
    erring();
    refused(operator new(unknown((size_t)PTRDIFF_MAX + 1), std::nothrow) == nullptr);
    erred();
}
