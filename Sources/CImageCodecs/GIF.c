// A reader of its own, as Pillow has one: giflib also checks what follows the first picture, allocates by what a file announces, and
// takes damaged codes for pixels that Pillow refuses. What it would save are the forty lines that expand codes.
#include "Codecs.h"

#include <string.h>

enum {
    header_size = 13, descriptor_size = 9, size_flag = 0x07, palette_flag = 0x80, interlace_flag = 0x40,
    // The longest code has 12 bits.
    longest_code = 12, table_size = 1 << longest_code, unstated = -1,
};

typedef struct {
    const uint8_t *bytes;
    size_t count, offset;
    ImageCodecFailure *failure;
} Source;

// The first picture and the canvas on which it stands, as far as they are described before the codes.
typedef struct {
    uint32_t width, height;
    uint32_t left, top, columns, rows;
    bool is_interlaced;
    // What the canvas shows around the picture.
    uint8_t background;
    uint8_t palette[256][3];
} Picture;

static const uint8_t start[] = {'G', 'I', 'F', '8'};

static bool recognizes(const uint8_t *bytes, size_t count) {
    const ByteRange file = {bytes, count};
    return begins_with(file, "GIF87a", 6) || begins_with(file, "GIF89a", 6);
}

static ImageCodecStatus fail(const Source *source, ImageCodecStatus status, const char *message) {
    return codec_fail(source->failure, status, source->offset, message);
}

static ImageCodecStatus fail_at_end(Source *source) {
    source->offset = source->count;
    return fail(source, ImageCodecStatusTruncated, "the file ends before the first picture");
}

// The next `count` bytes, which it then skips; null if the file ends before.
static const uint8_t *take(Source *source, size_t count) {
    if (count > source->count - source->offset) return nullptr;
    const uint8_t *taken = source->bytes + source->offset;
    source->offset += count;
    return taken;
}

// Whether each colour is the gray of its index.
static bool is_gray_ramp(const uint8_t *colours, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (colours[i] != i / 3) return false;
    }
    return true;
}

// Reads a table of colours if `flags` announce one. As in Pillow, indices beyond its end are black, unless it is a ramp of gray, or
// there is none: then every index is a gray.
static bool read_palette(Source *source, uint8_t flags, uint8_t palette[256][3]) {
    const bool is_present = flags & palette_flag;
    const size_t size = is_present ? 3u << ((flags & size_flag) + 1) : 0;
    const uint8_t *colours = take(source, size);
    if (!colours) return false;
    const bool is_gray = is_gray_ramp(colours, size);
    for (int i = 0; i < 256; i++) memset(palette[i], is_gray ? i : 0, 3);
    if (is_present) memcpy(palette, colours, size);
    return true;
}

// Reads an extension from its label on. The index of the transparent colour is that of the last control extension that has one.
static bool read_extension(Source *source, int *transparent) {
    enum { graphic_control = 0xf9, control_size = 4, transparency_flag = 1 };
    const uint8_t *label = take(source, 1);
    for (bool is_first = true; label; is_first = false) {
        const uint8_t *size = take(source, 1);
        const uint8_t *block = size ? take(source, *size) : nullptr;
        if (!block) return false;
        if (*size == 0) return true;
        if (is_first && *label == graphic_control && *size >= control_size && block[0] & transparency_flag) {
            *transparent = block[3];
        }
    }
    return false;
}

// Reads the picture's description, from after its separator to before its codes.
static ImageCodecStatus read_description(Source *source, int transparent, Picture *picture) {
    const uint8_t *descriptor = take(source, descriptor_size);
    if (!descriptor) return fail_at_end(source);
    const uint8_t flags = descriptor[8];
    picture->left = read_little_endian_16(descriptor);
    picture->top = read_little_endian_16(descriptor + 2);
    picture->columns = read_little_endian_16(descriptor + 4);
    picture->rows = read_little_endian_16(descriptor + 6);
    picture->is_interlaced = flags & interlace_flag;
    if (picture->columns == 0 || picture->rows == 0) {
        return fail(source, ImageCodecStatusEmpty, "the first picture has a size of zero pixels");
    }
    if (flags & palette_flag && !read_palette(source, flags, picture->palette)) return fail_at_end(source);
    // As in Pillow, a picture that reaches beyond the canvas enlarges it, and the transparent colour fills it.
    const uint32_t right = picture->left + picture->columns, bottom = picture->top + picture->rows;
    if (right > picture->width) picture->width = right;
    if (bottom > picture->height) picture->height = bottom;
    picture->background = transparent == unstated ? 0 : (uint8_t)transparent;
    return ImageCodecStatusOK;
}

static ImageCodecStatus read_picture(Source *source, Picture *picture) {
    enum { separator = ',', extension = '!', trailer = ';' };
    const uint8_t *header = take(source, header_size);
    if (!header) return fail_at_end(source);
    picture->width = read_little_endian_16(header + 6);
    picture->height = read_little_endian_16(header + 8);
    if (!read_palette(source, header[10], picture->palette)) return fail_at_end(source);
    int transparent = unstated;
    for (;;) {
        const uint8_t *block = take(source, 1);
        if (!block) return fail_at_end(source);
        switch (*block) {
            case separator: return read_description(source, transparent, picture);
            case extension:
                if (!read_extension(source, &transparent)) return fail_at_end(source);
                break;
            case trailer: return fail(source, ImageCodecStatusCorrupt, "the file has no picture");
            // Pillow passes over bytes that begin no block.
            default: break;
        }
    }
}

static ImageCodecStatus probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    Source source = {.bytes = bytes, .count = count, .failure = failure};
    Picture picture;
    const ImageCodecStatus status = read_picture(&source, &picture);
    if (status != ImageCodecStatusOK) return status;
    *header = (ImageCodecHeader){
        .width = picture.width, .height = picture.height, .channels = 1, .orientation = orientation_upright};
    return ImageCodecStatusOK;
}

// Where the next pixel of the picture goes.
typedef struct {
    const Picture *picture;
    uint8_t *pixels;
    uint32_t x, y;
    // Of an interlaced picture, the pass of those over every eighth row, the rows between these, and so on.
    int pass;
    bool is_full;
} Output;

static void start_next_row(Output *output) {
    static const struct { uint32_t start, step; } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    enum { last_pass = 3 };
    const Picture *picture = output->picture;
    output->x = 0;
    output->y += picture->is_interlaced ? passes[output->pass].step : 1;
    while (picture->is_interlaced && output->y >= picture->rows && output->pass < last_pass) {
        output->y = passes[++output->pass].start;
    }
    output->is_full = output->y >= picture->rows;
}

static void put(Output *output, uint8_t index) {
    const Picture *picture = output->picture;
    const size_t row = picture->top + output->y, column = picture->left + output->x;
    memcpy(output->pixels + (row * picture->width + column) * 3, picture->palette[index], 3);
    if (++output->x == picture->columns) start_next_row(output);
}

// Codes, and what they stand for: each is a shorter code and one more index of a colour.
typedef struct {
    Source *source;
    // Bytes left in the current block of codes.
    size_t block;
    uint32_t bits;
    unsigned bit_count, code_size;
    uint16_t next, previous, prefix[table_size];
    uint8_t first, suffix[table_size];
} Codes;

static ImageCodecStatus read_code(Codes *codes, uint16_t *code) {
    Source *source = codes->source;
    while (codes->bit_count < codes->code_size) {
        if (codes->block == 0) {
            const uint8_t *size = take(source, 1);
            if (!size) return fail(source, ImageCodecStatusTruncated, "the file ends within the picture");
            if (*size == 0) return fail(source, ImageCodecStatusCorrupt, "the codes end within the picture");
            codes->block = *size;
        }
        const uint8_t *byte = take(source, 1);
        if (!byte) return fail(source, ImageCodecStatusTruncated, "the file ends within the picture");
        codes->block--;
        codes->bits |= (uint32_t)*byte << codes->bit_count;
        codes->bit_count += 8;
    }
    *code = (uint16_t)(codes->bits & ((1u << codes->code_size) - 1));
    codes->bits >>= codes->code_size;
    codes->bit_count -= codes->code_size;
    return ImageCodecStatusOK;
}

// Writes what a code stands for, and adds the code before it with one more index to the table.
//
// - Returns: whether the code is known.
static bool expand(Codes *codes, uint16_t clear, uint16_t code, Output *output) {
    uint8_t indices[table_size + 1];
    size_t start = sizeof indices;
    uint16_t rest = code;
    if (code > codes->next) return false;
    if (code == codes->next) {
        // The code that is about to be added: the one before, and its first index again.
        indices[--start] = codes->first;
        rest = codes->previous;
    }
    while (rest >= clear) {
        indices[--start] = codes->suffix[rest];
        rest = codes->prefix[rest];
    }
    indices[--start] = codes->first = (uint8_t)rest;
    if (codes->next < table_size) {
        codes->suffix[codes->next] = codes->first;
        codes->prefix[codes->next] = codes->previous;
        if (++codes->next == 1u << codes->code_size && codes->code_size < longest_code) codes->code_size++;
    }
    codes->previous = code;
    while (start < sizeof indices && !output->is_full) put(output, indices[start++]);
    return true;
}

static ImageCodecStatus expand_all(Source *source, Output *output) {
    const uint8_t *size = take(source, 1);
    if (!size) return fail_at_end(source);
    if (*size > 8) return fail(source, ImageCodecStatusCorrupt, "codes of more than 9 bits at the start");
    const uint16_t clear = (uint16_t)(1u << *size), end = clear + 1;
    Codes codes = {.source = source, .code_size = *size + 1u, .next = (uint16_t)(clear + 2)};
    bool is_first = true;
    while (!output->is_full) {
        uint16_t code;
        const ImageCodecStatus status = read_code(&codes, &code);
        if (status != ImageCodecStatusOK) return status;
        if (code == clear) {
            codes.code_size = *size + 1u;
            codes.next = (uint16_t)(clear + 2);
            is_first = true;
        } else if (code == end) {
            return fail(source, ImageCodecStatusCorrupt, "the codes end within the picture");
        } else if (is_first) {
            if (code > clear) return fail(source, ImageCodecStatusCorrupt, "the first LZW code is undefined");
            codes.first = (uint8_t)code;
            codes.previous = code;
            is_first = false;
            put(output, codes.first);
        } else if (!expand(&codes, clear, code, output)) {
            return fail(source, ImageCodecStatusCorrupt, "an LZW code is undefined");
        }
    }
    return ImageCodecStatusOK;
}

static void fill(const Picture *picture, uint8_t *pixels) {
    const size_t count = (size_t)picture->width * picture->height;
    for (size_t i = 0; i < count; i++) memcpy(pixels + 3 * i, picture->palette[picture->background], 3);
}

static ImageCodecStatus decode(
    const uint8_t *bytes, size_t count, uint32_t, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Source source = {.bytes = bytes, .count = count, .failure = failure};
    Picture picture;
    const ImageCodecStatus status = read_picture(&source, &picture);
    if (status != ImageCodecStatusOK) return status;
    if (picture.width != width || picture.height != height) {
        return fail(&source, ImageCodecStatusCorrupt, "the size differs from the header's");
    }
    if (picture.columns < width || picture.rows < height) fill(&picture, pixels);
    Output output = {.picture = &picture, .pixels = pixels};
    return expand_all(&source, &output);
}

const ImageCodec gif_codec = {
    .name = "GIF", .media_type = "image/gif", .suffixes = "gif", .start = {start, sizeof start}, .largest_denominator = 1,
    .recognizes = recognizes, .probe = probe, .decode = decode};
