// 3x3 weights into the domain that Winograd's products are taken in, when a model is loaded and at every step of training, and
// gradients back from it. In double.

#include "CKernels.h"

#include <string.h>

// Nothing is fused, so vectors of any width give the same bits.
#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline))

// Of 16 output channels; as wide as the instruction set has it.
typedef double doubles __attribute__((ext_vector_type(HW_BLOCK)));
typedef float floats __attribute__((ext_vector_type(HW_BLOCK)));

// G of F(4x4,3x3) and F(2x2,3x3): row i is (1, p, p^2) over the product of the differences to the other points.
static const double filter4[6][3] = {
    {64.0 / 81, 0, 0},
    {-128.0 / 243, -32.0 / 81, -8.0 / 27},
    {-128.0 / 243, 32.0 / 81, -8.0 / 27},
    {32.0 / 243, 16.0 / 81, 8.0 / 27},
    {32.0 / 243, -16.0 / 81, 8.0 / 27},
    {0, 0, 1}};
static const double filter2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

INLINE void transform(
    float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs, const size_t size,
    const double (*filter)[3], size_t first_block, size_t blocks) {
    const size_t position_stride = padded_inputs * HW_BLOCK;
    for (size_t b = 0; b < blocks; b++)
        for (size_t i = 0; i < inputs; i++) {
            float *out = panels + b * size * size * position_stride + i * HW_BLOCK;
            double taps[9][HW_BLOCK] __attribute__((aligned(64))) = {0};
            for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                size_t o = (first_block + b) * HW_BLOCK + lane;
                if (o >= outputs) break;
                for (size_t tap = 0; tap < 9; tap++) taps[tap][lane] = weights[(o * inputs + i) * 9 + tap];
            }
            doubles g[9];
            memcpy(g, taps, sizeof g);
            for (size_t u = 0; u < size; u++) {
                doubles rows[3];
                for (size_t x = 0; x < 3; x++)
                    rows[x] = filter[u][0] * g[x] + filter[u][1] * g[3 + x] + filter[u][2] * g[6 + x];
                for (size_t v = 0; v < size; v++) {
                    doubles sum = filter[v][0] * rows[0] + filter[v][1] * rows[1] + filter[v][2] * rows[2];
                    *(floats *)(out + (u * size + v) * position_stride) = __builtin_convertvector(sum, floats);
                }
            }
        }
}

INLINE void gather(
    float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs, const size_t size,
    const double (*filter)[3], size_t first_block, size_t blocks) {
    const size_t position_stride = padded_inputs * HW_BLOCK;
    for (size_t b = 0; b < blocks; b++)
        for (size_t i = 0; i < inputs; i++) {
            const float *in = panels + b * size * size * position_stride + i * HW_BLOCK;
            doubles sums[9] = {0};
            for (size_t u = 0; u < size; u++) {
                doubles rows[3] = {0};
                for (size_t v = 0; v < size; v++) {
                    doubles product = __builtin_convertvector(
                        *(const floats *)(in + (u * size + v) * position_stride), doubles);
                    for (size_t x = 0; x < 3; x++) rows[x] += filter[v][x] * product;
                }
                for (size_t tap = 0; tap < 9; tap++) sums[tap] += filter[u][tap / 3] * rows[tap % 3];
            }
            float taps[9][HW_BLOCK] __attribute__((aligned(64)));
            for (size_t tap = 0; tap < 9; tap++) *(floats *)taps[tap] = __builtin_convertvector(sums[tap], floats);
            for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                size_t o = (first_block + b) * HW_BLOCK + lane;
                if (o >= outputs) break;
                for (size_t tap = 0; tap < 9; tap++) gradient[(o * inputs + i) * 9 + tap] += taps[tap][lane];
            }
        }
}

// A transform with the size and the filter of a tile as constants.
#define OF_TILE(transform, to, from)                                                                              \
    if (tile == 4)                                                                                                \
        transform(to, from, outputs, inputs, padded_inputs, 6, filter4, first_block, blocks);                     \
    else                                                                                                          \
        transform(to, from, outputs, inputs, padded_inputs, 4, filter2, first_block, blocks)

// Both directions for one instruction set.
#define TRANSFORMS(name, target)                                                                                  \
    target static void pack_##name(                                                                               \
        float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs, int tile,       \
        size_t first_block, size_t blocks) {                                                                      \
        OF_TILE(transform, panels, weights);                                                                      \
    }                                                                                                             \
    target static void add_##name(                                                                                \
        float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs, int tile,      \
        size_t first_block, size_t blocks) {                                                                      \
        OF_TILE(gather, gradient, panels);                                                                        \
    }                                                                                                             \
    static const hw_winograd_weights name##_transforms = {pack_##name, add_##name};

TRANSFORMS(baseline, )
#if defined(__x86_64__)
TRANSFORMS(avx2, __attribute__((target("avx2"))))
TRANSFORMS(avx512, __attribute__((target("avx512f,avx2"))))
#endif

const hw_winograd_weights *hw_winograd_weights_at(size_t i) {
    const hw_winograd_weights *available[3] = {&baseline_transforms};
    size_t count = 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) available[count++] = &avx2_transforms;
    if (count == 2 && __builtin_cpu_supports("avx512f")) available[count++] = &avx512_transforms;
#endif
    return i < count ? available[i] : NULL;
}

static const hw_winograd_weights *widest(void) {
    const hw_winograd_weights *transforms = hw_winograd_weights_at(0);
    for (size_t i = 1; hw_winograd_weights_at(i); i++) transforms = hw_winograd_weights_at(i);
    return transforms;
}

void hw_pack_winograd3x3(
    float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs, int tile,
    size_t first_block, size_t blocks) {
    size_t positions = tile == 4 ? 36 : 16;
    if (padded_inputs != inputs) memset(panels, 0, blocks * positions * padded_inputs * HW_BLOCK * sizeof(float));
    widest()->pack(panels, weights, outputs, inputs, padded_inputs, tile, first_block, blocks);
}

void hw_add_winograd3x3(
    float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs, int tile,
    size_t first_block, size_t blocks) {
    widest()->add(gradient, panels, outputs, inputs, padded_inputs, tile, first_block, blocks);
}
