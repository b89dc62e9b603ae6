// Replaced by the program: plain_and_array.
#define PLAIN
#define ARRAY
#include "cxx/replaced.h"
