#pragma once
#include <stddef.h>

/// The bytes of a file of the folder `page`, compiled into the binary, and their number in `*length`; NULL if there is none
/// of that name.
const unsigned char *playground_file(const char *name, size_t *length);
