#include "WebPLossless.h"

#include <string.h>

// RFC 9649, section 3. Of the data before the picture, only lengths matter here: nothing is copied, and no colour is kept.

enum {
    literal_count = 256, length_prefix_count = 24, distance_prefix_count = 40,
    largest_cache_bits = 11, longest_code = 15,
    largest_alphabet = literal_count + length_prefix_count + (1 << largest_cache_bits),
    codes_per_group = 5,
};

typedef struct {
    ByteRange bytes;
    // From the lowest bit of the first byte on.
    size_t bit;
    bool has_ended;
} BitReader;

static uint32_t read_bits(BitReader *reader, unsigned count) {
    uint32_t value = 0;
    for (unsigned index = 0; index < count; index++, reader->bit++) {
        const size_t byte = reader->bit / 8;
        if (byte >= reader->bytes.count) {
            reader->has_ended = true;
            return 0;
        }
        value |= (uint32_t)(reader->bytes.start[byte] >> reader->bit % 8 & 1) << index;
    }
    return value;
}

// A canonical prefix code: how many symbols have each length, and the symbols in the order of their codes. A code with one
// symbol takes no bits.
typedef struct {
    uint16_t counts[longest_code + 1];
    uint16_t symbols[largest_alphabet];
    uint16_t symbol_count;
} PrefixCode;

// False if the lengths leave codes without a symbol, or symbols without a code.
static bool make_code(const uint8_t *lengths, size_t alphabet, PrefixCode *code) {
    memset(code->counts, 0, sizeof code->counts);
    for (size_t symbol = 0; symbol < alphabet; symbol++) code->counts[lengths[symbol]]++;
    code->counts[0] = 0;
    uint16_t places[longest_code + 2] = {0};
    int free_codes = 1;
    for (size_t length = 1; length <= longest_code; length++) {
        free_codes = 2 * free_codes - code->counts[length];
        if (free_codes < 0) return false;
        places[length + 1] = places[length] + code->counts[length];
    }
    code->symbol_count = places[longest_code + 1];
    for (size_t symbol = 0; symbol < alphabet; symbol++) {
        if (lengths[symbol]) code->symbols[places[lengths[symbol]]++] = (uint16_t)symbol;
    }
    return code->symbol_count == 1 || (code->symbol_count > 1 && free_codes == 0);
}

static uint32_t read_symbol(BitReader *reader, const PrefixCode *code) {
    if (code->symbol_count == 1) return code->symbols[0];
    uint32_t offset = 0, place = 0;
    for (size_t length = 1; length <= longest_code; length++) {
        offset = offset << 1 | read_bits(reader, 1);
        if (offset < code->counts[length]) return code->symbols[place + offset];
        offset -= code->counts[length];
        place += code->counts[length];
    }
    return 0;
}

static bool read_code_lengths(BitReader *reader, size_t alphabet, uint8_t *lengths, PrefixCode *code) {
    static const uint8_t order[] = {17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    enum { kinds = sizeof order };
    uint8_t lengths_of_lengths[kinds] = {0};
    const size_t stated = read_bits(reader, 4) + 4;
    if (stated > kinds) return false;
    for (size_t index = 0; index < stated; index++) lengths_of_lengths[order[index]] = (uint8_t)read_bits(reader, 3);
    if (!make_code(lengths_of_lengths, kinds, code)) return false;
    size_t left = alphabet;
    if (read_bits(reader, 1)) left = 2 + read_bits(reader, 2 + 2 * read_bits(reader, 3));
    if (left > alphabet) return false;
    uint8_t last = 8;
    for (size_t symbol = 0; symbol < alphabet && left > 0; left--) {
        const uint32_t kind = read_symbol(reader, code);
        if (kind < 16) {
            lengths[symbol++] = (uint8_t)kind;
            if (kind) last = (uint8_t)kind;
            continue;
        }
        static const uint8_t bits[] = {2, 3, 7}, least[] = {3, 3, 11};
        const size_t count = least[kind - 16] + read_bits(reader, bits[kind - 16]);
        if (count > alphabet - symbol) return false;
        memset(lengths + symbol, kind == 16 ? last : 0, count);
        symbol += count;
    }
    return true;
}

static bool read_code(BitReader *reader, size_t alphabet, PrefixCode *code) {
    uint8_t lengths[largest_alphabet] = {0};
    if (read_bits(reader, 1)) {
        const bool has_two = read_bits(reader, 1);
        lengths[read_bits(reader, read_bits(reader, 1) ? 8 : 1)] = 1;
        if (has_two) lengths[read_bits(reader, 8)] = 1;
    } else if (!read_code_lengths(reader, alphabet, lengths, code)) {
        return false;
    }
    return make_code(lengths, alphabet, code);
}

// The extra bits of a length or distance.
static uint32_t read_distance(BitReader *reader, uint32_t prefix) {
    if (prefix < 4) return prefix + 1;
    const unsigned bits = (prefix - 2) / 2;
    return ((2 + prefix % 2) << bits) + read_bits(reader, bits) + 1;
}

static bool skip_cache_bits(BitReader *reader, size_t *green_alphabet) {
    *green_alphabet = literal_count + length_prefix_count;
    if (!read_bits(reader, 1)) return true;
    const uint32_t bits = read_bits(reader, 4);
    if (bits < 1 || bits > largest_cache_bits) return false;
    *green_alphabet += (size_t)1 << bits;
    return true;
}

// An image that says something about the picture's blocks or colours. It has one group of codes.
static bool skip_image(BitReader *reader, uint64_t pixel_count) {
    size_t green_alphabet;
    if (!skip_cache_bits(reader, &green_alphabet)) return false;
    const size_t alphabets[codes_per_group] = {
        green_alphabet, literal_count, literal_count, literal_count, distance_prefix_count};
    PrefixCode codes[codes_per_group];
    for (size_t index = 0; index < codes_per_group; index++) {
        if (!read_code(reader, alphabets[index], &codes[index])) return false;
    }
    for (uint64_t pixel = 0; pixel < pixel_count && !reader->has_ended;) {
        const uint32_t green = read_symbol(reader, &codes[0]);
        if (green < literal_count) {
            for (size_t channel = 1; channel < 4; channel++) read_symbol(reader, &codes[channel]);
            pixel++;
        } else if (green < literal_count + length_prefix_count) {
            pixel += read_distance(reader, green - literal_count);
            read_distance(reader, read_symbol(reader, &codes[4]));
        } else {
            pixel++;
        }
    }
    return true;
}

static uint64_t block_count(uint32_t width, uint32_t height, unsigned bits) {
    const uint64_t size = UINT64_C(1) << bits;
    return (width + size - 1) / size * ((height + size - 1) / size);
}

// The transforms. A palette of few colours makes the picture narrower.
static bool skip_transforms(BitReader *reader, uint32_t *width, uint32_t height) {
    enum { predictor, color, subtract_green, palette };
    unsigned seen = 0;
    while (read_bits(reader, 1)) {
        const uint32_t kind = read_bits(reader, 2);
        if (seen & 1 << kind) return false;
        seen |= 1 << kind;
        if (kind == predictor || kind == color) {
            if (!skip_image(reader, block_count(*width, height, 2 + read_bits(reader, 3)))) return false;
        } else if (kind == palette) {
            const uint32_t count = read_bits(reader, 8) + 1;
            if (!skip_image(reader, count)) return false;
            *width = (uint32_t)block_count(*width, 1, count <= 2 ? 3 : count <= 4 ? 2 : count <= 16 ? 1 : 0);
        }
    }
    return true;
}

bool webp_lossless_code_groups(ByteRange bitstream, uint64_t *count) {
    BitReader reader = {.bytes = bitstream};
    enum { signature = 0x2f };
    if (read_bits(&reader, 8) != signature) return false;
    uint32_t width = read_bits(&reader, 14) + 1;
    const uint32_t height = read_bits(&reader, 14) + 1;
    // Whether there is alpha, and a version.
    read_bits(&reader, 1);
    if (read_bits(&reader, 3) != 0) return false;
    size_t green_alphabet;
    if (!skip_transforms(&reader, &width, height) || !skip_cache_bits(&reader, &green_alphabet)) return false;
    *count = read_bits(&reader, 1) ? block_count(width, height, 2 + read_bits(&reader, 3)) : 1;
    return !reader.has_ended;
}
