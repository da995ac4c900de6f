#include "Codecs.h"

#include <stdio.h>
#include <string.h>

bool begins_with(ByteRange range, const void *prefix, size_t count) {
    return range.count >= count && memcmp(range.start, prefix, count) == 0;
}

uint32_t read_big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

ImageCodecStatus codec_fail(ImageCodecFailure *failure, ImageCodecStatus status, size_t offset, const char *message) {
    failure->offset = offset;
    snprintf(failure->message, sizeof failure->message, "%s", message);
    return status;
}

ImageCodecStatus image_codec_probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    if (is_jpeg(bytes, count)) return jpeg_probe(bytes, count, header, failure);
    if (is_png(bytes, count)) return png_probe(bytes, count, header, failure);
    return codec_fail(failure, ImageCodecStatusUnrecognised, 0, "neither the JPEG nor the PNG signature");
}

ImageCodecStatus image_codec_decode(
    const uint8_t *bytes, size_t count, uint32_t scale_denominator, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    if (is_jpeg(bytes, count)) {
        return jpeg_decode(bytes, count, scale_denominator, width, height, pixels, failure);
    }
    if (!is_png(bytes, count)) {
        return codec_fail(failure, ImageCodecStatusUnrecognised, 0, "neither the JPEG nor the PNG signature");
    }
    if (scale_denominator != 1) {
        return codec_fail(failure, ImageCodecStatusUnsupported, 0, "only a JPEG decodes at a fraction of its size");
    }
    return png_decode(bytes, count, width, height, pixels, failure);
}
