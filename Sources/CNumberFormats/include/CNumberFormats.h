#pragma once

#include <stddef.h>

// Conversions between f32 and the number formats that checkpoints store. In C, so that a debug build of the Swift around
// them is not a hundred times slower. Byte pointers need no alignment; numbers are little endian, as on every machine
// this is built for.

/// Half precision (IEEE 754 binary16) to f32, exactly; subnormals, infinities and NaN included.
void convert_f16_to_f32(const void *source, float *destination, size_t count);
/// bfloat16 to f32, exactly.
void convert_bf16_to_f32(const void *source, float *destination, size_t count);
/// f64 to f32, rounded to nearest even.
void convert_f64_to_f32(const void *source, float *destination, size_t count);

/// f32 to half precision, rounded to nearest even; returns the index of the first finite number that became infinite,
/// `count` if none did. NaN stays NaN.
size_t convert_f32_to_f16(const float *source, void *destination, size_t count);
/// f32 to bfloat16, rounded to nearest even; returns the index of the first finite number that became infinite, `count`
/// if none did. NaN stays NaN.
size_t convert_f32_to_bf16(const float *source, void *destination, size_t count);

/// The index of the first infinity or NaN, `count` if all are finite.
size_t first_nonfinite_f32(const float *source, size_t count);
