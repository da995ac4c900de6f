#include "CNumberFormats.h"

#include <stdint.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoints are little endian and read without conversion");

static inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint16_t load16(const void *source, size_t index) {
    uint16_t value;
    memcpy(&value, (const char *)source + 2 * index, sizeof value);
    return value;
}

static inline void store16(void *destination, size_t index, uint16_t value) {
    memcpy((char *)destination + 2 * index, &value, sizeof value);
}

// _Float16 would do the same where the compiler's run-time library has the conversion, but without F16C it is a call
// for every number; integer arithmetic vectorises on any machine.
void convert_f16_to_f32(const void *source, float *destination, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t half = load16(source, i);
        uint32_t magnitude = (half & 0x7fff) << 13;
        // Read as f32 the number is 2^112 times too small, whether normal or not; scaling it up is exact.
        uint32_t finite = bits_of(float_of(magnitude) * 0x1p112f);
        uint32_t special = magnitude | 0x7f800000;
        uint32_t bits = magnitude >= 0x0f800000 ? special : finite;
        destination[i] = float_of(bits | (half & 0x8000) << 16);
    }
}

void convert_bf16_to_f32(const void *source, float *destination, size_t count) {
    for (size_t i = 0; i < count; i++) destination[i] = float_of((uint32_t)load16(source, i) << 16);
}

void convert_f64_to_f32(const void *source, float *destination, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const char *)source + 8 * i, sizeof value);
        destination[i] = (float)value;
    }
}

static inline uint16_t half_of(float value) {
    uint32_t bits = bits_of(value);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    // 65520 and above round to infinity.
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    // Below 2^-14 the result is subnormal: adding 1/2 lets the addition itself round to multiples of 2^-24.
    if (magnitude < 0x38800000) return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000));
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((rounded - 0x38000000) >> 13));
}

size_t convert_f32_to_f16(const float *source, void *destination, size_t count) {
    size_t overflow = count;
    for (size_t i = 0; i < count; i++) {
        uint16_t half = half_of(source[i]);
        bool overflowed = (half & 0x7fff) == 0x7c00 && (bits_of(source[i]) & 0x7fffffff) < 0x7f800000;
        if (overflowed && overflow == count) overflow = i;
        store16(destination, i, half);
    }
    return overflow;
}

size_t convert_f32_to_bf16(const float *source, void *destination, size_t count) {
    size_t overflow = count;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of(source[i]);
        bool finite = (bits & 0x7f800000) != 0x7f800000;
        bool nan = (bits & 0x7fffffff) > 0x7f800000;
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        if (finite && (rounded & 0x7fff) == 0x7f80 && overflow == count) overflow = i;
        // Rounding could carry a NaN's payload away and leave an infinity; setting the quiet bit can't.
        store16(destination, i, (uint16_t)(nan ? bits >> 16 | 0x40 : rounded));
    }
    return overflow;
}

size_t first_nonfinite_f32(const float *source, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if ((bits_of(source[i]) & 0x7f800000) == 0x7f800000) return i;
    }
    return count;
}
