// Replaced by the program: aligned_array.
#define ALIGNED_ARRAY
#include "cxx/replaced.h"
