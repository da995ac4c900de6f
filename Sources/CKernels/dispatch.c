// Which kernels this processor runs, asked of the processor once at start.

#include "CKernels.h"

#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

extern const hw_kernels hw_scalar_kernels;
#if defined(__x86_64__)
extern const hw_kernels hw_avx2_kernels;
extern const hw_kernels hw_avx512_kernels;
extern const hw_kernels hw_avx512_bf16_kernels;
#elif defined(__aarch64__)
extern const hw_kernels hw_neon_kernels;
extern const hw_kernels hw_neon_bf16_kernels;
#endif

const hw_kernels *hw_kernels_at(size_t i) {
    const hw_kernels *available[4] = {&hw_scalar_kernels};
    size_t count = 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) available[count++] = &hw_avx2_kernels;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        available[count++] = &hw_avx512_kernels;
    if (count == 3 && __builtin_cpu_supports("avx512bf16")) available[count++] = &hw_avx512_bf16_kernels;
#elif defined(__aarch64__)
    // Every aarch64 of Linux has NEON. FEAT_BF16 has both BFDOT and BFMMLA.
    available[count++] = &hw_neon_kernels;
    if (getauxval(AT_HWCAP2) & HWCAP2_BF16) available[count++] = &hw_neon_bf16_kernels;
#endif
    return i < count ? available[i] : NULL;
}

const hw_kernels *hw_kernels_named(const char *name) {
    for (size_t i = 0;; i++) {
        const hw_kernels *kernels = hw_kernels_at(i);
        if (!kernels || strcmp(kernels->name, name) == 0) return kernels;
    }
}

const hw_kernels *hw_kernels_best(void) {
    const hw_kernels *best = hw_kernels_at(0);
    for (size_t i = 1; hw_kernels_at(i); i++) best = hw_kernels_at(i);
    return best;
}
