// Activation, doubling, moments, softmax and transposition.

#include <math.h>

#include "check.h"

static void check_activate(sets s) {
    enum { PIXELS = 33, COUNT = PIXELS * HW_BLOCK };
    static const float extremes[] = {0, -0.0f, 100, -100, 1e4f, -1e4f, 3e38f, -3e38f, 1e-30f, NAN};
    float *source = noise(COUNT, 1), *scale = take(HW_BLOCK);
    const float *shift = noise(HW_BLOCK, 2);
    for (size_t i = 0; i < COUNT; i++) source[i] *= 30;
    for (size_t i = 0; i < HW_BLOCK; i++) scale[i] = 1;
    for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++) source[16 * i + i] = extremes[i];
    for (int activation = HW_COPY; activation <= HW_AFFINE_SILU; activation++) {
        float *found = take(COUNT), *expected = take(COUNT);
        s.kernels->activate(found, source, PIXELS, scale, shift, (hw_activation)activation);
        s.twin->activate(expected, source, PIXELS, scale, shift, (hw_activation)activation);
        for (size_t i = 0; i < COUNT; i++) {
            // Each number by its own magnitude: numbers from 1e-30 to 1e38 are side by side.
            if (isnan(source[i]) && isnan(found[i])) found[i] = expected[i] = 0;
            const float magnitude = fmaxf(fabsf(expected[i]), 1e-3f);
            const float relative = (found[i] - expected[i]) / magnitude, one = 1;
            expect_near("activate", &(float){relative + one}, &one, 1, 5e-7);
        }
        digest(found, COUNT);
    }
    float *found = take(2 * COUNT), *expected = take(2 * COUNT);
    s.kernels->copy_doubled(found, shift, 1);
    s.twin->copy_doubled(expected, shift, 1);
    expect_same("copy_doubled", found, expected, 2 * HW_BLOCK);
    release();
}

static void check_moments(sets s) {
    static const size_t pixels[] = {1, 2, 3, 16, 70};
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++) {
        float *source = noise(pixels[i] * HW_BLOCK, pixels[i]);
        // A large mean, which must not cancel the variance away.
        for (size_t j = 0; j < pixels[i] * HW_BLOCK; j++) source[j] += 50;
        float *found = take(2 * HW_BLOCK), *expected = take(2 * HW_BLOCK);
        s.kernels->moments(found, source, pixels[i]);
        s.twin->moments(expected, source, pixels[i]);
        expect_near("moments", found, expected, HW_BLOCK, 1e-6);
        if (pixels[i] > 1) expect_near("moments", found + HW_BLOCK, expected + HW_BLOCK, HW_BLOCK, 1e-5);
        digest(found, 2 * HW_BLOCK);
        release();
    }
}

static void check_softmax(sets s) {
    static const size_t shapes[][2] = {{1, 1}, {3, 15}, {5, 16}, {2, 17}, {64, 256}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t rows = shapes[i][0], columns = shapes[i][1], stride = rows * HW_BLOCK;
        const size_t count = (columns + HW_BLOCK - 1) / HW_BLOCK * stride;
        float *found = noise(count, columns);
        for (size_t j = 0; j < count; j++) found[j] *= 200;
        float *expected = copy(found, count);
        s.kernels->softmax(found, stride, rows, columns);
        s.twin->softmax(expected, stride, rows, columns);
        expect_near("softmax", found, expected, count, 2e-6);
        digest(found, count);
        release();
    }
}

static void check_transpose(sets s) {
    static const size_t all_rows[] = {1, 15, 16, 17, 64};
    for (size_t i = 0; i < sizeof all_rows / sizeof *all_rows; i++) {
        const size_t rows = all_rows[i], count = (rows + HW_BLOCK - 1) / HW_BLOCK * HW_BLOCK * HW_BLOCK;
        const float *source = noise(count, rows);
        float *found = take(count), *expected = take(count);
        s.kernels->transpose(found, HW_BLOCK * HW_BLOCK, source, rows);
        s.twin->transpose(expected, HW_BLOCK * HW_BLOCK, source, rows);
        expect_same("transpose", found, expected, count);
        release();
    }
}

void check_elementwise(sets s) {
    check_activate(s);
    check_moments(s);
    check_softmax(s);
    check_transpose(s);
}
