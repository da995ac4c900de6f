// The kernels of backward passes.

#include "check.h"

static void check_gemm_transposed(sets s) {
    static const size_t shapes[][2] = {{1, 1}, {7, 2}, {64, 3}};
    for (size_t rows = 1; rows <= 17; rows++)
        for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
            const size_t k = shapes[i / 2][0], blocks = shapes[i / 2][1];
            // A row after each block, which must stay as it is.
            const size_t count = blocks * (rows + 1) * HW_BLOCK;
            const float *a = noise((rows + HW_BLOCK - 1) / HW_BLOCK * k * HW_BLOCK, rows);
            const float *b = noise(blocks * k * HW_BLOCK, k);
            float *results[2] = {noise(count, 3), noise(count, 3)};
            for (int j = 0; j < 2; j++)
                (j ? s.twin : s.kernels)->gemm_transposed(&(hw_gemm_transposed_arguments){
                    .a = a,
                    .a_block_stride = k * HW_BLOCK,
                    .b = b,
                    .b_block_stride = k * HW_BLOCK,
                    .c = results[j],
                    .c_block_stride = (rows + 1) * HW_BLOCK,
                    .k = k,
                    .rows = rows,
                    .blocks = blocks,
                    .accumulates = i % 2,
                });
            expect_near("gemm_transposed", results[0], results[1], count, 1e-6);
            for (size_t block = 0; block < blocks; block++) {
                const size_t after = (block * (rows + 1) + rows) * HW_BLOCK;
                expect_same("gemm_transposed after its rows", results[0] + after, results[1] + after, HW_BLOCK);
            }
            digest(results[0], count);
            release();
        }
}

static void check_activate_gradient(sets s, size_t pixels) {
    const size_t count = pixels * HW_BLOCK;
    for (int activation = HW_AFFINE; activation <= HW_AFFINE_SILU; activation++) {
        float *x = noise(count, pixels), *coefficients = noise(4 * HW_BLOCK, 2);
        for (size_t i = 0; i < 4 * HW_BLOCK; i++) coefficients[i] *= 3;
        // Far beyond where the derivative is 1 or 0.
        x[0] = 1e30f;
        x[1] = -1e30f;
        coefficients[0] = coefficients[1] = 1e-10f;
        float *gradients[2] = {noise(count, 4), noise(count, 4)}, *sums[2] = {take(2 * HW_BLOCK), take(2 * HW_BLOCK)};
        for (int i = 0; i < 2; i++)
            (i ? s.twin : s.kernels)
                ->activate_gradient(sums[i], gradients[i], x, pixels, coefficients, (hw_activation)activation);
        expect_near("activate_gradient", gradients[0], gradients[1], count, 1e-6);
        expect_near("activate_gradient's sums", sums[0], sums[1], 2 * HW_BLOCK, 1e-5);
        digest(gradients[0], count);
        digest(sums[0], 2 * HW_BLOCK);
        release();
    }
}

static void check_normalize_gradient(sets s, size_t pixels) {
    const size_t count = pixels * HW_BLOCK;
    const float *x = noise(count, 1), *addend = noise(count, 2), *coefficients = noise(3 * HW_BLOCK, 3);
    for (int added = 0; added < 2; added++) {
        float *found = noise(count, 4), *expected = noise(count, 4);
        s.kernels->normalize_gradient(found, found, x, added ? addend : NULL, pixels, coefficients);
        s.twin->normalize_gradient(expected, expected, x, added ? addend : NULL, pixels, coefficients);
        expect_near("normalize_gradient", found, expected, count, 1e-6);
        digest(found, count);
    }
    release();
}

static void check_softmax_gradient(sets s, size_t rows, size_t columns) {
    const size_t stride = rows * HW_BLOCK, count = (columns + HW_BLOCK - 1) / HW_BLOCK * stride;
    float *probabilities = noise(count, 1), *found = noise(count, 2), *expected = noise(count, 2);
    s.twin->softmax(probabilities, stride, rows, columns);
    // Rounded, so that the digest doesn't depend on the C library's exponential.
    for (size_t i = 0; i < count; i++) probabilities[i] = (float)(int)(probabilities[i] * 4096) / 4096;
    s.kernels->softmax_gradient(found, probabilities, stride, rows, columns);
    s.twin->softmax_gradient(expected, probabilities, stride, rows, columns);
    // A single column's gradient is zero but for rounding.
    if (columns > 1) expect_near("softmax_gradient", found, expected, count, 1e-6);
    digest(found, count);
    release();
}

void check_gradients(sets s) {
    static const size_t pixels[] = {1, 2, 15, 33};
    check_gemm_transposed(s);
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++) {
        check_activate_gradient(s, pixels[i]);
        check_normalize_gradient(s, pixels[i]);
        check_softmax_gradient(s, pixels[i], 1);
        check_softmax_gradient(s, pixels[i], 16);
        check_softmax_gradient(s, pixels[i], 37);
    }
}
