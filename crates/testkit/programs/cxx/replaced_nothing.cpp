// Replaced by the program: nothing.
#include "cxx/replaced.h"
