#pragma once

#include "Codecs.h"

/// The greatest number of groups of prefix codes that a lossless WebP may have: one for each block of pixels that chooses its
/// group. Bitstreams don't state how many groups there are. libwebp allocates up to 20 KB for each that a block chooses, and for
/// a thousand more at most. False if the data before the picture are damaged or cut off.
bool webp_lossless_code_groups(ByteRange bitstream, uint64_t *count);
