#pragma once

#include <zlib.h>

/// inflateInit2 as a function: Swift can't import the macro.
static inline int inflate_begin(z_stream *stream, int window_bits) { return inflateInit2(stream, window_bits); }

/// deflateInit2 with the usual level, memory and strategy, as a function. For tests: the program compresses nothing.
static inline int deflate_begin(z_stream *stream, int window_bits) {
    return deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
}
