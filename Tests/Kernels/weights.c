// The transforms of weights: G·w·Gᵀ and its transpose, by their definition in double, the same bits on every instruction set.

#include "check.h"

static const double filter4[6][3] = {
    {64.0 / 81, 0, 0},
    {-128.0 / 243, -32.0 / 81, -8.0 / 27},
    {-128.0 / 243, 32.0 / 81, -8.0 / 27},
    {32.0 / 243, 16.0 / 81, 8.0 / 27},
    {32.0 / 243, -16.0 / 81, 8.0 / 27},
    {0, 0, 1}};
static const double filter2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

static void check_shape(size_t tile, size_t outputs, size_t inputs) {
    const double(*filter)[3] = tile == 4 ? filter4 : filter2;
    const size_t size = tile + 2, blocks = (outputs + HW_BLOCK - 1) / HW_BLOCK;
    const size_t padded = (inputs + HW_BLOCK - 1) / HW_BLOCK * HW_BLOCK;
    const size_t count = blocks * size * size * padded * HW_BLOCK, weight_count = outputs * inputs * 9;
    const float *weights = noise(weight_count, outputs), *gradient = noise(count, inputs);
    float *expected = take(count), *expected_back = noise(weight_count, 3);
    for (size_t o = 0; o < outputs; o++)
        for (size_t i = 0; i < inputs; i++)
            for (size_t tap = 0; tap < 9; tap++) {
                const size_t weight = (o * inputs + i) * 9 + tap;
                double back = 0;
                for (size_t u = 0; u < size; u++)
                    for (size_t v = 0; v < size; v++) {
                        const size_t at = (((o / HW_BLOCK * size + u) * size + v) * padded + i) * HW_BLOCK + o % HW_BLOCK;
                        const double factor = filter[u][tap / 3] * filter[v][tap % 3];
                        expected[at] += (float)(factor * weights[weight]);
                        back += factor * gradient[at];
                    }
                expected_back[weight] += (float)back;
            }
    const float *first = NULL, *first_back = NULL;
    const hw_winograd_weights *transforms;
    for (size_t i = 0; (transforms = hw_winograd_weights_at(i)); i++) {
        float *panels = take(count), *back = noise(weight_count, 3);
        transforms->pack(panels, weights, outputs, inputs, padded, (int)tile, 0, blocks);
        transforms->add(back, gradient, outputs, inputs, padded, (int)tile, 0, blocks);
        expect_near("pack", panels, expected, count, 1e-6);
        expect_near("add", back, expected_back, weight_count, 1e-6);
        expect_same("pack on each instruction set", panels, first ? first : panels, count);
        expect_same("add on each instruction set", back, first_back ? first_back : back, weight_count);
        if (i == 0) digest(panels, count);
        if (i == 0) digest(back, weight_count);
        first = panels;
        first_back = back;
    }
    release();
}

void check_weights(void) {
    for (size_t tile = 2; tile <= 4; tile += 2) {
        check_shape(tile, 16, 16);
        check_shape(tile, 33, 5);
        check_shape(tile, 7, 40);
    }
}
