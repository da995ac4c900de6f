// Matrix products: every number of rows that a register tile can have, a tail in k, odd numbers of blocks, row groups.

#include "check.h"

enum { MOST_ROWS = 31, MOST_K = 144, MOST_BLOCKS = 5 };

// A of whole blocks, B's panels, and what is added.
typedef struct {
    const float *a, *b, *bias, *residual;
    size_t rows, k, blocks, group_rows;
} product;

// Rows are `pitch` words apart: 16, or 8 in bf16.
static float *multiply(void (*gemm)(const hw_gemm_arguments *), product p, size_t pitch, size_t first, size_t rows) {
    float *c = take(p.blocks * rows * HW_BLOCK);
    const size_t whole_blocks = (p.k + HW_BLOCK - 1) / HW_BLOCK;
    gemm(&(hw_gemm_arguments){
        .a = p.a + first * pitch,
        .a_block_stride = p.group_rows * pitch,
        .a_group_stride = whole_blocks * p.group_rows * pitch,
        .group_rows = p.group_rows,
        .b = p.b,
        .b_panel_stride = p.k * pitch,
        .c = c,
        .c_block_stride = rows * HW_BLOCK,
        .rows = rows,
        .k = p.k,
        .blocks = p.blocks,
        .bias = p.bias,
        .residual = p.residual,
        .residual_block_stride = p.rows * HW_BLOCK,
    });
    return c;
}

static product random_product(size_t rows, size_t k, size_t blocks, size_t group_rows) {
    const size_t groups = (rows + group_rows - 1) / group_rows, columns = (k + HW_BLOCK - 1) / HW_BLOCK * HW_BLOCK;
    return (product){
        .a = noise(groups * group_rows * columns, rows),
        .b = noise(blocks * k * HW_BLOCK, k),
        .bias = noise(blocks * HW_BLOCK, 3),
        .residual = noise(blocks * rows * HW_BLOCK, 4),
        .rows = rows,
        .k = k,
        .blocks = blocks,
        .group_rows = group_rows,
    };
}

// A row's bits don't depend on the rows that it is computed with.
static void expect_independent(
    const char *what, void (*gemm)(const hw_gemm_arguments *), product p, size_t pitch) {
    static const size_t ranges[][2] = {{0, 1}, {3, 7}, {5, 19}, {28, 29}, {1, 29}, {4, 20}, {0, 31}, {9, 14}};
    p.bias = p.residual = NULL;
    const float *all = multiply(gemm, p, pitch, 0, p.rows);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const size_t first = ranges[i][0], rows = ranges[i][1] - first;
        const float *part = multiply(gemm, p, pitch, first, rows);
        for (size_t block = 0; block < p.blocks; block++)
            expect_same(
                what, part + block * rows * HW_BLOCK, all + (block * p.rows + first) * HW_BLOCK, rows * HW_BLOCK);
    }
}

void check_products(sets s) {
    static const size_t shapes[][2] = {{16, 1}, {37, 2}, {64, 3}, {MOST_K, MOST_BLOCKS}};
    for (size_t rows = 1; rows < MOST_ROWS; rows++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const product p = random_product(rows, shapes[i][0], shapes[i][1], i % 2 ? rows : (rows + 2) / 3);
            const float *found = multiply(s.kernels->gemm, p, HW_BLOCK, 0, rows);
            const size_t count = p.blocks * rows * HW_BLOCK;
            expect_near("gemm", found, multiply(s.twin->gemm, p, HW_BLOCK, 0, rows), count, 1e-6);
            digest(found, count);
            release();
        }
    expect_independent(
        "gemm by the number of rows", s.kernels->gemm, random_product(MOST_ROWS, 80, 3, MOST_ROWS), HW_BLOCK);
    release();
}

// Rounded as weights are, and as activations are.
static product narrowed(product p, const hw_kernels *twin) {
    const size_t groups = (p.rows + p.group_rows - 1) / p.group_rows, blocks = (p.k + HW_BLOCK - 1) / HW_BLOCK;
    float *a = take(groups * p.group_rows * blocks * HW_BLOCK / 2), *b = take(p.blocks * p.k * HW_BLOCK / 2);
    twin->narrow(a, p.a, groups * p.group_rows * blocks);
    hw_narrow_panels(b, p.b, p.blocks * p.k);
    p.a = a;
    p.b = b;
    return p;
}

static void check_narrow(sets s) {
    enum { ROWS = 7, COUNT = ROWS * HW_BLOCK };
    float *source = noise(COUNT, 5);
    for (size_t i = 0; i < COUNT; i++) source[i] *= 1e3f;
    static const float special[] = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, -1 - 0x1p-8f, 0, -0.0f, 0x1p-100f, 1e38f};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) source[i] = special[i];
    float *found = take(COUNT / 2), *expected = take(COUNT / 2);
    s.kernels->narrow(found, source, ROWS);
    s.twin->narrow(expected, source, ROWS);
    expect_same("narrow", found, expected, COUNT / 2);
    s.kernels->narrow(source, source, ROWS);
    expect_same("narrow in place", source, expected, COUNT / 2);
    release();
}

void check_reduced_precision(sets s) {
    static const size_t shapes[][2] = {{16, 1}, {36, 2}, {64, 3}, {MOST_K, MOST_BLOCKS}};
    for (size_t rows = 1; rows < MOST_ROWS; rows++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const product p =
                narrowed(random_product(rows, shapes[i][0], shapes[i][1], i % 2 ? rows : (rows + 2) / 3), s.twin);
            expect_near(
                "gemm_bf16", multiply(s.kernels->gemm_bf16, p, HW_BLOCK / 2, 0, rows),
                multiply(s.twin->gemm_bf16, p, HW_BLOCK / 2, 0, rows), p.blocks * rows * HW_BLOCK, 1e-6);
            release();
        }
    expect_independent(
        "gemm_bf16 by the number of rows", s.kernels->gemm_bf16,
        narrowed(random_product(MOST_ROWS, 80, 3, MOST_ROWS), s.twin), HW_BLOCK / 2);
    release();
    check_narrow(s);

    enum { TILES = 7, GROUP_ROWS = 3, GROUPS = 3, ROW_STRIDE = (TILES * 2 + 2) * HW_BLOCK };
    const float *strip = noise(4 * ROW_STRIDE, 6);
    float *full = take(16 * GROUPS * GROUP_ROWS * HW_BLOCK), *pairs = take(16 * GROUPS * GROUP_ROWS * HW_BLOCK / 2);
    s.kernels->winograd2_input(
        full, GROUPS * GROUP_ROWS * HW_BLOCK, GROUP_ROWS, GROUP_ROWS * HW_BLOCK, 1, strip, ROW_STRIDE, TILES);
    s.kernels->winograd2_input_bf16(
        pairs, GROUPS * GROUP_ROWS * HW_BLOCK / 2, GROUP_ROWS, GROUP_ROWS * HW_BLOCK / 2, 1, strip, ROW_STRIDE, TILES);
    s.twin->narrow(full, full, 16 * GROUPS * GROUP_ROWS);
    expect_same("winograd2_input_bf16", pairs, full, 16 * GROUPS * GROUP_ROWS * HW_BLOCK / 2);
    release();
}
