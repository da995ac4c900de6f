#pragma once

// What the files of NEON's kernels state in common; see vector_kernels.h.

#include <arm_neon.h>

#define TILE_ROWS 5
#define TILE_BLOCKS 1
#define TILE_COLUMNS 4
#define TRANSFORM_LANES 4
