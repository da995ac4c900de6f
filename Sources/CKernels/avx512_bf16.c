// AVX-512 with products of bf16: as avx512.c, and two products for one where reduced precision is asked for.

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNELS hw_avx512_bf16_kernels
#define KERNELS_NAME "avx512-bf16"
#define TILE_ROWS 14
#define TILE_BLOCKS 2
#define RECIPROCAL(x) (vector) _mm512_rcp14_ps((__m512)(x))
#define DOT_PAIRS(sums, a, b) \
    (vector) _mm512_dpbf16_ps((__m512)(sums), (__m512bh)(__m512)(a), (__m512bh)(__m512)(b))
#define NARROW(p, x) _mm256_store_si256((__m256i *)(p), (__m256i)_mm512_cvtneps_pbh((__m512)(x)))

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma"))), apply_to = function)
#include "vector_kernels.h"
#pragma clang attribute pop

#endif
