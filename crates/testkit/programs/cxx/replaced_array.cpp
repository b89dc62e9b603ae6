// Replaced by the program: array.
#define ARRAY
#include "cxx/replaced.h"
