// What the files of HEIC and AVIF share.
#pragma once

#include "Codecs.h"

/// What decoding the primary picture of a file takes, by its container and its bitstreams.
typedef struct {
    /// The size that the container states for the picture, before it is cropped and turned.
    uint32_t width, height;
    /// Pixels of the largest picture that is decoded or put together on the way, and of all of them.
    uint64_t largest, total;
    /// Where the data of the primary picture begin in the file.
    size_t data_offset;
} HEIFMeasure;

/// Reads the container, and in the bitstreams of every picture that decoding the primary one reaches, the sizes that decoders allocate
/// memory for. What it can't follow is refused, so that no decoder gets bytes that weren't measured.
ImageCodecStatus heif_measure(const uint8_t *bytes, size_t count, HEIFMeasure *measure, ImageCodecFailure *failure);

/// Pixels of all pictures in a coded image item, by the content of its configuration box and its data. Null if that can be told,
/// or else why it can't.
const char *hevc_pixels(ByteRange configuration, ByteRange data, uint64_t *pixels);
const char *av1_pixels(ByteRange configuration, ByteRange data, uint64_t *pixels);
