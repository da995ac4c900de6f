#pragma once

// What the checks of kernels share: numbers to compute with, comparisons, and a digest of all results.

#include "CKernels.h"

/// A set of kernels and its scalar twin.
typedef struct {
    const hw_kernels *kernels;
    const hw_kernels *twin;
} sets;

/// `count` zeros at a multiple of 64 bytes, until `release`.
float *take(size_t count);

/// `count` numbers from -1 to 1, always the same ones for a seed.
float *noise(size_t count, uint64_t seed);

/// A copy of `count` numbers.
float *copy(const float *source, size_t count);

/// Ends the use of all memory that was taken.
void release(void);

/// Reports a failure unless no number differs by more than `bound` times the largest expected magnitude.
void expect_near(const char *function, const float *found, const float *expected, size_t count, double bound);

/// Reports a failure unless all bits are the same.
void expect_same(const char *what, const float *found, const float *expected, size_t count);

/// Adds results to the digest, whose value tells whether two processors compute the same bits.
void digest(const float *values, size_t count);

/// Products in f32 and in bf16.
void check_products(sets s);
void check_reduced_precision(sets s);
/// Winograd's transforms, forward and back.
void check_winograd(sets s);
/// Activation, moments, softmax, transposition.
void check_elementwise(sets s);
/// Backward passes.
void check_gradients(sets s);
/// The transforms of weights, which have no twin: against their definition, and against each other.
void check_weights(void);
/// What all instruction sets share, which has no twin either.
void digest_shared(void);
