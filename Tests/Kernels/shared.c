// What every instruction set shares: plain loops, which a compiler may vectorise but not fuse or reorder. They have no twin; their
// results go to the digest, which must be the same on every processor.

#include "check.h"

static void digest_normalization(const float *film_scale, const float *film_shift, const float *addend) {
    enum { CHANNELS = 48, GROUPS = 6, BANDS = 3, BAND_PIXELS = 32, LAST = 8 };
    float *moments = noise(CHANNELS * BANDS * 2, 1), *sums = noise(CHANNELS * BANDS * 2, 2);
    // Centred squares are not negative.
    for (size_t i = 0; i < CHANNELS * BANDS * 2; i++)
        if (i / HW_BLOCK % 2) moments[i] = 20 + moments[i];
    const float *gamma = noise(CHANNELS, 3), *beta = noise(CHANNELS, 4);
    float *scale = take(CHANNELS), *shift = take(CHANNELS), *coefficients = take(4 * CHANNELS);
    float *gradients = take(5 * CHANNELS);
    hw_groupnorm_coefficients(
        scale, shift, moments, BANDS, BAND_PIXELS, LAST, CHANNELS, GROUPS, gamma, beta, film_scale, film_shift, addend,
        1e-5);
    digest(scale, CHANNELS);
    digest(shift, CHANNELS);
    hw_groupnorm_gradient_prepare(
        coefficients, moments, BANDS, BAND_PIXELS, LAST, CHANNELS, GROUPS, gamma, beta, film_scale, film_shift, addend,
        1e-5);
    digest(coefficients, 4 * CHANNELS);
    hw_groupnorm_gradient_finish(
        coefficients, gradients, gradients + CHANNELS, gradients + 2 * CHANNELS, gradients + 3 * CHANNELS,
        addend ? gradients + 4 * CHANNELS : NULL, sums, moments, BANDS, 2 * BAND_PIXELS + LAST, CHANNELS, GROUPS, gamma, beta, film_scale);
    digest(coefficients, 4 * CHANNELS);
    digest(gradients, 5 * CHANNELS);
}

void digest_shared(void) {
    enum { COUNT = 100 };
    digest_normalization(NULL, NULL, NULL);
    digest_normalization(noise(48, 5), noise(48, 6), NULL);
    digest_normalization(NULL, NULL, noise(48, 7));
    release();

    float *y = noise(COUNT, 1), *first = noise(COUNT, 2), *second = noise(COUNT, 3), *average = noise(COUNT, 4);
    const float *x = noise(COUNT, 5);
    hw_axpy(y, x, 0.3f, COUNT);
    hw_axpby(y, x, 0.3f, 0.7f, COUNT);
    hw_average(average, x, 0.3f, COUNT);
    for (size_t i = 0; i < COUNT; i++) second[i] += 1;
    const hw_adamw_numbers numbers = {0.7f, 0.9f, 0.1f, 0.99f, 0.01f, 1e-8f, 0.999f, 1e-3f, 1.7f};
    hw_adamw(y, x, first, second, COUNT, &numbers);
    digest(y, COUNT);
    digest(first, COUNT);
    digest(second, COUNT);
    digest(average, COUNT);

    float *folded = take(COUNT), *sums = take(HW_BLOCK);
    hw_add_columns(sums, x, 6);
    hw_fold_doubled(folded, x, x + 32, 1);
    digest(sums, HW_BLOCK);
    digest(folded, HW_BLOCK);
    hw_mean_quads(folded, x, x + 32, 1);
    digest(folded, HW_BLOCK);
    release();
}
