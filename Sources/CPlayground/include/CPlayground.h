#pragma once
#include <stddef.h>

/// The bytes of the file `name` in the folder `page`, which are compiled into the binary. `*length` gets their number. NULL if
/// there is no such file.
const unsigned char *playground_file(const char *name, size_t *length);
