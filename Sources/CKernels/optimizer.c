#include "CKernels.h"

#include <math.h>

// Nothing is reassociated and nothing is fused, so vectors of any width give the same bits.
#pragma STDC FP_CONTRACT OFF

void hw_adamw(
    float *restrict values, const float *restrict gradients, float *restrict first, float *restrict second,
    size_t count, const hw_adamw_numbers *numbers) {
    const hw_adamw_numbers n = *numbers;
    for (size_t i = 0; i < count; i++) {
        const float gradient = n.scale * gradients[i];
        const float mean = n.beta1 * first[i] + n.one_minus_beta1 * gradient;
        const float square = n.beta2 * second[i] + n.one_minus_beta2 * gradient * gradient;
        first[i] = mean;
        second[i] = square;
        values[i] = n.shrinkage * values[i] - n.step_size * mean / (sqrtf(square) * n.root_scale + n.epsilon);
    }
}

void hw_average(float *restrict average, const float *restrict values, float share, size_t count) {
    for (size_t i = 0; i < count; i++) average[i] += share * (values[i] - average[i]);
}
