#pragma once

// SIMD kernels of the velocity network, each with a scalar twin, gathered in one table per instruction set.
//
// Layout. Activations are stored in blocks of 16 channels, one image after another: [channels/16][height][width][16]
// floats, 64-byte aligned ("blocked"). Channels past the real count are zero. A matrix with rows (pixels, tiles,
// tokens) and K columns is stored likewise, [K/16][rows][16], so that a 1x1 convolution is a GEMM without repacking.
//
// Order of sums. In the vector kernels, each output of an f32 matrix product is one chain of fused multiply-adds over k in
// ascending order. The number of rows changes no sum's order, so a result does not depend on what it was batched or tiled with.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Channels in a block: the lanes of one AVX-512 register, two of AVX2, four of NEON.
enum { HW_BLOCK = 16 };

/// Rows of a panel of bf16 whose numbers for one column lie side by side, as the processor's products take them: two where
/// a product sums pairs (AVX512_BF16), four where it multiplies matrices (BFMMLA).
#if defined(__aarch64__)
enum { HW_PANEL_DEPTH = 4 };
#else
enum { HW_PANEL_DEPTH = 2 };
#endif

/// C = A·B (+ bias) (+ residual), all blocked.
///
/// A: row groups of `group_rows` rows; group g starts at `a + g*a_group_stride`; within it, block kb of 16 columns starts
/// `kb*a_block_stride` further and holds [group_rows][16]. B: `blocks` panels of [k][16], `b_panel_stride` apart.
/// C: [blocks][rows][16] with blocks `c_block_stride` apart. All strides in floats.
typedef struct {
    const float *a;
    size_t a_block_stride;
    size_t a_group_stride;
    size_t group_rows;
    const float *b;
    size_t b_panel_stride;
    float *c;
    size_t c_block_stride;
    size_t rows;
    size_t k;
    size_t blocks;
    /// [blocks*16], added to every row, or null.
    const float *bias;
    /// Added to C, in C's layout, or null; may be C itself.
    const float *residual;
    size_t residual_block_stride;
} hw_gemm_arguments;

/// One row of Winograd tiles, one block of 16 output channels, from the products back to pixels.
typedef struct {
    /// Where the tile row's first pixel goes: [rows][width][16].
    float *destination;
    /// Products: position p of tile t at `products + p*position_stride + t*16`.
    const float *products;
    size_t position_stride;
    /// Pixels of a destination row.
    size_t width;
    /// Rows of the tile row that lie inside the image: 1...4 for F(4x4), 1...2 for F(2x2).
    size_t rows;
    /// [16].
    const float *bias;
    /// Added to the result, in `destination`'s layout, or null; may be `destination` itself.
    const float *residual;
} hw_winograd_output_arguments;

/// C = Aᵀ·B (+ C), all blocked, summed over the rows of A and B: the gradient of weights, whose C has the form of packed panels.
///
/// A: blocks of 16 columns `a_block_stride` apart, each [k][16]; B: `blocks` blocks `b_block_stride` apart, each [k][16].
/// C: `blocks` blocks `c_block_stride` apart, each [rows][16], row r from column r of A. All strides in floats.
typedef struct {
    const float *a;
    size_t a_block_stride;
    const float *b;
    size_t b_block_stride;
    float *c;
    size_t c_block_stride;
    size_t k;
    size_t rows;
    size_t blocks;
    /// Whether C is added to, as the start of each sum, or overwritten.
    bool accumulates;
} hw_gemm_transposed_arguments;

/// The transpose of `winograd4_output` or `winograd2_output` for one row of tiles and one block of channels: from the
/// gradient with respect to pixels to that with respect to products.
typedef struct {
    /// Position p of tile t at `products + p*position_stride + t*16`.
    float *products;
    size_t position_stride;
    /// The tile row's first pixel: [rows][width][16].
    const float *source;
    size_t width;
    /// Rows of the tile row that lie inside the image: 1...4 for F(4x4), 1...2 for F(2x2).
    size_t rows;
} hw_winograd_spread_arguments;

/// What `activate` applies to x: x; x·scale + shift; or SiLU of the latter, y / (1 + exp(-y)).
typedef enum { HW_COPY = 0, HW_AFFINE = 1, HW_AFFINE_SILU = 2 } hw_activation;

/// What work costs on the processors of one instruction set, for decisions on who computes something and when. No decision on how
/// something is computed may depend on it.
typedef struct {
    /// Multiply-adds in f32 a cycle.
    double multiply_adds;
    /// Bytes of weights a cycle from beyond the core.
    double weight_bytes;
    /// Cycles to prepare a float of a matrix: to read, normalise, activate and transform it.
    double preparation;
    /// Cycles to fetch a float that another core has just written.
    double fetching;
    /// Bytes of weights that stay in a cache which several cores share.
    size_t shared_cache;
    /// Floats between the weights that are used and those that are fetched meanwhile, where only one tile reads them.
    size_t prefetch;
} hw_costs;

/// The kernels of one instruction set.
typedef struct {
    /// As HEADWATER_KERNELS names it, such as "scalar", "avx512" or "neon-bf16".
    const char *name;
    /// Most rows that one micro-kernel call computes; row groups of this size or slightly less are the fastest.
    size_t tile_rows;
    /// As `tile_rows`, for `gemm_bf16`; 0 where there is none.
    size_t tile_rows_bf16;
    hw_costs costs;
    void (*gemm)(const hw_gemm_arguments *arguments);
    /// `pixels` vectors of 16 channels; `scale` and `shift` are [16].
    void (*activate)(
        float *destination, const float *source, size_t pixels, const float *scale, const float *shift,
        hw_activation activation);
    /// As `activate` with HW_COPY, each source pixel written twice: one row of a nearest-neighbour upsampling.
    void (*copy_doubled)(float *destination, const float *source, size_t pixels);
    /// `tiles` tiles of F(4x4,3x3) along a row, 16 channels: reads 6 rows of `row_stride` floats from `strip`, tile t
    /// from pixel 4t; writes position p of tile t at `v + p*position_stride + group(t)`, where tiles are counted from
    /// `first_tile`, and tile n lies at (n / group_rows)*group_stride + (n % group_rows)*16.
    void (*winograd4_input)(
        float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
        size_t row_stride, size_t tiles);
    /// The same for F(2x2,3x3): 4 rows, tile t from pixel 2t, 16 positions.
    void (*winograd2_input)(
        float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
        size_t row_stride, size_t tiles);
    void (*winograd4_output)(const hw_winograd_output_arguments *arguments);
    void (*winograd2_output)(const hw_winograd_output_arguments *arguments);
    /// Sums and centred second moments of 16 channels over `pixels` pixels: moments[0..<16] = sum of x,
    /// moments[16..<32] = sum of (x - mean)^2.
    void (*moments)(float *moments, const float *source, size_t pixels);
    /// Softmax of each of `rows` rows over `columns` columns, in place, blocked as [ceil(columns/16)][rows][16] with
    /// blocks `block_stride` apart; columns past the last become 0.
    void (*softmax)(float *scores, size_t block_stride, size_t rows, size_t columns);
    // Reduced precision. Matrices of bf16 are pairs of columns in 32-bit words: where there are [rows][16] floats, there are
    // [rows][8] words, and [k][16] of a panel become [k/HW_PANEL_DEPTH][16][HW_PANEL_DEPTH] numbers; all strides count
    // words. Null where the instruction set has no products of bf16.

    /// As `gemm` with A and B of bf16, sums in f32; k is a multiple of 4. Each step of a sum adds HW_PANEL_DEPTH products,
    /// whose rounding is the processor's.
    void (*gemm_bf16)(const hw_gemm_arguments *arguments);
    /// Rounds `rows` rows of 16 floats to bf16, to nearest, ties to even; may be in place.
    void (*narrow)(float *pairs, const float *source, size_t rows);
    /// As `winograd2_input`, leaving pairs of bf16.
    void (*winograd2_input_bf16)(
        float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
        size_t row_stride, size_t tiles);
    /// Turns [rows][16] into the panel form [16 columns][16 rows] of ceil(rows/16) panels, `panel_stride` apart, rows
    /// past the last being 0.
    void (*transpose)(float *panels, size_t panel_stride, const float *source, size_t rows);
    // Backward passes.

    void (*gemm_transposed)(const hw_gemm_transposed_arguments *arguments);
    void (*winograd4_spread)(const hw_winograd_spread_arguments *arguments);
    void (*winograd2_spread)(const hw_winograd_spread_arguments *arguments);
    /// The gradient with respect to u of what follows a normalisation, in place, and what the normalisation's gradient needs of it.
    /// With n = x·c0 + c1 the normalised x and u = n·c2 + c3, `coefficients` being [4][16]: for HW_AFFINE_SILU
    /// gradient *= SiLU'(u); sums[0..<16] = sum of gradient, sums[16..<32] = sum of gradient·n.
    void (*activate_gradient)(
        float *sums, float *gradient, const float *x, size_t pixels, const float *coefficients,
        hw_activation activation);
    /// destination = gradient·c0 + x·c1 + c2 (+ addend, unless null), `coefficients` being [3][16]; may be in place.
    void (*normalize_gradient)(
        float *destination, const float *gradient, const float *x, const float *addend, size_t pixels,
        const float *coefficients);
    /// From the gradient with respect to probabilities to that with respect to scores, in place, laid out as `softmax`:
    /// p·(g - sum of g·p over the row). What `probabilities` holds past the last column is 0.
    void (*softmax_gradient)(
        float *gradient, const float *probabilities, size_t block_stride, size_t rows, size_t columns);
} hw_kernels;

/// The kernels with that name, or null if this build or this processor doesn't have them.
const hw_kernels *hw_kernels_named(const char *name);

/// The fastest kernels that this processor runs.
const hw_kernels *hw_kernels_best(void);

/// The i-th kernels that this processor runs, the scalar ones first, or null past the last.
const hw_kernels *hw_kernels_at(size_t i);

/// Packs a [outputs][inputs] row-major matrix into panels [ceil(outputs/16)][padded_inputs][16], zero beyond the real
/// counts.
void hw_pack_panels(float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs);

/// Packs 3x3 weights [outputs][inputs][3][3] for the direct algorithm: panels [ceil(outputs/16)][9·padded_inputs][16],
/// tap-major (k = tap·padded_inputs + input).
void hw_pack_direct3x3(float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs);

/// Transforms 3x3 weights for F(4x4) (`tile` = 4, 36 positions) or F(2x2) (`tile` = 2, 16 positions), in double:
/// [blocks][positions][padded_inputs][16], for the output blocks first_block ..< first_block + blocks.
void hw_pack_winograd3x3(
    float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs, int tile,
    size_t first_block, size_t blocks);

/// Rounds panels [k][16] of floats to bf16, [k/HW_PANEL_DEPTH][16][HW_PANEL_DEPTH]; `k`, the panels' rows all together, is a
/// multiple of 4.
void hw_narrow_panels(float *pairs, const float *panels, size_t k);

/// Turns GroupNorm into one scale and shift a channel: y = x·scale + shift.
///
/// moments: [channels/16][bands][2][16] as `moments` writes them, every band over `band_pixels` pixels but the last over
/// `last_band_pixels`; gamma, beta: [channels]; film_scale, film_shift: [channels] from the time embedding, or null,
/// giving GN(x)·(1 + film_scale) + film_shift; addend: [channels], added to x first, or null, giving GN(x + addend). Sums are
/// merged in double, so that a large mean does not cancel the variance away.
void hw_groupnorm_coefficients(
    float *scale, float *shift, const float *moments, size_t bands, size_t band_pixels, size_t last_band_pixels,
    size_t channels, size_t groups, const float *gamma, const float *beta, const float *film_scale,
    const float *film_shift, const float *addend, double epsilon);

/// Adds gradients in the form of packed panels, as `hw_pack_panels`, `hw_pack_direct3x3` and `hw_pack_winograd3x3` lay
/// weights out, to gradients in PyTorch's. For Winograd that takes the transpose of the weights' transform, in double.
void hw_add_panels(float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs);
void hw_add_direct3x3(float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs);
void hw_add_winograd3x3(
    float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs, int tile,
    size_t first_block, size_t blocks);

/// `hw_pack_winograd3x3`, without the zeros for inputs that are padded, and `hw_add_winograd3x3` for one instruction set.
typedef struct {
    void (*pack)(
        float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs, int tile,
        size_t first_block, size_t blocks);
    void (*add)(
        float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs, int tile,
        size_t first_block, size_t blocks);
} hw_winograd_weights;

/// The i-th of those that this processor runs, the narrowest first, or null past the last. All give the same bits, and
/// expect panels at multiples of 64 bytes; the two functions use the last.
const hw_winograd_weights *hw_winograd_weights_at(size_t i);

/// The coefficients [channels/16][4][16] of `activate_gradient` for one image; arguments as `hw_groupnorm_coefficients`.
void hw_groupnorm_gradient_prepare(
    float *coefficients, const float *moments, size_t bands, size_t band_pixels, size_t last_band_pixels,
    size_t channels, size_t groups, const float *gamma, const float *beta, const float *film_scale,
    const float *film_shift, const float *addend, double epsilon);

/// Turns those coefficients into the ones of `normalize_gradient`, 4·16 floats a block apart, and computes the gradients
/// of one image by the normalisation's parameters, [channels] each, from the sums [channels/16][bands][2][16] that
/// `activate_gradient` left, and x's moments. Without a film the two gradients with respect to it are not touched; the one with
/// respect to the addend is null if there is none.
void hw_groupnorm_gradient_finish(
    float *coefficients, float *gamma_gradient, float *beta_gradient, float *film_scale_gradient,
    float *film_shift_gradient, float *addend_gradient, const float *sums, const float *moments, size_t bands,
    size_t pixels, size_t channels, size_t groups, const float *gamma, const float *beta, const float *film_scale);

/// sums[lane] += the sum of `rows` rows of 16.
void hw_add_columns(float *sums, const float *source, size_t rows);

/// Adds each quad of two rows of 2·pixels pixels to one pixel: the transpose of a nearest-neighbour upsampling.
void hw_fold_doubled(float *destination, const float *upper, const float *lower, size_t pixels);

/// The mean of each quad of two rows of 2·pixels pixels.
void hw_mean_quads(float *destination, const float *upper, const float *lower, size_t pixels);

/// `pixels` pixels of 16 channels to every second of `width`, zeros between: a row of the transpose of a stride of 2.
void hw_spread_pixels(float *destination, const float *source, size_t pixels, size_t width);

/// y[i] += factor·x[i], one rounding each.
void hw_axpy(float *y, const float *x, float factor, size_t count);

/// y[i] = a·x[i] + b·y[i], one rounding each.
void hw_axpby(float *y, const float *x, float a, float b, size_t count);

/// The numbers of a step of AdamW.
typedef struct {
    /// What gradients are multiplied by first.
    float scale;
    /// Decay of the mean of gradients, and one less it.
    float beta1, one_minus_beta1;
    /// Decay of the mean of squared gradients, and one less it.
    float beta2, one_minus_beta2;
    float epsilon;
    /// What a value is multiplied by before the step: one less the rate times the weight decay.
    float shrinkage;
    /// The rate over the first moment's bias correction.
    float step_size;
    /// What the root of the second moment is multiplied by: one over the root of its bias correction.
    float root_scale;
} hw_adamw_numbers;

/// A step of AdamW on `count` values with their gradients and moments. Elementwise; no two of them may overlap.
void hw_adamw(
    float *restrict values, const float *restrict gradients, float *restrict first, float *restrict second,
    size_t count, const hw_adamw_numbers *numbers);

/// average[i] += share·(values[i] − average[i]).
void hw_average(float *restrict average, const float *restrict values, float share, size_t count);

/// True if every value is finite.
bool hw_all_finite(const float *values, size_t count);

/// Copies every `step`-th of the source's pixels of 16 channels, `pixels` in all: one row of im2col.
void hw_gather_pixels(float *destination, const float *source, size_t pixels, size_t step);

/// Tells the processor that the thread is waiting in a loop.
static inline void hw_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/// Makes the calling thread treat denormal inputs and results as zero, until hw_restore_denormals gets the returned value. Some
/// processors take hundreds of cycles for each denormal, and tiny weights make most activations denormal. Does nothing on other
/// architectures.
static inline uint64_t hw_flush_denormals(void) {
#if defined(__x86_64__)
    uint32_t mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(mode | 0x8040);
    return mode;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | 1 << 24));
    return mode;
#else
    return 0;
#endif
}

static inline void hw_restore_denormals(uint64_t mode) {
#if defined(__x86_64__)
    // Exceptions that have been noted since are kept, as the ABI has it.
    __builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() & 0x3f) | ((uint32_t)mode & ~0x3fu));
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
    (void)mode;
#endif
}

/// [channels][pixels] planes into blocks [ceil(channels/16)][pixels][16], channels past the last zero, and back.
void hw_block_planes(float *blocked, const float *planes, size_t channels, size_t pixels);
void hw_unblock_planes(float *planes, const float *blocked, size_t channels, size_t pixels);
