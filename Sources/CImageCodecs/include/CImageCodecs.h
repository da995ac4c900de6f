#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// How a call ended. Everything but ok comes with a filled ImageCodecFailure.
typedef enum __attribute__((enum_extensibility(open))) : int32_t {
    ImageCodecStatusOK = 0,
    /// The bytes are of no format in the table.
    ImageCodecStatusUnrecognised,
    /// The bytes end before the image does.
    ImageCodecStatusTruncated,
    /// The bytes contradict the format.
    ImageCodecStatusCorrupt,
    /// A valid file of a kind that is not decoded, such as a JPEG of 12 bits a sample or of lossless coding.
    ImageCodecStatusUnsupported,
    /// Width or height is zero.
    ImageCodecStatusEmpty,
    /// Decoding would take more memory, scans or compressed data than an image of this size may.
    ImageCodecStatusTooLarge,
} ImageCodecStatus;

/// The header of an encoded image.
typedef struct {
    /// The format's place in the table of codecs.
    size_t format;
    /// Stored width and height in pixels, before the orientation is applied.
    uint32_t width, height;
    /// Stored channels: 1 gray or palette, 2 gray and alpha, 3 colour, 4 colour and alpha or CMYK.
    uint32_t channels;
    /// Orientation 1...8 as EXIF numbers them, from EXIF or else XMP metadata; 1 if the file states none.
    uint32_t orientation;
} ImageCodecHeader;

/// Why a call failed: the library's message, NUL-terminated, and the offset in the bytes that reading had reached.
typedef struct {
    size_t offset;
    char message[192];
} ImageCodecFailure;

/// A format that is decoded: a row of the table in CImageCodecs.c.
///
/// A new format is one C file that defines its row, and the row's name in that table. What the program says of formats, such as
/// the media types that it accepts, follows from the rows.
typedef struct {
    /// The name for messages, such as "JPEG".
    const char *name;
    /// The media type, such as "image/jpeg".
    const char *media_type;
    /// The endings of file names, in lower case and separated by spaces, the most usual one first.
    const char *suffixes;
    /// The bytes that every file begins with, up to the first zero or line break, which some clients strip. Empty if they are
    /// too few to tell the format from text.
    struct {
        const uint8_t *bytes;
        size_t count;
    } start;
    /// The largest denominator of the fraction of its size at which an image decodes: 8, or 1 if only whole images do.
    uint32_t largest_denominator;
    /// Whether it is decoded only if asked for, because its decoder is large.
    bool is_on_demand;
    /// Why it can't be decoded, such as a missing library, in a sentence for the operator; null if it can. No function if it
    /// always can.
    const char *(*find_unavailability)(void);
    /// Whether the bytes begin as a file of this format does.
    bool (*recognizes)(const uint8_t *bytes, size_t count);
    /// As `image_codec_probe`, for bytes that are recognised; `format` is the caller's to set.
    ImageCodecStatus (*probe)(
        const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure);
    /// As `image_codec_decode`, for bytes that are recognised and a denominator up to the largest.
    ImageCodecStatus (*decode)(
        const uint8_t *bytes, size_t count, uint32_t scale_denominator, uint32_t width, uint32_t height, uint8_t *pixels,
        ImageCodecFailure *failure);
    /// The library that decodes it, by name and version; without a name if none does.
    struct {
        const char *name;
        void (*write_version)(char *text, size_t size);
    } library;
} ImageCodec;

/// The codec at a place of the table; null past its end.
const ImageCodec *image_codec(size_t format);

/// The place in the table of the format that the bytes begin as; one past its end if they are of none.
size_t image_codec_recognize(const uint8_t *bytes, size_t count);

/// Reads the header without allocating anything that grows with the pixels.
ImageCodecStatus image_codec_probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure);

/// Decodes to RGB, 8 bits a channel, laid out [height][width][3], as Pillow's `convert("RGB")` gives it: CMYK and YCCK
/// taken as inverted, alpha dropped, 16-bit samples reduced to their high byte, except that 16-bit gray without alpha
/// is clamped to 255. The orientation is not applied.
///
/// Decoding ends with the last pixel, whatever follows, and whether or not anything does.
///
/// `scale_denominator` is a power of two, up to the format's largest one.
/// `width` and `height` are what the caller allocated `pixels` for, ceil(stored / scale_denominator): a file that turns
/// out to have another size is corrupt.
ImageCodecStatus image_codec_decode(
    const uint8_t *bytes, size_t count, uint32_t scale_denominator, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure);

/// Bytes that a PNG file of that size, RGB and 8 bits a channel, takes at most.
size_t image_codec_png_bound(uint32_t width, uint32_t height);

/// Encodes `pixels`, [height][width][3], as a PNG file into `bytes`, of which `*count` may be used and on success were.
/// Width and height are not zero.
ImageCodecStatus image_codec_encode_png(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint8_t *bytes, size_t *count, ImageCodecFailure *failure);

/// Bytes that a JPEG file of that size takes at most, whatever its quality.
size_t image_codec_jpeg_bound(uint32_t width, uint32_t height);

/// Encodes `pixels`, [height][width][3], as a baseline JPEG of `quality` 1...100 with chroma at half the resolution and
/// the standard Huffman tables, into `bytes`, of which `*count` may be used and on success were. Width and height are
/// 1...65500.
ImageCodecStatus image_codec_encode_jpeg(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t quality, uint8_t *bytes, size_t *count,
    ImageCodecFailure *failure);

/// Copies `source`, [height][width][3], to `destination` as EXIF `orientation` 1...8 wants it shown; from 5 on that is
/// [width][height][3].
void image_orient(
    const uint8_t *source, size_t width, size_t height, uint32_t orientation, uint8_t *destination);

/// The source pixels that one resampled pixel is made of.
typedef struct {
    /// The first source pixel and how many follow, itself included.
    int32_t start, count;
} ImageResampleSpan;

/// Fractional bits of the resampling weights: 8 bits of pixel and 2 of headroom for weights above 1 fit above them.
enum { ImageResamplePrecisionBits = 32 - 8 - 2 };

/// Resamples every row: destination[y][x] = sum over i of source[y][span[x].start + i] * weights[x * stride + i].
/// `source` is [rows] rows of `source_row_bytes` bytes, `destination` [rows][outputs][3].
void image_resample_rows(
    const uint8_t *source, size_t source_row_bytes, size_t rows, const ImageResampleSpan *spans, size_t outputs,
    const int32_t *weights, size_t weight_stride, uint8_t *destination);

/// Resamples every column: destination[y] = sum over i of source row (span[y].start + i) * weights[y * stride + i].
/// `source` points to the first of the `row_bytes` bytes wanted of row 0; `destination` is [outputs][row_bytes].
void image_resample_columns(
    const uint8_t *source, size_t source_row_bytes, size_t row_bytes, const ImageResampleSpan *spans, size_t outputs,
    const int32_t *weights, size_t weight_stride, uint8_t *destination);
