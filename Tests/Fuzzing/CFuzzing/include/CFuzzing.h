// What the fuzzing harnesses need of C.
#pragma once

#include <stddef.h>
#include <stdint.h>

// libFuzzer's driver (compiler-rt, FuzzerDriver.cpp): runs `test` on inputs as the arguments say and returns the exit status.
int LLVMFuzzerRunDriver(int *argument_count, char ***arguments, int (*test)(const uint8_t *bytes, size_t count));

// A descriptor of a new regular file that lies in memory; -1 on failure.
int make_memory_file(void);
