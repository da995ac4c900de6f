#include "PNGText.h"

#include <stdlib.h>
#include <string.h>

// The chunks that may state an orientation. Of each kind, the last one counts.
typedef struct {
    // A TIFF block, with or without "Exif\0\0" before it.
    ByteRange exif;
    // EXIF as ImageMagick writes it, in hexadecimal digits.
    PNGText raw_profile;
    // XMP in a text chunk of any kind, and in iTXt, the only one that XMP's specification knows.
    PNGText xmp, international_xmp;
} Metadata;

static bool equals(ByteRange range, const char *text) {
    return range.count == strlen(text) && begins_with(range, text, range.count);
}

static bool is_type(const uint8_t *type, const char *name) { return memcmp(type, name, 4) == 0; }

static void note_text(Metadata *metadata, const uint8_t *type, ByteRange data) {
    ByteRange keyword;
    PNGText text;
    const bool is_international = is_type(type, "iTXt");
    const bool is_sound = is_type(type, "tEXt") ? png_read_text(data, &keyword, &text)
        : is_type(type, "zTXt")                 ? png_read_compressed_text(data, &keyword, &text)
        : is_international && png_read_international_text(data, &keyword, &text);
    if (!is_sound) return;
    if (is_type(type, "tEXt") && equals(keyword, "exif")) metadata->exif = without_exif_prefix(text.text);
    if (equals(keyword, "Raw profile type exif")) metadata->raw_profile = text;
    if (equals(keyword, "XML:com.adobe.xmp")) {
        metadata->xmp = text;
        if (is_international) metadata->international_xmp = text;
    }
}

static bool is_chunk_type(const uint8_t *type) {
    for (int i = 0; i < 4; i++) {
        const uint8_t c = type[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '_') return false;
    }
    return true;
}

// The pictures that the chunks before the pixels announce, if any.
typedef struct {
    uint32_t frames;
    // Whether the picture of the IDAT chunks is the first of the frames, as a frame's description before it says.
    bool begins_with_pixels;
} Animation;

static void note_animation(Animation *animation, ByteRange data) {
    if (data.count < 8) return;
    const uint32_t frames = read_big_endian(data.start);
    // A second announcement contradicts the first.
    if (animation->frames != 0) animation->frames = 0;
    else if (frames <= INT32_MAX) animation->frames = frames;
}

static bool has_several_pictures(Animation animation) {
    return animation.frames > (animation.begins_with_pixels ? 1 : 0);
}

// Walks the chunks as far as Pillow reads them for the first picture: to the end, or to the next frame's description.
static Metadata collect_metadata(const uint8_t *bytes, size_t count) {
    enum { overhead = 12 };
    Metadata metadata = {0};
    Animation animation = {0};
    bool has_pixels = false;
    for (size_t offset = png_signature_size; count - offset >= overhead;) {
        const uint8_t *type = bytes + offset + 4;
        const ByteRange data = {type + 4, read_big_endian(bytes + offset)};
        if (data.count > count - offset - overhead || !is_chunk_type(type) || is_type(type, "IEND")) break;
        if (is_type(type, "fcTL") && has_pixels && has_several_pictures(animation)) break;
        if (is_type(type, "IDAT")) has_pixels = true;
        if (is_type(type, "acTL") && !has_pixels) note_animation(&animation, data);
        if (is_type(type, "fcTL") && !has_pixels) animation.begins_with_pixels = true;
        if (is_type(type, "eXIf")) metadata.exif = data;
        note_text(&metadata, type, data);
        offset += overhead + data.count;
    }
    return metadata;
}

// As in Pillow, EXIF in its own chunk hides EXIF in a text, whatever it says.
static uint32_t exif_orientation_of(const Metadata *metadata) {
    if (metadata->exif.start) return exif_orientation(without_exif_prefix(metadata->exif));
    if (!metadata->raw_profile.text.start) return orientation_unstated;
    const PNGPlainText text = png_plain_text(metadata->raw_profile);
    const PNGPlainText profile = text.text.start ? png_raw_profile(text.text) : text;
    const uint32_t orientation = exif_orientation(without_exif_prefix(without_exif_prefix(profile.text)));
    free(profile.memory);
    free(text.memory);
    return orientation;
}

static uint32_t xmp_orientation_of(PNGText xmp, bool *is_empty) {
    const PNGPlainText plain = png_plain_text(xmp);
    const uint32_t orientation = xmp_orientation(plain.text);
    *is_empty = plain.text.count == 0;
    free(plain.memory);
    return orientation;
}

uint32_t png_orientation(const uint8_t *bytes, size_t count) {
    const Metadata metadata = collect_metadata(bytes, count);
    uint32_t orientation = exif_orientation_of(&metadata);
    bool is_empty = true;
    if (orientation == orientation_unstated) orientation = xmp_orientation_of(metadata.xmp, &is_empty);
    if (orientation == orientation_unstated && is_empty) {
        orientation = xmp_orientation_of(metadata.international_xmp, &is_empty);
    }
    return orientation == orientation_unstated ? orientation_upright : orientation;
}
