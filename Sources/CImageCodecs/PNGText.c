#include "PNGText.h"

#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <CZlib.h>

// Everything before the next zero byte of `data`, and moves `data` past it; null without such a byte.
static ByteRange take_string(ByteRange *data) {
    const uint8_t *end = data->count ? memchr(data->start, 0, data->count) : nullptr;
    if (!end) return (ByteRange){nullptr, 0};
    const ByteRange string = {data->start, (size_t)(end - data->start)};
    *data = (ByteRange){end + 1, data->count - string.count - 1};
    return string;
}

bool png_read_text(ByteRange data, ByteRange *keyword, PNGText *text) {
    *keyword = take_string(&data);
    *text = (PNGText){data, false};
    return keyword->start != nullptr;
}

bool png_read_compressed_text(ByteRange data, ByteRange *keyword, PNGText *text) {
    *keyword = take_string(&data);
    if (!keyword->start || data.count == 0 || data.start[0] != 0) return false;
    *text = (PNGText){{data.start + 1, data.count - 1}, true};
    return true;
}

bool png_read_international_text(ByteRange data, ByteRange *keyword, PNGText *text) {
    *keyword = take_string(&data);
    if (!keyword->start || data.count < 2) return false;
    const bool is_compressed = data.start[0] != 0;
    if (is_compressed && data.start[1] != 0) return false;
    data = (ByteRange){data.start + 2, data.count - 2};
    const ByteRange language = take_string(&data), translated_keyword = take_string(&data);
    *text = (PNGText){data, is_compressed};
    return language.start && translated_keyword.start;
}

PNGPlainText png_plain_text(PNGText text) {
    enum { longest = 1 << 20 };
    if (!text.is_compressed) return (PNGPlainText){text.text, nullptr};
    const PNGPlainText none = {{nullptr, 0}, nullptr};
    // One byte more than is accepted, to see whether there is one.
    uint8_t *memory = malloc(longest + 1);
    z_stream stream = {.next_in = text.text.start, .avail_in = (uInt)text.text.count};
    if (!memory || inflateInit(&stream) != Z_OK) {
        free(memory);
        return none;
    }
    stream.next_out = memory;
    stream.avail_out = longest + 1;
    const int status = inflate(&stream, Z_SYNC_FLUSH);
    const size_t count = stream.total_out;
    inflateEnd(&stream);
    // A stream that is cut off gives what it contains.
    const bool is_sound = status == Z_STREAM_END || status == Z_OK || status == Z_BUF_ERROR;
    if (is_sound && count <= longest) return (PNGPlainText){{memory, count}, memory};
    free(memory);
    return none;
}

static int hexadecimal_value(uint8_t digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

static bool is_space(uint8_t character) {
    return character == ' ' || (character >= '\t' && character <= '\r');
}

PNGPlainText png_raw_profile(ByteRange text) {
    for (int line = 0; line < 3; line++) {
        const uint8_t *end = text.count ? memchr(text.start, '\n', text.count) : nullptr;
        if (!end) {
            text.count = 0;
            break;
        }
        text = (ByteRange){end + 1, text.count - (size_t)(end + 1 - text.start)};
    }
    const PNGPlainText none = {{nullptr, 0}, nullptr};
    uint8_t *memory = malloc(text.count / 2 + 1);
    if (!memory) return none;
    size_t count = 0;
    int high = -1;
    for (size_t i = 0; i < text.count; i++) {
        const uint8_t character = text.start[i];
        // Lines may end between the two digits of a byte; other spaces may not stand there.
        if (character == '\n' || (high < 0 && is_space(character))) continue;
        const int value = hexadecimal_value(character);
        if (value < 0) {
            free(memory);
            return none;
        }
        if (high >= 0) memory[count++] = (uint8_t)(high << 4 | value);
        high = high < 0 ? value : -1;
    }
    if (high < 0) return (PNGPlainText){{memory, count}, memory};
    free(memory);
    return none;
}
