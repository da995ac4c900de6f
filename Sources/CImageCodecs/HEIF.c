// HEIC and AVIF: one container, HEIF, with pictures in HEVC or AV1.
#include "HEIF.h"

#if __has_include(<libheif/heif.h>)
#include <libheif/heif.h>
#endif

// Damage is an error instead of made-up pixels since about this version.
#if defined(LIBHEIF_NUMERIC_VERSION) && LIBHEIF_NUMERIC_VERSION >= (1 << 24 | 15 << 16)

#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// The functions that reading a picture takes.
#define HEIF_FUNCTIONS(FUNCTION) \
    FUNCTION(heif_context_alloc) \
    FUNCTION(heif_context_free) \
    FUNCTION(heif_context_set_max_decoding_threads) \
    FUNCTION(heif_context_read_from_memory_without_copy) \
    FUNCTION(heif_context_get_primary_image_handle) \
    FUNCTION(heif_image_handle_get_width) \
    FUNCTION(heif_image_handle_get_height) \
    FUNCTION(heif_image_handle_has_alpha_channel) \
    FUNCTION(heif_image_handle_release) \
    FUNCTION(heif_decoding_options_alloc) \
    FUNCTION(heif_decoding_options_free) \
    FUNCTION(heif_decode_image) \
    FUNCTION(heif_image_get_width) \
    FUNCTION(heif_image_get_height) \
    FUNCTION(heif_image_get_plane_readonly) \
    FUNCTION(heif_image_release) \
    FUNCTION(heif_get_version)

#define MEMBER(name) __typeof__(&name) name;
// The functions of libheif, under their names. The binary doesn't link with it, because it brings the codecs of HEVC and AV1, encoders
// included: 20 MB that a service without these formats would map.
static struct { HEIF_FUNCTIONS(MEMBER) } library;
#undef MEMBER
static const char *unavailability;

static void load_library(void) {
    void *const handle = dlopen("libheif.so.1", RTLD_NOW | RTLD_LOCAL);
    unavailability = "libheif.so.1, the library that decodes HEIC and AVIF, can't be loaded; install libheif 1.15 or newer";
    if (!handle) return;
#define LOAD(name) \
    if (!((*(void **)&library.name) = dlsym(handle, #name))) return;
    HEIF_FUNCTIONS(LOAD)
#undef LOAD
    unavailability = nullptr;
}

static const char *find_unavailability(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_library);
    return unavailability;
}

// A file that is read, and its primary picture.
typedef struct {
    HEIFMeasure measure;
    struct heif_context *context;
    struct heif_image_handle *picture;
} Source;

// libheif doesn't say where it fails: the place is where the picture's data begin.
static ImageCodecStatus fail(const Source *source, struct heif_error error, ImageCodecFailure *failure) {
    ImageCodecStatus status = ImageCodecStatusCorrupt;
    switch (error.code) {
        case heif_error_Unsupported_filetype:
        case heif_error_Unsupported_feature:
            status = ImageCodecStatusUnsupported;
            break;
        case heif_error_Memory_allocation_error: status = ImageCodecStatusTooLarge; break;
        default:
            if (error.subcode == heif_suberror_End_of_data) status = ImageCodecStatusTruncated;
            if (error.subcode == heif_suberror_Security_limit_exceeded) status = ImageCodecStatusTooLarge;
    }
    char message[sizeof failure->message];
    snprintf(message, sizeof message, "%.*s", (int)strcspn(error.message, "\n"), error.message);
    return codec_fail(failure, status, source->measure.data_offset, message);
}

static bool is_failure(struct heif_error error) { return error.code != heif_error_Ok; }

static void close_source(Source *source) {
    if (source->picture) library.heif_image_handle_release(source->picture);
    if (source->context) library.heif_context_free(source->context);
}

static ImageCodecStatus fail_without_pixels(ImageCodecFailure *failure) {
    return codec_fail(failure, ImageCodecStatusEmpty, 0, "the container gives a size of zero pixels");
}

// Versions of libheif report a zero size as different errors, so it is refused here first.
static ImageCodecStatus measure_source(const uint8_t *bytes, size_t count, Source *source, ImageCodecFailure *failure) {
    if (find_unavailability()) return codec_fail(failure, ImageCodecStatusUnsupported, 0, "this format can't be decoded here");
    const HEIFMeasure *measure = &source->measure;
    const ImageCodecStatus status = heif_measure(bytes, count, &source->measure, failure);
    if (status == ImageCodecStatusOK && (measure->width == 0 || measure->height == 0)) return fail_without_pixels(failure);
    return status;
}

static ImageCodecStatus open_source(const uint8_t *bytes, size_t count, Source *source, ImageCodecFailure *failure) {
    source->context = library.heif_context_alloc();
    if (!source->context) return codec_fail(failure, ImageCodecStatusTooLarge, 0, "out of memory");
    // No decoding threads of libheif's own: the caller already decodes one image per thread.
    library.heif_context_set_max_decoding_threads(source->context, 0);
    struct heif_error error = library.heif_context_read_from_memory_without_copy(source->context, bytes, count, nullptr);
    if (!is_failure(error)) error = library.heif_context_get_primary_image_handle(source->context, &source->picture);
    return is_failure(error) ? fail(source, error, failure) : ImageCodecStatusOK;
}

// Refuses a file whose pictures take far more memory than the header tells the caller's limits: bitstreams have sizes of their own, and
// a picture may be cropped to a small part.
static ImageCodecStatus check_measure(const HEIFMeasure *measure, const ImageCodecHeader *header, ImageCodecFailure *failure) {
    // Blocks and tiles reach past a picture's edges, which matters in small ones. A picture may be decoded as tiles, assembled,
    // and need the same again for its alpha plane.
    enum { most_of_one = 2, least_of_one = 1 << 20, most_of_all = 8, least_of_all = 1 << 24 };
    const uint64_t pixels = (uint64_t)header->width * header->height;
    const bool is_one_too_large = measure->largest > least_of_one && measure->largest > most_of_one * pixels;
    if (is_one_too_large || (measure->total > least_of_all && measure->total > most_of_all * pixels)) {
        char message[sizeof failure->message];
        snprintf(
            message, sizeof message, "up to %" PRIu64 " pixels are decoded for a picture of %" PRIu32 "x%" PRIu32,
            is_one_too_large ? measure->largest : measure->total, header->width, header->height);
        return codec_fail(failure, ImageCodecStatusTooLarge, measure->data_offset, message);
    }
    return ImageCodecStatusOK;
}

// Sizes are those after the container's own rotation and mirroring, which decoding applies. EXIF's orientation is ignored as in
// Pillow: pillow-heif resets it, and Pillow's AVIF plugin replaces it.
static ImageCodecStatus read_header(const Source *source, ImageCodecHeader *header, ImageCodecFailure *failure) {
    const int width = library.heif_image_handle_get_width(source->picture);
    const int height = library.heif_image_handle_get_height(source->picture);
    if (width <= 0 || height <= 0) return fail_without_pixels(failure);
    *header = (ImageCodecHeader){
        .width = (uint32_t)width, .height = (uint32_t)height, .orientation = orientation_upright,
        .channels = library.heif_image_handle_has_alpha_channel(source->picture) ? 4 : 3};
    return check_measure(&source->measure, header, failure);
}

static ImageCodecStatus probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    // libheif 1.15 refuses longer sides. The stated size is returned first, so that the caller's limits, which clients know,
    // apply. Later versions take the size from the bitstream and notice a different size in the container only while decoding.
    enum { longest_side = 32768 };
    Source source = {0};
    ImageCodecStatus status = measure_source(bytes, count, &source, failure);
    const uint32_t width = source.measure.width, height = source.measure.height;
    if (width > 0 && height > 0 && (width > longest_side || height > longest_side)) {
        *header = (ImageCodecHeader){
            .width = width, .height = height, .orientation = orientation_upright, .channels = 3};
        return ImageCodecStatusOK;
    }
    if (status == ImageCodecStatusOK) status = open_source(bytes, count, &source, failure);
    if (status == ImageCodecStatusOK) status = read_header(&source, header, failure);
    close_source(&source);
    return status;
}

static ImageCodecStatus copy_pixels(
    const struct heif_image *image, uint32_t width, uint32_t height, uint8_t *pixels, ImageCodecFailure *failure) {
    int stride = 0;
    const uint8_t *rows = library.heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
    const int decoded_width = library.heif_image_get_width(image, heif_channel_interleaved);
    const int decoded_height = library.heif_image_get_height(image, heif_channel_interleaved);
    if (!rows || stride <= 0 || decoded_width != (int)width || decoded_height != (int)height) {
        return codec_fail(failure, ImageCodecStatusCorrupt, 0, "the size differs from the header's");
    }
    const size_t row_bytes = (size_t)width * 3;
    for (size_t y = 0; y < height; y++) memcpy(pixels + y * row_bytes, rows + y * (size_t)stride, row_bytes);
    return ImageCodecStatusOK;
}

static ImageCodecStatus decode_picture(
    const Source *source, uint32_t width, uint32_t height, uint8_t *pixels, ImageCodecFailure *failure) {
    ImageCodecHeader header;
    ImageCodecStatus status = read_header(source, &header, failure);
    if (status != ImageCodecStatusOK) return status;
    if (header.width != width || header.height != height) {
        return codec_fail(failure, ImageCodecStatusCorrupt, 0, "the size differs from the header's");
    }
    struct heif_decoding_options *options = library.heif_decoding_options_alloc();
    if (!options) return codec_fail(failure, ImageCodecStatusTooLarge, 0, "out of memory");
    options->convert_hdr_to_8bit = 1;
    options->strict_decoding = 1;
    // libheif's own conversion to RGB; older versions repeat chroma samples instead of interpolating them. Converting here would need the
    // samples as they are stored, which versions before 1.19 don't give.
    struct heif_image *image = nullptr;
    const struct heif_error error = library.heif_decode_image(
        source->picture, &image, heif_colorspace_RGB, heif_chroma_interleaved_RGB, options);
    library.heif_decoding_options_free(options);
    status = is_failure(error) ? fail(source, error, failure) : copy_pixels(image, width, height, pixels, failure);
    if (image) library.heif_image_release(image);
    return status;
}

static ImageCodecStatus decode(
    const uint8_t *bytes, size_t count, uint32_t, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Source source = {0};
    ImageCodecStatus status = measure_source(bytes, count, &source, failure);
    if (status == ImageCodecStatusOK) status = open_source(bytes, count, &source, failure);
    if (status == ImageCodecStatusOK) status = decode_picture(&source, width, height, pixels, failure);
    close_source(&source);
    return status;
}

static void write_version(char *text, size_t size) {
    snprintf(text, size, "%s", find_unavailability() ? "unknown" : library.heif_get_version());
}

#else

static const char *find_unavailability(void) {
    return "this program was built without HEIC and AVIF, "
        "because the headers of libheif 1.15 or newer were missing; "
        "install them and build it again";
}

static ImageCodecStatus probe(const uint8_t *, size_t, ImageCodecHeader *, ImageCodecFailure *failure) {
    return codec_fail(failure, ImageCodecStatusUnsupported, 0, "this format can't be decoded here");
}

static ImageCodecStatus decode(
    const uint8_t *, size_t, uint32_t, uint32_t, uint32_t, uint8_t *, ImageCodecFailure *failure) {
    return codec_fail(failure, ImageCodecStatusUnsupported, 0, "this format can't be decoded here");
}

static void write_version(char *text, size_t) { text[0] = 0; }

#endif

// Whether a file is of one of the `count` brands of four characters: by its major brand, or if that one is general, by those that
// it is compatible with.
static bool is_of_brand(const uint8_t *bytes, size_t count, const char *brands, bool has_general_brand) {
    enum { type_offset = 4, brand_offset = 8, compatible_offset = 16, brand_size = 4 };
    if (count < compatible_offset || !begins_with((ByteRange){bytes + type_offset, brand_size}, "ftyp", brand_size)) return false;
    const uint8_t *major = bytes + brand_offset;
    const ByteRange brand = {major, brand_size};
    for (const char *known = brands; *known; known += brand_size) {
        if (begins_with(brand, known, brand_size)) return true;
    }
    if (!has_general_brand || !(begins_with(brand, "mif1", brand_size) || begins_with(brand, "msf1", brand_size))) return false;
    const uint32_t size = read_big_endian(bytes);
    for (size_t offset = compatible_offset; offset + brand_size <= (size < count ? size : count); offset += brand_size) {
        for (const char *known = brands; *known; known += brand_size) {
            if (begins_with((ByteRange){bytes + offset, brand_size}, known, brand_size)) return true;
        }
    }
    return false;
}

static bool recognizes_avif(const uint8_t *bytes, size_t count) { return is_of_brand(bytes, count, "avifavis", true); }

static bool recognizes_heic(const uint8_t *bytes, size_t count) {
    return is_of_brand(bytes, count, "heicheixheimheishevchevxmif1msf1", false) && !recognizes_avif(bytes, count);
}

const ImageCodec heic_codec = {
    .name = "HEIC", .media_type = "image/heic", .suffixes = "heic heif hif", .largest_denominator = 1, .is_on_demand = true,
    .find_unavailability = find_unavailability, .recognizes = recognizes_heic, .probe = probe, .decode = decode,
    .library = {"libheif", write_version}};

const ImageCodec avif_codec = {
    .name = "AVIF", .media_type = "image/avif", .suffixes = "avif", .largest_denominator = 1, .is_on_demand = true,
    .find_unavailability = find_unavailability, .recognizes = recognizes_avif, .probe = probe, .decode = decode,
    .library = {"libheif", write_version}};
