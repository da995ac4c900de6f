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
    // The contents of the EXIF segments, one after the other.
    uint8_t *exif;
    size_t exif_count, exif_capacity;
    // The last XMP segment's contents, within the file's bytes.
    ByteRange xmp;
    // Whether the headers have been read, so that scans follow.
    bool reads_scans;
    // Whether libjpeg has reached the end of the bytes before the end-of-image marker.
    bool has_ended;
    // A bit for each component for which a scan has begun.
    uint32_t scanned_components;
} Decompression;

// SOI, and the first byte of the next marker.
static const uint8_t start[] = {0xff, 0xd8, 0xff};

static bool recognizes(const uint8_t *bytes, size_t count) {
    return begins_with((ByteRange){bytes, count}, start, sizeof start);
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
        case JERR_CCIR601_NOTIMPL:
        case JERR_COMPONENT_COUNT:
        case JERR_CONVERSION_NOTIMPL:
        case JERR_FRACT_SAMPLE_NOTIMPL:
        case JERR_NOT_COMPILED:
        case JERR_NOTIMPL:
        case JERR_SOF_UNSUPPORTED:
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

[[noreturn]] static void escape_at_end(Decompression *decompression) {
    const char *place = decompression->reads_scans ? "the file ends within the picture" : "the file ends before the picture";
    codec_fail(decompression->failure, ImageCodecStatusTruncated, 0, place);
    escape(decompression, ImageCodecStatusTruncated, decompression->count);
}

// Whether the scan that begins refines bits of a coefficient that no earlier scan has given, as libjpeg warns.
static bool lacks_refined_scan(const struct jpeg_decompress_struct *info) {
    const int *parameters = info->err->msg_parm.i;
    const int known = info->coef_bits[parameters[0]][parameters[1]];
    return info->Ah > (known < 0 ? 0 : known);
}

// Damage that libjpeg would hide behind gray blocks becomes an error. Oddities that cost no pixel (a stray byte before a marker,
// an unknown Adobe transform) are tolerated, since real cameras write them.
static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    Decompression *decompression = info->client_data;
    switch (info->err->msg_code) {
        case JWRN_JPEG_EOF:
            // libjpeg continues as if an end-of-image marker came next. Whether a pixel is missing shows when it is needed.
            if (!decompression->reads_scans) escape_at_end(decompression);
            decompression->has_ended = true;
            break;
        case JWRN_BOGUS_PROGRESSION:
            if (!lacks_refined_scan(&decompression->info)) break;
            escape_saying(decompression, ImageCodecStatusCorrupt, "a later scan refines one that is missing");
        case JWRN_HIT_MARKER:
        case JWRN_HUFF_BAD_CODE:
        case JWRN_MUST_RESYNC:
            if (decompression->has_ended) escape_at_end(decompression);
            format_library_message(info, decompression->failure);
            escape(decompression, ImageCodecStatusCorrupt, offset_reached(decompression));
    }
}

static void discard_output(j_common_ptr) {}

static bool is_scan_complete(const struct jpeg_decompress_struct *info) {
    return info->input_iMCU_row >= info->total_iMCU_rows;
}

// Whether the picture is complete: every component has had its scan, or in a progressive file every coefficient has its last
// bit.
static bool is_picture_complete(const Decompression *decompression) {
    const struct jpeg_decompress_struct *info = &decompression->info;
    if (!is_scan_complete(info)) return false;
    if (!info->progressive_mode) return decompression->scanned_components == (1u << info->num_components) - 1;
    for (int component = 0; component < info->num_components; component++) {
        for (int coefficient = 0; coefficient < DCTSIZE2; coefficient++) {
            if (info->coef_bits[component][coefficient] != 0) return false;
        }
    }
    return true;
}

// Called before each marker, and before each row of blocks, of a file with several scans.
static void on_progress(j_common_ptr common) {
    Decompression *decompression = common->client_data;
    struct jpeg_decompress_struct *info = &decompression->info;
    if (info->input_scan_number > maximum_scans) {
        escape_saying(decompression, ImageCodecStatusTooLarge, "more than 64 scans");
    }
    for (int i = 0; i < info->comps_in_scan; i++) {
        decompression->scanned_components |= 1u << info->cur_comp_info[i]->component_index;
    }
    if (is_picture_complete(decompression)) {
        // What follows can't change a pixel. libjpeg reads up to the end-of-image marker, so it gets one now.
        info->src->bytes_in_buffer = 0;
        info->unread_marker = 0;
    }
}

// A component without any scan would be gray. Scans that only refine may be missing if the file ends with its end-of-image
// marker.
static void require_scans(Decompression *decompression) {
    struct jpeg_decompress_struct *info = &decompression->info;
    if (!jpeg_has_multiple_scans(info) || is_picture_complete(decompression)) return;
    if (decompression->has_ended) escape_at_end(decompression);
    for (int component = 0; component < info->num_components; component++) {
        const bool is_scanned = info->progressive_mode
            ? info->coef_bits[component][0] >= 0 : decompression->scanned_components >> component & 1;
        if (!is_scanned) {
            escape_saying(decompression, ImageCodecStatusCorrupt, "a colour component has no scan");
        }
    }
}

static void open_source(Decompression *decompression, const uint8_t *bytes) {
    struct jpeg_decompress_struct *info = &decompression->info;
    jpeg_create_decompress(info);
    info->progress = &decompression->progress;
    jpeg_mem_src(info, bytes, decompression->count);
}

static void read_header(Decompression *decompression, const uint8_t *bytes) {
    struct jpeg_decompress_struct *info = &decompression->info;
    // Which of these libjpeg-turbo decodes depends on its version. If arithmetic-coded data end early, it silently makes up the
    // rest: a kilobyte of such scans costs minutes.
    const char *process = jpeg_foreign_process(bytes, decompression->count);
    if (process) escape_saying(decompression, ImageCodecStatusUnsupported, process);
    jpeg_read_header(info, TRUE);
    if (info->data_precision != 8) {
        escape_saying(decompression, ImageCodecStatusUnsupported, "a sample precision other than 8 bits");
    }
    if (info->num_components != 1 && info->num_components != 3 && info->num_components != 4) {
        escape_saying(decompression, ImageCodecStatusUnsupported, "a number of components other than 1, 3 or 4");
    }
}

static void append_exif(Decompression *decompression, const uint8_t *bytes, size_t count) {
    if (count == 0) return;
    if (count > decompression->exif_capacity - decompression->exif_count) {
        const size_t capacity = 2 * (decompression->exif_count + count);
        uint8_t *grown = realloc(decompression->exif, capacity);
        if (!grown) escape_saying(decompression, ImageCodecStatusTooLarge, "out of memory");
        decompression->exif = grown;
        decompression->exif_capacity = capacity;
    }
    memcpy(decompression->exif + decompression->exif_count, bytes, count);
    decompression->exif_count += count;
}

// Reads an APP1 segment in place. jpeg_save_markers would copy every segment and walk the list of all before it, in a time that
// grows with the square of their number. As in Pillow, EXIF segments continue each other, and the last XMP segment counts.
static boolean look_for_metadata(j_decompress_ptr info) {
    enum { length_size = 2, exif_prefix_size = 6 };
    static const char xmp_prefix[] = "http://ns.adobe.com/xap/1.0/";
    Decompression *decompression = info->client_data;
    const uint8_t *segment = info->src->next_input_byte;
    const size_t available = info->src->bytes_in_buffer;
    // The length counts itself, so less than 2 is wrong; libjpeg then skips the length alone, and so does Pillow.
    const size_t stated = available < length_size ? 0 : (size_t)segment[0] << 8 | segment[1];
    const size_t length = stated < length_size ? length_size : stated;
    if (length <= available) {
        const ByteRange content = {segment + length_size, length - length_size};
        if (begins_with(content, "Exif\0", exif_prefix_size)) {
            append_exif(decompression, content.start + exif_prefix_size, content.count - exif_prefix_size);
        } else if (begins_with(content, xmp_prefix, sizeof xmp_prefix)) {
            decompression->xmp = (ByteRange){content.start + sizeof xmp_prefix, content.count - sizeof xmp_prefix};
        }
    }
    info->src->skip_input_data(info, (long)length);
    return TRUE;
}

static uint32_t orientation_of(const Decompression *decompression) {
    const ByteRange exif = {decompression->exif, decompression->exif_count};
    const uint32_t stated = exif_orientation(without_exif_prefix(exif));
    if (stated != orientation_unstated) return stated;
    const uint32_t edited = xmp_orientation(decompression->xmp);
    return edited == orientation_unstated ? orientation_upright : edited;
}

static void read_information(Decompression *decompression, const uint8_t *bytes, ImageCodecHeader *header) {
    struct jpeg_decompress_struct *info = &decompression->info;
    open_source(decompression, bytes);
    jpeg_set_marker_processor(info, JPEG_APP0 + 1, look_for_metadata);
    read_header(decompression, bytes);

    *header = (ImageCodecHeader){
        .width = info->image_width, .height = info->image_height,
        .channels = (uint32_t)info->num_components,
        .orientation = orientation_of(decompression)};
}

// Pillow treats every CMYK JPEG as inverted, as Adobe writes them, with or without Adobe's marker. Its conversion to RGB is
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

// Of a file with several scans, libjpeg keeps the coefficients: 2 bytes for each of at most 4 full-size components, padded to
// whole MCUs. It needs nothing beyond those and its fixed working memory.
static long memory_limit(const struct jpeg_decompress_struct *info) {
    const long width = (long)info->image_width + 64, height = (long)info->image_height + 64;
    return width * height * info->num_components * (long)sizeof(JCOEF) + (16l << 20);
}

// Cameras and interrupted downloads fill files up with zero bytes. They don't count as data, because as codes they would continue
// the picture. One zero after 0xff belongs to it.
static size_t count_without_padding(const uint8_t *bytes, size_t count) {
    size_t used = count;
    while (used > 0 && bytes[used - 1] == 0) used--;
    return used > 0 && used < count && bytes[used - 1] == 0xff ? used + 1 : used;
}

static void read_pixels(
    Decompression *decompression, const uint8_t *bytes, uint32_t scale_denominator, uint32_t width, uint32_t height,
    uint8_t *pixels) {
    struct jpeg_decompress_struct *info = &decompression->info;
    decompression->count = count_without_padding(bytes, decompression->count);
    open_source(decompression, bytes);
    read_header(decompression, bytes);
    decompression->reads_scans = true;

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
    require_scans(decompression);
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
    // Not finished: jpeg_finish_decompress would read on to the end-of-image marker, and every pixel is there without it.
}

static void prepare(Decompression *decompression, size_t count, ImageCodecFailure *failure) {
    *decompression = (Decompression){.count = count, .failure = failure};
    decompression->info.err = jpeg_std_error(&decompression->errors);
    decompression->info.client_data = decompression;
    decompression->errors.error_exit = on_error;
    decompression->errors.emit_message = on_message;
    decompression->errors.output_message = discard_output;
    decompression->progress.progress_monitor = on_progress;
}

static ImageCodecStatus finish(Decompression *decompression) {
    jpeg_destroy_decompress(&decompression->info);
    free(decompression->row);
    free(decompression->exif);
    return decompression->status;
}

static ImageCodecStatus probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    Decompression decompression;
    prepare(&decompression, count, failure);
    if (setjmp(decompression.escape) == 0) {
        read_information(&decompression, bytes, header);
    } else if (decompression.errors.msg_code == JERR_IMAGE_TOO_BIG) {
        // The caller's limits come first, which are known to those who send images.
        *header = (ImageCodecHeader){
            .width = decompression.info.image_width, .height = decompression.info.image_height,
            .channels = (uint32_t)decompression.info.num_components, .orientation = orientation_upright};
        decompression.status = ImageCodecStatusOK;
    }
    return finish(&decompression);
}

static ImageCodecStatus decode(
    const uint8_t *bytes, size_t count, uint32_t scale_denominator, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Decompression decompression;
    prepare(&decompression, count, failure);
    if (setjmp(decompression.escape) == 0) {
        read_pixels(&decompression, bytes, scale_denominator, width, height, pixels);
    }
    return finish(&decompression);
}

// The headers' version, because the library doesn't report its own.
static void write_version(char *text, size_t size) {
#define TEXT(number) #number
#define VERSION(number) TEXT(number)
    snprintf(text, size, "%s", VERSION(LIBJPEG_TURBO_VERSION));
#undef VERSION
#undef TEXT
}

const ImageCodec jpeg_codec = {
    .name = "JPEG", .media_type = "image/jpeg", .suffixes = "jpg jpeg", .start = {start, sizeof start},
    // libjpeg-turbo has smaller inverse DCTs.
    .largest_denominator = 8, .recognizes = recognizes, .probe = probe, .decode = decode,
    .library = {"libjpeg-turbo", write_version}};
