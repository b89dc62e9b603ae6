// Replaced by the program: plain_and_aligned.
#define PLAIN
#define ALIGNED
#include "cxx/replaced.h"
