// AVX-512: a block of 16 channels is one register; 14 rows of two blocks are 28 accumulators of the 32 registers.

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNELS hw_avx512_kernels
#define KERNELS_NAME "avx512"
#define TILE_ROWS 14
#define TILE_BLOCKS 2
#define RECIPROCAL(x) (vector) _mm512_rcp14_ps((__m512)(x))

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))), apply_to = function)
#include "vector_kernels.h"
#pragma clang attribute pop

#endif
