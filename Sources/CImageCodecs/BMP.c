// A reader of its own, as Pillow has one: distributions have no library for this format alone, and the readers in SDL, GdkPixbuf and
// ImageMagick bring the rest of these. The format is a header and rows of pixels.
#include "Codecs.h"

#include <string.h>

enum {
    file_header_size = 14, core_header_size = 12, information_header_size = 40, masked_header_size = 52,
    alpha_masked_header_size = 56,
};

typedef enum { raw = 0, run_lengths_8 = 1, run_lengths_4 = 2, bit_fields = 3 } Compression;

// The bits of a pixel that hold its red, green, blue and alpha.
typedef struct { uint32_t red, green, blue, alpha; } Masks;

typedef struct {
    uint32_t width, height;
    uint16_t bits;
    bool is_top_down;
    uint32_t compression;
    Masks masks;
    uint8_t palette[256][3];
    // Where the pixels begin.
    size_t offset;
} Picture;

static bool recognizes(const uint8_t *bytes, size_t count) {
    // Text may begin with BM as well; the size of the second header, of which there are few, tells.
    if (!begins_with((ByteRange){bytes, count}, "BM", 2)) return false;
    if (count < file_header_size + 4) return false;
    switch (read_little_endian_32(bytes + file_header_size)) {
        case 12: case 40: case 52: case 56: case 64: case 108: case 124: return true;
        default: return false;
    }
}

static const Masks colour_masks_16[] = {{0xf800, 0x7e0, 0x1f, 0}, {0x7c00, 0x3e0, 0x1f, 0}};
static const Masks colour_masks_24[] = {{0xff0000, 0xff00, 0xff, 0}};
static const Masks colour_masks_32[] = {
    {0xff0000, 0xff00, 0xff, 0}, {0xff000000, 0xff0000, 0xff00, 0}, {0xff000000, 0xff00, 0xff, 0},
    {0xff000000, 0xff0000, 0xff00, 0xff}, {0xff, 0xff00, 0xff0000, 0xff000000}, {0xff0000, 0xff00, 0xff, 0xff000000},
    {0xff000000, 0xff00, 0xff, 0xff0000},
};

static bool contains(const Masks *known, size_t count, Masks masks) {
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&known[i], &masks, sizeof masks) == 0) return true;
    }
    return false;
}

// Whether masks are among those that Pillow knows. Without any bits, they are the usual ones.
static bool takes(Picture *picture) {
    enum {
        count_16 = sizeof colour_masks_16 / sizeof(Masks), count_24 = sizeof colour_masks_24 / sizeof(Masks),
        count_32 = sizeof colour_masks_32 / sizeof(Masks),
    };
    Masks *masks = &picture->masks;
    switch (picture->bits) {
        case 16: masks->alpha = 0; return contains(colour_masks_16, count_16, *masks);
        case 24: masks->alpha = 0; return contains(colour_masks_24, count_24, *masks);
        case 32:
            if ((masks->red | masks->green | masks->blue | masks->alpha) == 0) *masks = colour_masks_32[0];
            return contains(colour_masks_32, count_32, *masks);
        default: return false;
    }
}

static Masks read_masks(const uint8_t *at, bool has_alpha) {
    return (Masks){
        read_little_endian_32(at), read_little_endian_32(at + 4), read_little_endian_32(at + 8),
        has_alpha ? read_little_endian_32(at + 12) : 0};
}

// As in Pillow, indices beyond the palette's end are black, unless all of it is gray: then they are the gray of their index, or white
// in a bilevel picture.
static void set_palette(Picture *picture, const uint8_t *colours, uint32_t count, size_t stride) {
    const bool is_bilevel = picture->bits == 1 && count <= 2;
    bool is_gray = true;
    for (uint32_t i = 0; i < count; i++, colours += stride) {
        const uint8_t level = (uint8_t)(is_bilevel ? 255 * i : i);
        for (int channel = 0; channel < 3; channel++) {
            picture->palette[i][channel] = colours[2 - channel];
            is_gray = is_gray && colours[channel] == level;
        }
    }
    for (uint32_t i = count; i < 256; i++) {
        memset(picture->palette[i], is_bilevel && is_gray ? 255 : is_gray ? (int)i : 0, 3);
    }
}

static ImageCodecStatus read_information(
    const uint8_t *header, size_t size, Picture *picture, uint32_t *colours, ImageCodecFailure *failure) {
    picture->width = read_little_endian_32(header + 4);
    picture->height = read_little_endian_32(header + 8);
    // Of a picture whose first row is the top one, the height is negative. Pillow tells by the highest byte alone.
    picture->is_top_down = header[11] == 0xff;
    if (picture->is_top_down) picture->height = -picture->height;
    picture->bits = read_little_endian_16(header + 14);
    picture->compression = read_little_endian_32(header + 16);
    *colours = read_little_endian_32(header + 32);
    if (picture->compression > bit_fields) {
        return codec_fail(
            failure, ImageCodecStatusUnsupported, file_header_size + 16, "a compression other than run lengths and bit fields");
    }
    if (picture->compression == bit_fields && size >= masked_header_size) {
        picture->masks = read_masks(header + information_header_size, size >= alpha_masked_header_size);
    }
    return ImageCodecStatusOK;
}

static ImageCodecStatus check_depth(const Picture *picture, ImageCodecFailure *failure) {
    switch (picture->bits) {
        case 1: case 4: case 8:
            if (picture->compression != bit_fields) return ImageCodecStatusOK;
            break;
        case 16: case 24: case 32:
            if (picture->compression == raw || picture->compression == bit_fields) return ImageCodecStatusOK;
            break;
        default:
            return codec_fail(
                failure, ImageCodecStatusUnsupported, file_header_size, "a number of bits other than 1, 4, 8, 16, 24 or 32");
    }
    return codec_fail(
        failure, ImageCodecStatusUnsupported, file_header_size, "a compression that doesn't fit the number of bits per pixel");
}

static ImageCodecStatus fail_at_end(size_t count, const char *message, ImageCodecFailure *failure) {
    return codec_fail(failure, ImageCodecStatusTruncated, count, message);
}

// What stands between the header and the pixels: a palette, or masks after the short header.
static ImageCodecStatus read_colours(
    const uint8_t *bytes, size_t count, size_t offset, size_t stride, uint32_t colours, Picture *picture,
    ImageCodecFailure *failure) {
    const size_t header_end = offset;
    const size_t left = count - offset;
    if (picture->bits <= 8) {
        if (colours == 0) colours = 1u << picture->bits;
        if (colours > 256) return codec_fail(failure, ImageCodecStatusCorrupt, offset, "a palette of more than 256 colours");
        if (colours * stride > left) return fail_at_end(count, "the file ends within the palette", failure);
        set_palette(picture, bytes + offset, colours, stride);
        offset += colours * stride;
    } else if (picture->compression == bit_fields) {
        enum { masks_size = 12 };
        const bool follow = read_little_endian_32(bytes + file_header_size) < masked_header_size;
        if (follow && left < masks_size) return fail_at_end(count, "the file ends within the header", failure);
        if (follow) picture->masks = read_masks(bytes + offset, false);
        offset += follow ? masks_size : 0;
        if (!takes(picture)) return codec_fail(failure, ImageCodecStatusUnsupported, offset, "an unusual order of bit fields");
    } else {
        picture->masks = picture->bits == 16 ? colour_masks_16[1] : colour_masks_32[0];
    }
    // Some programs give the header's end instead of the palette's.
    const bool is_right = picture->offset != 0 && !(picture->bits <= 8 && picture->offset == header_end);
    if (!is_right) picture->offset = offset;
    return ImageCodecStatusOK;
}

static ImageCodecStatus read_picture(
    const uint8_t *bytes, size_t count, Picture *picture, ImageCodecFailure *failure) {
    const uint8_t *header = bytes + file_header_size;
    const size_t size = read_little_endian_32(header);
    if (size > count - file_header_size) return fail_at_end(count, "the file ends within the header", failure);
    *picture = (Picture){.offset = read_little_endian_32(bytes + 10)};
    uint32_t colours = 0;
    const bool is_core = size == core_header_size;
    if (is_core) {
        picture->width = read_little_endian_16(header + 4);
        picture->height = read_little_endian_16(header + 6);
        picture->bits = read_little_endian_16(header + 10);
    } else {
        const ImageCodecStatus status = read_information(header, size, picture, &colours, failure);
        if (status != ImageCodecStatusOK) return status;
    }
    if (picture->width == 0 || picture->height == 0) {
        return codec_fail(failure, ImageCodecStatusEmpty, file_header_size, "the header gives a size of zero pixels");
    }
    const ImageCodecStatus status = check_depth(picture, failure);
    if (status != ImageCodecStatusOK) return status;
    return read_colours(bytes, count, file_header_size + size, is_core ? 3 : 4, colours, picture, failure);
}

static ImageCodecStatus probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    Picture picture;
    const ImageCodecStatus status = read_picture(bytes, count, &picture, failure);
    if (status != ImageCodecStatusOK) return status;
    *header = (ImageCodecHeader){
        .width = picture.width, .height = picture.height,
        .channels = picture.bits <= 8 ? 1 : picture.masks.alpha ? 4 : 3, .orientation = orientation_upright};
    return ImageCodecStatusOK;
}

static uint8_t *row_at(const Picture *picture, uint32_t row, uint8_t *pixels) {
    return pixels + (size_t)(picture->is_top_down ? row : picture->height - 1 - row) * picture->width * 3;
}

// A channel in 8 bits.
static uint8_t channel_of(uint32_t pixel, uint32_t mask) {
    const unsigned shift = (unsigned)__builtin_ctz(mask);
    return (uint8_t)(((pixel & mask) >> shift) * 255 / (mask >> shift));
}

static void convert_row(const Picture *picture, const uint8_t *row, uint8_t *rgb) {
    const unsigned bits = picture->bits;
    for (size_t x = 0; x < picture->width; x++, rgb += 3) {
        if (bits <= 8) {
            const size_t bit = x * bits;
            const unsigned index = row[bit / 8] >> (8 - bits - bit % 8) & ((1u << bits) - 1);
            memcpy(rgb, picture->palette[index], 3);
            continue;
        }
        uint32_t pixel = 0;
        for (unsigned i = 0; i < bits / 8; i++) pixel |= (uint32_t)row[x * (bits / 8) + i] << 8 * i;
        rgb[0] = channel_of(pixel, picture->masks.red);
        rgb[1] = channel_of(pixel, picture->masks.green);
        rgb[2] = channel_of(pixel, picture->masks.blue);
    }
}

static ImageCodecStatus read_rows(
    const uint8_t *bytes, size_t count, const Picture *picture, uint8_t *pixels, ImageCodecFailure *failure) {
    const size_t row_bits = (size_t)picture->width * picture->bits;
    const size_t row_bytes = (row_bits + 7) / 8, stride = (row_bits + 31) / 32 * 4;
    size_t offset = picture->offset;
    for (uint32_t y = 0; y < picture->height; y++, offset += stride) {
        if (offset > count || row_bytes > count - offset) {
            return fail_at_end(count, "the file ends within the picture", failure);
        }
        convert_row(picture, bytes + offset, row_at(picture, y, pixels));
    }
    return ImageCodecStatusOK;
}

// Indices of colours in the order of their rows in the file.
typedef struct {
    const Picture *picture;
    uint8_t *pixels;
    size_t count, capacity;
    // The column that encoded runs may fill up from. Behind literal indices that go on in the next row it is no column.
    size_t x;
} Runs;

static void put(Runs *runs, uint8_t index) {
    const Picture *picture = runs->picture;
    uint8_t *row = row_at(picture, (uint32_t)(runs->count / picture->width), runs->pixels);
    memcpy(row + runs->count % picture->width * 3, picture->palette[index], 3);
    runs->count++;
}

static void put_background(Runs *runs, size_t count) {
    const size_t left = runs->capacity - runs->count;
    for (size_t i = 0; i < (count < left ? count : left); i++) put(runs, 0);
}

// The index at a place of packed indices, two in a byte or one.
static uint8_t index_at(const uint8_t *bytes, size_t place, bool is_packed) {
    if (!is_packed) return bytes[place];
    return place % 2 == 0 ? bytes[place / 2] >> 4 : bytes[place / 2] & 0x0f;
}

// Expands runs as Pillow does: a run ends with its row, literal indices don't.
static ImageCodecStatus read_runs(
    const uint8_t *bytes, size_t count, const Picture *picture, uint8_t *pixels, ImageCodecFailure *failure) {
    enum { end_of_row = 0, end_of_picture = 1, move = 2 };
    const size_t width = picture->width;
    const bool is_packed = picture->compression == run_lengths_4;
    Runs runs = {.picture = picture, .pixels = pixels, .capacity = width * picture->height};
    size_t offset = picture->offset;
    while (runs.count < runs.capacity) {
        if (offset > count || count - offset < 2) return fail_at_end(count, "the file ends within the picture", failure);
        const uint8_t length = bytes[offset], code = bytes[offset + 1];
        offset += 2;
        if (length > 0) {
            const size_t room = runs.x < width ? width - runs.x : 0;
            const size_t used = length < room ? length : room;
            for (size_t i = 0; i < used; i++) put(&runs, is_packed ? index_at(&code, i % 2, true) : code);
            runs.x += used;
        } else if (code == end_of_row) {
            put_background(&runs, (width - runs.count % width) % width);
            runs.x = 0;
        } else if (code == end_of_picture) {
            return codec_fail(failure, ImageCodecStatusCorrupt, offset, "the runs end within the picture");
        } else if (code == move) {
            if (count - offset < 2) return fail_at_end(count, "the file ends within the picture", failure);
            put_background(&runs, bytes[offset] + bytes[offset + 1] * width);
            runs.x = runs.count % width;
            offset += 2;
        } else {
            const size_t left = runs.capacity - runs.count, used = code < left ? code : left;
            const size_t size = is_packed ? (used + 1) / 2 : used;
            if (size > count - offset) return fail_at_end(count, "the file ends within the picture", failure);
            for (size_t i = 0; i < used; i++) put(&runs, index_at(bytes + offset, i, is_packed));
            runs.x += code;
            // Pillow aligns to the file's start, which is that of the pixels in all files but odd ones.
            offset += size + (offset + size) % 2;
        }
    }
    return ImageCodecStatusOK;
}

static ImageCodecStatus decode(
    const uint8_t *bytes, size_t count, uint32_t, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Picture picture;
    const ImageCodecStatus status = read_picture(bytes, count, &picture, failure);
    if (status != ImageCodecStatusOK) return status;
    if (picture.width != width || picture.height != height) {
        return codec_fail(failure, ImageCodecStatusCorrupt, file_header_size, "the size differs from the header's");
    }
    const bool has_runs = picture.compression == run_lengths_8 || picture.compression == run_lengths_4;
    return (has_runs ? read_runs : read_rows)(bytes, count, &picture, pixels, failure);
}

const ImageCodec bmp_codec = {
    .name = "BMP", .media_type = "image/bmp", .suffixes = "bmp", .largest_denominator = 1, .recognizes = recognizes,
    .probe = probe, .decode = decode};
