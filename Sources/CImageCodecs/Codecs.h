// What the files of this target share; no other target sees it.
#pragma once

#include "CImageCodecs.h"

/// Bytes within a file or a buffer; `start` is null where there are none at all.
typedef struct {
    const uint8_t *start;
    size_t count;
} ByteRange;

/// Where metadata may state an orientation, and what it states. Metadata that says nothing leaves it to the next source.
enum { orientation_unstated = 0, orientation_upright = 1, orientation_last = 8 };

/// The orientation in a TIFF block as EXIF stores it, read as Pillow 13's `Exif` reads it: 1...8, or `orientation_unstated`
/// if the block has no such entry. A block that is no TIFF, or an entry of another value, states an upright image.
uint32_t exif_orientation(ByteRange exif);

/// The bytes behind "Exif\0\0", which stands before a TIFF block in JPEG, and in PNG where writers leave it there; all of
/// them without that prefix.
ByteRange without_exif_prefix(ByteRange exif);

/// The orientation in XMP metadata: the first `tiff:Orientation` as an attribute or element with a digit, as Pillow 13
/// looks for it; `orientation_unstated` without one.
uint32_t xmp_orientation(ByteRange xmp);

/// Whether `range` begins with the `count` bytes at `prefix`.
bool begins_with(ByteRange range, const void *prefix, size_t count);

/// The kind of JPEG that libjpeg-turbo may not decode, in words, by the first frame header; null for baseline, extended
/// and progressive files with Huffman coding, and for bytes without a frame header before the first scan.
const char *jpeg_foreign_process(const uint8_t *bytes, size_t count);

enum { png_signature_size = 8 };

/// The orientation that a PNG's chunks state, from the chunk behind the signature on; 1...8.
uint32_t png_orientation(const uint8_t *bytes, size_t count);

/// A number of four bytes, the highest first.
uint32_t read_big_endian(const uint8_t *at);

/// Fills `failure` and returns `status`.
ImageCodecStatus codec_fail(ImageCodecFailure *failure, ImageCodecStatus status, size_t offset, const char *message);
