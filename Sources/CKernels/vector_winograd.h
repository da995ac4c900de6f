// The Winograd transforms of the vector kernels; part of vector_kernels.h, which includes it.

// One dimension of the F(4x4) input transform.
INLINE void input4(vector d[6]) {
    vector even_a = scaled(d[2], -F4_B2, d[4]), odd_a = F4_A * scaled(d[1], -F4_B2, d[3]);
    vector even_b = scaled(d[2], -F4_A2, d[4]), odd_b = F4_B * scaled(d[1], -F4_A2, d[3]);
    vector first = scaled(d[0], F4_A2B2, scaled(d[2], -F4_A2_PLUS_B2, d[4]));
    vector last = scaled(d[1], F4_A2B2, scaled(d[3], -F4_A2_PLUS_B2, d[5]));
    d[0] = first;
    d[1] = even_a + odd_a;
    d[2] = even_a - odd_a;
    d[3] = even_b + odd_b;
    d[4] = even_b - odd_b;
    d[5] = last;
}

static void winograd4_input(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    for (size_t t = 0; t < tiles; t++) {
        const float *in = strip + t * 4 * HW_BLOCK;
        size_t n = first_tile + t;
        float *out = v + n / group_rows * group_stride + n % group_rows * HW_BLOCK;
        vector m[6][6];
#pragma clang loop unroll(full)
        for (int x = 0; x < 6; x++) {
            vector column[6];
#pragma clang loop unroll(full)
            for (int y = 0; y < 6; y++) column[y] = load(in + (size_t)y * row_stride + x * HW_BLOCK);
            input4(column);
#pragma clang loop unroll(full)
            for (int y = 0; y < 6; y++) m[y][x] = column[y];
        }
#pragma clang loop unroll(full)
        for (int y = 0; y < 6; y++) {
            input4(m[y]);
#pragma clang loop unroll(full)
            for (int x = 0; x < 6; x++) store(out + (size_t)(y * 6 + x) * position_stride, m[y][x]);
        }
    }
}

// One dimension of the F(2x2) input transform.
INLINE void input2(vector d[4]) {
    vector first = d[0] - d[2], last = d[3] - d[1];
    vector sum = d[1] + d[2], difference = d[2] - d[1];
    d[0] = first;
    d[1] = sum;
    d[2] = difference;
    d[3] = last;
}

INLINE void transform2(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles, const bool pairs) {
    for (size_t t = 0; t < tiles; t++) {
        const float *in = strip + t * 2 * HW_BLOCK;
        size_t n = first_tile + t;
        float *out = v + n / group_rows * group_stride + n % group_rows * (pairs ? HW_BLOCK / 2 : HW_BLOCK);
        vector m[4][4];
#pragma clang loop unroll(full)
        for (int x = 0; x < 4; x++) {
            vector column[4];
#pragma clang loop unroll(full)
            for (int y = 0; y < 4; y++) column[y] = load(in + (size_t)y * row_stride + x * HW_BLOCK);
            input2(column);
#pragma clang loop unroll(full)
            for (int y = 0; y < 4; y++) m[y][x] = column[y];
        }
#pragma clang loop unroll(full)
        for (int y = 0; y < 4; y++) {
            input2(m[y]);
#pragma clang loop unroll(full)
            for (int x = 0; x < 4; x++) store_as(pairs, out + (size_t)(y * 4 + x) * position_stride, m[y][x]);
        }
    }
}

static void winograd2_input(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    transform2(v, position_stride, group_rows, group_stride, first_tile, strip, row_stride, tiles, FLOATS);
}

#ifdef DOT_PAIRS
static void winograd2_input_bf16(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    transform2(v, position_stride, group_rows, group_stride, first_tile, strip, row_stride, tiles, PAIRS);
}
#endif

// One dimension of the F(4x4) output transform.
INLINE void output4(const vector m[6], vector y[4]) {
    vector sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    vector sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = scaled(difference_a, F4_A, difference_b * F4_B);
    y[2] = scaled(sum_a, F4_A2, sum_b * F4_B2);
    y[3] = scaled(difference_a, F4_A3, scaled(difference_b, F4_B3, m[5]));
}

// Writes one pixel row of a tile, clipped to the image.
INLINE void store_pixels(
    const hw_winograd_output_arguments *w, size_t y, size_t x, const vector *pixels, const size_t step, vector bias) {
    size_t count = w->width - x < step ? w->width - x : step;
    float *out = w->destination + (y * w->width + x) * HW_BLOCK;
    const float *residual = w->residual ? w->residual + (y * w->width + x) * HW_BLOCK : NULL;
    if (count == step && residual) {
        // The residual may be the destination: nothing is stored before all is read.
        vector sums[4];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < step; i++) sums[i] = pixels[i] + bias + load(residual + i * HW_BLOCK);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < step; i++) store(out + i * HW_BLOCK, sums[i]);
        return;
    }
    if (count == step) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < step; i++) store(out + i * HW_BLOCK, pixels[i] + bias);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        vector pixel = pixels[i] + bias;
        if (residual) pixel += load(residual + i * HW_BLOCK);
        store(out + i * HW_BLOCK, pixel);
    }
}

static void winograd4_output(const hw_winograd_output_arguments *w) {
    vector bias = load(w->bias);
    for (size_t x = 0; x < w->width; x += 4) {
        const float *in = w->products + x / 4 * HW_BLOCK;
        vector rows[4][6];
#pragma clang loop unroll(full)
        for (int j = 0; j < 6; j++) {
            vector column[6], y[4];
#pragma clang loop unroll(full)
            for (int i = 0; i < 6; i++) column[i] = load(in + (size_t)(i * 6 + j) * w->position_stride);
            output4(column, y);
#pragma clang loop unroll(full)
            for (int i = 0; i < 4; i++) rows[i][j] = y[i];
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            if ((size_t)i >= w->rows) break;
            vector pixels[4];
            output4(rows[i], pixels);
            store_pixels(w, (size_t)i, x, pixels, 4, bias);
        }
    }
}

static void winograd2_output(const hw_winograd_output_arguments *w) {
    vector bias = load(w->bias);
    for (size_t x = 0; x < w->width; x += 2) {
        const float *in = w->products + x / 2 * HW_BLOCK;
        vector rows[2][4];
#pragma clang loop unroll(full)
        for (int j = 0; j < 4; j++) {
            vector m0 = load(in + (size_t)j * w->position_stride);
            vector m1 = load(in + (size_t)(4 + j) * w->position_stride);
            vector m2 = load(in + (size_t)(8 + j) * w->position_stride);
            vector m3 = load(in + (size_t)(12 + j) * w->position_stride);
            rows[0][j] = m0 + m1 + m2;
            rows[1][j] = m1 - m2 + m3;
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) {
            if ((size_t)i >= w->rows) break;
            vector pixels[2] = {rows[i][0] + rows[i][1] + rows[i][2], rows[i][1] - rows[i][2] + rows[i][3]};
            store_pixels(w, (size_t)i, x, pixels, 2, bias);
        }
    }
}
