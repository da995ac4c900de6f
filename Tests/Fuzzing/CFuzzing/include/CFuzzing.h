// What the fuzzing harnesses need of C.
#pragma once

#include <stddef.h>
#include <stdint.h>

// libFuzzer's driver (compiler-rt, FuzzerDriver.cpp): runs `test` on inputs as the arguments say and returns the exit status.
int LLVMFuzzerRunDriver(int *argument_count, char ***arguments, int (*test)(const uint8_t *bytes, size_t count));

struct MHD_Connection;

// Calls `body` with a connection of libmicrohttpd whose request has arrived with that Content-Type, which has no line end
// and no NUL. Returns 0 if the library didn't take the request.
int with_connection(
    const char *content_type, void (*body)(void *context, struct MHD_Connection *connection), void *context);

// A descriptor of a new regular file that lies in memory; -1 on failure.
int make_memory_file(void);
