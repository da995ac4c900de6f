#pragma once
#include <stddef.h>

/// The bytes of playground.html, compiled into the binary, and their number in `*length`.
const unsigned char *playground_page(size_t *length);
