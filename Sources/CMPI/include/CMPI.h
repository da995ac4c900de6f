#pragma once

#include <stdbool.h>
#include <stddef.h>

/// Whether the program was built with Open MPI's headers.
///
/// The binary doesn't link with Open MPI, because it brings six more libraries and dozens of plugins, which only a run on several
/// machines uses, and because it then runs where Open MPI isn't installed. The headers are needed all the same: they say what
/// the library's handles are, which differ among implementations of MPI.
extern const bool mpi_is_supported;

/// Loads Open MPI and joins the processes that mpirun started together with this one; to be called once.
///
/// An error of a later call ends all of them, which is Open MPI's default.
///
/// - Returns: null, or what went wrong.
const char *_Nullable mpi_join(int *_Nonnull rank, int *_Nonnull count);

/// Sends the r-th piece of `source` to rank r, and puts what rank r sends to this process into the r-th piece of `target`.
void mpi_exchange(const void *_Nonnull source, void *_Nonnull target, int pieceBytes);

/// Puts what rank r has in `source` into the r-th piece of `target`, on every rank.
void mpi_gather(const void *_Nonnull source, void *_Nonnull target, int pieceBytes);

/// Leaves. A process that ends without it ends all of them.
void mpi_leave(void);
