// What backward passes need off the hot path: gradients from the kernels' forms back to PyTorch's, and the sums over
// groups of a normalisation. The same on every instruction set.

#include "CKernels.h"

#include <math.h>

void hw_add_panels(float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs) {
    for (size_t o = 0; o < outputs; o++) {
        const float *panel = panels + o / HW_BLOCK * padded_inputs * HW_BLOCK + o % HW_BLOCK;
        for (size_t i = 0; i < inputs; i++) gradient[o * inputs + i] += panel[i * HW_BLOCK];
    }
}

void hw_add_direct3x3(float *gradient, const float *panels, size_t outputs, size_t inputs, size_t padded_inputs) {
    for (size_t o = 0; o < outputs; o++) {
        const float *panel = panels + o / HW_BLOCK * 9 * padded_inputs * HW_BLOCK + o % HW_BLOCK;
        for (size_t i = 0; i < inputs; i++)
            for (size_t tap = 0; tap < 9; tap++)
                gradient[(o * inputs + i) * 9 + tap] += panel[(tap * padded_inputs + i) * HW_BLOCK];
    }
}

// The first 16 of each band's 32 numbers, summed for one channel.
static double channel_sum(const float *sums, size_t bands, size_t c) {
    double sum = 0;
    for (size_t band = 0; band < bands; band++)
        sum += sums[(c / HW_BLOCK * bands + band) * 2 * HW_BLOCK + c % HW_BLOCK];
    return sum;
}

// Mean and 1/standard deviation of a group of channels, with what is added to each, from the moments of its bands.
static void group_statistics(
    double *mean, double *inverse, const float *moments, size_t bands, size_t band_pixels, size_t last_band_pixels,
    size_t first, size_t width, const float *addend, double epsilon) {
    const double pixels = (double)((bands - 1) * band_pixels + last_band_pixels);
    double sum = 0;
    for (size_t c = first; c < first + width; c++) {
        for (size_t band = 0; band < bands; band++)
            sum += moments[(c / HW_BLOCK * bands + band) * 2 * HW_BLOCK + c % HW_BLOCK];
        if (addend) sum += pixels * addend[c];
    }
    *mean = sum / (pixels * (double)width);
    double squares = 0;
    for (size_t c = first; c < first + width; c++)
        for (size_t band = 0; band < bands; band++) {
            const float *at = moments + (c / HW_BLOCK * bands + band) * 2 * HW_BLOCK + c % HW_BLOCK;
            double count = (double)(band + 1 < bands ? band_pixels : last_band_pixels);
            double difference = at[0] / count + (addend ? addend[c] : 0) - *mean;
            squares += at[HW_BLOCK] + count * difference * difference;
        }
    *inverse = 1 / sqrt(squares / (pixels * (double)width) + epsilon);
}

void hw_groupnorm_gradient_prepare(
    float *coefficients, const float *moments, size_t bands, size_t band_pixels, size_t last_band_pixels,
    size_t channels, size_t groups, const float *gamma, const float *beta, const float *film_scale,
    const float *film_shift, const float *addend, double epsilon) {
    const size_t width = channels / groups;
    for (size_t first = 0; first < channels; first += width) {
        double mean, inverse;
        group_statistics(
            &mean, &inverse, moments, bands, band_pixels, last_band_pixels, first, width, addend, epsilon);
        for (size_t c = first; c < first + width; c++) {
            float *at = coefficients + c / HW_BLOCK * 4 * HW_BLOCK + c % HW_BLOCK;
            double scale = film_scale ? 1.0 + film_scale[c] : 1.0;
            at[0] = (float)inverse;
            at[HW_BLOCK] = (float)(((addend ? addend[c] : 0) - mean) * inverse);
            at[2 * HW_BLOCK] = (float)(gamma[c] * scale);
            at[3 * HW_BLOCK] = (float)(beta[c] * scale + (film_shift ? film_shift[c] : 0));
        }
    }
}

void hw_groupnorm_gradient_finish(
    float *coefficients, float *gamma_gradient, float *beta_gradient, float *film_scale_gradient,
    float *film_shift_gradient, float *addend_gradient, const float *sums, const float *moments, size_t bands,
    size_t pixels, size_t channels, size_t groups, const float *gamma, const float *beta, const float *film_scale) {
    const size_t width = channels / groups;
    const double count = (double)(pixels * width);
    for (size_t first = 0; first < channels; first += width) {
        double mean = 0, along_mean = 0;
        for (size_t c = first; c < first + width; c++) {
            double total = channel_sum(sums, bands, c), along = channel_sum(sums + HW_BLOCK, bands, c);
            double scale = film_scale ? 1.0 + film_scale[c] : 1.0;
            gamma_gradient[c] = (float)(scale * along);
            beta_gradient[c] = (float)(scale * total);
            if (film_scale) {
                film_scale_gradient[c] = (float)(gamma[c] * along + beta[c] * total);
                film_shift_gradient[c] = (float)total;
            }
            mean += gamma[c] * scale * total / count;
            along_mean += gamma[c] * scale * along / count;
        }
        for (size_t c = first; c < first + width; c++) {
            float *at = coefficients + c / HW_BLOCK * 4 * HW_BLOCK + c % HW_BLOCK;
            double inverse = at[0], offset = at[HW_BLOCK], factor = at[2 * HW_BLOCK];
            at[0] = (float)(inverse * factor);
            at[HW_BLOCK] = (float)(-inverse * inverse * along_mean);
            at[2 * HW_BLOCK] = (float)(-inverse * (mean + offset * along_mean));
            if (addend_gradient) {
                // Over the channel's pixels, the sum of the gradient with respect to what is normalised.
                double total = channel_sum(sums, bands, c);
                double normalized = inverse * channel_sum(moments, bands, c) + offset * (double)pixels;
                double centred = factor * total - mean * (double)pixels - along_mean * normalized;
                addend_gradient[c] = (float)(inverse * centred);
            }
        }
    }
}

void hw_add_columns(float *sums, const float *source, size_t rows) {
    float totals[HW_BLOCK] = {0};
    for (size_t i = 0; i < rows; i++)
        for (size_t lane = 0; lane < HW_BLOCK; lane++) totals[lane] += source[i * HW_BLOCK + lane];
    for (size_t lane = 0; lane < HW_BLOCK; lane++) sums[lane] += totals[lane];
}

void hw_fold_doubled(float *destination, const float *upper, const float *lower, size_t pixels) {
    for (size_t i = 0; i < pixels; i++)
        for (size_t lane = 0; lane < HW_BLOCK; lane++) {
            size_t left = 2 * i * HW_BLOCK + lane, right = left + HW_BLOCK;
            destination[i * HW_BLOCK + lane] += (upper[left] + upper[right]) + (lower[left] + lower[right]);
        }
}

void hw_spread_pixels(float *destination, const float *source, size_t pixels, size_t width) {
    for (size_t x = 0; x < width; x++)
        for (size_t lane = 0; lane < HW_BLOCK; lane++)
            destination[x * HW_BLOCK + lane] = x % 2 == 0 && x / 2 < pixels ? source[x / 2 * HW_BLOCK + lane] : 0;
}
