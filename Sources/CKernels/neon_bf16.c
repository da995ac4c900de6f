// NEON with products of bf16: as neon.c, and matrix products of 2 x 4 by 4 x 2 numbers where reduced precision is asked for.

#if defined(__aarch64__)

#include "neon.h"

#define KERNELS hw_neon_bf16_kernels
#define KERNELS_NAME "neon-bf16"
#define NARROW(p, x) vst1_bf16((bfloat16_t *)(p), vcvt_bf16_f32((float32x4_t)(x)))
#define PAIRS_TILE neon_pairs_tile
#define PAIRS_TILE_ROWS 6

#pragma clang attribute push(__attribute__((target("bf16"))), apply_to = function)
#include "neon_bf16_tile.h"
#include "vector_kernels.h"
#pragma clang attribute pop

#endif
