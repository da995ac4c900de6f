// What the decoders share with the probe; no other target sees it.
#pragma once

#include "CImageCodecs.h"

#include <stdbool.h>

/// Orientation 1...8 from a TIFF block as EXIF stores it, of any integer type but BYTE, as Pillow takes it; 1 if it has
/// none or is malformed, as viewers do. The prefix "Exif\0\0" may stand before it: in PNG some writers leave it there.
uint32_t exif_orientation(const uint8_t *exif, size_t count);

bool is_jpeg(const uint8_t *bytes, size_t count);
ImageCodecStatus jpeg_probe(const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure);
ImageCodecStatus jpeg_decode(
    const uint8_t *bytes, size_t count, uint32_t scale_denominator, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure);

bool is_png(const uint8_t *bytes, size_t count);
ImageCodecStatus png_probe(const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure);
ImageCodecStatus png_decode(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels, ImageCodecFailure *failure);

/// Fills `failure` and returns `status`.
ImageCodecStatus codec_fail(ImageCodecFailure *failure, ImageCodecStatus status, size_t offset, const char *message);
