// The vector kernels of backward passes; included by vector_kernels.h, whose types and macros it uses.

// MARK: Products over rows

// Rows of the register tile of `gemm_transposed`: with two blocks 16 accumulators, with one of two registers each 8.
#if TILE_BLOCKS == 2
enum { TRANSPOSED_ROWS = 8 };
#else
enum { TRANSPOSED_ROWS = 4 };
#endif

INLINE void transposed_tile(
    const hw_gemm_transposed_arguments *g, const float *a, const float *b, float *c, const int rows, const int blocks) {
    vector sums[TRANSPOSED_ROWS][TILE_BLOCKS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int j = 0; j < blocks; j++)
            sums[r][j] = g->accumulates ? load(c + (size_t)j * g->c_block_stride + r * HW_BLOCK) : (vector)0.0f;
    const size_t stride = g->b_block_stride;
#pragma clang loop unroll_count(4)
    for (size_t k = 0; k < g->k; k++) {
        vector columns[TILE_BLOCKS];
#pragma clang loop unroll(full)
        for (int j = 0; j < blocks; j++) columns[j] = load(b + (size_t)j * stride + k * HW_BLOCK);
#if TILE_COLUMNS > 1
        factors loaded = {};
        if (rows == TILE_COLUMNS) loaded = load_factors(a + k * HW_BLOCK);
#endif
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
#if TILE_COLUMNS > 1
            vector x = (vector)(rows == TILE_COLUMNS ? loaded[r] : a[k * HW_BLOCK + r]);
#else
            vector x = (vector)a[k * HW_BLOCK + r];
#endif
#pragma clang loop unroll(full)
            for (int j = 0; j < blocks; j++) sums[r][j] = fma16(x, columns[j], sums[r][j]);
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int j = 0; j < blocks; j++) store(c + (size_t)j * g->c_block_stride + r * HW_BLOCK, sums[r][j]);
}

static void transposed_whole_1(const hw_gemm_transposed_arguments *g, const float *a, const float *b, float *c) {
    transposed_tile(g, a, b, c, TRANSPOSED_ROWS, 1);
}
static void transposed_row_1(const hw_gemm_transposed_arguments *g, const float *a, const float *b, float *c) {
    transposed_tile(g, a, b, c, 1, 1);
}
#if TILE_BLOCKS == 2
static void transposed_whole_2(const hw_gemm_transposed_arguments *g, const float *a, const float *b, float *c) {
    transposed_tile(g, a, b, c, TRANSPOSED_ROWS, 2);
}
static void transposed_row_2(const hw_gemm_transposed_arguments *g, const float *a, const float *b, float *c) {
    transposed_tile(g, a, b, c, 1, 2);
}
#endif

static void gemm_transposed(const hw_gemm_transposed_arguments *g) {
    for (size_t nb = 0; nb < g->blocks;) {
        const bool wide = TILE_BLOCKS == 2 && nb + 2 <= g->blocks;
        const float *b = g->b + nb * g->b_block_stride;
        for (size_t row = 0; row < g->rows;) {
            const float *a = g->a + row / HW_BLOCK * g->a_block_stride + row % HW_BLOCK;
            float *c = g->c + nb * g->c_block_stride + row * HW_BLOCK;
            const bool whole = row + TRANSPOSED_ROWS <= g->rows;
#if TILE_BLOCKS == 2
            if (wide)
                (whole ? transposed_whole_2 : transposed_row_2)(g, a, b, c);
            else
#endif
                (whole ? transposed_whole_1 : transposed_row_1)(g, a, b, c);
            row += whole ? TRANSPOSED_ROWS : 1;
        }
        nb += wide ? 2 : 1;
    }
}

// MARK: Winograd

// One dimension of the transposed F(4x4) output transform.
INLINE void spread4(const lanes y[4], lanes m[6]) {
    lanes even_a = scaled_lanes(y[2], F4_A2, y[0]), odd_a = scaled_lanes(y[3], F4_A3, y[1] * F4_A);
    lanes even_b = scaled_lanes(y[2], F4_B2, y[0]), odd_b = scaled_lanes(y[3], F4_B3, y[1] * F4_B);
    m[0] = y[0];
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
    m[5] = y[3];
}

// One dimension of the transposed F(2x2) output transform.
INLINE void spread2(const lanes y[2], lanes m[4]) {
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = y[0] - y[1];
    m[3] = y[1];
}

INLINE lanes pixel_or_zero(const hw_winograd_spread_arguments *w, size_t y, size_t x, size_t lane) {
    return y < w->rows && x < w->width ? load_lanes(w->source + (y * w->width + x) * HW_BLOCK + lane) : (lanes)0.0f;
}

INLINE void spread4_tile(const hw_winograd_spread_arguments *w, size_t x, size_t lane) {
    float *out = w->products + x / 4 * HW_BLOCK + lane;
    lanes columns[6][4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        lanes pixels[4], m[6];
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) pixels[i] = pixel_or_zero(w, (size_t)i, x + (size_t)j, lane);
        spread4(pixels, m);
#pragma clang loop unroll(full)
        for (int i = 0; i < 6; i++) columns[i][j] = m[i];
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 6; i++) {
        lanes m[6];
        spread4(columns[i], m);
#pragma clang loop unroll(full)
        for (int j = 0; j < 6; j++) store_lanes(out + (size_t)(i * 6 + j) * w->position_stride, m[j]);
    }
}

static void winograd4_spread(const hw_winograd_spread_arguments *w) {
    for (size_t x = 0; x < w->width; x += 4)
        EACH_LANES(lane) spread4_tile(w, x, lane);
}

INLINE void spread2_tile(const hw_winograd_spread_arguments *w, size_t x, size_t lane) {
    float *out = w->products + x / 2 * HW_BLOCK + lane;
    lanes columns[4][2];
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
        lanes pixels[2], m[4];
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) pixels[i] = pixel_or_zero(w, (size_t)i, x + (size_t)j, lane);
        spread2(pixels, m);
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) columns[i][j] = m[i];
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        lanes m[4];
        spread2(columns[i], m);
#pragma clang loop unroll(full)
        for (int j = 0; j < 4; j++) store_lanes(out + (size_t)(i * 4 + j) * w->position_stride, m[j]);
    }
}

static void winograd2_spread(const hw_winograd_spread_arguments *w) {
    for (size_t x = 0; x < w->width; x += 2)
        EACH_LANES(lane) spread2_tile(w, x, lane);
}

// MARK: Elementwise

static void activate_gradient(
    float *sums, float *gradient, const float *x, size_t pixels, const float *coefficients, hw_activation activation) {
    const vector inverse = load(coefficients), offset = load(coefficients + HW_BLOCK);
    const vector factor = load(coefficients + 2 * HW_BLOCK), shift = load(coefficients + 3 * HW_BLOCK);
    vector total = (vector)0.0f, along = (vector)0.0f;
    for (size_t i = 0; i < pixels; i++) {
        vector normalized = fma16(load(x + i * HW_BLOCK), inverse, offset);
        vector g = load(gradient + i * HW_BLOCK);
        if (activation == HW_AFFINE_SILU) {
            // Beyond 87 either way the derivative is 1 or nothing, and so it is at 87.
            vector u = fma16(normalized, factor, shift);
            u = u < -87.0f ? (vector)-87.0f : u > 87.0f ? (vector)87.0f : u;
            vector s = 1.0f / (1.0f + exponential(-u));
            g *= s * fma16(u, 1.0f - s, (vector)1.0f);
            store(gradient + i * HW_BLOCK, g);
        }
        total += g;
        along = fma16(g, normalized, along);
    }
    store(sums, total);
    store(sums + HW_BLOCK, along);
}

static void normalize_gradient(
    float *destination, const float *gradient, const float *x, const float *addend, size_t pixels,
    const float *coefficients) {
    const vector p = load(coefficients), r = load(coefficients + HW_BLOCK), q = load(coefficients + 2 * HW_BLOCK);
    for (size_t i = 0; i < pixels; i++) {
        vector rest = fma16(load(x + i * HW_BLOCK), r, q);
        if (addend) rest += load(addend + i * HW_BLOCK);
        store(destination + i * HW_BLOCK, fma16(load(gradient + i * HW_BLOCK), p, rest));
    }
}

static void softmax_gradient(
    float *gradient, const float *probabilities, size_t block_stride, size_t rows, size_t columns) {
    const size_t blocks = (columns + HW_BLOCK - 1) / HW_BLOCK;
    for (size_t row = 0; row < rows; row++) {
        float *g = gradient + row * HW_BLOCK;
        const float *p = probabilities + row * HW_BLOCK;
        vector products = (vector)0.0f;
        for (size_t b = 0; b < blocks; b++)
            products = fma16(load(g + b * block_stride), load(p + b * block_stride), products);
        float mean = 0;
#pragma clang loop unroll(full)
        for (int lane = 0; lane < HW_BLOCK; lane++) mean += products[lane];
        for (size_t b = 0; b < blocks; b++)
            store(g + b * block_stride, (load(g + b * block_stride) - mean) * load(p + b * block_stride));
    }
}
