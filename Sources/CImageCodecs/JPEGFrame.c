#include "Codecs.h"

// The first marker from `*offset` on, and the offset after it; 0 if there is none. As libjpeg looks for it: bytes that are no
// marker are skipped.
static uint8_t next_marker(const uint8_t *bytes, size_t count, size_t *offset) {
    size_t at = *offset;
    while (at < count) {
        while (at < count && bytes[at] != 0xff) at++;
        while (at < count && bytes[at] == 0xff) at++;
        if (at < count && bytes[at] != 0) {
            *offset = at + 1;
            return bytes[at];
        }
    }
    return 0;
}

// The coding that a frame header's marker states (ITU-T T.81, table B.1).
static const char *process_of(uint8_t marker) {
    switch (marker) {
        case 0xc3: return "lossless coding (SOF3)";
        case 0xc5: return "hierarchical coding (SOF5)";
        case 0xc6: return "hierarchical coding (SOF6)";
        case 0xc7: return "hierarchical lossless coding (SOF7)";
        case 0xc8: return "an extension of JPEG (SOF8)";
        case 0xc9: return "arithmetic coding (SOF9)";
        case 0xca: return "arithmetic coding (SOF10)";
        case 0xcb: return "lossless arithmetic coding (SOF11)";
        case 0xcd: return "hierarchical arithmetic coding (SOF13)";
        case 0xce: return "hierarchical arithmetic coding (SOF14)";
        case 0xcf: return "hierarchical lossless arithmetic coding (SOF15)";
        case 0xde: return "hierarchical coding (DHP)";
        case 0xf7: return "JPEG-LS (SOF55)";
        default: return nullptr;
    }
}

const char *jpeg_foreign_process(const uint8_t *bytes, size_t count) {
    enum { soi = 0xd8, eoi = 0xd9, sos = 0xda, sof0 = 0xc0, sof2 = 0xc2, rst0 = 0xd0, tem = 0x01, length_size = 2 };
    size_t offset = 0;
    for (;;) {
        const uint8_t marker = next_marker(bytes, count, &offset);
        const bool is_frame = marker >= sof0 && marker <= sof2;
        if (marker == 0 || marker == eoi || marker == sos || is_frame) return nullptr;
        const char *process = process_of(marker);
        if (process) return process;
        if (marker == tem || (marker >= rst0 && marker <= soi)) continue;
        if (count - offset < length_size) return nullptr;
        const size_t stated = (size_t)bytes[offset] << 8 | bytes[offset + 1];
        const size_t length = stated < length_size ? length_size : stated;
        if (length > count - offset) return nullptr;
        offset += length;
    }
}
