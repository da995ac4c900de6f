#pragma once
#include <stdbool.h>
#include <stddef.h>
// Swift's Glibc module leaves this header out.
#include <malloc.h>

/// Processors in this process's affinity mask, at least 1.
size_t machine_processors(void);

/// Writes the numbers of up to `capacity` processors of this process's affinity mask in ascending order; returns how many.
size_t machine_processor_numbers(int *numbers, size_t capacity);

/// Lets the calling thread run on these processors only; false if the kernel refuses.
bool machine_restrict_thread(const int *numbers, size_t count);
