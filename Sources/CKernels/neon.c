// NEON: a block of 16 channels is four registers; 5 rows of one block are 20 accumulators of the 32 registers, with which go four of
// weights and five of factors. Six rows would leave too few, so that compilers keep accumulators in memory.

#if defined(__aarch64__)

#include "neon.h"

#define KERNELS hw_neon_kernels
#define KERNELS_NAME "neon"
#include "vector_kernels.h"

#endif
