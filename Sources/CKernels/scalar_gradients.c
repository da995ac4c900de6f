// The scalar twins of the kernels of backward passes: the plainest statement of what each computes.

#include "scalar_gradients.h"

#include <math.h>

void hw_scalar_gemm_transposed(const hw_gemm_transposed_arguments *g) {
    for (size_t nb = 0; nb < g->blocks; nb++)
        for (size_t row = 0; row < g->rows; row++)
            for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                float *c = g->c + nb * g->c_block_stride + row * HW_BLOCK + lane;
                const float *a = g->a + row / HW_BLOCK * g->a_block_stride + row % HW_BLOCK;
                const float *b = g->b + nb * g->b_block_stride + lane;
                double sum = g->accumulates ? *c : 0;
                for (size_t k = 0; k < g->k; k++) sum += (double)a[k * HW_BLOCK] * b[k * HW_BLOCK];
                *c = (float)sum;
            }
}

// The transposes of scalar.c's output transforms.
static const double spread4[6][4] = {
    {1, 0, 0, 0},          {1, 0.75, 0.5625, 0.421875}, {1, -0.75, 0.5625, -0.421875},
    {1, 1.5, 2.25, 3.375}, {1, -1.5, 2.25, -3.375},     {0, 0, 0, 1}};
static const double spread2[4][2] = {{1, 0}, {1, 1}, {1, -1}, {0, 1}};

static void spread(const hw_winograd_spread_arguments *w, size_t step, size_t size, const double *matrix) {
    for (size_t x = 0; x < w->width; x += step)
        for (size_t i = 0; i < size; i++)
            for (size_t j = 0; j < size; j++)
                for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                    double sum = 0;
                    for (size_t row = 0; row < w->rows; row++)
                        for (size_t column = 0; column < step && x + column < w->width; column++)
                            sum += matrix[i * step + row] * matrix[j * step + column] *
                                   w->source[(row * w->width + x + column) * HW_BLOCK + lane];
                    w->products[(i * size + j) * w->position_stride + x / step * HW_BLOCK + lane] = (float)sum;
                }
}

void hw_scalar_winograd4_spread(const hw_winograd_spread_arguments *w) { spread(w, 4, 6, spread4[0]); }

void hw_scalar_winograd2_spread(const hw_winograd_spread_arguments *w) { spread(w, 2, 4, spread2[0]); }

void hw_scalar_activate_gradient(
    float *sums, float *gradient, const float *x, size_t pixels, const float *coefficients, hw_activation activation) {
    for (size_t lane = 0; lane < HW_BLOCK; lane++) {
        double total = 0, along = 0;
        for (size_t i = lane; i < pixels * HW_BLOCK; i += HW_BLOCK) {
            double normalized = fmaf(x[i], coefficients[lane], coefficients[HW_BLOCK + lane]);
            if (activation == HW_AFFINE_SILU) {
                double u = normalized * coefficients[2 * HW_BLOCK + lane] + coefficients[3 * HW_BLOCK + lane];
                double s = 1 / (1 + exp(-u));
                gradient[i] = (float)(gradient[i] * s * (1 + u * (1 - s)));
            }
            total += gradient[i];
            along += gradient[i] * normalized;
        }
        sums[lane] = (float)total;
        sums[HW_BLOCK + lane] = (float)along;
    }
}

void hw_scalar_normalize_gradient(
    float *destination, const float *gradient, const float *x, const float *addend, size_t pixels,
    const float *coefficients) {
    for (size_t i = 0; i < pixels * HW_BLOCK; i++) {
        size_t lane = i % HW_BLOCK;
        destination[i] = (float)((double)gradient[i] * coefficients[lane] +
                                 (double)x[i] * coefficients[HW_BLOCK + lane] + coefficients[2 * HW_BLOCK + lane] +
                                 (addend ? addend[i] : 0));
    }
}

void hw_scalar_softmax_gradient(
    float *gradient, const float *probabilities, size_t block_stride, size_t rows, size_t columns) {
    const size_t padded = (columns + HW_BLOCK - 1) / HW_BLOCK * HW_BLOCK;
    for (size_t row = 0; row < rows; row++) {
        double mean = 0;
        for (size_t c = 0; c < padded; c++) {
            size_t at = c / HW_BLOCK * block_stride + row * HW_BLOCK + c % HW_BLOCK;
            mean += (double)gradient[at] * probabilities[at];
        }
        for (size_t c = 0; c < padded; c++) {
            size_t at = c / HW_BLOCK * block_stride + row * HW_BLOCK + c % HW_BLOCK;
            gradient[at] = (float)((gradient[at] - mean) * probabilities[at]);
        }
    }
}
