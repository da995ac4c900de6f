// Pairs of bf16 in a 32-bit word that is passed as a float's bits, the first of the pair in the lower half.

#include <stdint.h>
#include <string.h>

// To nearest, ties to even; NaN stays NaN.
static inline uint32_t bf16_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return bits >> 16 | 0x40;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline float pair(float first, float second) {
    uint32_t bits = bf16_bits(first) | bf16_bits(second) << 16;
    float word;
    memcpy(&word, &bits, sizeof word);
    return word;
}

static inline float first_of(float word) {
    uint32_t bits;
    memcpy(&bits, &word, sizeof bits);
    bits <<= 16;
    memcpy(&word, &bits, sizeof bits);
    return word;
}

static inline float second_of(float word) {
    uint32_t bits;
    memcpy(&bits, &word, sizeof bits);
    bits &= 0xffff0000;
    memcpy(&word, &bits, sizeof bits);
    return word;
}
