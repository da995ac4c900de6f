// The Winograd transforms of the vector kernels; part of vector_kernels.h, which includes it.

// What a transform does with each part of a block of channels, as many as it works on at a time.
#define EACH_LANES(lane) for (size_t lane = 0; lane < HW_BLOCK; lane += TRANSFORM_LANES)

// One dimension of the F(4x4) input transform.
INLINE void input4(lanes d[6]) {
    lanes even_a = scaled_lanes(d[2], -F4_B2, d[4]), odd_a = F4_A * scaled_lanes(d[1], -F4_B2, d[3]);
    lanes even_b = scaled_lanes(d[2], -F4_A2, d[4]), odd_b = F4_B * scaled_lanes(d[1], -F4_A2, d[3]);
    lanes first = scaled_lanes(d[0], F4_A2B2, scaled_lanes(d[2], -F4_A2_PLUS_B2, d[4]));
    lanes last = scaled_lanes(d[1], F4_A2B2, scaled_lanes(d[3], -F4_A2_PLUS_B2, d[5]));
    d[0] = first;
    d[1] = even_a + odd_a;
    d[2] = even_a - odd_a;
    d[3] = even_b + odd_b;
    d[4] = even_b - odd_b;
    d[5] = last;
}

INLINE void input4_tile(float *out, size_t position_stride, const float *in, size_t row_stride) {
    lanes m[6][6];
#pragma clang loop unroll(full)
    for (int x = 0; x < 6; x++) {
        lanes column[6];
#pragma clang loop unroll(full)
        for (int y = 0; y < 6; y++) column[y] = load_lanes(in + (size_t)y * row_stride + x * HW_BLOCK);
        input4(column);
#pragma clang loop unroll(full)
        for (int y = 0; y < 6; y++) m[y][x] = column[y];
    }
#pragma clang loop unroll(full)
    for (int y = 0; y < 6; y++) {
        input4(m[y]);
#pragma clang loop unroll(full)
        for (int x = 0; x < 6; x++) store_lanes(out + (size_t)(y * 6 + x) * position_stride, m[y][x]);
    }
}

static void winograd4_input(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    for (size_t t = 0; t < tiles; t++) {
        const float *in = strip + t * 4 * HW_BLOCK;
        size_t n = first_tile + t;
        float *out = v + n / group_rows * group_stride + n % group_rows * HW_BLOCK;
        EACH_LANES(lane) input4_tile(out + lane, position_stride, in + lane, row_stride);
    }
}

// One dimension of the F(2x2) input transform.
INLINE void input2(lanes d[4]) {
    lanes first = d[0] - d[2], last = d[3] - d[1];
    lanes sum = d[1] + d[2], difference = d[2] - d[1];
    d[0] = first;
    d[1] = sum;
    d[2] = difference;
    d[3] = last;
}

INLINE void store_as(const bool pairs, float *p, lanes v) {
#ifdef NARROW
    if (pairs) {
        NARROW(p, v);
        return;
    }
#else
    (void)pairs;
#endif
    store_lanes(p, v);
}

INLINE void input2_tile(
    float *out, size_t position_stride, const float *in, size_t row_stride, const bool pairs) {
    lanes m[4][4];
#pragma clang loop unroll(full)
    for (int x = 0; x < 4; x++) {
        lanes column[4];
#pragma clang loop unroll(full)
        for (int y = 0; y < 4; y++) column[y] = load_lanes(in + (size_t)y * row_stride + x * HW_BLOCK);
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

INLINE void transform2(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles, const bool pairs) {
    // A row's numbers in a word.
    const size_t packed = pairs ? 2 : 1;
    for (size_t t = 0; t < tiles; t++) {
        const float *in = strip + t * 2 * HW_BLOCK;
        size_t n = first_tile + t;
        float *out = v + n / group_rows * group_stride + n % group_rows * (HW_BLOCK / packed);
        EACH_LANES(lane) input2_tile(out + lane / packed, position_stride, in + lane, row_stride, pairs);
    }
}

static void winograd2_input(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    transform2(v, position_stride, group_rows, group_stride, first_tile, strip, row_stride, tiles, FLOATS);
}

#ifdef NARROW
static void winograd2_input_bf16(
    float *v, size_t position_stride, size_t group_rows, size_t group_stride, size_t first_tile, const float *strip,
    size_t row_stride, size_t tiles) {
    transform2(v, position_stride, group_rows, group_stride, first_tile, strip, row_stride, tiles, PAIRS);
}
#endif

// One dimension of the F(4x4) output transform.
INLINE void output4(const lanes m[6], lanes y[4]) {
    lanes sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    lanes sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = scaled_lanes(difference_a, F4_A, difference_b * F4_B);
    y[2] = scaled_lanes(sum_a, F4_A2, sum_b * F4_B2);
    y[3] = scaled_lanes(difference_a, F4_A3, scaled_lanes(difference_b, F4_B3, m[5]));
}

// Writes one pixel row of a tile, clipped to the image: the channels from `lane` on.
INLINE void store_pixels(
    const hw_winograd_output_arguments *w, size_t y, size_t x, size_t lane, const lanes *pixels, const size_t step) {
    const lanes bias = load_lanes(w->bias + lane);
    size_t count = w->width - x < step ? w->width - x : step;
    float *out = w->destination + (y * w->width + x) * HW_BLOCK + lane;
    const float *residual = w->residual ? w->residual + (y * w->width + x) * HW_BLOCK + lane : NULL;
    if (count == step && residual) {
        // The residual may be the destination: nothing is stored before all is read.
        lanes sums[4];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < step; i++) sums[i] = pixels[i] + bias + load_lanes(residual + i * HW_BLOCK);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < step; i++) store_lanes(out + i * HW_BLOCK, sums[i]);
        return;
    }
    if (count == step) {
#pragma clang loop unroll(full)
        for (size_t i = 0; i < step; i++) store_lanes(out + i * HW_BLOCK, pixels[i] + bias);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        lanes pixel = pixels[i] + bias;
        if (residual) pixel += load_lanes(residual + i * HW_BLOCK);
        store_lanes(out + i * HW_BLOCK, pixel);
    }
}

INLINE void output4_tile(const hw_winograd_output_arguments *w, size_t x, size_t lane) {
    const float *in = w->products + x / 4 * HW_BLOCK + lane;
    lanes rows[4][6];
#pragma clang loop unroll(full)
    for (int j = 0; j < 6; j++) {
        lanes column[6], y[4];
#pragma clang loop unroll(full)
        for (int i = 0; i < 6; i++) column[i] = load_lanes(in + (size_t)(i * 6 + j) * w->position_stride);
        output4(column, y);
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) rows[i][j] = y[i];
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        if ((size_t)i >= w->rows) break;
        lanes pixels[4];
        output4(rows[i], pixels);
        store_pixels(w, (size_t)i, x, lane, pixels, 4);
    }
}

static void winograd4_output(const hw_winograd_output_arguments *w) {
    for (size_t x = 0; x < w->width; x += 4)
        EACH_LANES(lane) output4_tile(w, x, lane);
}

INLINE void output2_tile(const hw_winograd_output_arguments *w, size_t x, size_t lane) {
    const float *in = w->products + x / 2 * HW_BLOCK + lane;
    lanes rows[2][4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        lanes m0 = load_lanes(in + (size_t)j * w->position_stride);
        lanes m1 = load_lanes(in + (size_t)(4 + j) * w->position_stride);
        lanes m2 = load_lanes(in + (size_t)(8 + j) * w->position_stride);
        lanes m3 = load_lanes(in + (size_t)(12 + j) * w->position_stride);
        rows[0][j] = m0 + m1 + m2;
        rows[1][j] = m1 - m2 + m3;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) {
        if ((size_t)i >= w->rows) break;
        lanes pixels[2] = {rows[i][0] + rows[i][1] + rows[i][2], rows[i][1] - rows[i][2] + rows[i][3]};
        store_pixels(w, (size_t)i, x, lane, pixels, 2);
    }
}

static void winograd2_output(const hw_winograd_output_arguments *w) {
    for (size_t x = 0; x < w->width; x += 2)
        EACH_LANES(lane) output2_tile(w, x, lane);
}
