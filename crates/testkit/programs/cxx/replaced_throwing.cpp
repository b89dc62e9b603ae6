// Replaced by the program: throwing.
#define PLAIN
#define ARRAY
#define ALIGNED
#define ALIGNED_ARRAY
#include "cxx/replaced.h"
