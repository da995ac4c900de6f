// The sizes of pictures in HEVC (ITU-T H.265) and AV1 bitstreams, which decoders allocate memory by. They needn't be those that the
// container states.
#include "HEIF.h"

// Bits, the highest of a byte first. Behind the end they are zero.
typedef struct {
    const uint8_t *next, *end;
    // Whether a 3 after two zero bytes is left out, as in HEVC.
    bool is_escaped;
    unsigned zeros, left;
    uint8_t current;
    bool has_ended;
} Bits;

static uint32_t read_bit(Bits *bits) {
    enum { escape = 3 };
    if (bits->left == 0) {
        if (bits->is_escaped && bits->zeros >= 2 && bits->next < bits->end && *bits->next == escape) {
            bits->next++;
            bits->zeros = 0;
        }
        if (bits->next == bits->end) {
            bits->has_ended = true;
            return 0;
        }
        bits->current = *bits->next++;
        bits->zeros = bits->current == 0 ? bits->zeros + 1 : 0;
        bits->left = 8;
    }
    return bits->current >> --bits->left & 1;
}

static uint32_t read_bits(Bits *bits, unsigned count) {
    uint32_t value = 0;
    for (unsigned place = 0; place < count; place++) value = value << 1 | read_bit(bits);
    return value;
}

// A number in Exponential-Golomb code, which AV1 calls uvlc.
static uint32_t read_golomb(Bits *bits) {
    unsigned zeros = 0;
    while (zeros < 32 && !bits->has_ended && read_bit(bits) == 0) zeros++;
    if (zeros == 32) bits->has_ended = true;
    return bits->has_ended ? 0 : (1u << zeros) - 1 + read_bits(bits, zeros);
}

static uint64_t area(uint64_t width, uint64_t height) {
    // No decoder takes more, and so the areas of any file add up to less than 2^64.
    enum { longest_side = 1 << 16 };
    return (width < longest_side ? width : longest_side) * (height < longest_side ? height : longest_side);
}

// What is known of an HEVC bitstream: its number of units, of pictures and of their parameter sets, and the area of the largest of its
// sequence parameter sets.
typedef struct {
    uint64_t units, pictures, picture_sets, area;
} HEVCStream;

// 7.3.2.2, up to the size of the coded picture.
static bool read_parameter_set(ByteRange unit, HEVCStream *stream) {
    enum { unit_header = 16, general_profile = 88 + 8, sub_layer_profile = 88, sub_layer_level = 8, most_sub_layers = 8 };
    Bits bits = {.next = unit.start, .end = unit.start + unit.count, .is_escaped = true};
    read_bits(&bits, unit_header + 4);
    const unsigned sub_layers = read_bits(&bits, 3);
    read_bits(&bits, 1);
    for (unsigned place = 0; place < general_profile; place++) read_bit(&bits);
    unsigned further = 0;
    for (unsigned layer = 0; layer < sub_layers; layer++) {
        if (read_bit(&bits)) further += sub_layer_profile;
        if (read_bit(&bits)) further += sub_layer_level;
    }
    if (sub_layers > 0) read_bits(&bits, 2 * (most_sub_layers - sub_layers));
    for (unsigned place = 0; place < further; place++) read_bit(&bits);
    read_golomb(&bits);
    if (read_golomb(&bits) == 3) read_bit(&bits);
    const uint32_t width = read_golomb(&bits), height = read_golomb(&bits);
    if (bits.has_ended) return false;
    const uint64_t size = area(width, height);
    if (size > stream->area) stream->area = size;
    return true;
}

static bool read_unit(ByteRange unit, HEVCStream *stream) {
    enum { header_size = 2, coded_slices = 32, idr_w_radl = 19, idr_n_lp = 20, first_in_picture = 0x80 };
    enum { sequence_set = 33, picture_set = 34 };
    // For a picture that may refer to others, a decoder may make up all of them.
    enum { most_references = 16 };
    stream->units++;
    if (unit.count <= header_size) return true;
    const unsigned type = unit.start[0] >> 1 & 0x3f, layer = (unit.start[0] & 1u) << 5 | unit.start[1] >> 3;
    // Decoders of single pictures leave out what belongs to further layers.
    if (layer > 0) return true;
    if (type == sequence_set) return read_parameter_set(unit, stream);
    if (type == picture_set) stream->picture_sets++;
    if (type < coded_slices && unit.start[header_size] & first_in_picture) {
        stream->pictures += type == idr_w_radl || type == idr_n_lp ? 1 : 1 + most_references;
    }
    return true;
}

// Takes a unit with its length in front off the range.
static bool take_unit(ByteRange *range, size_t length_size, ByteRange *unit) {
    if (range->count < length_size) return false;
    size_t length = 0;
    for (size_t place = 0; place < length_size; place++) length = length << 8 | range->start[place];
    if (length > range->count - length_size) return false;
    *unit = (ByteRange){range->start + length_size, length};
    *range = (ByteRange){unit->start + length, range->count - length_size - length};
    return true;
}

// The parameter sets of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.2).
static bool read_configuration(ByteRange configuration, HEVCStream *stream) {
    enum { arrays_offset = 22 };
    if (configuration.count <= arrays_offset) return false;
    unsigned arrays = configuration.start[arrays_offset];
    ByteRange rest = {configuration.start + arrays_offset + 1, configuration.count - arrays_offset - 1}, unit;
    while (arrays-- > 0) {
        if (rest.count < 3) return false;
        unsigned units = (unsigned)rest.start[1] << 8 | rest.start[2];
        rest = (ByteRange){rest.start + 3, rest.count - 3};
        while (units-- > 0) {
            if (!take_unit(&rest, 2, &unit) || !read_unit(unit, stream)) return false;
        }
    }
    return true;
}

const char *hevc_pixels(ByteRange configuration, ByteRange data, uint64_t *pixels) {
    enum { lengths_offset = 21, length_size = 4 };
    HEVCStream stream = {0};
    if (!read_configuration(configuration, &stream)) return "the parameter sets of a picture in HEVC are damaged";
    // libheif reads every length as one of four bytes.
    if ((configuration.start[lengths_offset] & 3) != length_size - 1) return "units of HEVC whose lengths don't have 4 bytes";
    ByteRange unit;
    while (data.count > 0) {
        if (!take_unit(&data, length_size, &unit) || !read_unit(unit, &stream)) return "the data of a picture in HEVC are damaged";
    }
    // Decoders keep each unit. The highest level of the standard allows 600 slices.
    enum { most_units = 1000 };
    if (stream.units > most_units) return "a picture in HEVC has more than 1000 units";
    // For each parameter set of pictures, and before there is a picture, libde265 makes tables of all blocks: up to half a byte for a pixel.
    enum { sets_for_a_picture = 4 };
    *pixels = ((stream.pictures > 0 ? stream.pictures : 1) + stream.picture_sets / sets_for_a_picture) * stream.area;
    return nullptr;
}

// What is known of an AV1 bitstream: from its latest sequence header, what the size in a frame header depends on, and the pixels of
// its frames so far.
typedef struct {
    bool has_sequence;
    // Whether frame headers are of the short form that says nothing of sizes.
    bool is_reduced;
    unsigned presentation_bits, identifier_bits;
    // 0 and 1 as in all frame headers, 2 if each has its own.
    unsigned screen_content_tools, integer_vectors;
    // Of a frame with the size of the sequence, and of the largest with a size of its own.
    uint64_t area, largest_area;
    uint64_t pixels;
} AV1Stream;

enum { stated_by_frame = 2 };

static unsigned read_choice(Bits *bits) { return read_bit(bits) ? stated_by_frame : read_bit(bits); }

// The timing and the operating points of a sequence header (5.5.1).
static void read_operating_points(Bits *bits, AV1Stream *stream) {
    unsigned delay_bits = 0, presentation_bits = 0;
    bool has_equal_intervals = false;
    if (read_bit(bits)) {
        read_bits(bits, 32);
        read_bits(bits, 32);
        has_equal_intervals = read_bit(bits);
        if (has_equal_intervals) read_golomb(bits);
        if (read_bit(bits)) {
            delay_bits = read_bits(bits, 5) + 1;
            read_bits(bits, 32);
            read_bits(bits, 5);
            presentation_bits = read_bits(bits, 5) + 1;
        }
    }
    stream->presentation_bits = has_equal_intervals ? 0 : presentation_bits;
    const bool has_display_delays = read_bit(bits);
    unsigned points = read_bits(bits, 5) + 1;
    while (points-- > 0) {
        enum { lowest_level_with_tier = 8 };
        read_bits(bits, 12);
        if (read_bits(bits, 5) >= lowest_level_with_tier) read_bit(bits);
        if (delay_bits > 0 && read_bit(bits)) {
            read_bits(bits, delay_bits);
            read_bits(bits, delay_bits + 1);
        }
        if (has_display_delays && read_bit(bits)) read_bits(bits, 4);
    }
}

static void read_sequence(Bits *bits, AV1Stream *stream) {
    *stream = (AV1Stream){.has_sequence = true, .pixels = stream->pixels};
    read_bits(bits, 4);
    stream->is_reduced = read_bit(bits);
    if (stream->is_reduced) {
        read_bits(bits, 5);
    } else {
        read_operating_points(bits, stream);
    }
    const unsigned width_bits = read_bits(bits, 4) + 1, height_bits = read_bits(bits, 4) + 1;
    const uint32_t width = read_bits(bits, width_bits) + 1, height = read_bits(bits, height_bits) + 1;
    stream->area = area(width, height);
    stream->largest_area = area(1u << width_bits, 1u << height_bits);
    if (stream->is_reduced) return;
    if (read_bit(bits)) {
        const unsigned delta_bits = read_bits(bits, 4) + 2;
        stream->identifier_bits = read_bits(bits, 3) + delta_bits + 1;
    }
    read_bits(bits, 3 + 4);
    if (read_bit(bits)) read_bits(bits, 2);
    stream->screen_content_tools = read_choice(bits);
    if (stream->screen_content_tools > 0) stream->integer_vectors = read_choice(bits);
}

// The most pixels that a frame may have by its header, which is read up to whether it states a size of its own (5.9.2).
static uint64_t frame_area(Bits *bits, const AV1Stream *stream) {
    enum { key_frame = 0, switch_frame = 3 };
    if (stream->is_reduced || read_bit(bits)) return stream->area;
    const unsigned type = read_bits(bits, 2);
    const bool is_shown = read_bit(bits);
    read_bits(bits, is_shown ? stream->presentation_bits : 1);
    if (!(type == key_frame && is_shown) && type != switch_frame) read_bit(bits);
    read_bit(bits);
    const bool has_tools = stream->screen_content_tools == stated_by_frame ? read_bit(bits) : stream->screen_content_tools;
    if (has_tools && stream->integer_vectors == stated_by_frame) read_bit(bits);
    read_bits(bits, stream->identifier_bits);
    return type == switch_frame || read_bit(bits) ? stream->largest_area : stream->area;
}

// Reads the open bitstream units of a range (5.3).
static bool read_open_units(ByteRange data, AV1Stream *stream) {
    enum { sequence_header = 1, frame_header = 3, frame = 6, redundant_frame_header = 7 };
    enum { extension_flag = 0x04, size_flag = 0x02, most_size_bits = 56 };
    while (data.count > 0) {
        const unsigned type = data.start[0] >> 3 & 0xf;
        size_t offset = data.start[0] & extension_flag ? 2 : 1;
        if (offset > data.count) return false;
        uint64_t size = data.count - offset;
        if (data.start[0] & size_flag) {
            size = 0;
            unsigned shift = 0;
            uint8_t byte;
            do {
                if (offset == data.count || shift == most_size_bits) return false;
                byte = data.start[offset++];
                size |= (uint64_t)(byte & 0x7f) << shift;
                shift += 7;
            } while (byte & 0x80);
        }
        if (size > data.count - offset) return false;
        const uint8_t *end = data.start + offset + size;
        Bits bits = {.next = data.start + offset, .end = end};
        if (type == sequence_header) read_sequence(&bits, stream);
        if (type == frame_header || type == frame || type == redundant_frame_header) {
            if (!stream->has_sequence) return false;
            stream->pixels += frame_area(&bits, stream);
        }
        if (bits.has_ended) return false;
        data = (ByteRange){end, data.count - offset - (size_t)size};
    }
    return true;
}

const char *av1_pixels(ByteRange configuration, ByteRange data, uint64_t *pixels) {
    enum { units_offset = 4 };
    AV1Stream stream = {0};
    if (configuration.count < units_offset
        || !read_open_units((ByteRange){configuration.start + units_offset, configuration.count - units_offset}, &stream)
        || !read_open_units(data, &stream)) {
        return "the data of a picture in AV1 are damaged";
    }
    *pixels = stream.pixels;
    return nullptr;
}
