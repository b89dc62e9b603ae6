// What a program does whose parts have C++ runtimes of their own: small, large, resized and aligned objects of new, new[] and
// malloc go back by the functions of another family. Ends with 0 if the allocator lets it.

#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>

int main() {
    for (std::size_t bytes = 1; bytes < 300000; bytes = bytes * 3 + 1) {
        void* made = ::operator new(bytes);
        std::memset(made, 1, bytes);
        std::free(made);

        void* array = ::operator new[](bytes);
        array = std::realloc(array, bytes + 9);
        if (array == nullptr || malloc_usable_size(array) < bytes + 9) return 1;
        ::operator delete(array);

        void* plain = std::malloc(bytes);
        ::operator delete[](plain, bytes);

        void* aligned = ::operator new(bytes, std::align_val_t(64));
        std::free(aligned);
    }
    return 0;
}
