#include "Codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

// Real progressive files have about ten scans; each one is a pass over all coefficients, so a few kilobytes of empty
// scans could otherwise cost minutes.
enum { maximum_scans = 64 };

typedef struct {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    size_t count;
    ImageCodecStatus status;
    ImageCodecFailure *failure;
    JSAMPLE *row;
    // The TIFF block of the first EXIF segment that isn't empty, within the file's bytes; null without one.
    const uint8_t *exif;
    size_t exif_count;
} Decompression;

bool is_jpeg(const uint8_t *bytes, size_t count) {
    return count >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

static size_t offset_reached(const Decompression *decompression) {
    const struct jpeg_source_mgr *source = decompression->info.src;
    return source ? decompression->count - source->bytes_in_buffer : 0;
}

[[noreturn]] static void escape(Decompression *decompression, ImageCodecStatus status, size_t offset) {
    decompression->status = status;
    decompression->failure->offset = offset;
    longjmp(decompression->escape, 1);
}

[[noreturn]] static void escape_saying(Decompression *decompression, ImageCodecStatus status, const char *message) {
    codec_fail(decompression->failure, status, 0, message);
    escape(decompression, status, offset_reached(decompression));
}

static void format_library_message(j_common_ptr info, ImageCodecFailure *failure) {
    char message[JMSG_LENGTH_MAX];
    info->err->format_message(info, message);
    snprintf(failure->message, sizeof failure->message, "%s", message);
}

[[noreturn]] static void on_error(j_common_ptr info) {
    Decompression *decompression = info->client_data;
    format_library_message(info, decompression->failure);
    ImageCodecStatus status = ImageCodecStatusCorrupt;
    switch (info->err->msg_code) {
        case JERR_BAD_PRECISION:
        case JERR_SOF_UNSUPPORTED:
        case JERR_CONVERSION_NOTIMPL:
            status = ImageCodecStatusUnsupported;
            break;
        case JERR_EMPTY_IMAGE:
            status = ImageCodecStatusEmpty;
            break;
        case JERR_IMAGE_TOO_BIG:
        case JERR_WIDTH_OVERFLOW:
        case JERR_OUT_OF_MEMORY:
        case JERR_NO_BACKING_STORE:
            status = ImageCodecStatusTooLarge;
            break;
        case JERR_INPUT_EOF:
            status = ImageCodecStatusTruncated;
            break;
    }
    escape(decompression, status, offset_reached(decompression));
}

// Damage that libjpeg would paper over with gray blocks becomes an error; oddities that cost no pixel (a stray byte
// before a marker, an unknown Adobe transform) stay tolerated, since real cameras write them.
static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    Decompression *decompression = info->client_data;
    switch (info->err->msg_code) {
        case JWRN_JPEG_EOF:
            format_library_message(info, decompression->failure);
            escape(decompression, ImageCodecStatusTruncated, decompression->count);
        case JWRN_HIT_MARKER:
        case JWRN_HUFF_BAD_CODE:
        case JWRN_MUST_RESYNC:
            format_library_message(info, decompression->failure);
            escape(decompression, ImageCodecStatusCorrupt, offset_reached(decompression));
    }
}

static void discard_output(j_common_ptr) {}

static void limit_scans(j_common_ptr info) {
    Decompression *decompression = info->client_data;
    if (decompression->info.input_scan_number > maximum_scans) {
        escape_saying(decompression, ImageCodecStatusTooLarge, "more than 64 scans");
    }
}

static void open_source(Decompression *decompression, const uint8_t *bytes) {
    struct jpeg_decompress_struct *info = &decompression->info;
    jpeg_create_decompress(info);
    info->progress = &decompression->progress;
    jpeg_mem_src(info, bytes, decompression->count);
}

static void read_header(Decompression *decompression) {
    struct jpeg_decompress_struct *info = &decompression->info;
    jpeg_read_header(info, TRUE);
    // Where arithmetic-coded data end early, libjpeg makes up the rest without a word: a kilobyte of such scans costs
    // minutes.
    if (info->arith_code) {
        escape_saying(decompression, ImageCodecStatusUnsupported, "arithmetic coding instead of Huffman's");
    }
    if (info->data_precision != 8) {
        escape_saying(decompression, ImageCodecStatusUnsupported, "a sample precision other than 8 bits");
    }
    if (info->num_components != 1 && info->num_components != 3 && info->num_components != 4) {
        escape_saying(decompression, ImageCodecStatusUnsupported, "a number of components other than 1, 3 or 4");
    }
}

// Looks at an APP1 segment where it lies. jpeg_save_markers would copy every one and walk the list of all before it, a
// time that grows with the square of their number.
static boolean look_for_exif(j_decompress_ptr info) {
    enum { length_size = 2, prefix_size = 6 };
    Decompression *decompression = info->client_data;
    const uint8_t *segment = info->src->next_input_byte;
    const size_t available = info->src->bytes_in_buffer;
    // The length counts itself, so that less than 2 is wrong; libjpeg passes over it then, and so does Pillow.
    const size_t stated = available < length_size ? 0 : (size_t)segment[0] << 8 | segment[1];
    const size_t length = stated < length_size ? length_size : stated;
    const size_t start = length_size + prefix_size;
    if (!decompression->exif && length > start && length <= available
        && memcmp(segment + length_size, "Exif\0", prefix_size) == 0) {
        decompression->exif = segment + start;
        decompression->exif_count = length - start;
    }
    info->src->skip_input_data(info, (long)length);
    return TRUE;
}

static void probe(Decompression *decompression, const uint8_t *bytes, ImageCodecHeader *header) {
    struct jpeg_decompress_struct *info = &decompression->info;
    open_source(decompression, bytes);
    jpeg_set_marker_processor(info, JPEG_APP0 + 1, look_for_exif);
    read_header(decompression);

    *header = (ImageCodecHeader){
        .format = ImageCodecFormatJPEG, .width = info->image_width, .height = info->image_height,
        .channels = (uint32_t)info->num_components,
        .orientation = exif_orientation(decompression->exif, decompression->exif_count), .frames = 1};
}

// Pillow takes every CMYK JPEG as inverted, as Adobe writes them, with or without Adobe's marker; its CMYK to RGB is
// key - ink * key / 255 with a rounded division.
static void convert_inverted_cmyk(const JSAMPLE *cmyk, uint32_t width, uint8_t *rgb) {
    for (uint32_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        const int key = cmyk[3];
        for (int channel = 0; channel < 3; channel++) {
            const int product = (255 - cmyk[channel]) * key + 128;
            rgb[channel] = (uint8_t)(key - ((product + (product >> 8)) >> 8));
        }
    }
}

// libjpeg holds a multi-scan file's coefficients, 2 bytes for each of at most 4 full-size components padded to whole
// MCUs; beyond those and its fixed working memory there is nothing that it should need.
static long memory_limit(const struct jpeg_decompress_struct *info) {
    const long width = (long)info->image_width + 64, height = (long)info->image_height + 64;
    return width * height * info->num_components * (long)sizeof(JCOEF) + (16l << 20);
}

static void decode(
    Decompression *decompression, const uint8_t *bytes, uint32_t scale_denominator, uint32_t width, uint32_t height,
    uint8_t *pixels) {
    struct jpeg_decompress_struct *info = &decompression->info;
    open_source(decompression, bytes);
    read_header(decompression);

    const bool cmyk = info->num_components == 4;
    info->mem->max_memory_to_use = memory_limit(info);
    info->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    info->scale_num = 1;
    info->scale_denom = scale_denominator;
    jpeg_calc_output_dimensions(info);
    if (info->output_width != width || info->output_height != height) {
        escape_saying(decompression, ImageCodecStatusCorrupt, "the size differs from the header's");
    }
    jpeg_start_decompress(info);
    if (cmyk) {
        decompression->row = malloc((size_t)width * 4);
        if (!decompression->row) escape_saying(decompression, ImageCodecStatusTooLarge, "out of memory");
    }
    while (info->output_scanline < height) {
        uint8_t *destination = pixels + (size_t)info->output_scanline * width * 3;
        JSAMPROW row = cmyk ? decompression->row : destination;
        jpeg_read_scanlines(info, &row, 1);
        if (cmyk) convert_inverted_cmyk(decompression->row, width, destination);
    }
    jpeg_finish_decompress(info);
}

static void prepare(Decompression *decompression, size_t count, ImageCodecFailure *failure) {
    *decompression = (Decompression){.count = count, .failure = failure};
    decompression->info.err = jpeg_std_error(&decompression->errors);
    decompression->info.client_data = decompression;
    decompression->errors.error_exit = on_error;
    decompression->errors.emit_message = on_message;
    decompression->errors.output_message = discard_output;
    decompression->progress.progress_monitor = limit_scans;
}

static ImageCodecStatus finish(Decompression *decompression) {
    jpeg_destroy_decompress(&decompression->info);
    free(decompression->row);
    return decompression->status;
}

ImageCodecStatus jpeg_probe(const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    Decompression decompression;
    prepare(&decompression, count, failure);
    if (setjmp(decompression.escape) == 0) probe(&decompression, bytes, header);
    return finish(&decompression);
}

ImageCodecStatus jpeg_decode(
    const uint8_t *bytes, size_t count, uint32_t scale_denominator, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Decompression decompression;
    prepare(&decompression, count, failure);
    if (setjmp(decompression.escape) == 0) {
        decode(&decompression, bytes, scale_denominator, width, height, pixels);
    }
    return finish(&decompression);
}
