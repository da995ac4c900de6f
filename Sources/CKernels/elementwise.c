// Small kernels off the hot path, the same on every instruction set.

#include "CKernels.h"

#include <math.h>
#include <string.h>

// Mean and centred second moment of each of 16 channels over all bands.
static void merge_bands(
    double *mean, double *squares, const float *moments, size_t bands, size_t band_pixels, size_t last_band_pixels) {
    double inverse_band = 1.0 / (double)band_pixels, inverse_last = 1.0 / (double)last_band_pixels;
    double count = (double)((bands - 1) * band_pixels + last_band_pixels);
    double sum[HW_BLOCK] = {0}, total[HW_BLOCK] = {0};
    for (size_t band = 0; band < bands; band++) {
        const float *sums = moments + band * 2 * HW_BLOCK;
        double inverse = band + 1 < bands ? inverse_band : inverse_last;
        for (size_t lane = 0; lane < HW_BLOCK; lane++) {
            sum[lane] += sums[lane];
            total[lane] += sums[HW_BLOCK + lane] + (double)sums[lane] * sums[lane] * inverse;
        }
    }
    for (size_t lane = 0; lane < HW_BLOCK; lane++) {
        mean[lane] = sum[lane] / count;
        squares[lane] = total[lane] - sum[lane] * mean[lane];
    }
}

void hw_groupnorm_coefficients(
    float *scale, float *shift, const float *moments, size_t bands, size_t band_pixels, size_t last_band_pixels,
    size_t channels, size_t groups, const float *gamma, const float *beta, const float *film_scale,
    const float *film_shift, const float *addend, double epsilon) {
    const size_t width = channels / groups;
    const double pixels = (double)((bands - 1) * band_pixels + last_band_pixels);
    double mean[HW_BLOCK], squares[HW_BLOCK];
    double group_mean = 0, group_squares = 0;
    // Channels are visited in order; a group may straddle two blocks, so its moments are merged channel by channel
    // (Chan et al. 1979) and spread over its channels when the last one has been seen.
    for (size_t c = 0; c < channels; c++) {
        if (c % HW_BLOCK == 0)
            merge_bands(
                mean, squares, moments + c / HW_BLOCK * bands * 2 * HW_BLOCK, bands, band_pixels, last_band_pixels);
        size_t in_group = c % width;
        // What is added to every pixel of a channel moves its mean alone.
        double channel_mean = addend ? mean[c % HW_BLOCK] + addend[c] : mean[c % HW_BLOCK];
        double difference = channel_mean - group_mean;
        if (in_group == 0) {
            group_mean = channel_mean;
            group_squares = squares[c % HW_BLOCK];
        } else {
            double weight = 1.0 / (double)(in_group + 1);
            group_mean += difference * weight;
            group_squares += squares[c % HW_BLOCK] + difference * difference * pixels * (double)in_group * weight;
        }
        if (in_group + 1 < width) continue;
        double inverse = 1.0 / sqrt(group_squares / (pixels * (double)width) + epsilon);
        for (size_t i = c + 1 - width; i <= c; i++) {
            double a = inverse * gamma[i], b = beta[i] - group_mean * a;
            if (film_scale) {
                a *= 1.0 + film_scale[i];
                b = b * (1.0 + film_scale[i]) + film_shift[i];
            }
            scale[i] = (float)a;
            shift[i] = (float)(addend ? b + a * addend[i] : b);
        }
    }
}

void hw_axpy(float *y, const float *x, float factor, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] += factor * x[i];
}

void hw_axpby(float *y, const float *x, float a, float b, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] = a * x[i] + b * y[i];
}

bool hw_all_finite(const float *values, size_t count) {
    // The exponent is all ones in infinities and NaNs only; an or-reduction vectorises where isfinite() does not.
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

void hw_mean_quads(float *destination, const float *upper, const float *lower, size_t pixels) {
    for (size_t i = 0; i < pixels; i++)
        for (size_t lane = 0; lane < HW_BLOCK; lane++) {
            size_t left = 2 * i * HW_BLOCK + lane, right = left + HW_BLOCK;
            destination[i * HW_BLOCK + lane] =
                0.25f * ((upper[left] + upper[right]) + (lower[left] + lower[right]));
        }
}

void hw_block_planes(float *blocked, const float *planes, size_t channels, size_t pixels) {
    const size_t blocks = (channels + HW_BLOCK - 1) / HW_BLOCK;
    memset(blocked, 0, blocks * pixels * HW_BLOCK * sizeof(float));
    for (size_t c = 0; c < channels; c++) {
        float *lane = blocked + c / HW_BLOCK * pixels * HW_BLOCK + c % HW_BLOCK;
        for (size_t i = 0; i < pixels; i++) lane[i * HW_BLOCK] = planes[c * pixels + i];
    }
}

void hw_unblock_planes(float *planes, const float *blocked, size_t channels, size_t pixels) {
    for (size_t c = 0; c < channels; c++) {
        const float *lane = blocked + c / HW_BLOCK * pixels * HW_BLOCK + c % HW_BLOCK;
        for (size_t i = 0; i < pixels; i++) planes[c * pixels + i] = lane[i * HW_BLOCK];
    }
}

void hw_gather_pixels(float *destination, const float *source, size_t pixels, size_t step) {
    if (step == 1) {
        memcpy(destination, source, pixels * HW_BLOCK * sizeof(float));
        return;
    }
    for (size_t i = 0; i < pixels; i++)
        memcpy(destination + i * HW_BLOCK, source + i * step * HW_BLOCK, HW_BLOCK * sizeof(float));
}
