#include "Codecs.h"

static uint32_t read_integer(const uint8_t *at, size_t size, bool little_endian) {
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | at[little_endian ? size - 1 - i : i];
    }
    return value;
}

uint32_t exif_orientation(const uint8_t *tiff, size_t count) {
    enum { header_size = 8, entry_size = 12, orientation_tag = 0x0112, type_short = 3 };
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
        if (read_integer(entry + 2, 2, little_endian) != type_short) return 1;
        const uint32_t orientation = read_integer(entry + 8, 2, little_endian);
        return orientation >= 1 && orientation <= 8 ? orientation : 1;
    }
    return 1;
}
