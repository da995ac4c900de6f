// The matrix products of the vector kernels; part of vector_kernels.h, which includes it.

INLINE vector multiply_add(vector a, vector b, vector c, const bool pairs) {
#ifdef DOT_PAIRS
    if (pairs) return DOT_PAIRS(c, a, b);
#else
    (void)pairs;
#endif
    return fma16(a, b, c);
}

// Adds the products of a column of A and a row of the panels at `b`; fetches what lies at `ahead`. Row r's factor is
// lane `column` of loaded[r], or a[r*pitch + column] where nothing is loaded. Each is spread over a vector no sooner than it is
// needed, which leaves the registers to the sums.
INLINE void add_products(
    vector sums[][TILE_BLOCKS], const float *a, const size_t pitch, const factors *loaded, const size_t column,
    const float *b, const size_t panel, const float *ahead, const int rows, const int blocks, const bool pairs) {
    vector weights[TILE_BLOCKS];
#pragma clang loop unroll(full)
    for (int j = 0; j < blocks; j++) {
        weights[j] = load(b + (size_t)j * panel);
        __builtin_prefetch(ahead + (size_t)j * panel, 0, 3);
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        vector x = loaded ? (vector)loaded[r][column] : (vector)a[r * pitch + column];
#pragma clang loop unroll(full)
        for (int j = 0; j < blocks; j++) sums[r][j] = multiply_add(x, weights[j], sums[r][j], pairs);
    }
}

// One register tile: `rows` x `blocks` accumulators, k ascending. Always inlined with constant sizes. A matrix of bf16 is
// one of half as many columns, each a pair in 32 bits. While it reads a row of the panels, it fetches what lies at `ahead`, for
// block j `j*b_panel_stride` further, and goes `ahead_step` further.
INLINE void micro_kernel(
    const hw_gemm_arguments *g, const float *a, const float *b, float *c, const float *bias, const float *residual,
    const float *ahead, const size_t ahead_step, const int rows, const int blocks, const bool pairs) {
#ifdef PAIRS_TILE
    if (pairs) {
        PAIRS_TILE(g, a, b, c, bias, residual, ahead, ahead_step, rows);
        return;
    }
#endif
    const size_t pitch = pairs ? HW_BLOCK / 2 : HW_BLOCK;
    vector sums[TILE_ROWS][TILE_BLOCKS];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int j = 0; j < blocks; j++) sums[r][j] = (vector)0.0f;

    size_t k = pairs ? g->k / 2 : g->k;
    const size_t panel = g->b_panel_stride;
    while (k > 0) {
        size_t count = k < pitch ? k : pitch, i = 0;
#if TILE_COLUMNS > 1
#pragma clang loop unroll(disable)
        for (; i + TILE_COLUMNS <= count; i += TILE_COLUMNS) {
            factors loaded[TILE_ROWS];
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) loaded[r] = load_factors(a + r * pitch + i);
#pragma clang loop unroll(full)
            for (size_t column = 0; column < TILE_COLUMNS; column++) {
                add_products(sums, a, pitch, loaded, column, b, panel, ahead, rows, blocks, pairs);
                ahead += ahead_step;
                b += HW_BLOCK;
            }
        }
#pragma clang loop unroll(disable)
#else
#pragma clang loop unroll_count(4)
#endif
        for (; i < count; i++) {
            add_products(sums, a, pitch, NULL, i, b, panel, ahead, rows, blocks, pairs);
            ahead += ahead_step;
            b += HW_BLOCK;
        }
        a += g->a_block_stride;
        k -= count;
    }

#pragma clang loop unroll(full)
    for (int j = 0; j < blocks; j++) {
        vector offset = bias ? load(bias + j * HW_BLOCK) : (vector)0.0f;
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            vector sum = sums[r][j] + offset;
            if (residual) sum += load(residual + (size_t)j * g->residual_block_stride + r * HW_BLOCK);
            store(c + (size_t)j * g->c_block_stride + r * HW_BLOCK, sum);
        }
    }
}

typedef void (*micro_kernel_function)(
    const hw_gemm_arguments *, const float *, const float *, float *, const float *, const float *, const float *);

// How many tiles read a panel: ONE or SEVERAL. The value is the step of the prefetch. It is a constant, because a variable step
// needs more registers than there are and costs a third of the speed. If several tiles read a panel, the first FETCHING_TILES
// share the prefetch of the next one. Most matrices in a batch of one, whose weights come from memory, have that many tiles.
enum {
    FETCHING_TILES = TILE_BLOCKS == 2 ? 2 : 3,
    ONE = HW_BLOCK,
    SEVERAL = (HW_BLOCK + FETCHING_TILES - 1) / FETCHING_TILES,
};

// The micro-kernels of a family, FLOATS or PAIRS, by their rows: tables micro_kernels_FAMILY_BLOCKS_READERS.
enum { FLOATS = false, PAIRS = true };
#define MICRO_KERNEL(FAMILY, ROWS, BLOCKS, READERS)                                                            \
    static void micro_kernel_##FAMILY##_##ROWS##x##BLOCKS##_##READERS(                                         \
        const hw_gemm_arguments *g, const float *a, const float *b, float *c, const float *bias,               \
        const float *residual, const float *ahead) {                                                           \
        micro_kernel(g, a, b, c, bias, residual, ahead, READERS, ROWS, BLOCKS, FAMILY);                        \
    }
#define NAME(FAMILY, ROWS, BLOCKS, READERS) micro_kernel_##FAMILY##_##ROWS##x##BLOCKS##_##READERS,

#define EACH_OF_5_ROWS(USE, FAMILY, BLOCKS, READERS)                                                           \
    USE(FAMILY, 1, BLOCKS, READERS) USE(FAMILY, 2, BLOCKS, READERS) USE(FAMILY, 3, BLOCKS, READERS)            \
    USE(FAMILY, 4, BLOCKS, READERS) USE(FAMILY, 5, BLOCKS, READERS)
#define EACH_OF_6_ROWS(USE, FAMILY, BLOCKS, READERS)                                                           \
    EACH_OF_5_ROWS(USE, FAMILY, BLOCKS, READERS)                                                               \
    USE(FAMILY, 6, BLOCKS, READERS)
#define EACH_OF_14_ROWS(USE, FAMILY, BLOCKS, READERS)                                                          \
    EACH_OF_6_ROWS(USE, FAMILY, BLOCKS, READERS)                                                               \
    USE(FAMILY, 7, BLOCKS, READERS) USE(FAMILY, 8, BLOCKS, READERS) USE(FAMILY, 9, BLOCKS, READERS)            \
    USE(FAMILY, 10, BLOCKS, READERS) USE(FAMILY, 11, BLOCKS, READERS) USE(FAMILY, 12, BLOCKS, READERS)         \
    USE(FAMILY, 13, BLOCKS, READERS) USE(FAMILY, 14, BLOCKS, READERS)
#define MICRO_KERNELS(FAMILY, EACH_ROWS, BLOCKS, READERS)                                                      \
    EACH_ROWS(MICRO_KERNEL, FAMILY, BLOCKS, READERS)                                                           \
    static const micro_kernel_function micro_kernels_##FAMILY##_##BLOCKS##_##READERS[] = {                     \
        EACH_ROWS(NAME, FAMILY, BLOCKS, READERS)};

#if TILE_ROWS == 14 && TILE_BLOCKS == 2
#define EACH_TILE(FAMILY)                                                                                      \
    MICRO_KERNELS(FAMILY, EACH_OF_14_ROWS, 1, ONE)                                                             \
    MICRO_KERNELS(FAMILY, EACH_OF_14_ROWS, 1, SEVERAL)                                                         \
    MICRO_KERNELS(FAMILY, EACH_OF_14_ROWS, 2, ONE)                                                             \
    MICRO_KERNELS(FAMILY, EACH_OF_14_ROWS, 2, SEVERAL)
EACH_TILE(FLOATS)
#ifdef NARROW
EACH_TILE(PAIRS)
#endif
#elif TILE_ROWS == 6 && TILE_BLOCKS == 1
MICRO_KERNELS(FLOATS, EACH_OF_6_ROWS, 1, ONE)
MICRO_KERNELS(FLOATS, EACH_OF_6_ROWS, 1, SEVERAL)
#elif TILE_ROWS == 5 && TILE_BLOCKS == 1
MICRO_KERNELS(FLOATS, EACH_OF_5_ROWS, 1, ONE)
MICRO_KERNELS(FLOATS, EACH_OF_5_ROWS, 1, SEVERAL)
#ifdef NARROW
MICRO_KERNELS(PAIRS, EACH_OF_6_ROWS, 1, ONE)
MICRO_KERNELS(PAIRS, EACH_OF_6_ROWS, 1, SEVERAL)
#endif
#else
#error "the register tile is 5 or 6 rows of one block or 14 rows of two"
#endif

// Micro-kernels by the blocks that they compute, from 1; null where none compute so many.
typedef struct {
    const micro_kernel_function *of_blocks[2];
} micro_kernels;
#if TILE_BLOCKS == 2
#define KERNELS_FOR(FAMILY, READERS) {{micro_kernels_##FAMILY##_1_##READERS, micro_kernels_##FAMILY##_2_##READERS}}
#else
#define KERNELS_FOR(FAMILY, READERS) {{micro_kernels_##FAMILY##_1_##READERS, NULL}}
#endif

// The micro-kernels for matrices of one kind, and what these matrices look like.
typedef struct {
    micro_kernels of_one_tile;
    micro_kernels of_several;
    size_t tile_rows;
    // Rows that the instruction set multiplies together: a tile has a multiple of them, except the last of a group.
    size_t row_step;
    // Distance from one row of A to the next.
    size_t pitch;
} micro_kernel_family;

// Panels outside, row groups inside: a panel stays in the first-level cache while the rows stream past it.
INLINE void multiply(const hw_gemm_arguments *g, const micro_kernel_family family) {
    const size_t share = g->k * family.pitch / HW_BLOCK * SEVERAL;
    for (size_t nb = 0; nb < g->blocks;) {
        const bool wide = TILE_BLOCKS == 2 && nb + 2 <= g->blocks;
        const float *b = g->b + nb * g->b_panel_stride;
        const float *bias = g->bias ? g->bias + nb * HW_BLOCK : NULL;
        const size_t width = wide ? 2 : 1;
        // After the last panels, prefetch what follows the first panel in memory: with Winograd, the next position's panel.
        const float *next = nb + width < g->blocks ? b + width * g->b_panel_stride : g->b + g->k * family.pitch;
        size_t fetched = 0;
        for (size_t row = 0; row < g->rows;) {
            // A row group longer than a register tile is walked in tiles of about the same height.
            size_t in_group = row % g->group_rows;
            size_t rows = g->group_rows - in_group;
            if (rows > g->rows - row) rows = g->rows - row;
            if (rows > family.tile_rows) {
                size_t tiles = (rows + family.tile_rows - 1) / family.tile_rows * family.row_step;
                rows = (rows + tiles - 1) / tiles * family.row_step;
            }
            const float *a = g->a + row / g->group_rows * g->a_group_stride + in_group * family.pitch;
            float *c = g->c + nb * g->c_block_stride + row * HW_BLOCK;
            const float *residual =
                g->residual ? g->residual + nb * g->residual_block_stride + row * HW_BLOCK : NULL;
            // Panels that one tile reads are fetched far ahead, beyond the page that the processor's own prefetching stops
            // at: batches of one read all weights of small maps from memory. If several tiles read a panel and the first alone
            // fetched the next one, it would wait for memory while the others leave memory idle.
            const bool once = rows == g->rows;
            const micro_kernels *kernels = once ? &family.of_one_tile : &family.of_several;
            const float *ahead = once ? b + COSTS.prefetch : fetched < FETCHING_TILES ? next + fetched * share : b;
            kernels->of_blocks[width - 1][rows - 1](g, a, b, c, bias, residual, ahead);
            fetched++;
            row += rows;
        }
        nb += width;
    }
}

static void gemm(const hw_gemm_arguments *g) {
    multiply(
        g, (micro_kernel_family){
               .of_one_tile = KERNELS_FOR(FLOATS, ONE),
               .of_several = KERNELS_FOR(FLOATS, SEVERAL),
               .tile_rows = TILE_ROWS,
               .row_step = 1,
               .pitch = HW_BLOCK,
           });
}

#ifdef NARROW
#ifdef PAIRS_TILE
enum { PAIRS_ROW_STEP = 2 };
#else
#define PAIRS_TILE_ROWS TILE_ROWS
enum { PAIRS_ROW_STEP = 1 };
#endif

static void gemm_bf16(const hw_gemm_arguments *g) {
    multiply(
        g, (micro_kernel_family){
               .of_one_tile = KERNELS_FOR(PAIRS, ONE),
               .of_several = KERNELS_FOR(PAIRS, SEVERAL),
               .tile_rows = PAIRS_TILE_ROWS,
               .row_step = PAIRS_ROW_STEP,
               .pitch = HW_BLOCK / 2,
           });
}

static void narrow(float *pairs, const float *source, size_t rows) {
    for (size_t i = 0; i < rows * HW_BLOCK; i += TRANSFORM_LANES) NARROW(pairs + i / 2, load_lanes(source + i));
}
#endif
