#include "Codecs.h"

#include <stdio.h>
#include <string.h>

bool begins_with(ByteRange range, const void *prefix, size_t count) {
    return range.count >= count && memcmp(range.start, prefix, count) == 0;
}

uint32_t read_big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

uint32_t read_little_endian_16(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8; }

uint32_t read_little_endian_32(const uint8_t *at) {
    return read_little_endian_16(at) | read_little_endian_16(at + 2) << 16;
}

ImageCodecStatus codec_fail(ImageCodecFailure *failure, ImageCodecStatus status, size_t offset, const char *message) {
    failure->offset = offset;
    snprintf(failure->message, sizeof failure->message, "%s", message);
    return status;
}

// Each is defined in the file of its format.
extern const ImageCodec jpeg_codec, png_codec, webp_codec, gif_codec, bmp_codec, tiff_codec, heic_codec, avif_codec;

static const ImageCodec *const codecs[] = {
    &jpeg_codec, &png_codec, &webp_codec, &gif_codec, &bmp_codec, &tiff_codec, &heic_codec, &avif_codec,
};

enum { codec_count = sizeof codecs / sizeof codecs[0] };

const ImageCodec *image_codec(size_t format) { return format < codec_count ? codecs[format] : nullptr; }

size_t image_codec_recognize(const uint8_t *bytes, size_t count) {
    size_t format = 0;
    while (format < codec_count && !codecs[format]->recognizes(bytes, count)) format++;
    return format;
}

static ImageCodecStatus fail_unrecognised(ImageCodecFailure *failure) {
    return codec_fail(failure, ImageCodecStatusUnrecognised, 0, "no known signature");
}

ImageCodecStatus image_codec_probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    const size_t format = image_codec_recognize(bytes, count);
    if (format == codec_count) return fail_unrecognised(failure);
    const ImageCodecStatus status = codecs[format]->probe(bytes, count, header, failure);
    header->format = format;
    return status;
}

ImageCodecStatus image_codec_decode(
    const uint8_t *bytes, size_t count, uint32_t scale_denominator, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    const size_t format = image_codec_recognize(bytes, count);
    if (format == codec_count) return fail_unrecognised(failure);
    const ImageCodec *codec = codecs[format];
    if (scale_denominator > codec->largest_denominator) {
        return codec_fail(failure, ImageCodecStatusUnsupported, 0, "this format doesn't decode at that fraction of its size");
    }
    return codec->decode(bytes, count, scale_denominator, width, height, pixels, failure);
}
