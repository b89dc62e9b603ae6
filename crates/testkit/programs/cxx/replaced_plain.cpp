// Replaced by the program: plain.
#define PLAIN
#include "cxx/replaced.h"
