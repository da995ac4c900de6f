#define _GNU_SOURCE

#include "Codecs.h"

#if __has_include(<tiffio.h>)
#include <tiffio.h>
#endif

// Version 4.5 is the first with memory limits and error handlers per file.
#if defined(TIFFLIB_VERSION) && TIFFLIB_VERSION >= 20221213

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The functions that reading a picture takes.
#define TIFF_FUNCTIONS(FUNCTION) \
    FUNCTION(TIFFOpenOptionsAlloc) \
    FUNCTION(TIFFOpenOptionsFree) \
    FUNCTION(TIFFOpenOptionsSetMaxSingleMemAlloc) \
    FUNCTION(TIFFOpenOptionsSetErrorHandlerExtR) \
    FUNCTION(TIFFOpenOptionsSetWarningHandlerExtR) \
    FUNCTION(TIFFClientOpenExt) \
    FUNCTION(TIFFClose) \
    FUNCTION(TIFFGetField) \
    FUNCTION(TIFFGetFieldDefaulted) \
    FUNCTION(TIFFSetField) \
    FUNCTION(TIFFIsTiled) \
    FUNCTION(TIFFScanlineSize64) \
    FUNCTION(TIFFReadScanline) \
    FUNCTION(TIFFTileSize64) \
    FUNCTION(TIFFTileRowSize64) \
    FUNCTION(TIFFReadTile) \
    FUNCTION(TIFFGetVersion)

#define MEMBER(name) __typeof__(&name) name;
// The functions of libtiff, under their names. The binary doesn't link with it, because it brings six more libraries, among them two
// for compressions that aren't decoded; a service without TIFF would map them all.
static struct { TIFF_FUNCTIONS(MEMBER) } library;
#undef MEMBER
static const char *unavailability;

static void load_library(void) {
    void *const handle = dlopen("libtiff.so.6", RTLD_NOW | RTLD_LOCAL);
    unavailability = "libtiff.so.6, the library that decodes TIFF, can't be loaded; install libtiff 4.5 or newer";
    if (!handle) return;
#define LOAD(name) \
    if (!((*(void **)&library.name) = dlsym(handle, #name))) return;
    TIFF_FUNCTIONS(LOAD)
#undef LOAD
    unavailability = nullptr;
}

static const char *find_unavailability(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_library);
    return unavailability;
}

// The bytes of a file, and what went wrong in reading them.
typedef struct {
    const uint8_t *bytes;
    size_t count;
    uint64_t offset;
    // Whether bytes past the end were asked for.
    bool has_ended;
    // Whether pixels are read. Then libtiff also warns of damage, which it hides behind made-up pixels.
    bool reads_pixels;
    ImageCodecStatus status;
    ImageCodecFailure *failure;
} Source;

static tmsize_t read_bytes(thandle_t handle, void *destination, tmsize_t size) {
    Source *source = handle;
    const uint64_t left = source->offset < source->count ? source->count - source->offset : 0;
    const size_t used = (uint64_t)size < left ? (size_t)size : (size_t)left;
    if (used < (size_t)size) source->has_ended = true;
    if (used > 0) memcpy(destination, source->bytes + source->offset, used);
    source->offset += used;
    return (tmsize_t)used;
}

static tmsize_t write_bytes(thandle_t, void *, tmsize_t) { return -1; }

static toff_t seek(thandle_t handle, toff_t offset, int origin) {
    Source *source = handle;
    const uint64_t base = origin == SEEK_SET ? 0 : origin == SEEK_CUR ? source->offset : source->count;
    source->offset = base + offset;
    return source->offset;
}

static int close_source(thandle_t) { return 0; }

static toff_t size_of(thandle_t handle) { return ((Source *)handle)->count; }

static ImageCodecStatus fail(Source *source, ImageCodecStatus status, const char *message) {
    if (source->status == ImageCodecStatusOK) {
        const size_t offset = source->offset < source->count ? (size_t)source->offset : source->count;
        source->status = codec_fail(source->failure, status, offset, message);
    }
    return source->status;
}

static void fail_at_end(Source *source) {
    fail(
        source, ImageCodecStatusTruncated,
        source->reads_pixels ? "the file ends within the picture" : "the file ends before the picture");
}

static void note(Source *source, const char *format, va_list values) {
    if (source->has_ended) {
        fail_at_end(source);
        return;
    }
    char message[sizeof source->failure->message];
    vsnprintf(message, sizeof message, format, values);
    // libtiff's module names are left out, because they mean nothing to clients.
    fail(source, ImageCodecStatusCorrupt, message);
}

__attribute__((format(printf, 4, 0)))
static int on_error(TIFF *, void *source, const char *, const char *format, va_list values) {
    note(source, format, values);
    return 1;
}

__attribute__((format(printf, 4, 0)))
static int on_warning(TIFF *, void *source, const char *, const char *format, va_list values) {
    if (((Source *)source)->reads_pixels) note(source, format, values);
    return 1;
}

// Opens the file at its first picture; null with the source's status if that can't be read.
static TIFF *open_source(Source *source) {
    // No honest file needs a larger tile or directory.
    enum { largest_allocation = 64 << 20 };
    if (find_unavailability()) {
        fail(source, ImageCodecStatusUnsupported, "this format can't be decoded here");
        return nullptr;
    }
    TIFFOpenOptions *options = library.TIFFOpenOptionsAlloc();
    if (!options) {
        fail(source, ImageCodecStatusTooLarge, "out of memory");
        return nullptr;
    }
    library.TIFFOpenOptionsSetMaxSingleMemAlloc(options, largest_allocation);
    library.TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, source);
    library.TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, source);
    // Not memory-mapped, so that reads past the end are noticed.
    TIFF *tiff = library.TIFFClientOpenExt(
        "TIFF", "rm", source, read_bytes, write_bytes, seek, close_source, size_of, nullptr, nullptr, options);
    library.TIFFOpenOptionsFree(options);
    if (!tiff) fail(source, ImageCodecStatusCorrupt, "the directory of the first picture can't be read");
    if (source->has_ended) fail_at_end(source);
    if (source->status == ImageCodecStatusOK) return tiff;
    // Without what it complains about, libtiff would go on with a guess, such as grays where the palette is missing.
    if (tiff) library.TIFFClose(tiff);
    return nullptr;
}

// What the samples of a pixel stand for.
typedef enum { gray, palette, rgb, cmyk } Colours;

typedef struct {
    uint32_t width, height;
    Colours colours;
    uint16_t bits, samples;
    // Whether 0 is white.
    bool is_inverted;
    // Whether colours are stored multiplied by the alpha that follows them.
    bool is_multiplied;
    bool has_alpha;
    // Whether each sample has strips or tiles of its own.
    bool is_separate;
    const uint16_t *red, *green, *blue;
} Layout;

static uint16_t number(TIFF *tiff, uint32_t tag) {
    uint16_t value = 0;
    library.TIFFGetFieldDefaulted(tiff, tag, &value);
    return value;
}

static bool is_known_compression(uint16_t compression) {
    switch (compression) {
        case COMPRESSION_NONE: case COMPRESSION_CCITTRLE: case COMPRESSION_CCITTFAX3: case COMPRESSION_CCITTFAX4:
        case COMPRESSION_LZW: case COMPRESSION_JPEG: case COMPRESSION_ADOBE_DEFLATE: case COMPRESSION_DEFLATE:
        case COMPRESSION_PACKBITS:
            return true;
        // Others are rare, and some allocate whatever a file says.
        default: return false;
    }
}

static const char *read_colours(TIFF *tiff, Layout *layout) {
    const uint16_t compression = number(tiff, TIFFTAG_COMPRESSION), bits = layout->bits;
    uint16_t photometric = PHOTOMETRIC_MINISWHITE;
    library.TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
    if (photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG && !layout->is_separate) {
        photometric = PHOTOMETRIC_RGB;
        library.TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    }
    const bool is_small = bits == 1 || bits == 2 || bits == 4 || bits == 8, is_whole = bits == 8 || bits == 16;
    switch (photometric) {
        case PHOTOMETRIC_MINISWHITE:
        case PHOTOMETRIC_MINISBLACK:
            layout->is_inverted = photometric == PHOTOMETRIC_MINISWHITE;
            return is_small || (bits == 16 && !layout->is_inverted && layout->samples == 1) ? nullptr : "grays of this many bits";
        case PHOTOMETRIC_PALETTE: {
            layout->colours = palette;
            uint16_t *red, *green, *blue;
            if (!is_small) return "a palette of more than 256 colours";
            if (!library.TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue)) return "indices without a palette";
            layout->red = red;
            layout->green = green;
            layout->blue = blue;
            return nullptr;
        }
        case PHOTOMETRIC_RGB:
            layout->colours = rgb;
            return is_whole && layout->samples >= 3 ? nullptr : "colours that aren't of 3 samples of 8 or 16 bits";
        case PHOTOMETRIC_SEPARATED:
            layout->colours = cmyk;
            return is_whole && layout->samples >= 4 ? nullptr : "inks that aren't 4 samples of 8 or 16 bits";
        default: return "a colour space other than gray, palette, RGB, CMYK, and YCbCr in JPEG";
    }
}

static const char *read_samples(TIFF *tiff, Layout *layout) {
    enum { largest_samples = 6 };
    layout->bits = number(tiff, TIFFTAG_BITSPERSAMPLE);
    layout->samples = number(tiff, TIFFTAG_SAMPLESPERPIXEL);
    layout->is_separate = number(tiff, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
    const uint16_t format = number(tiff, TIFFTAG_SAMPLEFORMAT);
    if (!is_known_compression(number(tiff, TIFFTAG_COMPRESSION))) {
        return "a compression other than CCITT, LZW, JPEG, deflate and PackBits";
    }
    if (layout->samples == 0 || layout->samples > largest_samples) return "more than 6 samples a pixel";
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) return "samples that aren't unsigned integers";
    const char *problem = read_colours(tiff, layout);
    if (problem) return problem;
    const uint16_t colours = layout->colours == rgb ? 3 : layout->colours == cmyk ? 4 : 1;
    uint16_t extra_count = 0, *extra = nullptr;
    if (!library.TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra)) extra_count = 0;
    layout->has_alpha = layout->samples > colours;
    layout->is_multiplied = layout->colours == rgb && layout->has_alpha && extra_count > 0 && extra[0] == EXTRASAMPLE_ASSOCALPHA;
    if (layout->colours != rgb && extra_count > 0 && extra[0] == EXTRASAMPLE_ASSOCALPHA) {
        return "grays, indices or inks that are multiplied by alpha";
    }
    if (layout->is_multiplied && layout->is_separate) return "planes of colours that are multiplied by alpha";
    if (layout->bits < 8 && layout->samples > 1 && !layout->is_separate) return "several samples of less than 8 bits";
    return nullptr;
}

static ImageCodecStatus read_layout(TIFF *tiff, Source *source, Layout *layout) {
    *layout = (Layout){0};
    library.TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &layout->width);
    library.TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &layout->height);
    if (layout->width == 0 || layout->height == 0) {
        return fail(source, ImageCodecStatusEmpty, "the directory gives a size of zero pixels");
    }
    const char *problem = read_samples(tiff, layout);
    return problem ? fail(source, ImageCodecStatusUnsupported, problem) : ImageCodecStatusOK;
}

static uint32_t orientation_of(TIFF *tiff, const Source *source) {
    // The file itself is what EXIF borrows.
    const uint32_t stated = exif_orientation((ByteRange){source->bytes, source->count});
    if (stated != orientation_unstated) return stated;
    uint32_t count = 0;
    void *xmp = nullptr;
    if (!library.TIFFGetField(tiff, TIFFTAG_XMLPACKET, &count, &xmp)) return orientation_upright;
    const uint32_t edited = xmp_orientation((ByteRange){xmp, count});
    return edited == orientation_unstated ? orientation_upright : edited;
}

// Whether the directory that libtiff couldn't read states a size beyond all limits, which libtiff calls damage; then the header has it.
static bool states_excess(const Source *source, ImageCodecHeader *header) {
    *header = (ImageCodecHeader){.orientation = orientation_upright, .channels = 1};
    return source->status == ImageCodecStatusCorrupt
        && tiff_size((ByteRange){source->bytes, source->count}, &header->width, &header->height)
        && (uint64_t)header->width * header->height > INT32_MAX;
}

static ImageCodecStatus probe(
    const uint8_t *bytes, size_t count, ImageCodecHeader *header, ImageCodecFailure *failure) {
    Source source = {.bytes = bytes, .count = count, .failure = failure};
    TIFF *tiff = open_source(&source);
    if (!tiff) return states_excess(&source, header) ? ImageCodecStatusOK : source.status;
    Layout layout;
    if (read_layout(tiff, &source, &layout) == ImageCodecStatusOK) {
        const uint32_t colours = layout.colours == rgb ? 3 : layout.colours == cmyk ? 4 : 1;
        *header = (ImageCodecHeader){
            .width = layout.width, .height = layout.height, .orientation = orientation_of(tiff, &source),
            .channels = layout.colours != cmyk && layout.has_alpha ? colours + 1 : colours};
    }
    library.TIFFClose(tiff);
    return source.status;
}

// The sample at a place of a row; of 16 bits the high byte, except of grays, which are clamped as Pillow clamps them.
static uint8_t sample_at(const Layout *layout, const uint8_t *row, size_t place) {
    const unsigned bits = layout->bits;
    if (bits == 16) {
        uint16_t sample;
        memcpy(&sample, row + 2 * place, sizeof sample);
        return (uint8_t)(layout->colours != gray ? sample >> 8 : sample < 255 ? sample : 255);
    }
    const size_t bit = place * bits;
    return (uint8_t)(row[bit / 8] >> (8 - bits - bit % 8) & ((1u << bits) - 1));
}

static uint8_t without_alpha(unsigned colour, unsigned alpha) {
    const unsigned level = alpha == 0 ? 0 : colour * 255 / alpha;
    return (uint8_t)(level < 255 ? level : 255);
}

static uint8_t without_ink(unsigned ink, unsigned key) {
    const unsigned light = 255 - key, product = ink * light + 128;
    return (uint8_t)(light - ((product + (product >> 8)) >> 8));
}

// Converts the samples of a row, in which a pixel's stand together.
static void convert_row(const Layout *layout, const uint8_t *row, size_t columns, uint8_t *pixels) {
    const unsigned bits = layout->bits, most = bits < 8 ? (1u << bits) - 1 : 255;
    const size_t samples = layout->is_separate ? 1 : layout->samples;
    for (size_t x = 0, place = 0; x < columns; x++, place += samples, pixels += 3) {
        const uint8_t first = sample_at(layout, row, place);
        switch (layout->colours) {
            case gray: {
                const unsigned level = first * 255u / most;
                memset(pixels, (int)(layout->is_inverted ? 255 - level : level), 3);
                break;
            }
            case palette:
                pixels[0] = (uint8_t)(layout->red[first] >> 8);
                pixels[1] = (uint8_t)(layout->green[first] >> 8);
                pixels[2] = (uint8_t)(layout->blue[first] >> 8);
                break;
            case rgb:
            case cmyk:
                for (size_t channel = 0; channel < 3; channel++) {
                    const uint8_t level = sample_at(layout, row, place + channel);
                    pixels[channel] = layout->colours == cmyk ? without_ink(level, sample_at(layout, row, place + 3))
                        : layout->is_multiplied               ? without_alpha(level, sample_at(layout, row, place + 3))
                                                              : level;
                }
        }
    }
}

// Puts the samples of one plane where they belong. The key, which comes last, makes colours of the inks that are there.
static void convert_plane(const Layout *layout, size_t plane, const uint8_t *row, size_t columns, uint8_t *pixels) {
    if (layout->colours == gray || layout->colours == palette) {
        convert_row(layout, row, columns, pixels);
        return;
    }
    for (size_t x = 0; x < columns; x++, pixels += 3) {
        const uint8_t sample = sample_at(layout, row, x);
        if (plane < 3) pixels[plane] = sample;
        else for (int channel = 0; channel < 3; channel++) pixels[channel] = without_ink(pixels[channel], sample);
    }
}

static void convert(const Layout *layout, size_t plane, const uint8_t *row, size_t columns, uint8_t *pixels) {
    if (layout->is_separate) convert_plane(layout, plane, row, columns, pixels);
    else convert_row(layout, row, columns, pixels);
}

static ImageCodecStatus fail_allocating(Source *source) {
    return fail(source, ImageCodecStatusTooLarge, "its rows or tiles take too much memory");
}

static ImageCodecStatus fail_reading(Source *source) {
    return fail(source, source->has_ended ? ImageCodecStatusTruncated : ImageCodecStatusCorrupt, "the pixels can't be read");
}

// Strips are read by rows, so that a picture in a single strip needs no second buffer of its size.
static ImageCodecStatus read_rows(TIFF *tiff, const Layout *layout, size_t plane, uint8_t *pixels, Source *source) {
    const uint64_t size = library.TIFFScanlineSize64(tiff);
    const size_t samples = layout->is_separate ? 1 : layout->samples;
    const uint64_t expected = ((uint64_t)layout->width * samples * layout->bits + 7) / 8;
    // Otherwise libtiff's idea of the layout is another one.
    if (size < expected) return fail(source, ImageCodecStatusUnsupported, "rows of an unusual size");
    uint8_t *row = size < SIZE_MAX ? malloc((size_t)size) : nullptr;
    if (!row) return fail_allocating(source);
    for (uint32_t y = 0; y < layout->height && source->status == ImageCodecStatusOK; y++) {
        if (library.TIFFReadScanline(tiff, row, y, (uint16_t)plane) < 0) fail_reading(source);
        else convert(layout, plane, row, layout->width, pixels + (size_t)y * layout->width * 3);
    }
    free(row);
    return source->status;
}

static ImageCodecStatus read_tiles(TIFF *tiff, const Layout *layout, size_t plane, uint8_t *pixels, Source *source) {
    enum { largest_tile = 64 << 20 };
    uint32_t columns = 0, rows = 0;
    library.TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &columns);
    library.TIFFGetField(tiff, TIFFTAG_TILELENGTH, &rows);
    const uint64_t size = library.TIFFTileSize64(tiff), row_size = library.TIFFTileRowSize64(tiff);
    const size_t samples = layout->is_separate ? 1 : layout->samples;
    if (columns == 0 || rows == 0 || size > largest_tile) return fail_allocating(source);
    if (row_size < ((uint64_t)columns * samples * layout->bits + 7) / 8 || size < row_size * rows) {
        return fail(source, ImageCodecStatusUnsupported, "tiles of an unusual size");
    }
    uint8_t *tile = malloc((size_t)size);
    if (!tile) return fail_allocating(source);
    for (uint64_t top = 0; top < layout->height; top += rows) {
        for (uint64_t left = 0; left < layout->width && source->status == ImageCodecStatusOK; left += columns) {
            const uint64_t right = layout->width - left, below = layout->height - top;
            if (library.TIFFReadTile(tiff, tile, (uint32_t)left, (uint32_t)top, 0, (uint16_t)plane) < 0) {
                fail_reading(source);
                break;
            }
            for (uint64_t y = 0; y < (rows < below ? rows : below); y++) {
                convert(
                    layout, plane, tile + y * row_size, columns < right ? columns : right,
                    pixels + ((top + y) * layout->width + left) * 3);
            }
        }
    }
    free(tile);
    return source->status;
}

static void read_pixels(TIFF *tiff, uint32_t width, uint32_t height, uint8_t *pixels, Source *source) {
    Layout layout;
    if (read_layout(tiff, source, &layout) != ImageCodecStatusOK) return;
    if (layout.width != width || layout.height != height) {
        fail(source, ImageCodecStatusCorrupt, "the size differs from the header's");
        return;
    }
    source->has_ended = false;
    source->reads_pixels = true;
    const bool is_tiled = library.TIFFIsTiled(tiff);
    const size_t planes = !layout.is_separate ? 1 : layout.colours == rgb ? 3 : layout.colours == cmyk ? 4 : 1;
    for (size_t plane = 0; plane < planes && source->status == ImageCodecStatusOK; plane++) {
        (is_tiled ? read_tiles : read_rows)(tiff, &layout, plane, pixels, source);
    }
}

static ImageCodecStatus decode(
    const uint8_t *bytes, size_t count, uint32_t, uint32_t width, uint32_t height, uint8_t *pixels,
    ImageCodecFailure *failure) {
    Source source = {.bytes = bytes, .count = count, .failure = failure};
    TIFF *tiff = open_source(&source);
    if (!tiff) return source.status;
    read_pixels(tiff, width, height, pixels, &source);
    source.reads_pixels = false;
    const ImageCodecStatus status = source.status;
    library.TIFFClose(tiff);
    return status;
}

// The library names itself as "LIBTIFF, Version 4.5.0", followed by its authors.
static void write_version(char *text, size_t size) {
    static const char name[] = "Version ";
    const char *stated = find_unavailability() ? nullptr : strstr(library.TIFFGetVersion(), name);
    const char *version = stated ? stated + sizeof name - 1 : "unknown";
    snprintf(text, size, "%.*s", (int)strcspn(version, "\n"), version);
}

#else

static const char *find_unavailability(void) {
    return "this program was built without TIFF, "
        "because the headers of libtiff 4.5 or newer were missing; "
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

static const uint8_t start[] = {'I', 'I', '*'};

static bool recognizes(const uint8_t *bytes, size_t count) {
    const ByteRange file = {bytes, count};
    return begins_with(file, "II*", 4) || begins_with(file, "MM\0*", 4);
}

const ImageCodec tiff_codec = {
    .name = "TIFF", .media_type = "image/tiff", .suffixes = "tif tiff", .start = {start, sizeof start}, .largest_denominator = 1,
    .is_on_demand = true, .find_unavailability = find_unavailability, .recognizes = recognizes, .probe = probe,
    .decode = decode, .library = {"libtiff", write_version}};
