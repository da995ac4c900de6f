#include "Codecs.h"

#include <string.h>

static uint32_t read_integer(const uint8_t *at, size_t size, bool little_endian) {
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | at[little_endian ? size - 1 - i : i];
    }
    return value;
}

// Bytes of one number; 0 for types that are no integers. Pillow takes the signed types and IFD too, but BYTE for text.
static size_t integer_size(uint32_t type) {
    enum { type_short = 3, type_long = 4, type_sbyte = 6, type_sshort = 8, type_slong = 9, type_ifd = 13 };
    switch (type) {
        case type_sbyte: return 1;
        case type_short: case type_sshort: return 2;
        case type_long: case type_slong: case type_ifd: return 4;
        default: return 0;
    }
}

uint32_t exif_orientation(const uint8_t *exif, size_t count) {
    enum { prefix_size = 6, header_size = 8, entry_size = 12, value_size = 4, orientation_tag = 0x0112 };
    const bool has_prefix = count > prefix_size && memcmp(exif, "Exif\0", prefix_size) == 0;
    const uint8_t *tiff = has_prefix ? exif + prefix_size : exif;
    if (has_prefix) count -= prefix_size;
    if (count < header_size + 2 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M')) return 1;
    const bool little_endian = tiff[0] == 'I';
    if (read_integer(tiff + 2, 2, little_endian) != 42) return 1;

    const size_t directory = read_integer(tiff + 4, 4, little_endian);
    if (directory > count - 2) return 1;
    const size_t announced = read_integer(tiff + directory, 2, little_endian);
    const size_t present = (count - directory - 2) / entry_size;
    for (size_t i = 0; i < (announced < present ? announced : present); i++) {
        const uint8_t *entry = tiff + directory + 2 + i * entry_size;
        if (read_integer(entry, 2, little_endian) != orientation_tag) continue;
        const size_t size = integer_size(read_integer(entry + 2, 2, little_endian));
        const size_t numbers = read_integer(entry + 4, 4, little_endian);
        // More numbers than fit here stand elsewhere, and an orientation is one.
        if (size == 0 || numbers == 0 || numbers * size > value_size) return 1;
        const uint32_t orientation = read_integer(entry + 8, size, little_endian);
        return orientation >= 1 && orientation <= 8 ? orientation : 1;
    }
    return 1;
}
