// Weights into the forms that the kernels read, when a model is loaded and at every step of training.

#include "CKernels.h"

#include <string.h>

#include "bf16.h"

void hw_pack_panels(float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs) {
    size_t blocks = (outputs + HW_BLOCK - 1) / HW_BLOCK;
    memset(panels, 0, blocks * padded_inputs * HW_BLOCK * sizeof(float));
    for (size_t o = 0; o < outputs; o++) {
        float *panel = panels + o / HW_BLOCK * padded_inputs * HW_BLOCK + o % HW_BLOCK;
        for (size_t i = 0; i < inputs; i++) panel[i * HW_BLOCK] = weights[o * inputs + i];
    }
}

void hw_pack_direct3x3(float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs) {
    size_t blocks = (outputs + HW_BLOCK - 1) / HW_BLOCK;
    memset(panels, 0, blocks * 9 * padded_inputs * HW_BLOCK * sizeof(float));
    for (size_t o = 0; o < outputs; o++) {
        float *panel = panels + o / HW_BLOCK * 9 * padded_inputs * HW_BLOCK + o % HW_BLOCK;
        for (size_t i = 0; i < inputs; i++)
            for (size_t tap = 0; tap < 9; tap++)
                panel[(tap * padded_inputs + i) * HW_BLOCK] = weights[(o * inputs + i) * 9 + tap];
    }
}

void hw_narrow_panels(float *pairs, const float *panels, size_t k) {
    for (size_t i = 0; i + HW_PANEL_DEPTH <= k; i += HW_PANEL_DEPTH)
        for (size_t lane = 0; lane < HW_BLOCK; lane++)
            for (size_t depth = 0; depth < HW_PANEL_DEPTH; depth += 2) {
                const float *numbers = panels + (i + depth) * HW_BLOCK + lane;
                *pairs++ = pair(numbers[0], numbers[HW_BLOCK]);
            }
}
