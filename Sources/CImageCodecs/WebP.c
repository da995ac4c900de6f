#include "WebPLossless.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <webp/decode.h>

enum { container_header_size = 12, chunk_header_size = 8, extended_header_size = 10, frame_header_size = 16 };

// The first picture and the canvas on which it stands.
typedef struct {
    uint32_t width, height;
    uint32_t left, top;
    // Of the picture's own chunk, VP8 or VP8L. Alpha of a VP8 stands in another one and isn't needed.
    WebPBitstreamFeatures features;
    ByteRange bitstream;
    bool is_whole;
    // Metadata, if the extended header announces them.
    ByteRange exif, xmp;
} Picture;

static const uint8_t start[] = {'R', 'I', 'F', 'F'};

static bool recognizes(const uint8_t *bytes, size_t count) {
    const ByteRange file = {bytes, count};
    return begins_with(file, start, sizeof start) && count >= container_header_size && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static uint32_t read_24(const uint8_t *at) { return read_little_endian_16(at) | (uint32_t)at[2] << 16; }

typedef struct {
    const uint8_t *type;
    // As much as there is of it, and whether that is all.
    ByteRange content;
    bool is_whole;
} Chunk;

// The chunk at an offset, which then is that of the next one; false at the end.
static bool next_chunk(ByteRange range, size_t *offset, Chunk *chunk) {
    if (*offset > range.count || range.count - *offset < chunk_header_size) return false;
    const uint8_t *at = range.start + *offset;
    const size_t size = read_little_endian_32(at + 4), left = range.count - *offset - chunk_header_size;
    *chunk = (Chunk){at, {at + chunk_header_size, size < left ? size : left}, size <= left};
    *offset += chunk_header_size + size + size % 2;
    return true;
}

static bool is_type(const Chunk *chunk, const char *name) { return memcmp(chunk->type, name, 4) == 0; }

static bool is_bitstream(const Chunk *chunk) { return is_type(chunk, "VP8 ") || is_type(chunk, "VP8L"); }

static ImageCodecStatus fail_reading(VP8StatusCode code, size_t offset, ImageCodecFailure *failure) {
    switch (code) {
        case VP8_STATUS_OK: return ImageCodecStatusOK;
        case VP8_STATUS_NOT_ENOUGH_DATA:
        case VP8_STATUS_SUSPENDED:
            return codec_fail(failure, ImageCodecStatusTruncated, offset, "the file ends within the picture");
        case VP8_STATUS_OUT_OF_MEMORY: return codec_fail(failure, ImageCodecStatusTooLarge, offset, "out of memory");
        case VP8_STATUS_UNSUPPORTED_FEATURE:
            return codec_fail(failure, ImageCodecStatusUnsupported, offset, "a feature that the decoder doesn't know");
        default: return codec_fail(failure, ImageCodecStatusCorrupt, offset, "the picture's data are damaged");
    }
}

static ImageCodecStatus take_bitstream(
    const Chunk *chunk, size_t offset, Picture *picture, ImageCodecFailure *failure) {
    picture->bitstream = (ByteRange){chunk->type, chunk_header_size + chunk->content.count};
    picture->is_whole = chunk->is_whole;
    const VP8StatusCode code = WebPGetFeatures(
        picture->bitstream.start, picture->bitstream.count, &picture->features);
    return fail_reading(code, offset, failure);
}

// An animation's frame: its place, and chunks of its own.
static ImageCodecStatus take_frame(const Chunk *frame, size_t start, Picture *picture, ImageCodecFailure *failure) {
    const ByteRange content = frame->content;
    if (content.count < frame_header_size) {
        return codec_fail(failure, ImageCodecStatusTruncated, start, "the first frame is cut off");
    }
    picture->left = 2 * read_24(content.start);
    picture->top = 2 * read_24(content.start + 3);
    const uint32_t width = read_24(content.start + 6) + 1, height = read_24(content.start + 9) + 1;
    size_t offset = frame_header_size;
    Chunk chunk;
    while (next_chunk(content, &offset, &chunk)) {
        if (!is_bitstream(&chunk)) continue;
        const ImageCodecStatus status = take_bitstream(&chunk, start, picture, failure);
        if (status != ImageCodecStatusOK) return status;
        if ((uint32_t)picture->features.width == width && (uint32_t)picture->features.height == height) return status;
        return codec_fail(failure, ImageCodecStatusCorrupt, start, "the first frame isn't of the size that its header gives");
    }
    return frame->is_whole
        ? codec_fail(failure, ImageCodecStatusCorrupt, start, "the first frame has no picture")
        : codec_fail(failure, ImageCodecStatusTruncated, start, "the first frame is cut off");
}

// Checks that the picture lies on the canvas, and a still one covers it.
static ImageCodecStatus check_place(const Picture *picture, bool is_animated, ImageCodecFailure *failure) {
    const uint32_t width = (uint32_t)picture->features.width, height = (uint32_t)picture->features.height;
    const bool is_inside = picture->left <= picture->width && width <= picture->width - picture->left
        && picture->top <= picture->height && height <= picture->height - picture->top;
    if (is_inside && (is_animated || (width == picture->width && height == picture->height))) return ImageCodecStatusOK;
    return codec_fail(
        failure, ImageCodecStatusCorrupt, container_header_size, "the picture isn't of the size that the header gives");
}

// The file's chunks after the extended header. The first picture counts, and the first metadata of each kind, also after the picture.
static ImageCodecStatus read_chunks(
    ByteRange file, size_t offset, uint8_t flags, Picture *picture, ImageCodecFailure *failure) {
    enum { animation_flag = 0x02, xmp_flag = 0x04, exif_flag = 0x08 };
    const bool is_animated = flags & animation_flag;
    bool needs_exif = flags & exif_flag, needs_xmp = flags & xmp_flag;
    Chunk chunk;
    while (!picture->bitstream.start || needs_exif || needs_xmp) {
        const size_t start = offset;
        if (!next_chunk(file, &offset, &chunk)) break;
        ImageCodecStatus status = ImageCodecStatusOK;
        if (!picture->bitstream.start && (is_animated ? is_type(&chunk, "ANMF") : is_bitstream(&chunk))) {
            status = (is_animated ? take_frame : take_bitstream)(&chunk, start, picture, failure);
        } else if (needs_exif && is_type(&chunk, "EXIF") && chunk.is_whole) {
            picture->exif = chunk.content;
            needs_exif = false;
        } else if (needs_xmp && is_type(&chunk, "XMP ") && chunk.is_whole) {
            picture->xmp = chunk.content;
            needs_xmp = false;
        }
        if (status != ImageCodecStatusOK) return status;
    }
    if (!picture->bitstream.start) {
        return codec_fail(failure, ImageCodecStatusTruncated, file.count, "the file ends before the picture");
    }
    return check_place(picture, is_animated, failure);
}

// The container is walked here rather than by libwebpdemux, which would look at every frame of an animation, and another library.
static ImageCodecStatus read_picture(
    const uint8_t *bytes, size_t count, Picture *picture, ImageCodecFailure *failure) {
    *picture = (Picture){0};
    const uint64_t stated = (uint64_t)read_little_endian_32(bytes + 4) + 8;
    const ByteRange file = {bytes, stated < count ? (size_t)stated : count};
    size_t offset = container_header_size;
    Chunk chunk;
    if (!next_chunk(file, &offset, &chunk)) {
        return codec_fail(failure, ImageCodecStatusTruncated, count, "the file ends before the picture");
    }
    if (is_bitstream(&chunk)) {
        const ImageCodecStatus status = take_bitstream(&chunk, container_header_size, picture, failure);
        picture->width = (uint32_t)picture->features.width;
        picture->height = (uint32_t)picture->features.height;
        return status;
    }
    if (!is_type(&chunk, "VP8X")) {
        return codec_fail(failure, ImageCodecStatusCorrupt, container_header_size, "the first chunk is no picture or header");
    }
    if (chunk.content.count < extended_header_size) {
        return codec_fail(failure, ImageCodecStatusTruncated, container_header_size, "the VP8X chunk is cut off");
    }
    picture->width = read_24(chunk.content.start + 4) + 1;
    picture->height = read_24(chunk.content.start + 7) + 1;
    return read_chunks(file, offset, chunk.content.start[0], picture, failure);
}

static uint32_t orientation_of(const Picture *picture) {
    const ByteRange exif = without_exif_prefix(without_exif_prefix(picture->exif));
    const uint32_t stated = exif_orientation(exif);
    if (stated != orientation_unstated) return stated;
    const uint32_t edited = xmp_orientation(picture->xmp);
    return edited == orientation_unstated ? orientation_upright : edited;
}

static ImageCodecStatus probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    Picture picture;
    const ImageCodecStatus status = read_picture(bytes, count, &picture, failure);
    if (status != ImageCodecStatusOK) return status;
    *header = (ImageCodecHeader){
        .width = picture.width, .height = picture.height, .channels = picture.features.has_alpha ? 4 : 3,
        .orientation = orientation_of(&picture)};
    return ImageCodecStatusOK;
}

// The codes of a lossless picture take memory that its size doesn't bound: a file of 164 KB may have 65536 groups, 1.3 GB. The
// reference encoder writes at most 2600.
static ImageCodecStatus check_codes(const Picture *picture, size_t offset, ImageCodecFailure *failure) {
    enum { largest_group_count = 4096 };
    if (memcmp(picture->bitstream.start, "VP8L", 4) != 0) return ImageCodecStatusOK;
    const ByteRange content = {
        picture->bitstream.start + chunk_header_size, picture->bitstream.count - chunk_header_size};
    uint64_t count;
    if (!webp_lossless_code_groups(content, &count)) return fail_reading(VP8_STATUS_BITSTREAM_ERROR, offset, failure);
    if (count <= largest_group_count) return ImageCodecStatusOK;
    char message[sizeof failure->message];
    snprintf(
        message, sizeof message, "%" PRIu64 " blocks of pixels with codes of their own; the limit is %d", count,
        largest_group_count);
    return codec_fail(failure, ImageCodecStatusTooLarge, offset, message);
}

static ImageCodecStatus decode(
    const uint8_t *bytes, size_t count, uint32_t, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Picture picture;
    const ImageCodecStatus status = read_picture(bytes, count, &picture, failure);
    if (status != ImageCodecStatusOK) return status;
    if (picture.width != width || picture.height != height) {
        return codec_fail(failure, ImageCodecStatusCorrupt, 0, "the size differs from the header's");
    }
    // libwebp doesn't notice if the last few bytes are missing.
    if (!picture.is_whole) return fail_reading(VP8_STATUS_NOT_ENOUGH_DATA, count, failure);
    const size_t offset = (size_t)(picture.bitstream.start - bytes);
    const ImageCodecStatus codes = check_codes(&picture, offset, failure);
    if (codes != ImageCodecStatusOK) return codes;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) {
        return codec_fail(failure, ImageCodecStatusUnsupported, 0, "libwebp's version differs from the one that this program was built with");
    }
    const size_t stride = (size_t)width * 3, size = stride * height;
    const size_t place = picture.top * stride + picture.left * 3;
    // Around an animation's first frame, Pillow's canvas is transparent black.
    if ((uint32_t)picture.features.width < width || (uint32_t)picture.features.height < height) memset(pixels, 0, size);
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){pixels + place, (int)stride, size - place};
    const VP8StatusCode code = WebPDecode(picture.bitstream.start, picture.bitstream.count, &config);
    WebPFreeDecBuffer(&config.output);
    return fail_reading(code, offset, failure);
}

static void write_version(char *text, size_t size) {
    const unsigned version = (unsigned)WebPGetDecoderVersion();
    snprintf(text, size, "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
}

const ImageCodec webp_codec = {
    .name = "WebP", .media_type = "image/webp", .suffixes = "webp", .start = {start, sizeof start}, .largest_denominator = 1,
    .recognizes = recognizes, .probe = probe, .decode = decode, .library = {"libwebp", write_version}};
