#include "CImageCodecs.h"

#include <string.h>

// Both passes are plain C over vectors of eight lanes, compiled twice on x86-64: the baseline has no 32-bit vector
// multiplication, which triples their time. Integer sums are the same in any order, so the variants agree exactly.
// Everything up to the two entry points is inlined into them, so that no vector is ever returned by an ABI that depends
// on the target.
#pragma clang diagnostic ignored "-Wpsabi"
#define PASS static inline __attribute__((always_inline))

typedef int32_t Int32x8 __attribute__((vector_size(32)));
typedef uint8_t UInt8x8 __attribute__((vector_size(8)));

typedef struct {
    const uint8_t *source;
    size_t source_row_bytes;
    const ImageResampleSpan *spans;
    size_t outputs;
    const int32_t *weights;
    size_t weight_stride;
    uint8_t *destination;
} Pass;

static const int32_t half = 1 << (ImageResamplePrecisionBits - 1);

static inline uint8_t clip8(int32_t sum) {
    const int32_t value = sum >> ImageResamplePrecisionBits;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

PASS Int32x8 load_samples(const uint8_t *at) {
    UInt8x8 samples;
    memcpy(&samples, at, sizeof samples);
    return __builtin_convertvector(samples, Int32x8);
}

PASS Int32x8 load_weights(const int32_t *at) {
    Int32x8 weights;
    memcpy(&weights, at, sizeof weights);
    return weights;
}

// The weighted sums of `count` pixels' red, green and blue, without rounding.
PASS void sum_pixels(const uint8_t *pixel, const int32_t *weight, int32_t count, int32_t sums[3]) {
    // Eight pixels are three vectors of samples; lane i of the three together belongs to channel i % 3.
    Int32x8 low = {0}, middle = {0}, high = {0};
    int32_t i = 0;
    for (; i + 8 <= count; i += 8, pixel += 24) {
        const Int32x8 w = load_weights(weight + i);
        low += load_samples(pixel) * __builtin_shufflevector(w, w, 0, 0, 0, 1, 1, 1, 2, 2);
        middle += load_samples(pixel + 8) * __builtin_shufflevector(w, w, 2, 3, 3, 3, 4, 4, 4, 5);
        high += load_samples(pixel + 16) * __builtin_shufflevector(w, w, 5, 5, 6, 6, 6, 7, 7, 7);
    }
    sums[0] = low[0] + low[3] + low[6] + middle[1] + middle[4] + middle[7] + high[2] + high[5];
    sums[1] = low[1] + low[4] + low[7] + middle[2] + middle[5] + high[0] + high[3] + high[6];
    sums[2] = low[2] + low[5] + middle[0] + middle[3] + middle[6] + high[1] + high[4] + high[7];
    for (; i < count; i++, pixel += 3) {
        for (int channel = 0; channel < 3; channel++) sums[channel] += pixel[channel] * weight[i];
    }
}

PASS void resample_rows(Pass pass, size_t rows) {
    for (size_t y = 0; y < rows; y++, pass.source += pass.source_row_bytes) {
        for (size_t x = 0; x < pass.outputs; x++, pass.destination += 3) {
            const ImageResampleSpan span = pass.spans[x];
            int32_t sums[3];
            sum_pixels(pass.source + (size_t)span.start * 3, pass.weights + x * pass.weight_stride, span.count, sums);
            for (int channel = 0; channel < 3; channel++) pass.destination[channel] = clip8(sums[channel] + half);
        }
    }
}

PASS void resample_columns(Pass pass, size_t row_bytes) {
    // The sums of a range of columns stay in the first-level cache while the source rows are read.
    enum { stretch = 1024 };
    int32_t sums[stretch];
    for (size_t y = 0; y < pass.outputs; y++, pass.destination += row_bytes) {
        const uint8_t *first = pass.source + (size_t)pass.spans[y].start * pass.source_row_bytes;
        const int32_t *weight = pass.weights + y * pass.weight_stride;
        for (size_t begin = 0; begin < row_bytes; begin += stretch) {
            const size_t length = row_bytes - begin < stretch ? row_bytes - begin : stretch;
            for (size_t x = 0; x < length; x++) sums[x] = half;
            for (int32_t i = 0; i < pass.spans[y].count; i++) {
                const uint8_t *row = first + (size_t)i * pass.source_row_bytes + begin;
                for (size_t x = 0; x < length; x++) sums[x] += row[x] * weight[i];
            }
            for (size_t x = 0; x < length; x++) pass.destination[begin + x] = clip8(sums[x]);
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void resample_rows_avx2(const Pass *pass, size_t rows) {
    resample_rows(*pass, rows);
}

__attribute__((target("avx2"))) static void resample_columns_avx2(const Pass *pass, size_t row_bytes) {
    resample_columns(*pass, row_bytes);
}
#endif

void image_resample_rows(
    const uint8_t *source, size_t source_row_bytes, size_t rows, const ImageResampleSpan *spans, size_t outputs,
    const int32_t *weights, size_t weight_stride, uint8_t *destination) {
    const Pass pass = {source, source_row_bytes, spans, outputs, weights, weight_stride, destination};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        resample_rows_avx2(&pass, rows);
        return;
    }
#endif
    resample_rows(pass, rows);
}

void image_resample_columns(
    const uint8_t *source, size_t source_row_bytes, size_t row_bytes, const ImageResampleSpan *spans, size_t outputs,
    const int32_t *weights, size_t weight_stride, uint8_t *destination) {
    const Pass pass = {source, source_row_bytes, spans, outputs, weights, weight_stride, destination};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        resample_columns_avx2(&pass, row_bytes);
        return;
    }
#endif
    resample_columns(pass, row_bytes);
}
