// Replaced by the program: aligned.
#define ALIGNED
#include "cxx/replaced.h"
