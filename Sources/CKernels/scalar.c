// The scalar twins: the plainest statement of what each kernel computes. They serve as the reference in the tests and
// as the way out on a processor whose vector kernels misbehave.

#include "CKernels.h"
#include "winograd_points.h"

#include "bf16.h"
#include "costs.h"
#include "scalar_gradients.h"

#include <math.h>
#include <string.h>

static void gemm(const hw_gemm_arguments *g) {
    for (size_t nb = 0; nb < g->blocks; nb++) {
        const float *panel = g->b + nb * g->b_panel_stride;
        for (size_t row = 0; row < g->rows; row++) {
            const float *a = g->a + row / g->group_rows * g->a_group_stride + row % g->group_rows * HW_BLOCK;
            float *c = g->c + nb * g->c_block_stride + row * HW_BLOCK;
            for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                double sum = 0;
                for (size_t k = 0; k < g->k; k++)
                    sum += (double)a[k / HW_BLOCK * g->a_block_stride + k % HW_BLOCK] * panel[k * HW_BLOCK + lane];
                if (g->bias) sum += g->bias[nb * HW_BLOCK + lane];
                if (g->residual) sum += g->residual[nb * g->residual_block_stride + row * HW_BLOCK + lane];
                c[lane] = (float)sum;
            }
        }
    }
}

static void gemm_bf16(const hw_gemm_arguments *g) {
    enum { PITCH = HW_BLOCK / 2, WORDS = HW_PANEL_DEPTH / 2 };
    for (size_t nb = 0; nb < g->blocks; nb++) {
        const float *panel = g->b + nb * g->b_panel_stride;
        for (size_t row = 0; row < g->rows; row++) {
            const float *a = g->a + row / g->group_rows * g->a_group_stride + row % g->group_rows * PITCH;
            float *c = g->c + nb * g->c_block_stride + row * HW_BLOCK;
            for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                double sum = 0;
                for (size_t k = 0; k < g->k / 2; k++) {
                    float x = a[k / PITCH * g->a_block_stride + k % PITCH];
                    float weight = panel[(k / WORDS * HW_BLOCK + lane) * WORDS + k % WORDS];
                    sum += (double)first_of(x) * first_of(weight) + (double)second_of(x) * second_of(weight);
                }
                if (g->bias) sum += g->bias[nb * HW_BLOCK + lane];
                if (g->residual) sum += g->residual[nb * g->residual_block_stride + row * HW_BLOCK + lane];
                c[lane] = (float)sum;
            }
        }
    }
}

static void narrow(float *pairs, const float *source, size_t rows) {
    for (size_t i = 0; i < rows * HW_BLOCK / 2; i++) pairs[i] = pair(source[2 * i], source[2 * i + 1]);
}

static void activate(
    float *destination, const float *source, size_t pixels, const float *scale, const float *shift,
    hw_activation activation) {
    for (size_t i = 0; i < pixels * HW_BLOCK; i++) {
        float x = source[i];
        if (activation != HW_COPY) x = fmaf(x, scale[i % HW_BLOCK], shift[i % HW_BLOCK]);
        if (activation == HW_AFFINE_SILU) x = (float)((double)x / (1.0 + exp(-(double)x)));
        destination[i] = x;
    }
}

static void copy_doubled(float *destination, const float *source, size_t pixels) {
    for (size_t i = 0; i < 2 * pixels; i++)
        memcpy(destination + i * HW_BLOCK, source + i / 2 * HW_BLOCK, HW_BLOCK * sizeof(float));
}

// The transforms as matrices, rows as in the construction named in winograd_points.h.
static const double input4[6][6] = {
    {1.265625, 0, -2.8125, 0, 1, 0},        {0, -1.6875, -2.25, 0.75, 1, 0},  {0, 1.6875, -2.25, -0.75, 1, 0},
    {0, -0.84375, -0.5625, 1.5, 1, 0},      {0, 0.84375, -0.5625, -1.5, 1, 0}, {0, 1.265625, 0, -2.8125, 0, 1}};
static const double output4[4][6] = {
    {1, 1, 1, 1, 1, 0},
    {0, 0.75, -0.75, 1.5, -1.5, 0},
    {0, 0.5625, 0.5625, 2.25, 2.25, 0},
    {0, 0.421875, -0.421875, 3.375, -3.375, 1}};
static const double input2[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}};
static const double output2[2][4] = {{1, 1, 1, 0}, {0, 1, -1, 1}};

static void winograd_input(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles, size_t step, size_t size, const double *matrix) {
    for (size_t t = 0; t < tiles; t++) {
        size_t n = first_tile + t;
        float *tile = v + n / group_rows * group_stride + n % group_rows * HW_BLOCK;
        for (size_t lane = 0; lane < HW_BLOCK; lane++)
            for (size_t i = 0; i < size; i++)
                for (size_t j = 0; j < size; j++) {
                    double sum = 0;
                    for (size_t y = 0; y < size; y++)
                        for (size_t x = 0; x < size; x++)
                            sum += matrix[i * size + y] * matrix[j * size + x] *
                                   strip[y * row_stride + (t * step + x) * HW_BLOCK + lane];
                    tile[(i * size + j) * position_stride + lane] = (float)sum;
                }
    }
}

static void winograd4_input(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    winograd_input(
        v, position_stride, group_rows, group_stride, first_tile, strip, row_stride, tiles, 4, 6, input4[0]);
}

static void winograd2_input(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    winograd_input(
        v, position_stride, group_rows, group_stride, first_tile, strip, row_stride, tiles, 2, 4, input2[0]);
}

static void winograd2_input_bf16(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    for (size_t t = 0; t < tiles; t++) {
        float tile[16 * HW_BLOCK];
        winograd2_input(tile, HW_BLOCK, 1, 0, 0, strip + t * 2 * HW_BLOCK, row_stride, 1);
        size_t n = first_tile + t;
        float *out = v + n / group_rows * group_stride + n % group_rows * HW_BLOCK / 2;
        for (size_t position = 0; position < 16; position++)
            narrow(out + position * position_stride, tile + position * HW_BLOCK, 1);
    }
}

static void winograd_output(
    const hw_winograd_output_arguments *w, size_t step, size_t size, const double *matrix) {
    for (size_t y = 0; y < w->rows; y++)
        for (size_t x = 0; x < w->width; x++)
            for (size_t lane = 0; lane < HW_BLOCK; lane++) {
                const float *tile = w->products + x / step * HW_BLOCK + lane;
                double sum = w->bias[lane];
                for (size_t i = 0; i < size; i++)
                    for (size_t j = 0; j < size; j++)
                        sum += matrix[y * size + i] * matrix[x % step * size + j] *
                               tile[(i * size + j) * w->position_stride];
                size_t at = (y * w->width + x) * HW_BLOCK + lane;
                if (w->residual) sum += w->residual[at];
                w->destination[at] = (float)sum;
            }
}

static void winograd4_output(const hw_winograd_output_arguments *w) { winograd_output(w, 4, 6, output4[0]); }

static void winograd2_output(const hw_winograd_output_arguments *w) { winograd_output(w, 2, 4, output2[0]); }

static void moments(float *moments, const float *source, size_t pixels) {
    for (size_t lane = 0; lane < HW_BLOCK; lane++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < pixels; i++) sum += source[i * HW_BLOCK + lane];
        double mean = sum / (double)pixels;
        for (size_t i = 0; i < pixels; i++) {
            double d = source[i * HW_BLOCK + lane] - mean;
            squares += d * d;
        }
        moments[lane] = (float)sum;
        moments[HW_BLOCK + lane] = (float)squares;
    }
}

static void softmax(float *scores, size_t block_stride, size_t rows, size_t columns) {
    size_t blocks = (columns + HW_BLOCK - 1) / HW_BLOCK;
    for (size_t row = 0; row < rows; row++) {
        float *base = scores + row * HW_BLOCK;
        double greatest = -INFINITY, sum = 0;
        for (size_t c = 0; c < columns; c++)
            greatest = fmax(greatest, base[c / HW_BLOCK * block_stride + c % HW_BLOCK]);
        for (size_t c = 0; c < columns; c++) sum += exp(base[c / HW_BLOCK * block_stride + c % HW_BLOCK] - greatest);
        for (size_t c = 0; c < blocks * HW_BLOCK; c++) {
            float *score = base + c / HW_BLOCK * block_stride + c % HW_BLOCK;
            *score = c < columns ? (float)(exp(*score - greatest) / sum) : 0;
        }
    }
}

static void transpose(float *panels, size_t panel_stride, const float *source, size_t rows) {
    size_t count = (rows + HW_BLOCK - 1) / HW_BLOCK;
    for (size_t p = 0; p < count; p++)
        for (size_t column = 0; column < HW_BLOCK; column++)
            for (size_t r = 0; r < HW_BLOCK; r++) {
                size_t row = p * HW_BLOCK + r;
                panels[p * panel_stride + column * HW_BLOCK + r] = row < rows ? source[row * HW_BLOCK + column] : 0;
            }
}

const hw_kernels hw_scalar_kernels = {
    .name = "scalar",
    .tile_rows = 8,
    .tile_rows_bf16 = 8,
    .costs = COSTS,
    .gemm = gemm,
    .activate = activate,
    .copy_doubled = copy_doubled,
    .winograd4_input = winograd4_input,
    .winograd2_input = winograd2_input,
    .winograd4_output = winograd4_output,
    .winograd2_output = winograd2_output,
    .moments = moments,
    .softmax = softmax,
    .transpose = transpose,
    .gemm_transposed = hw_scalar_gemm_transposed,
    .winograd4_spread = hw_scalar_winograd4_spread,
    .winograd2_spread = hw_scalar_winograd2_spread,
    .activate_gradient = hw_scalar_activate_gradient,
    .normalize_gradient = hw_scalar_normalize_gradient,
    .softmax_gradient = hw_scalar_softmax_gradient,
    .gemm_bf16 = gemm_bf16,
    .narrow = narrow,
    .winograd2_input_bf16 = winograd2_input_bf16,
};
