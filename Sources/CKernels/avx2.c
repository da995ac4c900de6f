// AVX2 and FMA: a block of 16 channels is two registers; 6 rows of one block are 12 accumulators of the 16 registers.

#if defined(__x86_64__)

#define KERNELS hw_avx2_kernels
#define KERNELS_NAME "avx2"
#define TILE_ROWS 6
#define TILE_BLOCKS 1

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "vector_kernels.h"
#pragma clang attribute pop

#endif
