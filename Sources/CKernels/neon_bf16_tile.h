#pragma once

// The register tile of bf16 by BFMMLA, for neon_bf16.c.
//
// BFMMLA multiplies two rows of four columns by four rows of two columns and adds to 2 x 2 sums in a register. It does twice the
// products of BFDOT, which would take panels of pairs as AVX-512 does. Two rows of A come together in a register by a
// load of 8 bytes each; panels hold the four numbers of a column together (HW_PANEL_DEPTH). Each sum takes the products of
// four columns a step, rounded as the processor does it: to odd, without denormals.

#include "CKernels.h"

#include <arm_neon.h>

static_assert(HW_PANEL_DEPTH == 4);

// A's rows are 8 words apart; a step takes 2 words of each and 32 of the panel.
enum { PAIRS_PITCH = HW_BLOCK / 2, PAIRS_STEP = 2, PAIRS_COLUMNS = HW_BLOCK / 2 };

// Two rows, the second of which is the first again where `rows` is odd and there is no other.
static inline __attribute__((always_inline)) bfloat16x8_t neon_pairs_rows(const float *a, const int first, const int rows) {
    const int second = first + 1 < rows ? first + 1 : first;
    return vreinterpretq_bf16_f32(
        vcombine_f32(vld1_f32(a + first * PAIRS_PITCH), vld1_f32(a + second * PAIRS_PITCH)));
}

// Four sums of one row: from the registers of columns 4q and 4q + 2 their first halves for the upper row, or the second.
static inline __attribute__((always_inline)) float32x4_t neon_pairs_row(
    const float32x4_t *sums, const int q, const bool lower) {
    const float64x2_t left = vreinterpretq_f64_f32(sums[2 * q]), right = vreinterpretq_f64_f32(sums[2 * q + 1]);
    return vreinterpretq_f32_f64(lower ? vzip2q_f64(left, right) : vzip1q_f64(left, right));
}

static inline __attribute__((always_inline)) void neon_pairs_tile(
    const hw_gemm_arguments *g, const float *a, const float *b, float *c, const float *bias, const float *residual,
    const float *ahead, const size_t ahead_step, const int rows) {
    float32x4_t sums[PAIRS_TILE_ROWS / 2][PAIRS_COLUMNS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r += 2)
#pragma clang loop unroll(full)
        for (int j = 0; j < PAIRS_COLUMNS; j++) sums[r / 2][j] = vdupq_n_f32(0);

    for (size_t k = g->k / 2; k > 0;) {
        const size_t count = k < PAIRS_PITCH ? k : PAIRS_PITCH;
#pragma clang loop unroll(disable)
        for (size_t i = 0; i < count; i += PAIRS_STEP) {
            bfloat16x8_t x[PAIRS_TILE_ROWS / 2];
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r += 2) x[r / 2] = neon_pairs_rows(a + i, r, rows);
            __builtin_prefetch(ahead, 0, 3);
            __builtin_prefetch(ahead + ahead_step, 0, 3);
            ahead += PAIRS_STEP * ahead_step;
#pragma clang loop unroll(full)
            for (int j = 0; j < PAIRS_COLUMNS; j++) {
                const bfloat16x8_t weights = vreinterpretq_bf16_f32(vld1q_f32(b + 4 * j));
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r += 2) sums[r / 2][j] = vbfmmlaq_f32(sums[r / 2][j], x[r / 2], weights);
            }
            b += PAIRS_STEP * HW_BLOCK;
        }
        a += g->a_block_stride;
        k -= count;
    }

#pragma clang loop unroll(full)
    for (int q = 0; q < HW_BLOCK / 4; q++) {
        const float32x4_t offset = bias ? vld1q_f32(bias + 4 * q) : vdupq_n_f32(0);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            float32x4_t sum = vaddq_f32(neon_pairs_row(sums[r / 2], q, r % 2), offset);
            if (residual) sum = vaddq_f32(sum, vld1q_f32(residual + r * HW_BLOCK + 4 * q));
            vst1q_f32(c + r * HW_BLOCK + 4 * q, sum);
        }
    }
}
