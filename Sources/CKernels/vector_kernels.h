// The vector kernels, written once over a 16-lane vector that the compiler maps to the registers of the instruction set
// that the including file has chosen. A file for another instruction set defines the macros below and includes this one;
// nothing else changes. It defines
//
//   KERNELS          the name of the table to define
//   KERNELS_NAME     the same as HEADWATER_KERNELS spells it
//   TILE_ROWS        rows of the micro-kernel's register tile: 5, 6 or 14
//   TILE_BLOCKS      16-lane blocks of the micro-kernel's register tile: 1 or 2
//
// where a product takes one lane of a register as a factor,
//
//   TILE_COLUMNS     columns of a matrix whose factors one load brings: 4; the default is 1
//
// where 36 vectors of 16 lanes, the values of a Winograd tile, don't fit into the registers,
//
//   TRANSFORM_LANES  lanes that the Winograd transforms work on at a time: 4; the default is 16
//
// where the instruction set multiplies pairs of bf16,
//
//   NARROW           (p, x): stores the TRANSFORM_LANES floats of x at p, rounded to bf16
//   DOT_PAIRS        (sums, a, b): sums + a·b over the pair in each 32-bit lane; or else
//   PAIRS_TILE       (…): the register tile of bf16, called as `micro_kernel` is
//   PAIRS_TILE_ROWS  rows of that tile: 6
//
// and where there is a fast estimate of reciprocals to at least 14 bits,
//
//   RECIPROCAL       (x): an estimate of 1 / x

#include "CKernels.h"
#include "costs.h"
#include "winograd_points.h"

typedef float vector __attribute__((ext_vector_type(16)));
typedef int32_t integers __attribute__((ext_vector_type(16)));

#ifndef TILE_COLUMNS
#define TILE_COLUMNS 1
#endif
#ifndef TRANSFORM_LANES
#define TRANSFORM_LANES HW_BLOCK
#endif

// What the Winograd transforms work on at a time, and the factors that one load brings.
typedef float lanes __attribute__((ext_vector_type(TRANSFORM_LANES)));
typedef float factors __attribute__((ext_vector_type(TILE_COLUMNS)));

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const float *p) { return *(const vector *)p; }
INLINE void store(float *p, vector v) { *(vector *)p = v; }
INLINE vector fma16(vector a, vector b, vector c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vector scaled(vector a, float factor, vector c) { return __builtin_elementwise_fma(a, (vector)factor, c); }

INLINE lanes load_lanes(const float *p) { return *(const lanes *)p; }
INLINE void store_lanes(float *p, lanes v) { *(lanes *)p = v; }
INLINE lanes scaled_lanes(lanes a, float factor, lanes c) { return __builtin_elementwise_fma(a, (lanes)factor, c); }
#if TILE_COLUMNS > 1
INLINE factors load_factors(const float *p) { return *(const factors *)p; }
#endif

// exp(x) for |x| <= 87 to about 1 unit in the last place: Cody-Waite reduction by ln 2 in two parts, then the minimax
// polynomial of degree 6 on [-ln2/2, ln2/2]. Adding 1.5·2^23 rounds to the nearest integer and leaves it in the low bits.
INLINE vector exponential(vector x) {
    vector shifted = scaled(x, 1.44269504088896341f, (vector)12582912.0f);
    vector n = shifted - 12582912.0f;
    vector r = scaled(n, -0.693359375f, x);
    r = scaled(n, 2.12194440e-4f, r);
    vector p = (vector)1.9875691500e-4f;
    p = fma16(p, r, (vector)1.3981999507e-3f);
    p = fma16(p, r, (vector)8.3334519073e-3f);
    p = fma16(p, r, (vector)4.1665795894e-2f);
    p = fma16(p, r, (vector)1.6666665459e-1f);
    p = fma16(p, r, (vector)5.0000001201e-1f);
    p = fma16(p * r, r, r) + 1.0f;
    integers power = (__builtin_bit_cast(integers, shifted) << 23) + 0x3f800000;
    return p * __builtin_bit_cast(vector, power);
}

// x / (1 + exp(-x)). Beyond 87 the exponential is taken for that of 87, and below -87, where the quotient is nothing, x for
// -87; NaN stays NaN.
INLINE vector silu(vector x) {
    x = x < -87.0f ? (vector)-87.0f : x;
    vector divisor = 1.0f + exponential(-(x > 87.0f ? (vector)87.0f : x));
#ifdef RECIPROCAL
    // One Newton step doubles the estimate's 14 bits.
    vector estimate = RECIPROCAL(divisor);
    return x * (estimate * fma16(-divisor, estimate, (vector)2.0f));
#else
    return x / divisor;
#endif
}

#include "vector_gemm.h"

// MARK: Elementwise

static void activate(
    float *destination, const float *source, size_t pixels, const float *scale, const float *shift,
    hw_activation activation) {
    if (activation == HW_COPY) {
        for (size_t i = 0; i < pixels; i++) store(destination + i * HW_BLOCK, load(source + i * HW_BLOCK));
        return;
    }
    vector factor = load(scale), offset = load(shift);
    if (activation == HW_AFFINE) {
        for (size_t i = 0; i < pixels; i++)
            store(destination + i * HW_BLOCK, fma16(load(source + i * HW_BLOCK), factor, offset));
        return;
    }
    for (size_t i = 0; i < pixels; i++) {
        store(destination + i * HW_BLOCK, silu(fma16(load(source + i * HW_BLOCK), factor, offset)));
    }
}

static void copy_doubled(float *destination, const float *source, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) {
        vector x = load(source + i * HW_BLOCK);
        store(destination + 2 * i * HW_BLOCK, x);
        store(destination + (2 * i + 1) * HW_BLOCK, x);
    }
}

static void moments(float *moments, const float *source, size_t pixels) {
    // Two chains each, merged in a fixed order, hide part of the latency of the addition.
    vector even = (vector)0.0f, odd = (vector)0.0f;
    for (size_t i = 0; i < pixels; i += 2) {
        even += load(source + i * HW_BLOCK);
        if (i + 1 < pixels) odd += load(source + (i + 1) * HW_BLOCK);
    }
    vector sum = even + odd, mean = sum * (1.0f / (float)pixels);
    even = odd = (vector)0.0f;
    for (size_t i = 0; i < pixels; i += 2) {
        vector d = load(source + i * HW_BLOCK) - mean;
        even = fma16(d, d, even);
        if (i + 1 < pixels) {
            d = load(source + (i + 1) * HW_BLOCK) - mean;
            odd = fma16(d, d, odd);
        }
    }
    store(moments, sum);
    store(moments + HW_BLOCK, even + odd);
}

#include "vector_winograd.h"

// MARK: Attention

static void softmax(float *scores, size_t block_stride, size_t rows, size_t columns) {
    size_t blocks = (columns + HW_BLOCK - 1) / HW_BLOCK, tail = columns % HW_BLOCK;
    for (size_t row = 0; row < rows; row++) {
        float *base = scores + row * HW_BLOCK;
        if (tail) {
            float *last = base + (blocks - 1) * block_stride;
            for (size_t c = tail; c < HW_BLOCK; c++) last[c] = -__builtin_inff();
        }
        vector greatest = load(base);
        for (size_t b = 1; b < blocks; b++) greatest = __builtin_elementwise_max(greatest, load(base + b * block_stride));
        vector highest = (vector)__builtin_reduce_max(greatest);
        vector sums = (vector)0.0f;
        for (size_t b = 0; b < blocks; b++) {
            vector difference = load(base + b * block_stride) - highest;
            // What lies more than 87 below the highest score is negligible, and so are the padding's -inf.
            vector e = difference < -87.0f ? (vector)0.0f : exponential(difference);
            store(base + b * block_stride, e);
            sums += e;
        }
        float sum = 0;
#pragma clang loop unroll(full)
        for (int lane = 0; lane < HW_BLOCK; lane++) sum += sums[lane];
        vector inverse = (vector)(1.0f / sum);
        for (size_t b = 0; b < blocks; b++)
            store(base + b * block_stride, load(base + b * block_stride) * inverse);
    }
}

static void transpose(float *panels, size_t panel_stride, const float *source, size_t rows) {
    size_t count = (rows + HW_BLOCK - 1) / HW_BLOCK;
    for (size_t p = 0; p < count; p++) {
        size_t filled = rows - p * HW_BLOCK < HW_BLOCK ? rows - p * HW_BLOCK : HW_BLOCK;
        const float *in = source + p * HW_BLOCK * HW_BLOCK;
        float *out = panels + p * panel_stride;
        for (size_t column = 0; column < HW_BLOCK; column++)
            for (size_t r = 0; r < HW_BLOCK; r++)
                out[column * HW_BLOCK + r] = r < filled ? in[r * HW_BLOCK + column] : 0;
    }
}

#include "vector_gradients.h"

#ifdef NARROW
#define BF16_KERNELS                                                                                           \
    .tile_rows_bf16 = PAIRS_TILE_ROWS, .gemm_bf16 = gemm_bf16, .narrow = narrow,                               \
    .winograd2_input_bf16 = winograd2_input_bf16,
#else
#define BF16_KERNELS
#endif

const hw_kernels KERNELS = {
    .name = KERNELS_NAME,
    .tile_rows = TILE_ROWS,
    .costs = COSTS,
    .gemm = gemm,
    .activate = activate,
    .copy_doubled = copy_doubled,
    .winograd4_input = winograd4_input,
    .winograd2_input = winograd2_input,
    .winograd4_output = winograd4_output,
    .winograd2_output = winograd2_output,
    .moments = moments,
    .softmax = softmax,
    .transpose = transpose,
    .gemm_transposed = gemm_transposed,
    .winograd4_spread = winograd4_spread,
    .winograd2_spread = winograd2_spread,
    .activate_gradient = activate_gradient,
    .normalize_gradient = normalize_gradient,
    .softmax_gradient = softmax_gradient,
    BF16_KERNELS
};
