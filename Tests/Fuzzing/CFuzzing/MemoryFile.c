// memfd_create, which Swift's Glibc module leaves out without this.
#define _GNU_SOURCE
#include "CFuzzing.h"

#include <sys/mman.h>

int make_memory_file(void) { return memfd_create("fuzzed", MFD_CLOEXEC); }
