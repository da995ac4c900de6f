#include "Codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

enum { chunk_overhead = 12, header_size = 13 };

typedef struct {
    const uint8_t *bytes;
    size_t count, offset;
    // Where reading must end for now; at most `count`.
    size_t limit;
    // Rows of all passes that libpng has not delivered yet.
    uint64_t missing_rows;
    // Whether samples are 16-bit gray, to be clamped.
    bool clamps;
    ImageCodecStatus status;
    ImageCodecFailure *failure;
} Source;

static const uint8_t signature[png_signature_size] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static bool recognizes(const uint8_t *bytes, size_t count) {
    return begins_with((ByteRange){bytes, count}, signature, sizeof signature);
}

static uint32_t channels_of(uint8_t color_type) {
    switch (color_type) {
        case PNG_COLOR_TYPE_GRAY_ALPHA: return 2;
        case PNG_COLOR_TYPE_RGB: return 3;
        case PNG_COLOR_TYPE_RGB_ALPHA: return 4;
        default: return 1;
    }
}

// The chunks are walked here rather than by libpng, which would inflate metadata and could not see an eXIf chunk behind
// the pixels without decoding them. Checksums are left to the decoding.
static ImageCodecStatus probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    const uint8_t *ihdr = bytes + png_signature_size + 8;
    if (count < png_signature_size + chunk_overhead + header_size) {
        return codec_fail(failure, ImageCodecStatusTruncated, count, "the IHDR chunk is cut off");
    }
    if (memcmp(ihdr - 4, "IHDR", 4) != 0 || read_big_endian(ihdr - 8) != header_size) {
        return codec_fail(failure, ImageCodecStatusCorrupt, png_signature_size, "the first chunk is not IHDR");
    }
    *header = (ImageCodecHeader){
        .width = read_big_endian(ihdr), .height = read_big_endian(ihdr + 4),
        .channels = channels_of(ihdr[9]), .orientation = orientation_upright};
    if (header->width == 0 || header->height == 0) {
        return codec_fail(failure, ImageCodecStatusEmpty, png_signature_size, "the IHDR chunk gives a size of zero pixels");
    }
    header->orientation = png_orientation(bytes, count);
    return ImageCodecStatusOK;
}

[[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    Source *source = png_get_error_ptr(png);
    // After the last row, libpng reads to the end of the pixels' stream and chunk. What is missing or left over there costs no
    // pixel; a wrong checksum may.
    const bool is_checksum = strstr(message, "CRC error") != nullptr;
    if (source->missing_rows == 0 && !is_checksum) {
        source->status = ImageCodecStatusOK;
    } else {
        const ImageCodecStatus status = source->status == ImageCodecStatusOK ? ImageCodecStatusCorrupt : source->status;
        source->status = codec_fail(source->failure, status, source->offset, message);
    }
    png_longjmp(png, 1);
}

// libpng warns of what it can ignore without changing a pixel, such as a bad checksum of a comment.
static void ignore_warning(png_structp, png_const_charp) {}

static void read_bytes(png_structp png, png_bytep destination, size_t length) {
    Source *source = png_get_io_ptr(png);
    if (length > source->limit - source->offset && source->limit < source->count) {
        source->status = ImageCodecStatusTooLarge;
        png_error(png, "a row's pixels take too many bytes");
    }
    if (length > source->count - source->offset) {
        source->offset = source->count;
        source->status = ImageCodecStatusTruncated;
        png_error(png, "the file ends within a chunk");
    }
    memcpy(destination, source->bytes + source->offset, length);
    source->offset += length;
}

// On [R, G, B] of 16 bits, big-endian: Pillow's conversion of 16-bit gray clamps, where its 16-bit colour keeps the high
// byte.
static void clamp_to_8_bits(png_row_infop row, png_bytep data) {
    const size_t samples = (size_t)row->width * 3;
    for (size_t i = 0; i < samples; i++) {
        data[i] = data[2 * i] ? 255 : data[2 * i + 1];
    }
    row->bit_depth = 8;
    row->pixel_depth = 24;
    row->rowbytes = samples;
}

// Runs after libpng's own transformations, just before the row is copied to where the caller wants it.
static void receive_row(png_structp png, png_row_infop row, png_bytep data) {
    Source *source = png_get_io_ptr(png);
    source->missing_rows--;
    if (source->clamps) clamp_to_8_bits(row, data);
}

static void set_limits(png_structp png, uint32_t width, uint32_t height) {
    png_set_user_limits(png, width, height);
    png_set_chunk_cache_max(png, 64);
    png_set_chunk_malloc_max(png, 1 << 20);
    // No metadata is inflated: a negative count stands for every chunk that changes no pixel.
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
}

static void request_rgb8(png_structp png, png_infop info) {
    const int color_type = png_get_color_type(png, info), bit_depth = png_get_bit_depth(png, info);
    if (color_type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (color_type == PNG_COLOR_TYPE_GRAY && bit_depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (color_type == PNG_COLOR_TYPE_GRAY && bit_depth == 16) {
        Source *source = png_get_io_ptr(png);
        source->clamps = true;
        png_set_user_transform_info(png, nullptr, 8, 3);
    } else if (bit_depth == 16) {
        png_set_strip_16(png);
    }
    png_set_read_user_transform_fn(png, receive_row);
    png_set_strip_alpha(png);
    if ((color_type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png);
}

static uint64_t rows_of_all_passes(uint32_t width, uint32_t height, bool interlaced) {
    if (!interlaced) return height;
    uint64_t rows = 0;
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++) {
        if (PNG_PASS_COLS(width, pass) > 0) rows += PNG_PASS_ROWS(height, pass);
    }
    return rows;
}

// Limits what is read from here on to what a row can take: deflate's codes have at most 15 bits, so no byte of pixels costs more
// than two, and the rest is for tables, checksums and the headers of chunks. With the last row, libpng inflates all that follows
// in the stream only to drop it, which may be a thousand times as long as the file. The limit ends that; every row is there by
// then.
static void limit_to_row(Source *source, size_t row_bytes) {
    enum { filter_size = 1, overhead = 64 << 10 };
    const size_t allowed = 2 * (filter_size + row_bytes) + overhead, left = source->count - source->offset;
    source->limit = source->offset + (allowed < left ? allowed : left);
}

static void read_pixels(png_structp png, png_infop info, uint32_t width, uint32_t height, uint8_t *pixels) {
    Source *source = png_get_io_ptr(png);
    set_limits(png, width, height);
    png_read_info(png, info);
    const size_t stored_row_bytes = png_get_rowbytes(png, info);
    request_rgb8(png, info);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const size_t row_bytes = (size_t)width * 3;
    if (png_get_image_width(png, info) != width || png_get_image_height(png, info) != height
        || png_get_rowbytes(png, info) != row_bytes) {
        png_error(png, "the size differs from the header's");
    }
    source->missing_rows = rows_of_all_passes(width, height, passes > 1);
    for (int pass = 0; pass < passes; pass++) {
        for (uint32_t y = 0; y < height; y++) {
            limit_to_row(source, stored_row_bytes);
            png_read_row(png, pixels + y * row_bytes, nullptr);
        }
    }
}

static ImageCodecStatus decode(
    const uint8_t *bytes, size_t count, uint32_t, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Source source = {
        .bytes = bytes, .count = count, .limit = count, .missing_rows = UINT64_MAX, .failure = failure};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, on_error, ignore_warning);
    png_infop info = png ? png_create_info_struct(png) : nullptr;
    if (!info) {
        png_destroy_read_struct(&png, nullptr, nullptr);
        return codec_fail(failure, ImageCodecStatusTooLarge, 0, "out of memory");
    }
    png_set_read_fn(png, &source, read_bytes);
    if (setjmp(png_jmpbuf(png)) == 0) read_pixels(png, info, width, height, pixels);
    png_destroy_read_struct(&png, &info, nullptr);
    return source.status;
}

static void write_version(char *text, size_t size) { snprintf(text, size, "%s", png_get_libpng_ver(nullptr)); }

const ImageCodec png_codec = {
    .name = "PNG", .media_type = "image/png", .suffixes = "png", .start = {signature, 4}, .largest_denominator = 1,
    .recognizes = recognizes, .probe = probe, .decode = decode, .library = {"libpng", write_version}};

static png_image description_of(uint32_t width, uint32_t height) {
    return (png_image){.version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB};
}

size_t image_codec_png_bound(uint32_t width, uint32_t height) {
    const png_image image = description_of(width, height);
    return PNG_IMAGE_PNG_SIZE_MAX(image);
}

ImageCodecStatus image_codec_encode_png(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint8_t *bytes, size_t *count, ImageCodecFailure *failure) {
    png_image image = description_of(width, height);
    // What is encoded here is small and looked at once, so speed matters more than size.
    image.flags = PNG_IMAGE_FLAG_FAST;
    png_alloc_size_t size = *count;
    if (!png_image_write_to_memory(&image, bytes, &size, 0, pixels, 0, nullptr)) {
        return codec_fail(failure, ImageCodecStatusTooLarge, 0, image.message);
    }
    *count = size;
    return ImageCodecStatusOK;
}
