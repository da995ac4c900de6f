// Winograd's transforms: grouped tiles, tiles that the image's edge clips, and their transposes.

#include "check.h"

static void check_input(sets s, size_t tile, size_t width) {
    enum { GROUP_ROWS = 3 };
    const size_t positions = (tile + 2) * (tile + 2), tiles = (width + tile - 1) / tile;
    const size_t row_stride = (tiles * tile + 2) * HW_BLOCK;
    const size_t groups = (tiles + 1 + GROUP_ROWS - 1) / GROUP_ROWS;
    const size_t position_stride = groups * GROUP_ROWS * HW_BLOCK;
    const float *strip = noise((tile + 2) * row_stride, width);
    float *results[2];
    for (int i = 0; i < 2; i++) {
        const hw_kernels *kernels = i ? s.twin : s.kernels;
        results[i] = take(positions * position_stride);
        (tile == 4 ? kernels->winograd4_input : kernels->winograd2_input)(
            results[i], position_stride, GROUP_ROWS, GROUP_ROWS * HW_BLOCK, 1, strip, row_stride, tiles);
    }
    expect_near(
        tile == 4 ? "winograd4_input" : "winograd2_input", results[0], results[1], positions * position_stride, 1e-6);
    digest(results[0], positions * position_stride);
    release();
}

static void check_output(sets s, size_t tile, size_t width, size_t rows, bool in_place) {
    const size_t positions = (tile + 2) * (tile + 2), tiles = (width + tile - 1) / tile;
    const float *products = noise(positions * tiles * HW_BLOCK, width), *bias = noise(HW_BLOCK, 2);
    const float *residual = noise(rows * width * HW_BLOCK, rows);
    float *results[2];
    for (int i = 0; i < 2; i++) {
        const hw_kernels *kernels = i ? s.twin : s.kernels;
        results[i] = copy(residual, rows * width * HW_BLOCK);
        (tile == 4 ? kernels->winograd4_output : kernels->winograd2_output)(&(hw_winograd_output_arguments){
            .destination = results[i],
            .products = products,
            .position_stride = tiles * HW_BLOCK,
            .width = width,
            .rows = rows,
            .bias = bias,
            .residual = in_place ? results[i] : NULL,
        });
    }
    expect_near(
        tile == 4 ? "winograd4_output" : "winograd2_output", results[0], results[1], rows * width * HW_BLOCK, 1e-6);
    digest(results[0], rows * width * HW_BLOCK);
    release();
}

static void check_spread(sets s, size_t tile, size_t width, size_t rows) {
    const size_t positions = (tile + 2) * (tile + 2), tiles = (width + tile - 1) / tile;
    const size_t count = positions * tiles * HW_BLOCK;
    const float *source = noise((rows + 1) * width * HW_BLOCK, width);
    float *results[2];
    for (int i = 0; i < 2; i++) {
        const hw_kernels *kernels = i ? s.twin : s.kernels;
        results[i] = take(count);
        (tile == 4 ? kernels->winograd4_spread : kernels->winograd2_spread)(&(hw_winograd_spread_arguments){
            .products = results[i],
            .position_stride = tiles * HW_BLOCK,
            .source = source,
            .width = width,
            .rows = rows,
        });
    }
    expect_near(tile == 4 ? "winograd4_spread" : "winograd2_spread", results[0], results[1], count, 1e-6);
    digest(results[0], count);
    release();
}

void check_winograd(sets s) {
    for (size_t tile = 2; tile <= 4; tile += 2)
        for (size_t width = 1; width <= 13; width++) {
            check_input(s, tile, width);
            for (size_t rows = 0; rows <= tile; rows++) {
                if (rows > 0) check_output(s, tile, width, rows, false);
                if (rows > 0) check_output(s, tile, width, rows, true);
                check_spread(s, tile, width, rows);
            }
        }
}
