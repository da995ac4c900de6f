// The container of HEIC and AVIF (ISO/IEC 14496-12 and 23008-12), read as far as it says which pictures decoding the primary one
// reaches. It is read no more leniently than libheif reads it: what is ambiguous is refused.
#include "HEIF.h"

#include <stdlib.h>
#include <string.h>

enum {
    // More than a tiled picture of a gigapixel needs. libheif's time grows with the square of their number.
    most_items = 2000,
    // Bytes of a box that lists items, and of a box of parameter sets, which libheif copies for each item that uses it.
    longest_list = 1 << 18, longest_configuration = 1 << 14,
    // The data of all items together, as a multiple of the file's size.
    most_copies = 4,
    // Enough levels for a tiled picture whose tiles have alpha planes, and one to spare.
    deepest_derivation = 5,
};

#define TYPE(name) ((uint32_t)(name)[0] << 24 | (uint32_t)(name)[1] << 16 | (uint32_t)(name)[2] << 8 | (uint32_t)(name)[3])

typedef struct {
    const uint8_t *next, *end;
    bool has_ended;
} Reader;

static Reader reader_of(ByteRange range) { return (Reader){.next = range.start, .end = range.start + range.count}; }

// A number of `size` bytes, the highest first; zero past the end.
static uint64_t take(Reader *reader, size_t size) {
    uint64_t value = 0;
    if ((size_t)(reader->end - reader->next) < size) {
        reader->has_ended = true;
        reader->next = reader->end;
        return 0;
    }
    while (size-- > 0) value = value << 8 | *reader->next++;
    return value;
}

static ByteRange rest_of(const Reader *reader) { return (ByteRange){reader->next, (size_t)(reader->end - reader->next)}; }

typedef struct {
    uint32_t type;
    ByteRange content;
} Box;

// Takes the next box; false at the end, and with `has_ended` if it reaches beyond the end or is none.
static bool take_box(Reader *reader, Box *box) {
    if (reader->next == reader->end) return false;
    const uint8_t *start = reader->next;
    uint64_t size = take(reader, 4);
    box->type = (uint32_t)take(reader, 4);
    if (size == 1) size = take(reader, 8);
    const size_t header_size = (size_t)(reader->next - start);
    if (reader->has_ended || size < header_size || size - header_size > (uint64_t)(reader->end - reader->next)) {
        reader->has_ended = true;
        return false;
    }
    box->content = (ByteRange){reader->next, (size_t)size - header_size};
    reader->next += box->content.count;
    return true;
}

// The boxes of a file that say what its items are.
typedef struct {
    ByteRange file;
    ByteRange locations, information, references, primary, properties, property_list, data;
    HEIFMeasure *measure;
    ImageCodecFailure *failure;
    // What was measured so far.
    size_t pictures, bytes;
} Container;

static ImageCodecStatus fail(const Container *container, ImageCodecStatus status, const uint8_t *at, const char *message) {
    return codec_fail(container->failure, status, (size_t)(at - container->file.start), message);
}

static ImageCodecStatus fail_at_end(const Container *container) {
    return fail(
        container, ImageCodecStatusTruncated, container->file.start + container->file.count, "the file ends before the picture");
}

static ImageCodecStatus fail_on_box(const Container *container, ByteRange box, const char *message) {
    return fail(container, ImageCodecStatusCorrupt, box.start, message);
}

// Finds the boxes of the wanted types among the children of a box, each of which may be there once.
static bool find_children(ByteRange parent, size_t count, const uint32_t types[], ByteRange *const places[]) {
    Reader reader = reader_of(parent);
    Box box;
    while (take_box(&reader, &box)) {
        for (size_t index = 0; index < count; index++) {
            if (box.type != types[index]) continue;
            if (places[index]->start) return false;
            *places[index] = box.content;
        }
    }
    return !reader.has_ended;
}

static ImageCodecStatus find_boxes(Container *container) {
    Reader reader = reader_of(container->file);
    Box box;
    ByteRange meta = {0};
    bool is_clear = true;
    while (take_box(&reader, &box)) {
        // A "mini" box takes the place of a meta box in newer versions of libheif.
        is_clear = is_clear && box.type != TYPE("mini") && !(meta.start && box.type == TYPE("meta"));
        if (box.type == TYPE("meta")) meta = box.content;
    }
    if (!meta.start && reader.has_ended) return fail_at_end(container);
    enum { version_and_flags = 4 };
    if (!meta.start || !is_clear || meta.count < version_and_flags) {
        return fail_on_box(container, container->file, "the file doesn't have exactly one meta box");
    }
    const ByteRange children = {meta.start + version_and_flags, meta.count - version_and_flags};
    const uint32_t types[] = {TYPE("iloc"), TYPE("iinf"), TYPE("iref"), TYPE("pitm"), TYPE("iprp"), TYPE("idat")};
    ByteRange *const places[] = {&container->locations, &container->information, &container->references,
                                 &container->primary, &container->properties, &container->data};
    const uint32_t list_type = TYPE("ipco");
    ByteRange *const list_place = &container->property_list;
    if (!find_children(children, sizeof types / sizeof types[0], types, places) || !container->locations.start
        || !container->information.start || !container->primary.start || !container->properties.start
        || !find_children(container->properties, 1, &list_type, &list_place) || !container->property_list.start) {
        return fail_on_box(container, meta, "boxes in the meta box are missing, damaged or there twice");
    }
    const size_t associations = container->properties.count - container->property_list.count;
    if (container->locations.count > longest_list || container->information.count > longest_list
        || container->references.count > longest_list || associations > longest_list) {
        return fail(container, ImageCodecStatusTooLarge, meta.start, "the lists of items have more than 256 KiB");
    }
    return ImageCodecStatusOK;
}

// The version of a box that has one, which is then read from after its flags.
static unsigned take_version(Reader *reader) { return (unsigned)(take(reader, 4) >> 24); }

// Where the data of items are, in turn.
typedef struct {
    Reader reader;
    unsigned version;
    size_t offset_size, length_size, base_size, index_size, items_left;
} Locations;

typedef struct {
    uint32_t item;
    unsigned method;
    uint64_t base;
    size_t extents_left;
} Location;

static bool is_size(size_t size) { return size == 0 || size == 4 || size == 8; }

static bool open_locations(const Container *container, Locations *locations) {
    *locations = (Locations){.reader = reader_of(container->locations)};
    Reader *reader = &locations->reader;
    locations->version = take_version(reader);
    const unsigned sizes = (unsigned)take(reader, 2);
    locations->offset_size = sizes >> 12;
    locations->length_size = sizes >> 8 & 0xf;
    locations->base_size = sizes >> 4 & 0xf;
    locations->index_size = locations->version > 1 ? sizes & 0xf : 0;
    locations->items_left = take(reader, locations->version < 2 ? 2 : 4);
    return !reader->has_ended && is_size(locations->offset_size) && is_size(locations->length_size)
        && is_size(locations->base_size) && is_size(locations->index_size);
}

static bool take_location(Locations *locations, Location *location) {
    if (locations->items_left == 0) return false;
    locations->items_left--;
    Reader *reader = &locations->reader;
    location->item = (uint32_t)take(reader, locations->version < 2 ? 2 : 4);
    location->method = locations->version > 0 ? take(reader, 2) & 0xf : 0;
    take(reader, 2);
    location->base = take(reader, locations->base_size);
    location->extents_left = take(reader, 2);
    return !reader->has_ended;
}

// Takes the next extent of a location. Null bytes at `range` stand for an extent that isn't whole.
static bool take_extent(const Container *container, Locations *locations, Location *location, ByteRange *range) {
    if (location->extents_left == 0) return false;
    location->extents_left--;
    Reader *reader = &locations->reader;
    take(reader, locations->index_size);
    const uint64_t offset = take(reader, locations->offset_size), length = take(reader, locations->length_size);
    const ByteRange whole = location->method == 0 ? container->file : location->method == 1 ? container->data : (ByteRange){0};
    const bool is_inside = location->base <= whole.count && offset <= whole.count - location->base
        && length <= whole.count - location->base - offset;
    *range = is_inside && whole.start ? (ByteRange){whole.start + location->base + offset, (size_t)length} : (ByteRange){0};
    return !reader->has_ended;
}

// libheif copies the data of all items, and what metadata decompress to, when it opens a file.
static ImageCodecStatus check_copies(const Container *container) {
    Locations locations;
    Location location;
    ByteRange extent;
    uint64_t sum = 0;
    if (!open_locations(container, &locations)) {
        return fail_on_box(container, container->locations, "the list of items' places is damaged");
    }
    if (locations.items_left > most_items) {
        return fail(container, ImageCodecStatusTooLarge, container->locations.start, "the file has more than 2000 items");
    }
    while (take_location(&locations, &location)) {
        while (take_extent(container, &locations, &location, &extent)) {
            if (!extent.start) return location.method == 0 ? fail_at_end(container)
                : fail_on_box(container, container->locations, "the data of an item aren't where data can be");
            sum += extent.count;
        }
    }
    if (locations.reader.has_ended) return fail_on_box(container, container->locations, "the list of items' places is damaged");
    if (sum > (uint64_t)container->file.count * most_copies) {
        return fail(container, ImageCodecStatusTooLarge, container->locations.start, "the items are too large for the file");
    }
    Reader properties = reader_of(container->property_list);
    Box box;
    while (take_box(&properties, &box)) {
        if ((box.type == TYPE("hvcC") || box.type == TYPE("av1C")) && box.content.count > longest_configuration) {
            return fail(container, ImageCodecStatusTooLarge, box.content.start, "the parameter sets have more than 16 KiB");
        }
    }
    return properties.has_ended ? fail_on_box(container, container->property_list, "the list of properties is damaged")
                                : ImageCodecStatusOK;
}

static bool skip_text(Reader *reader) {
    const ByteRange rest = rest_of(reader);
    const uint8_t *end = rest.count > 0 ? memchr(rest.start, 0, rest.count) : nullptr;
    if (end) reader->next = end + 1;
    return end;
}

// The type of an item; zero if no item or several have the number.
static uint32_t type_of(const Container *container, uint32_t item) {
    Reader reader = reader_of(container->information);
    take(&reader, take_version(&reader) > 0 ? 4 : 2);
    Box box;
    uint32_t type = 0;
    size_t found = 0;
    while (take_box(&reader, &box)) {
        Reader entry = reader_of(box.content);
        const unsigned version = box.type == TYPE("infe") ? take_version(&entry) : 0;
        if (version < 2 || take(&entry, version == 2 ? 2 : 4) != item) continue;
        take(&entry, 2);
        type = (uint32_t)take(&entry, 4);
        found++;
    }
    return found == 1 && !reader.has_ended ? type : 0;
}

// libheif decompresses metadata when it opens a file, to whatever length they have.
static ImageCodecStatus check_metadata(const Container *container) {
    Reader reader = reader_of(container->information);
    take(&reader, take_version(&reader) > 0 ? 4 : 2);
    Box box;
    while (take_box(&reader, &box)) {
        Reader entry = reader_of(box.content);
        const unsigned version = box.type == TYPE("infe") ? take_version(&entry) : 0;
        if (version < 2) continue;
        take(&entry, version == 2 ? 4 : 6);
        if (take(&entry, 4) != TYPE("mime") || !skip_text(&entry) || !skip_text(&entry)) continue;
        if (entry.next < entry.end && *entry.next != 0) {
            return fail(container, ImageCodecStatusUnsupported, entry.next, "metadata are compressed");
        }
    }
    return reader.has_ended ? fail_on_box(container, container->information, "the list of items is damaged") : ImageCodecStatusOK;
}

// The content of an item's only property of a type; without bytes if it has none or several of them.
static ByteRange property_of(const Container *container, uint32_t item, uint32_t type) {
    enum { most_properties = 1 << 15 };
    uint8_t has_property[most_properties] = {0};
    Reader reader = reader_of(container->properties);
    Box box;
    while (take_box(&reader, &box)) {
        if (box.type != TYPE("ipma")) continue;
        Reader list = reader_of(box.content);
        const uint32_t version_and_flags = (uint32_t)take(&list, 4);
        const bool is_wide = version_and_flags & 1;
        uint64_t entries = take(&list, 4);
        while (entries-- > 0 && !list.has_ended) {
            const bool is_of_item = take(&list, version_and_flags >> 24 == 0 ? 2 : 4) == item;
            size_t associations = take(&list, 1);
            while (associations-- > 0) {
                const size_t index = take(&list, is_wide ? 2 : 1) & (is_wide ? 0x7fff : 0x7f);
                has_property[index] |= is_of_item;
            }
        }
    }
    ByteRange found = {0};
    reader = reader_of(container->property_list);
    for (size_t index = 1; index < most_properties && take_box(&reader, &box); index++) {
        if (box.type != type || !has_property[index]) continue;
        if (found.start) return (ByteRange){0};
        found = box.content;
    }
    return found;
}

// Gathers the data of an item into memory of their own, which the caller frees.
static ImageCodecStatus gather(Container *container, uint32_t item, uint8_t **bytes, size_t *count) {
    Locations locations;
    Location location;
    ByteRange extent;
    size_t places = 0;
    open_locations(container, &locations);
    while (take_location(&locations, &location)) {
        const bool is_wanted = location.item == item;
        places += is_wanted;
        while (take_extent(container, &locations, &location, &extent)) {
            if (!is_wanted) continue;
            if (container->measure->data_offset == 0) {
                container->measure->data_offset = (size_t)(extent.start - container->file.start);
            }
            container->bytes += extent.count;
            if (container->bytes > container->file.count * most_copies) {
                return fail(container, ImageCodecStatusTooLarge, container->locations.start, "items are decoded too often");
            }
            uint8_t *longer = realloc(*bytes, *count + extent.count + 1);
            if (!longer) return fail(container, ImageCodecStatusTooLarge, container->locations.start, "out of memory");
            memcpy(longer + *count, extent.start, extent.count);
            *bytes = longer;
            *count += extent.count;
        }
    }
    return places == 1 ? ImageCodecStatusOK
                       : fail_on_box(container, container->locations, "an item has no data, or data in several places");
}

// The size of the canvas that a grid (ISO/IEC 23008-12, 6.6.2.3) or an overlay (6.6.2.2) is put together on.
static const char *canvas_pixels(uint32_t type, ByteRange data, uint64_t *pixels) {
    enum { wide_flag = 1 };
    Reader reader = reader_of(data);
    const bool is_wide = take(&reader, 2) & wide_flag;
    take(&reader, type == TYPE("grid") ? 2 : 8);
    const uint64_t width = take(&reader, is_wide ? 4 : 2), height = take(&reader, is_wide ? 4 : 2);
    // Less than 2^48, so that the sums of all items stay below 2^64.
    const uint64_t longest = 1 << 24;
    *pixels = (width < longest ? width : longest) * (height < longest ? height : longest);
    return reader.has_ended ? "the layout of a picture that is put together is cut off" : nullptr;
}

static ImageCodecStatus measure_item(Container *container, uint32_t item, unsigned depth);

// Measures the pictures that one is derived from, and those that belong to it, such as its alpha plane.
static ImageCodecStatus measure_references(Container *container, uint32_t item, unsigned depth) {
    if (!container->references.start) return ImageCodecStatusOK;
    Reader reader = reader_of(container->references);
    const size_t size = take_version(&reader) == 0 ? 2 : 4;
    Box box;
    ImageCodecStatus status = ImageCodecStatusOK;
    while (status == ImageCodecStatusOK && take_box(&reader, &box)) {
        Reader reference = reader_of(box.content);
        const uint32_t from = (uint32_t)take(&reference, size);
        size_t targets = take(&reference, 2);
        // libheif goes by the number of targets, and takes more bytes for the head of a box of that type.
        if (box.type == TYPE("uuid") || reference.has_ended || rest_of(&reference).count != targets * size) {
            return fail_on_box(container, container->references, "the references between items are damaged");
        }
        while (status == ImageCodecStatusOK && targets-- > 0) {
            const uint32_t target = (uint32_t)take(&reference, size);
            if (box.type == TYPE("dimg") && from == item) status = measure_item(container, target, depth + 1);
            if (box.type == TYPE("auxl") && target == item) status = measure_item(container, from, depth + 1);
        }
    }
    if (status == ImageCodecStatusOK && reader.has_ended) {
        return fail_on_box(container, container->references, "the references between items are damaged");
    }
    return status;
}

static ImageCodecStatus measure_data(
    const Container *container, uint32_t item, uint32_t type, ByteRange data, uint64_t *pixels) {
    const char *problem = type == TYPE("hvc1") ? hevc_pixels(property_of(container, item, TYPE("hvcC")), data, pixels)
        : type == TYPE("av01")                 ? av1_pixels(property_of(container, item, TYPE("av1C")), data, pixels)
                                               : canvas_pixels(type, data, pixels);
    if (!problem) return ImageCodecStatusOK;
    return codec_fail(container->failure, ImageCodecStatusCorrupt, container->measure->data_offset, problem);
}

static ImageCodecStatus measure_item(Container *container, uint32_t item, unsigned depth) {
    if (depth > deepest_derivation || ++container->pictures > 2 * most_items) {
        return fail(container, ImageCodecStatusTooLarge, container->information.start, "the picture is made of too many others");
    }
    const uint32_t type = type_of(container, item);
    uint64_t pixels = 0;
    if (type == TYPE("hvc1") || type == TYPE("av01") || type == TYPE("grid") || type == TYPE("iovl")) {
        uint8_t *bytes = nullptr;
        size_t count = 0;
        ImageCodecStatus status = gather(container, item, &bytes, &count);
        if (status == ImageCodecStatusOK) status = measure_data(container, item, type, (ByteRange){bytes, count}, &pixels);
        free(bytes);
        if (status != ImageCodecStatusOK) return status;
    } else if (type != TYPE("iden")) {
        return fail(
            container, ImageCodecStatusUnsupported, container->information.start,
            "the picture isn't of HEVC, AV1 or such pictures in a grid or an overlay");
    }
    if (pixels > container->measure->largest) container->measure->largest = pixels;
    container->measure->total += pixels;
    return measure_references(container, item, depth);
}

ImageCodecStatus heif_measure(const uint8_t *bytes, size_t count, HEIFMeasure *measure, ImageCodecFailure *failure) {
    *measure = (HEIFMeasure){0};
    Container container = {.file = {bytes, count}, .measure = measure, .failure = failure};
    ImageCodecStatus status = find_boxes(&container);
    if (status == ImageCodecStatusOK) status = check_copies(&container);
    if (status == ImageCodecStatusOK) status = check_metadata(&container);
    if (status != ImageCodecStatusOK) return status;
    Reader primary = reader_of(container.primary);
    const uint32_t item = (uint32_t)take(&primary, take_version(&primary) == 0 ? 2 : 4);
    const ByteRange size = property_of(&container, item, TYPE("ispe"));
    Reader reader = reader_of(size);
    take_version(&reader);
    measure->width = (uint32_t)take(&reader, 4);
    measure->height = (uint32_t)take(&reader, 4);
    if (!size.start || reader.has_ended || primary.has_ended) {
        return fail_on_box(&container, container.primary, "the primary picture has no size");
    }
    return measure_item(&container, item, 0);
}
