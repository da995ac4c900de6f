#pragma once

#include "CKernels.h"

// What work costs, a row for each kind of processor; see `hw_costs`. Only ratios count, and only roughly.
//
// x86-64: 32 multiply-adds are two products of AVX-512. AVX2 does half of them, and takes about twice as long to prepare a
// float; a row of its own would hardly change a division.
//
// arm64: 16 multiply-adds are four products of NEON, as a Neoverse V1 or V2 does them. A Neoverse N1 does two and takes twice
// as long to prepare a float, too. Preparing takes what deploy/model-kernels says of activation and of F(4x4)'s input
// transform.
static const hw_costs x86_64_costs = {
    .multiply_adds = 32,
    .weight_bytes = 8,
    .preparation = 0.25,
    .fetching = 2,
    .shared_cache = 32 << 20,
    .prefetch = 2048,
};
static const hw_costs arm64_costs = {
    .multiply_adds = 16,
    .weight_bytes = 8,
    .preparation = 1.5,
    .fetching = 2,
    .shared_cache = 32 << 20,
    .prefetch = 2048,
};
#if defined(__aarch64__)
#define COSTS arm64_costs
#else
#define COSTS x86_64_costs
#endif
