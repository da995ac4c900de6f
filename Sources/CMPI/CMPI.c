#include "CMPI.h"

#include <dlfcn.h>

#if __has_include(<mpi/mpi.h>)
#include <mpi/mpi.h>
#elif __has_include(<mpi.h>)
#include <mpi.h>
#endif

#ifdef OPEN_MPI

const bool mpi_is_supported = true;

#define FUNCTIONS(FUNCTION) \
    FUNCTION(MPI_Init_thread) \
    FUNCTION(MPI_Comm_rank) \
    FUNCTION(MPI_Comm_size) \
    FUNCTION(MPI_Alltoall) \
    FUNCTION(MPI_Allgather) \
    FUNCTION(MPI_Finalize)

#define MEMBER(name) __typeof__(&name) name;
static struct {
    FUNCTIONS(MEMBER)
    MPI_Comm world;
    MPI_Datatype byte;
} library;
#undef MEMBER

const char *mpi_join(int *rank, int *count) {
    // The interface since version 3.0. Global, because Open MPI's plugins expect the library's symbols.
    void *const handle = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
    if (!handle) return dlerror();
#define LOAD(name) \
    if (!((*(void **)&library.name) = dlsym(handle, #name))) return dlerror();
    FUNCTIONS(LOAD)
#undef LOAD
    // What the macros MPI_COMM_WORLD and MPI_BYTE are the addresses of.
    if (!(library.world = dlsym(handle, "ompi_mpi_comm_world"))) return dlerror();
    if (!(library.byte = dlsym(handle, "ompi_mpi_byte"))) return dlerror();
    int provided;
    // One call at a time, but not always from the same thread.
    library.MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    if (provided < MPI_THREAD_SERIALIZED) return "this build of Open MPI doesn't support threads";
    library.MPI_Comm_rank(library.world, rank);
    library.MPI_Comm_size(library.world, count);
    return NULL;
}

void mpi_exchange(const void *source, void *target, int pieceBytes) {
    library.MPI_Alltoall(source, pieceBytes, library.byte, target, pieceBytes, library.byte, library.world);
}

void mpi_gather(const void *source, void *target, int pieceBytes) {
    library.MPI_Allgather(source, pieceBytes, library.byte, target, pieceBytes, library.byte, library.world);
}

void mpi_leave(void) { library.MPI_Finalize(); }

#else

const bool mpi_is_supported = false;

// The program refuses to start among other processes before it calls any of these.
const char *mpi_join(int *rank, int *count) {
    *rank = 0;
    *count = 1;
    return "built without Open MPI";
}

void mpi_exchange(const void *source, void *target, int pieceBytes) {
    (void)source, (void)target, (void)pieceBytes;
    __builtin_trap();
}

void mpi_gather(const void *source, void *target, int pieceBytes) { mpi_exchange(source, target, pieceBytes); }

void mpi_leave(void) { __builtin_trap(); }

#endif
