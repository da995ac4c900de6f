// The transforms of weights: G·w·Gᵀ and its transpose, by their definition in double, the same bits on every instruction set.

#include "check.h"

enum { TAPS = 3, MOST_ROWS = 6 };

// G of F(tile x tile, 3x3): row i is (1, p, p^2) over the product of the differences to the other points, and the last row, of the
// point at infinity, (0, 0, 1). F(2x2) leaves the sign of the row of 0 to the transform of the data.
static void interpolate(size_t tile, double filter[MOST_ROWS][TAPS]) {
    const double points[] = {0, tile == 4 ? 0.75 : 1, tile == 4 ? -0.75 : -1, 1.5, -1.5};
    const size_t count = tile + 1;
    for (size_t i = 0; i < count; i++) {
        double product = tile == 2 && i == 0 ? -1 : 1;
        for (size_t j = 0; j < count; j++)
            if (j != i) product *= points[i] - points[j];
        double power = 1;
        for (size_t tap = 0; tap < TAPS; tap++, power *= points[i]) filter[i][tap] = power / product;
    }
    filter[count][0] = filter[count][1] = 0;
    filter[count][2] = 1;
}

static void check_shape(size_t tile, size_t outputs, size_t inputs) {
    double filter[MOST_ROWS][TAPS];
    interpolate(tile, filter);
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
