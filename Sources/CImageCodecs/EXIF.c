#include "Codecs.h"

#include <string.h>

enum {
    type_byte = 1, type_ascii = 2, type_short = 3, type_long = 4, type_rational = 5, type_sbyte = 6, type_undefined = 7,
    type_sshort = 8, type_slong = 9, type_srational = 10, type_float = 11, type_double = 12, type_ifd = 13,
    type_long8 = 16,
};

static uint64_t read_number(const uint8_t *at, size_t size, bool little_endian) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | at[little_endian ? size - 1 - i : i];
    }
    return value;
}

static int64_t read_signed(const uint8_t *at, size_t size, bool little_endian) {
    const unsigned unused = 64 - 8 * (unsigned)size;
    return (int64_t)(read_number(at, size, little_endian) << unused) >> unused;
}

// Bytes of one number; 0 for an unknown type.
static size_t size_of(uint64_t type) {
    switch (type) {
        case type_byte: case type_ascii: case type_sbyte: case type_undefined: return 1;
        case type_short: case type_sshort: return 2;
        case type_long: case type_slong: case type_float: case type_ifd: return 4;
        case type_rational: case type_srational: case type_double: case type_long8: return 8;
        default: return 0;
    }
}

static uint32_t known(int64_t value) {
    return value >= orientation_upright && value <= orientation_last ? (uint32_t)value : orientation_upright;
}

static uint32_t known_ratio(int64_t numerator, int64_t denominator) {
    return denominator != 0 && numerator % denominator == 0 ? known(numerator / denominator) : orientation_upright;
}

static uint32_t known_float(double value) {
    return value >= orientation_upright && value <= orientation_last && value == (uint32_t)value
        ? (uint32_t)value : orientation_upright;
}

// The first number of an entry. Pillow compares it with 2...8 whatever its type, but reads BYTE, ASCII and UNDEFINED as text,
// which equals no number.
static uint32_t orientation_at(const uint8_t *at, uint64_t type, bool little_endian) {
    switch (type) {
        case type_short: case type_long: case type_ifd:
            return known((int64_t)read_number(at, size_of(type), little_endian));
        case type_long8: {
            const uint64_t value = read_number(at, 8, little_endian);
            return known(value > orientation_last ? orientation_upright : (int64_t)value);
        }
        case type_sbyte: case type_sshort: case type_slong:
            return known(read_signed(at, size_of(type), little_endian));
        case type_rational:
            return known_ratio(
                (int64_t)read_number(at, 4, little_endian), (int64_t)read_number(at + 4, 4, little_endian));
        case type_srational:
            return known_ratio(read_signed(at, 4, little_endian), read_signed(at + 4, 4, little_endian));
        case type_float: {
            const uint32_t bits = (uint32_t)read_number(at, 4, little_endian);
            float value;
            memcpy(&value, &bits, sizeof value);
            return known_float(value);
        }
        case type_double: {
            const uint64_t bits = read_number(at, 8, little_endian);
            double value;
            memcpy(&value, &bits, sizeof value);
            return known_float(value);
        }
        default: return orientation_upright;
    }
}

// Pillow accepts 42 in either byte order. It reads BigTIFF's 43 as 42 after MM, and not at all after II.
static bool is_tiff(const uint8_t *header) {
    switch (read_big_endian(header)) {
        case 0x4d4d002a: case 0x49492a00: case 0x4d4d2a00: case 0x4949002a: case 0x4d4d002b: return true;
        default: return false;
    }
}

ByteRange without_exif_prefix(ByteRange exif) {
    enum { prefix_size = 6 };
    if (!begins_with(exif, "Exif\0", prefix_size)) return exif;
    return (ByteRange){exif.start + prefix_size, exif.count - prefix_size};
}

enum { header_size = 8, entry_size = 12 };

static bool has_header(ByteRange file) { return file.count >= header_size && is_tiff(file.start); }

// How many entries of its first directory a TIFF has, and where they begin.
static size_t first_directory(ByteRange tiff, bool little_endian, const uint8_t **entries) {
    const size_t directory = read_number(tiff.start + 4, 4, little_endian);
    if (directory > tiff.count - 2) return 0;
    const size_t announced = read_number(tiff.start + directory, 2, little_endian);
    const size_t present = (tiff.count - directory - 2) / entry_size;
    *entries = tiff.start + directory + 2;
    return announced < present ? announced : present;
}

uint32_t exif_orientation(ByteRange exif) {
    enum { inline_size = 4, orientation_tag = 0x0112 };
    const uint8_t *tiff = exif.start, *entries = nullptr;
    const size_t count = exif.count;
    if (count == 0) return orientation_unstated;
    if (!has_header(exif)) return orientation_upright;
    const bool little_endian = tiff[0] == 'I';
    const size_t entry_count = first_directory(exif, little_endian, &entries);
    uint64_t size_elsewhere = 0;
    // One bit per tag: of entries with the same tag, the first one that has a value counts.
    uint8_t seen[(UINT16_MAX + 1) / 8] = {0};
    for (size_t i = 0; i < entry_count; i++) {
        const uint8_t *entry = entries + i * entry_size;
        const uint64_t tag = read_number(entry, 2, little_endian), type = read_number(entry + 2, 2, little_endian);
        const uint64_t size = size_of(type) * read_number(entry + 4, 4, little_endian);
        if (size == 0 || seen[tag / 8] & 1 << tag % 8) continue;
        const uint8_t *value = entry + 8;
        if (size > inline_size) {
            const uint64_t offset = read_number(value, 4, little_endian);
            size_elsewhere += size;
            if (size_elsewhere > count) continue;
            // Pillow stops reading the directory at the first value that isn't in the file, whatever its tag.
            if (offset > count || size > count - offset) return orientation_unstated;
            value = tiff + offset;
        }
        if (tag == orientation_tag) return orientation_at(value, type, little_endian);
        seen[tag / 8] |= (uint8_t)(1 << tag % 8);
    }
    return orientation_unstated;
}

bool tiff_size(ByteRange file, uint32_t *width, uint32_t *height) {
    enum { width_tag = 0x0100, height_tag = 0x0101 };
    *width = *height = 0;
    if (!has_header(file)) return false;
    const bool little_endian = file.start[0] == 'I';
    const uint8_t *entries = nullptr;
    const size_t count = first_directory(file, little_endian, &entries);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *entry = entries + i * entry_size;
        const uint64_t tag = read_number(entry, 2, little_endian), type = read_number(entry + 2, 2, little_endian);
        if ((tag != width_tag && tag != height_tag) || (type != type_short && type != type_long)) continue;
        *(tag == width_tag ? width : height) = (uint32_t)read_number(entry + 8, size_of(type), little_endian);
    }
    return *width > 0 && *height > 0;
}
