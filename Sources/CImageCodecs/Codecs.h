// What the files of this target share; no other target sees it.
#pragma once

#include "CImageCodecs.h"

/// Bytes within a file or a buffer; `start` is null if there are none.
typedef struct {
    const uint8_t *start;
    size_t count;
} ByteRange;

/// An orientation that metadata states. If it states none, the next source of metadata is read.
enum { orientation_unstated = 0, orientation_upright = 1, orientation_last = 8 };

/// The orientation in a TIFF block as EXIF stores it, read as Pillow 13's `Exif` reads it: 1...8, or `orientation_unstated`
/// if the block has no such entry. A block that is no TIFF, or an entry with another value, means an upright image.
uint32_t exif_orientation(ByteRange exif);

/// The width and height in the first directory of a TIFF; false if there are none.
bool tiff_size(ByteRange file, uint32_t *width, uint32_t *height);

/// The bytes after the prefix "Exif\0\0", which a TIFF block has in JPEG and sometimes in PNG; all bytes if there is no prefix.
ByteRange without_exif_prefix(ByteRange exif);

/// The orientation in XMP metadata: the first `tiff:Orientation` as an attribute or element with a digit, as Pillow 13
/// looks for it; `orientation_unstated` without one.
uint32_t xmp_orientation(ByteRange xmp);

/// Whether `range` begins with the `count` bytes at `prefix`.
bool begins_with(ByteRange range, const void *prefix, size_t count);

/// The name of a kind of JPEG that isn't decoded, by the first frame header; null for baseline, extended and progressive files
/// with Huffman coding, and for bytes without a frame header before the first scan.
const char *jpeg_foreign_process(const uint8_t *bytes, size_t count);

enum { png_signature_size = 8 };

/// The orientation that a PNG's chunks state, starting with the chunk after the signature; 1...8.
uint32_t png_orientation(const uint8_t *bytes, size_t count);

/// A number of four bytes, the highest first.
uint32_t read_big_endian(const uint8_t *at);

/// Numbers of two and four bytes, the lowest first.
uint32_t read_little_endian_16(const uint8_t *at);
uint32_t read_little_endian_32(const uint8_t *at);

/// Fills `failure` and returns `status`.
ImageCodecStatus codec_fail(ImageCodecFailure *failure, ImageCodecStatus status, size_t offset, const char *message);
