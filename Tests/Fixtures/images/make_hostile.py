"""Makes the files of the folder hostile, for OnDemandFormatTests: HEICs and AVIFs that state a small picture and hold what takes far more
memory. Their bitstreams are those of the folder on-demand, with other headers.
"""

import pathlib
import struct

here = pathlib.Path(__file__).parent
side = 16384


def boxes(data):
    at = 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + size]
        at += size


def find(data, *path):
    for name in path:
        data = next(content for kind, content in boxes(data) if kind == name)
        data = data[4:] if name == b"meta" else data
    return data


def box(name, content):
    return struct.pack(">I4s", 8 + len(content), name) + content


def full_box(name, content, version=0, flags=0):
    return box(name, struct.pack(">I", version << 24 | flags) + content)


class Item:
    """A picture, or what it is made of. References are pairs of a kind and the numbers of items, counted from 1."""

    def __init__(self, kind, data, properties=(), references=(), encoding=None):
        self.kind, self.data, self.properties, self.references = kind, data, properties, references
        self.encoding = encoding


def container(brand, items, copies=1):
    """A file whose first item is the primary one. Every item's data are listed `copies` times."""
    properties = sorted({content for item in items for content in item.properties})
    associations = b"".join(
        struct.pack(">HB", number, len(item.properties)) + bytes(1 + properties.index(one) for one in item.properties)
        for number, item in enumerate(items, 1))
    entries = b"".join(
        full_box(b"infe", struct.pack(">HH4sx", number, 0, item.kind)
                 + (b"" if item.encoding is None else b"text/plain\0" + item.encoding + b"\0"), 2)
        for number, item in enumerate(items, 1))
    references = b"".join(
        box(kind, struct.pack(">HH", number, len(targets)) + struct.pack(f">{len(targets)}H", *targets))
        for number, item in enumerate(items, 1) for kind, targets in item.references)

    def meta(offset):
        places = b""
        for number, item in enumerate(items, 1):
            places += struct.pack(">HHH", number, 0, copies) + struct.pack(">II", offset, len(item.data)) * copies
            offset += len(item.data)
        return full_box(b"meta", full_box(b"hdlr", b"\0\0\0\0pict" + bytes(13)) + full_box(b"pitm", struct.pack(">H", 1))
                        + full_box(b"iloc", struct.pack(">HH", 0x4400, len(items)) + places)
                        + full_box(b"iinf", struct.pack(">H", len(items)) + entries)
                        + (full_box(b"iref", references) if references else b"")
                        + box(b"iprp", box(b"ipco", b"".join(properties))
                              + full_box(b"ipma", struct.pack(">I", len(items)) + associations)))

    head = box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", b"".join(item.data for item in items))


def size_of(width, height):
    return full_box(b"ispe", struct.pack(">II", width, height))


def golomb(number):
    digits = f"{number + 1:b}"
    return "0" * (len(digits) - 1) + digits


def read_golomb(bits, at):
    zeros = bits.index("1", at) - at
    return int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1, at + 2 * zeros + 1


def enlarged(unit, side):
    """A unit of HEVC; a sequence parameter set (ITU-T H.265, 7.3.2.2) with another size."""
    if unit[0] >> 1 != 33:
        return unit
    bits = "".join(f"{byte:08b}" for byte in unit.replace(b"\0\0\3", b"\0\0"))
    start = 16 + 8 + 96
    for _ in range(2):
        start = read_golomb(bits, start)[1]
    end = start
    for _ in range(2):
        end = read_golomb(bits, end)[1]
    bits = bits[:start] + golomb(side) * 2 + bits[end:]
    plain = int(bits.ljust(-len(bits) // 8 * -8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    escaped, zeros = b"", 0
    for byte in plain:
        if zeros >= 2 and byte <= 3:
            escaped, zeros = escaped + b"\3", 0
        escaped, zeros = escaped + bytes([byte]), zeros + 1 if byte == 0 else 0
    return escaped


def units(configuration):
    """The units in an HEVCDecoderConfigurationRecord, one in each array."""
    at = 23
    for _ in range(configuration[22]):
        length = int.from_bytes(configuration[at + 3 : at + 5], "big")
        yield configuration[at + 5 : at + 5 + length]
        at += 5 + length


def configured(configuration, *replaced):
    return box(b"hvcC", configuration[:22] + bytes([len(replaced)])
               + b"".join(struct.pack(">BHH", unit[0] >> 1, 1, len(unit)) + unit for unit in replaced))


class Bits:
    """Writes an AV1 header."""

    def __init__(self):
        self.text = ""

    def add(self, count, number):
        self.text += f"{number:0{count}b}"
        return self

    def unit(self, kind):
        """An open bitstream unit with these bits and the bit that closes them."""
        text = self.text + "1"
        text = text.ljust(-(-len(text) // 8) * 8, "0")
        content = int(text, 2).to_bytes(len(text) // 8, "big")
        return bytes([kind << 3 | 2, len(content)]) + content


def sequence(width, height, is_reduced=True, size_bits=16):
    """A sequence header of AV1 (5.5.1) for 8 bits and 4:2:0."""
    bits = Bits().add(3, 0).add(1, is_reduced).add(1, is_reduced)
    if is_reduced:
        bits.add(5, 8)
    else:
        bits.add(2, 0).add(5, 0).add(12, 0).add(5, 8).add(1, 0)
    bits.add(4, size_bits - 1).add(4, size_bits - 1).add(size_bits, width - 1).add(size_bits, height - 1)
    if not is_reduced:
        bits.add(1, 0)
    bits.add(3, 0)
    if not is_reduced:
        # No tools between frames, and none for screen content.
        bits.add(4, 0).add(1, 0).add(1, 0).add(1, 0)
    return bits.add(3, 0).add(1, 0).add(1, 0).add(1, 0).add(1, 0).add(2, 0).add(1, 0).add(1, 0).unit(1)


def shown_frame(overrides_size):
    """The start of a key frame's header (5.9.2), with a size of its own or without."""
    bits = Bits().add(1, 0).add(2, 0).add(1, 1).add(1, 1).add(1, overrides_size)
    if overrides_size:
        bits.add(16, side - 1).add(16, side - 1)
    return bits.add(8, 0).unit(3)


heic = (here / "on-demand" / "half-chroma.heic").read_bytes()
hevc = find(heic, b"meta", b"iprp", b"ipco", b"hvcC")
slices = find(heic, b"mdat")
honest = list(units(hevc))
small = configured(hevc, *honest)
medium = configured(hevc, *(enlarged(unit, 1024) for unit in honest))
large = configured(hevc, *(enlarged(unit, side) for unit in honest))
in_data = b"".join(struct.pack(">I", len(unit)) + unit for unit in (enlarged(unit, side) for unit in honest)) + slices
picture_set = next(struct.pack(">I", len(unit)) + unit for unit in honest if unit[0] >> 1 == 34)
depending = slices[:4] + bytes([21 << 1]) + slices[5:]
cropped = box(b"clap", struct.pack(">8i", 16, 1, 16, 1, 0, 1, 0, 1))
alpha = full_box(b"auxC", b"urn:mpeg:hevc:2015:auxid:1\0")
avif = find((here / "on-demand" / "half-chroma.avif").read_bytes(), b"mdat")
av1 = box(b"av1C", bytes.fromhex("81000c00"))
frame = avif[avif.index(b"\x32") :]

one = [size_of(64, 64), small]
stated = size_of(64, 64)
grid = struct.pack(">BBBBHH", 0, 0, 0, 0, 64, 64)
# The place of a tile follows from the size that the container states for it.
narrow = size_of(1, 1)
grid_of_many = struct.pack(">BBBBHH", 0, 0, 19, 49, 64, 64)
files = {
    "parameter-set.heic": container(b"heic", [Item(b"hvc1", slices, [stated, large])]),
    "parameter-set-in-data.heic": container(b"heic", [Item(b"hvc1", in_data, one)]),
    "picture-sets.heic": container(b"heic", [Item(b"hvc1", picture_set * 63 + slices, [stated, medium])]),
    "no-picture.heic": container(b"heic", [Item(b"hvc1", picture_set, [stated, large])]),
    "units.heic": container(b"heic", [Item(b"hvc1", struct.pack(">I2s", 2, b"\x4e\1") * 1000, [stated, small])]),
    "pictures.heic": container(b"heic", [Item(b"hvc1", slices * 3, [stated, medium])]),
    "references.heic": container(b"heic", [Item(b"hvc1", depending, [stated, medium])]),
    "canvas.heic": container(b"heic", [
        Item(b"grid", struct.pack(">BBBBHH", 0, 0, 0, 0, side, side), [stated], [(b"dimg", [2])]),
        Item(b"hvc1", slices, one)]),
    "wide-canvas.heic": container(b"heic", [
        Item(b"grid", struct.pack(">BBBBII", 0, 1, 0, 0, side, side), [stated], [(b"dimg", [2])]),
        Item(b"hvc1", slices, one)]),
    "overlay.heic": container(b"heic", [
        Item(b"iovl", struct.pack(">BB8xHHHH", 0, 0, side, side, 0, 0), [stated], [(b"dimg", [2])]),
        Item(b"hvc1", slices, one)]),
    "tile.heic": container(b"heic", [
        Item(b"grid", grid, [stated], [(b"dimg", [2])]), Item(b"hvc1", slices, [stated, large])]),
    "tiles.heic": container(b"heic", [
        Item(b"grid", grid_of_many, [stated], [(b"dimg", [2] * 1000)]), Item(b"hvc1", slices, [narrow, medium])]),
    "grids-of-grids.heic": container(b"heic", [
        Item(b"grid", grid_of_many, [stated], [(b"dimg", [2] * 1000)]),
        Item(b"grid", grid_of_many, [narrow], [(b"dimg", [3] * 1000)]), Item(b"hvc1", slices, [narrow, small])]),
    "itself.heic": container(b"heic", [Item(b"grid", grid, [stated], [(b"dimg", [1])])]),
    "alpha.heic": container(b"heic", [
        Item(b"hvc1", slices, one), Item(b"hvc1", slices, [stated, large, alpha], [(b"auxl", [1])])]),
    "identity.heic": container(b"heic", [
        Item(b"iden", b"", [stated], [(b"dimg", [2])]), Item(b"hvc1", slices, [stated, large])]),
    "cropped.heic": container(b"heic", [Item(b"hvc1", slices, [size_of(side, side), cropped, large])]),
    "no-width.heic": container(b"heic", [Item(b"hvc1", slices, [size_of(0, 1 << 22), small])]),
    "no-height.heic": container(b"heic", [Item(b"hvc1", slices, [size_of(1 << 22, 0), small])]),
    "no-size.heic": container(b"heic", [Item(b"hvc1", slices, [size_of(0, 0), small])]),
    "copies.heic": container(b"heic", [Item(b"hvc1", slices, one)], copies=30),
    "compressed-metadata.heic": container(b"heic", [
        Item(b"hvc1", slices, one), Item(b"mime", bytes(8), [], [(b"cdsc", [1])], encoding=b"deflate")]),
    "sequence.avif": container(b"avif", [Item(b"av01", sequence(side, side) + frame, [stated, av1])]),
    "sequence-in-configuration.avif": container(b"avif", [
        Item(b"av01", frame, [stated, box(b"av1C", bytes.fromhex("81000c00") + sequence(side, side))])]),
    "frame.avif": container(b"avif", [
        Item(b"av01", sequence(64, 64, is_reduced=False) + shown_frame(True), [stated, av1])]),
    "frames.avif": container(b"avif", [
        Item(b"av01", sequence(1024, 1024, is_reduced=False) + shown_frame(False) * 3, [stated, av1])]),
}
(here / "hostile").mkdir(exist_ok=True)
for name, content in files.items():
    (here / "hostile" / name).write_bytes(content)
