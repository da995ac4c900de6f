#pragma once
#include <cblas.h>
#include <stddef.h>

/// LAPACK's eigenvalues and eigenvectors of a symmetric matrix. OpenBLAS has it, but cblas.h doesn't declare it. The last two
/// arguments are the lengths of the texts, which Fortran passes so.
void dsyevd_(
    const char *jobz, const char *uplo, const blasint *n, double *a, const blasint *lda, double *w, double *work,
    const blasint *lwork, blasint *iwork, const blasint *liwork, blasint *info, size_t jobz_length, size_t uplo_length);
