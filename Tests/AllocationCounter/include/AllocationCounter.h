#pragma once

#include <stdbool.h>
#include <stdint.h>

/// Starts counting the heap allocations of the calling thread.
void allocation_counter_start(void);

/// Stops, and says how many there were.
int64_t allocation_counter_stop(void);

/// Whether allocations can be counted here: with glibc and without a sanitizer that replaces malloc itself.
bool allocation_counter_is_available(void);
