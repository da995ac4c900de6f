// Weights into the forms that the kernels read, once when a model is loaded.

#include "CKernels.h"

#include <string.h>

#include "bf16.h"
#include "winograd_filters.h"

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

static inline __attribute__((always_inline)) void transform(
    float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs, const size_t size,
    const double (*filter)[3], size_t first_block, size_t blocks) {
    const size_t position_stride = padded_inputs * HW_BLOCK;
    for (size_t b = 0; b < blocks; b++)
        for (size_t i = 0; i < inputs; i++) {
            float *out = panels + b * size * size * position_stride + i * HW_BLOCK;
            // Lanes innermost, so that the transform of 16 outputs vectorises.
            double g[9][HW_BLOCK] = {0};
            for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                size_t o = (first_block + b) * HW_BLOCK + lane;
                if (o >= outputs) break;
                for (size_t tap = 0; tap < 9; tap++) g[tap][lane] = weights[(o * inputs + i) * 9 + tap];
            }
            for (size_t u = 0; u < size; u++) {
                double rows[3][HW_BLOCK];
                for (size_t x = 0; x < 3; x++)
                    for (size_t lane = 0; lane < HW_BLOCK; lane++)
                        rows[x][lane] = filter[u][0] * g[x][lane] + filter[u][1] * g[3 + x][lane] +
                                        filter[u][2] * g[6 + x][lane];
                for (size_t v = 0; v < size; v++)
                    for (size_t lane = 0; lane < HW_BLOCK; lane++)
                        out[(u * size + v) * position_stride + lane] =
                            (float)(filter[v][0] * rows[0][lane] + filter[v][1] * rows[1][lane] +
                                    filter[v][2] * rows[2][lane]);
            }
        }
}

void hw_pack_winograd3x3(
    float *panels, const float *weights, size_t outputs, size_t inputs, size_t padded_inputs, int tile,
    size_t first_block, size_t blocks) {
    size_t positions = tile == 4 ? 36 : 16;
    if (padded_inputs != inputs) memset(panels, 0, blocks * positions * padded_inputs * HW_BLOCK * sizeof(float));
    if (tile == 4)
        transform(panels, weights, outputs, inputs, padded_inputs, 6, winograd_filter4, first_block, blocks);
    else
        transform(panels, weights, outputs, inputs, padded_inputs, 4, winograd_filter2, first_block, blocks);
}

void hw_narrow_panels(float *pairs, const float *panels, size_t k) {
    for (size_t i = 0; i < k / 2; i++)
        for (size_t lane = 0; lane < HW_BLOCK; lane++)
            pairs[i * HW_BLOCK + lane] =
                pair(panels[2 * i * HW_BLOCK + lane], panels[(2 * i + 1) * HW_BLOCK + lane]);
}
