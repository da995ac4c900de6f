// Compares every set of kernels that this processor runs with the scalar twins, and the sets found with those expected.
//
//     check-kernels [--spoil] [NAME…]
//
// Fails if a comparison does, or if NAMEs are given and the sets are not exactly these. With --spoil one product of every set is
// wrong, which must be found.
//
// Prints for each set a digest of what its kernels in f32 compute. The numbers come from a fixed sequence, so processors whose
// digests are the same have computed the same bits.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static struct {
    const char *set;
    size_t comparisons, failures;
    uint64_t digest;
} run;

static _Alignas(64) float memory[4 << 20];
static size_t taken;

float *take(size_t count) {
    float *start = memory + taken;
    taken += (count + HW_BLOCK - 1) / HW_BLOCK * HW_BLOCK;
    if (taken > sizeof memory / sizeof *memory) {
        fprintf(stderr, "a check takes more memory than there is: enlarge `memory`\n");
        exit(2);
    }
    memset(start, 0, count * sizeof *start);
    return start;
}

void release(void) { taken = 0; }

// SplitMix64 (Steele et al. 2014).
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

float *noise(size_t count, uint64_t seed) {
    float *values = take(count);
    for (size_t i = 0; i < count; i++) values[i] = (float)(next(&seed) >> 40) * 0x1p-23f - 1;
    return values;
}

float *copy(const float *source, size_t count) { return memcpy(take(count), source, count * sizeof *source); }

static void fail(const char *what, size_t i, double found, double expected) {
    if (run.failures++ < 10)
        printf("kernels %s: %s: number %zu is %.9g, expected %.9g\n", run.set, what, i, found, expected);
}

void expect_near(const char *function, const float *found, const float *expected, size_t count, double bound) {
    double magnitude = 0;
    for (size_t i = 0; i < count; i++) magnitude = fmax(magnitude, fabs(expected[i]));
    run.comparisons++;
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)found[i] - expected[i]) <= bound * magnitude)) {
            fail(function, i, found[i], expected[i]);
            return;
        }
}

void expect_same(const char *what, const float *found, const float *expected, size_t count) {
    run.comparisons++;
    for (size_t i = 0; i < count; i++)
        if (memcmp(found + i, expected + i, sizeof *found) != 0) {
            fail(what, i, found[i], expected[i]);
            return;
        }
}

// FNV-1a.
void digest(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        run.digest = (run.digest ^ bits) * 0x100000001b3;
    }
}

static void (*right_gemm)(const hw_gemm_arguments *);

static void wrong_gemm(const hw_gemm_arguments *g) {
    right_gemm(g);
    g->c[0] += 1e-4f;
}

static void check(const hw_kernels *kernels, bool spoils) {
    run = (typeof(run)){.set = kernels->name, .digest = 0xcbf29ce484222325};
    hw_kernels checked = *kernels;
    if (spoils) {
        right_gemm = kernels->gemm;
        checked.gemm = wrong_gemm;
    }
    const sets s = {&checked, hw_kernels_named("scalar")};
    check_products(s);
    check_winograd(s);
    check_elementwise(s);
    check_gradients(s);
    const uint64_t digest = run.digest;
    if (kernels->gemm_bf16) check_reduced_precision(s);
    printf(
        "kernels %s: %zu comparisons, %zu failures, digest %016llx\n", run.set, run.comparisons, run.failures,
        (unsigned long long)digest);
}

int main(int count, char **names) {
    const bool spoils = count > 1 && strcmp(names[1], "--spoil") == 0;
    if (spoils) names++, count--;
    size_t failures = 0, found = 0;
    for (const hw_kernels *kernels; (kernels = hw_kernels_at(found)); found++) {
        if (count > 1 && (found + 1 >= (size_t)count || strcmp(names[found + 1], kernels->name) != 0)) {
            printf("this processor has kernels %s, which were not expected\n", kernels->name);
            failures++;
        }
        check(kernels, spoils);
        failures += run.failures;
    }
    for (size_t i = found + 1; i < (size_t)count; i++) {
        printf("this processor has no kernels %s\n", names[i]);
        failures++;
    }
    run = (typeof(run)){.set = "of all sets", .digest = 0xcbf29ce484222325};
    check_weights();
    digest_shared();
    printf(
        "kernels %s: %zu comparisons, %zu failures, digest %016llx\n", run.set, run.comparisons, run.failures,
        (unsigned long long)run.digest);
    return failures + run.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
