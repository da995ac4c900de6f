#define _GNU_SOURCE

#include "Codecs.h"

#include <string.h>

// Looks for the regular expression `tiff:Orientation(="|>)([0-9])`, as Pillow does: XML is not parsed, and namespaces are
// not resolved.
uint32_t xmp_orientation(ByteRange xmp) {
    static const char name[] = "tiff:Orientation";
    enum { name_size = sizeof name - 1 };
    const uint8_t *at = xmp.start, *end = xmp.start + xmp.count;
    while (at && (at = memmem(at, (size_t)(end - at), name, name_size))) {
        at += name_size;
        const ByteRange rest = {at, (size_t)(end - at)};
        const size_t separator = begins_with(rest, "=\"", 2) ? 2 : begins_with(rest, ">", 1) ? 1 : 0;
        if (separator == 0 || rest.count <= separator) continue;
        const uint8_t digit = at[separator];
        if (digit < '0' || digit > '9') continue;
        const uint32_t value = digit - (uint32_t)'0';
        return value >= orientation_upright && value <= orientation_last ? value : orientation_upright;
    }
    return orientation_unstated;
}
