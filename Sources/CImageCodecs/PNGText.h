// The text chunks of a PNG that may hold metadata.
#pragma once

#include "Codecs.h"

/// The text of a tEXt, zTXt or iTXt chunk; `text.start` is null if there is none.
typedef struct {
    /// As stored.
    ByteRange text;
    bool is_compressed;
} PNGText;

/// Splits a tEXt chunk's data into keyword and text; false without the zero byte between them.
bool png_read_text(ByteRange data, ByteRange *keyword, PNGText *text);

/// Splits a zTXt chunk's data; false if it is malformed.
bool png_read_compressed_text(ByteRange data, ByteRange *keyword, PNGText *text);

/// Splits an iTXt chunk's data; false if it is malformed.
bool png_read_international_text(ByteRange data, ByteRange *keyword, PNGText *text);

/// A text to read, and the memory to free afterwards, if there is any.
typedef struct {
    ByteRange text;
    uint8_t *memory;
} PNGPlainText;

/// Inflates a text of up to a mebibyte, as Pillow does. There is no text if it can't be inflated or is longer.
PNGPlainText png_plain_text(PNGText text);

/// The bytes of a raw profile, which ImageMagick writes as three lines, name and length on the second and the third, and
/// hexadecimal digits; its `text.start` is null if other characters stand among these.
PNGPlainText png_raw_profile(ByteRange text);
