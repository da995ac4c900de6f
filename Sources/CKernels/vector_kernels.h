// The vector kernels, written once over a 16-lane vector that the compiler maps to the registers of the instruction set
// that the including file has chosen. A file for another instruction set defines the four macros below and includes
// this one; nothing else changes.
//
//   KERNELS       name of the table to define
//   KERNELS_NAME  the same as HEADWATER_KERNELS spells it
//   TILE_ROWS     rows of the micro-kernel's register tile, at most 14
//   TILE_BLOCKS   16-lane blocks of the micro-kernel's register tile, 1 or 2
//
// and, where the instruction set multiplies pairs of bf16,
//
//   DOT_PAIRS     (sums, a, b): sums + a·b over the pair in each 32-bit lane
//   NARROW        (p, x): stores a vector's 16 floats at p rounded to bf16, as 32 bytes
//
// and, where there is a fast estimate of reciprocals to at least 14 bits,
//
//   RECIPROCAL    (x): an estimate of 1 / x

#include "CKernels.h"
#include "winograd_points.h"


typedef float vector __attribute__((ext_vector_type(16)));
typedef int32_t integers __attribute__((ext_vector_type(16)));

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const float *p) { return *(const vector *)p; }
INLINE void store(float *p, vector v) { *(vector *)p = v; }
INLINE vector fma16(vector a, vector b, vector c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vector scaled(vector a, float factor, vector c) { return __builtin_elementwise_fma(a, (vector)factor, c); }

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

// MARK: GEMM

// How far ahead of their use weights are fetched that only one tile reads, in floats: 8 KiB, beyond the page that the
// processor's own prefetching stops at. Batches of one read all weights of small maps from memory.
enum { PREFETCH = 2048 };

INLINE vector multiply_add(vector a, vector b, vector c, const bool pairs) {
#ifdef DOT_PAIRS
    if (pairs) return DOT_PAIRS(c, a, b);
#else
    (void)pairs;
#endif
    return fma16(a, b, c);
}

INLINE void store_as(const bool pairs, float *p, vector v) {
#ifdef DOT_PAIRS
    if (pairs) {
        NARROW(p, v);
        return;
    }
#else
    (void)pairs;
#endif
    store(p, v);
}

// Matrices of so few rows that they fit into one tile of a single block are computed in one: weights that nothing reuses
// are then read once.
#if TILE_BLOCKS == 2
#define TALL_ROWS (2 * TILE_ROWS)
#else
#define TALL_ROWS TILE_ROWS
#endif

// One register tile: `rows` x `blocks` accumulators, k ascending. Always inlined with constant sizes. A matrix of bf16 is
// one of half as many columns, each a pair in 32 bits. Fetches what lies at `ahead`, for block j `j*ahead_stride` further,
// while it reads the panels.
INLINE void micro_kernel(
    const hw_gemm_arguments *g, const float *a, const float *b, float *c, const float *bias, const float *residual,
    const float *ahead, const size_t ahead_stride, const int rows, const int blocks, const bool pairs) {
    const size_t pitch = pairs ? HW_BLOCK / 2 : HW_BLOCK;
    vector sums[TALL_ROWS][TILE_BLOCKS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int j = 0; j < blocks; j++) sums[r][j] = (vector)0.0f;

    size_t k = pairs ? g->k / 2 : g->k;
    const size_t panel = g->b_panel_stride;
    while (k > 0) {
        size_t count = k < pitch ? k : pitch;
#pragma clang loop unroll_count(4)
        for (size_t i = 0; i < count; i++) {
            vector weights[TILE_BLOCKS];
#pragma clang loop unroll(full)
            for (int j = 0; j < blocks; j++) {
                weights[j] = load(b + (size_t)j * panel);
                __builtin_prefetch(ahead + (size_t)j * ahead_stride, 0, 3);
            }
            ahead += HW_BLOCK;
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) {
                vector x = (vector)a[r * pitch + i];
#pragma clang loop unroll(full)
                for (int j = 0; j < blocks; j++) sums[r][j] = multiply_add(x, weights[j], sums[r][j], pairs);
            }
            b += HW_BLOCK;
        }
        a += g->a_block_stride;
        k -= count;
    }

#pragma clang loop unroll(full)
    for (int j = 0; j < blocks; j++) {
        vector offset = bias ? load(bias + j * HW_BLOCK) : (vector)0.0f;
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            vector sum = sums[r][j] + offset;
            if (residual) sum += load(residual + (size_t)j * g->residual_block_stride + r * HW_BLOCK);
            store(c + (size_t)j * g->c_block_stride + r * HW_BLOCK, sum);
        }
    }
}

typedef void (*micro_kernel_function)(
    const hw_gemm_arguments *, const float *, const float *, float *, const float *, const float *, const float *,
    size_t);

// The micro-kernels of a family, FLOATS or PAIRS, by their rows: tables micro_kernels_FAMILY_BLOCKS.
enum { FLOATS = false, PAIRS = true };
#define MICRO_KERNEL(FAMILY, ROWS, BLOCKS)                                                                     \
    static void micro_kernel_##FAMILY##_##ROWS##x##BLOCKS(                                                     \
        const hw_gemm_arguments *g, const float *a, const float *b, float *c, const float *bias,               \
        const float *residual, const float *ahead, size_t ahead_stride) {                                      \
        micro_kernel(g, a, b, c, bias, residual, ahead, ahead_stride, ROWS, BLOCKS, FAMILY);                   \
    }
#define NAME(FAMILY, ROWS, BLOCKS) micro_kernel_##FAMILY##_##ROWS##x##BLOCKS,

#if TILE_ROWS == 14
#define EACH_TALL_ROWS(USE, FAMILY)                                                                            \
    USE(FAMILY, 15, 1) USE(FAMILY, 16, 1) USE(FAMILY, 17, 1) USE(FAMILY, 18, 1) USE(FAMILY, 19, 1)             \
    USE(FAMILY, 20, 1) USE(FAMILY, 21, 1) USE(FAMILY, 22, 1) USE(FAMILY, 23, 1) USE(FAMILY, 24, 1)             \
    USE(FAMILY, 25, 1) USE(FAMILY, 26, 1) USE(FAMILY, 27, 1) USE(FAMILY, 28, 1)
#define EACH_ROWS(USE, FAMILY, BLOCKS)                                                                         \
    USE(FAMILY, 1, BLOCKS) USE(FAMILY, 2, BLOCKS) USE(FAMILY, 3, BLOCKS) USE(FAMILY, 4, BLOCKS)                \
    USE(FAMILY, 5, BLOCKS) USE(FAMILY, 6, BLOCKS) USE(FAMILY, 7, BLOCKS) USE(FAMILY, 8, BLOCKS)                \
    USE(FAMILY, 9, BLOCKS) USE(FAMILY, 10, BLOCKS) USE(FAMILY, 11, BLOCKS) USE(FAMILY, 12, BLOCKS)             \
    USE(FAMILY, 13, BLOCKS) USE(FAMILY, 14, BLOCKS)
#elif TILE_ROWS == 6
#define EACH_TALL_ROWS(USE, FAMILY)
#define EACH_ROWS(USE, FAMILY, BLOCKS)                                                                         \
    USE(FAMILY, 1, BLOCKS) USE(FAMILY, 2, BLOCKS) USE(FAMILY, 3, BLOCKS) USE(FAMILY, 4, BLOCKS)                \
    USE(FAMILY, 5, BLOCKS) USE(FAMILY, 6, BLOCKS)
#else
#error "TILE_ROWS is 6 or 14"
#endif

#define ONE_BLOCK_MICRO_KERNELS(FAMILY)                                                                        \
    EACH_ROWS(MICRO_KERNEL, FAMILY, 1)                                                                         \
    EACH_TALL_ROWS(MICRO_KERNEL, FAMILY)                                                                       \
    static const micro_kernel_function micro_kernels_##FAMILY##_1[TALL_ROWS] = {                               \
        EACH_ROWS(NAME, FAMILY, 1) EACH_TALL_ROWS(NAME, FAMILY)};

#define TWO_BLOCK_MICRO_KERNELS(FAMILY)                                                                        \
    EACH_ROWS(MICRO_KERNEL, FAMILY, 2)                                                                         \
    static const micro_kernel_function micro_kernels_##FAMILY##_2[TILE_ROWS] = {EACH_ROWS(NAME, FAMILY, 2)};

ONE_BLOCK_MICRO_KERNELS(FLOATS)
#if TILE_BLOCKS == 2
TWO_BLOCK_MICRO_KERNELS(FLOATS)
#endif
#ifdef DOT_PAIRS
ONE_BLOCK_MICRO_KERNELS(PAIRS)
TWO_BLOCK_MICRO_KERNELS(PAIRS)
#endif

// Panels outside, row groups inside: a panel stays in the first-level cache while the rows stream past it. `two` may be
// null; `pitch` is the distance from one row of A to the next.
INLINE void multiply(
    const hw_gemm_arguments *g, const micro_kernel_function *one, const micro_kernel_function *two, size_t pitch) {
    const bool tall = g->rows > TILE_ROWS && g->rows <= TALL_ROWS && g->group_rows >= g->rows;
    const size_t most = tall ? TALL_ROWS : TILE_ROWS;
    for (size_t nb = 0; nb < g->blocks;) {
        const bool wide = two && !tall && nb + 2 <= g->blocks;
        const micro_kernel_function *kernels = wide ? two : one;
        const float *b = g->b + nb * g->b_panel_stride;
        const float *bias = g->bias ? g->bias + nb * HW_BLOCK : NULL;
        const size_t width = wide ? 2 : 1;
        // After the last panels those that follow the first in memory, in Winograd's case the next position's.
        const float *next = nb + width < g->blocks ? b + width * g->b_panel_stride : g->b + g->k * pitch;
        size_t pass = 0;
        for (size_t row = 0; row < g->rows;) {
            // A row group longer than a register tile is walked in tiles of about the same height.
            size_t in_group = row % g->group_rows;
            size_t rows = g->group_rows - in_group;
            if (rows > g->rows - row) rows = g->rows - row;
            if (rows > most) {
                size_t tiles = (rows + most - 1) / most;
                rows = (rows + tiles - 1) / tiles;
            }
            const float *a = g->a + row / g->group_rows * g->a_group_stride + in_group * pitch;
            float *c = g->c + nb * g->c_block_stride + row * HW_BLOCK;
            const float *residual =
                g->residual ? g->residual + nb * g->residual_block_stride + row * HW_BLOCK : NULL;
            // Panels that several tiles read: the first tiles fetch the next ones, a whole round before they are read.
            const bool once = rows == g->rows, fetches = !once && pass < width;
            const float *ahead = once ? b + PREFETCH : fetches ? next + pass * g->b_panel_stride : b;
            const size_t ahead_stride = once ? g->b_panel_stride : 0;
            kernels[rows - 1](g, a, b, c, bias, residual, ahead, ahead_stride);
            pass++;
            row += rows;
        }
        nb += width;
    }
}

static void gemm(const hw_gemm_arguments *g) {
#if TILE_BLOCKS == 2
    multiply(g, micro_kernels_FLOATS_1, micro_kernels_FLOATS_2, HW_BLOCK);
#else
    multiply(g, micro_kernels_FLOATS_1, NULL, HW_BLOCK);
#endif
}

#ifdef DOT_PAIRS
static void gemm_bf16(const hw_gemm_arguments *g) {
    multiply(g, micro_kernels_PAIRS_1, micro_kernels_PAIRS_2, HW_BLOCK / 2);
}

static void narrow(float *pairs, const float *source, size_t rows) {
    for (size_t i = 0; i < rows; i++) NARROW(pairs + i * HW_BLOCK / 2, load(source + i * HW_BLOCK));
}
#endif

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
            // What lies more than 87 below the highest score is nothing beside it, and so are the padding's -inf.
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

#ifdef DOT_PAIRS
#define BF16_KERNELS .gemm_bf16 = gemm_bf16, .narrow = narrow, .winograd2_input_bf16 = winograd2_input_bf16,
#else
#define BF16_KERNELS
#endif

const hw_kernels KERNELS = {
    .name = KERNELS_NAME,
    .tile_rows = TILE_ROWS,
    .tall_rows = TALL_ROWS,
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
