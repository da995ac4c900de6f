#pragma once

#include "CKernels.h"

// The scalar twins of the kernels of backward passes, for the table in scalar.c.

void hw_scalar_gemm_transposed(const hw_gemm_transposed_arguments *arguments);
void hw_scalar_winograd4_spread(const hw_winograd_spread_arguments *arguments);
void hw_scalar_winograd2_spread(const hw_winograd_spread_arguments *arguments);
void hw_scalar_activate_gradient(
    float *sums, float *gradient, const float *x, size_t pixels, const float *coefficients, hw_activation activation);
void hw_scalar_normalize_gradient(
    float *destination, const float *gradient, const float *x, const float *addend, size_t pixels,
    const float *coefficients);
void hw_scalar_softmax_gradient(
    float *gradient, const float *probabilities, size_t block_stride, size_t rows, size_t columns);
