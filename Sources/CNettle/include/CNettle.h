#pragma once

#include <nettle/base64.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdbool.h>

/// Whether two byte ranges of the same length are equal, in a time that depends on the length only. Nettle names the
/// function through a macro, which Swift can't import.
static inline bool constant_time_equal(const void *a, const void *b, size_t count) {
    return memeql_sec(a, b, count) != 0;
}

/// Characters that `count` bytes have in base64, with padding. Nettle has it as a macro.
static inline size_t base64_encoded_length(size_t count) { return BASE64_ENCODE_RAW_LENGTH(count); }
