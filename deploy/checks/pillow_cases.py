"""Images of every kind that is decoded, and what Pillow makes of them, for PillowComparisonTests.

    python pillow_cases.py FOLDER CASES SEED

writes the images, raw pixels [height][width][3] and `cases.json`, which says what belongs to what.
"""

import io
import json
import math
import random
import struct
import sys
import warnings
import zlib
from pathlib import Path

from PIL import Image, ImageFile, ImageOps

LARGEST_EXACT = 4_000_000
OVERSAMPLING = 4
# Pillow's own limit is for images from strangers.
Image.MAX_IMAGE_PIXELS = None
# Bytes that noise at full quality takes at most in the files made here.
ImageFile.MAXBLOCK = 1 << 25


# Pictures.


def size(choose):
    """Mostly small, of every shape, often much taller or wider than the square."""
    shape = choose.randrange(4)
    short, long = choose.randint(1, 90), choose.randint(1, 420)
    return [(short, short), (short, long), (long, short), (choose.randint(1, 200), choose.randint(1, 200))][shape]


def picture(choose, mode, size):
    """Something smooth with something rough on it."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    coarse = (choose.randint(1, 9), choose.randint(1, 9))
    smooth = Image.frombytes(mode, coarse, choose.randbytes(coarse[0] * coarse[1] * bands)).resize(size, Image.BICUBIC)
    rough = Image.frombytes(mode, size, choose.randbytes(size[0] * size[1] * bands))
    return Image.blend(smooth, rough, choose.choice([0, 0.05, 0.3, 1]))


# JPEGs.


def patched_frame(file, factors, width, height):
    """The file with other sampling factors of its first component, and the size at which its blocks fill the picture."""
    start = next(i for i in range(2, len(file)) if file[i] == 0xFF and file[i + 1] in (0xC0, 0xC1, 0xC2))
    frame = bytearray(file)
    frame[start + 5 : start + 9] = struct.pack(">HH", height, width)
    frame[start + 11] = factors
    return bytes(frame)


def metadata(choose):
    """EXIF or XMP with an orientation, or neither."""
    orientation = choose.randint(1, 8)
    if choose.random() < 0.5:
        tags = Image.Exif()
        tags[0x0112] = orientation
        return {"exif": tags.tobytes()}
    if choose.random() < 0.5:
        return {"xmp": b'<x tiff:Orientation="%d"/>' % orientation}
    return {}


def jpeg(choose, size=None):
    width, height = size or globals()["size"](choose)
    mode = choose.choice(["RGB", "RGB", "RGB", "L", "CMYK"])
    kind = choose.choice(["444", "422", "420", "440", "411", "441"])
    options = dict(quality=choose.choice([5, 30, 75, 92, 100]), **metadata(choose))
    options["progressive"] = choose.random() < 0.4
    options["optimize"] = choose.random() < 0.5
    if choose.random() < 0.3:
        options["restart_marker_blocks"] = choose.randint(1, 9)
    if mode == "RGB":
        options["subsampling"] = {"444": 0, "422": 1, "420": 2, "440": 1, "411": 2, "441": 2}[kind]
        options["keep_rgb"] = choose.random() < 0.1
        if options["keep_rgb"]:
            kind = "444"
            options["subsampling"] = 0
    # Pillow writes the first three only. The others have the same blocks in another order, so that a picture of another
    # shape has just those.
    shapes = {"440": (width * 2, math.ceil(height / 2), 0x12), "411": (math.ceil(width / 2), height * 2, 0x41),
              "441": (width * 2, math.ceil(height / 2), 0x14)}
    file = io.BytesIO()
    if mode == "RGB" and kind in shapes and not options["progressive"]:
        encoded_width, encoded_height, factors = shapes[kind]
        picture(choose, mode, (encoded_width, encoded_height)).save(file, "JPEG", **options)
        stretch = {0x12: (0.5, 2), 0x41: (2, 0.5), 0x14: (0.5, 2)}[factors]
        size = math.ceil(encoded_width * stretch[0]), max(1, int(encoded_height * stretch[1]))
        return patched_frame(file.getvalue(), factors, *size)
    picture(choose, mode, (width, height)).save(file, "JPEG", **options)
    content = file.getvalue()
    if mode == "CMYK" and choose.random() < 0.5:
        # Adobe's marker with the transformation of YCCK.
        place = content.index(b"Adobe") + 11
        content = content[:place] + b"\2" + content[place + 1 :]
    return content


# PNGs, most of which Pillow doesn't write.

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rows(choose, width, height, bits):
    """Random bytes behind a random filter of each row."""
    length = (width * bits + 7) // 8
    return b"".join(bytes([choose.randrange(5)]) + choose.randbytes(length) for _ in range(height))


def png(choose):
    width, height = size(choose)
    color, depth = choose.choice(
        [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8),
         (6, 16)])
    interlaced = choose.random() < 0.3
    bits = CHANNELS[color] * depth
    data = b""
    for left, top, right, down in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        columns, lines = -((left - width) // right), -((top - height) // down)
        if columns > 0 and lines > 0:
            data += rows(choose, columns, lines, bits)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))
    if choose.random() < 0.3:
        file += chunk(b"gAMA", struct.pack(">I", 220000))
    if color == 3:
        file += chunk(b"PLTE", choose.randbytes(3 << depth))
    if choose.random() < 0.4 and color in (0, 2, 3):
        file += chunk(b"tRNS", choose.randbytes({0: 2, 2: 6, 3: choose.randint(1, 1 << depth)}[color]))
    stated = metadata(choose)
    if "exif" in stated:
        file += chunk(b"eXIf", stated["exif"][6:])
    if "xmp" in stated:
        file += chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(stated["xmp"]))
    return file + chunk(b"IDAT", zlib.compress(data, 1)) + chunk(b"IEND", b"")


# WebPs, with frames that don't cover the canvas.


def webp(choose):
    options = dict(lossless=choose.random() < 0.5, quality=choose.choice([0, 30, 75, 100]), method=choose.randint(0, 6),
                   exact=choose.random() < 0.5, **metadata(choose))
    file = io.BytesIO()
    if choose.random() < 0.7:
        picture(choose, choose.choice(["RGB", "RGBA"]), size(choose)).save(file, "WEBP", **options)
        return file.getvalue()
    canvas = size(choose)
    first = picture(choose, "RGBA", canvas)
    if choose.random() < 0.7:
        place = choose.randrange(canvas[0]), choose.randrange(canvas[1])
        part = first.crop((*place, *canvas))
        first = Image.new("RGBA", canvas)
        first.paste(part, place)
    later = [picture(choose, "RGBA", canvas) for _ in range(choose.randint(1, 2))]
    first.save(file, "WEBP", save_all=True, append_images=later, **options)
    return file.getvalue()


# GIFs, whose first frame stands anywhere on the screen or beyond it.


def gif(choose):
    width, height = size(choose)
    count = choose.randint(1, 256)
    image = Image.frombytes("P", (width, height), bytes(choose.randrange(count) for _ in range(width * height)))
    image.putpalette(choose.randbytes(3 * choose.randint(1, 256)))
    if choose.random() < 0.2:
        image = picture(choose, "L", (width, height))
    file = io.BytesIO()
    options = {"transparency": choose.randrange(count)} if choose.random() < 0.3 else {}
    image.save(file, "GIF", interlace=choose.random() < 0.5, optimize=choose.random() < 0.5, **options)
    content = file.getvalue()
    if choose.random() < 0.5:
        return content
    place = struct.pack("<HH", choose.randint(0, 9), choose.randint(0, 9))
    screen = struct.pack("<HH", *(choose.randint(0, 2 * side) for side in (width, height)))
    descriptor = content.index(b",\0\0\0\0" + struct.pack("<HH", width, height))
    return content[:6] + screen + content[10 : descriptor + 1] + place + content[descriptor + 5 :]


# BMPs, most of which Pillow doesn't write.

BIT_FIELDS = {
    16: [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)], 24: [(0xFF0000, 0xFF00, 0xFF)],
    32: [(0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0), (0xFF000000, 0xFF00, 0xFF, 0),
         (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
         (0xFF000000, 0xFF00, 0xFF, 0xFF0000), (0, 0, 0, 0)]}


def run_lengths(choose, height, start, packed):
    """Runs, literal indices, moves and ends of rows, enough of them for all rows."""
    data, rows = b"", 0
    while rows < 2 * height:
        kind = choose.randrange(8)
        if kind < 4:
            data += bytes([choose.randint(1, 90), choose.randrange(256)])
        elif kind < 6:
            data += b"\0\0"
            rows += 1
        elif kind < 7:
            data += b"\0\2" + bytes([choose.randint(0, 9), choose.randint(0, 1)])
        else:
            count = choose.randint(3, 40)
            data += bytes([0, count]) + choose.randbytes((count + 1) // 2 if packed else count)
            data += b"\0" * ((start + len(data)) % 2)
    return data + b"\0\1"


def bmp(choose):
    width, height = size(choose)
    header_size, bits = choose.choice([12, 40, 52, 56, 64, 108, 124]), choose.choice([1, 4, 8, 16, 24, 32])
    compression, masks, between = 0, b"", b""
    if header_size > 12 and choose.random() < 0.5:
        compression = {1: 0, 4: 2, 8: 1}.get(bits, 3)
    if compression == 3:
        # Shorter headers have no field for alpha.
        fields = choose.choice([fields for fields in BIT_FIELDS[bits] if header_size >= 56 or not any(fields[3:])])
        masks = struct.pack(f"<{len(fields)}I", *fields)
        if header_size < 52:
            between = masks[:12]
    if bits <= 8:
        entry = 3 if header_size == 12 else 4
        count = 1 << bits if header_size == 12 else choose.randint(1, 1 << bits)
        # Pillow misreads pictures of 4 or 8 bits whose palette is black and white.
        is_gray = choose.random() < 0.3 and (bits == 1 or (bits == 8 and count > 2))
        levels = [0, 255] if count == 2 else range(count)
        between = b"".join(bytes([level] * 3 + [0])[:entry] for level in levels) if is_gray else choose.randbytes(entry * count)
    if header_size == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        colours = len(between) // 4 if bits <= 8 else 0
        is_top_down = choose.random() < 0.3
        header = struct.pack("<IiiHHIIiiII", header_size, width, -height if is_top_down else height, 1, bits, compression,
                             0, 0, 0, colours, 0)
        if header_size >= 52:
            header += masks
        header = header[:header_size].ljust(header_size, b"\0")
    offset = 14 + header_size + len(between)
    if compression in (1, 2):
        data = run_lengths(choose, height, offset, compression == 2)
    else:
        data = choose.randbytes((width * bits + 31) // 32 * 4 * height)
    stated = choose.choice([offset] * 8 + [0] + ([14 + header_size] if bits <= 8 else []))
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, stated) + header + between + data


# TIFFs.


def tiff(choose):
    mode = choose.choice(["1", "L", "P", "RGB", "RGBA", "RGBX", "CMYK", "LA", "I;16"])
    width, height = size(choose)
    if mode == "I;16":
        image = Image.frombytes(mode, (width, height), choose.randbytes(2 * width * height))
    elif mode == "1":
        image = picture(choose, "L", (width, height)).convert("1")
    elif mode == "P":
        image = picture(choose, "RGB", (width, height)).quantize(choose.choice([4, 16, 256]))
    else:
        image = picture(choose, mode, (width, height))
    compressions = [None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]
    compressions += {"1": ["group3", "group4", "tiff_ccitt"], "L": ["jpeg"], "RGB": ["jpeg"]}.get(mode, [])
    options = {"compression": choose.choice(compressions)}
    tags = {0x0112: choose.randint(1, 8)} if choose.random() < 0.5 else {}
    if choose.random() < 0.3:
        tags[700] = b'<x tiff:Orientation="%d"/>' % choose.randint(1, 8)
    # A strip of a JPEG has whole blocks.
    if choose.random() < 0.5 and options["compression"] != "jpeg":
        options["strip_size"] = choose.choice([1, 500, 5000])
    file = io.BytesIO()
    image.save(file, "TIFF", tiffinfo=tags, **options)
    return file.getvalue()


# Odd metadata on a small picture: what Pillow reads of it, and what it passes over.


def odd_number(choose, order, kind):
    value = choose.choice([0, 1, 2, 3, 5, 6, 8, 9, 255])
    if kind in (5, 10):
        below = choose.choice([0, 1, 1, 2])
        return struct.pack(order + "II", value * max(below, 1), below)
    if kind in (11, 12):
        return struct.pack(order + {11: "f", 12: "d"}[kind], choose.choice([value, value + 0.5]))
    size = {3: 2, 4: 4, 8: 2, 9: 4, 13: 4, 16: 8}.get(kind, 1)
    return value.to_bytes(size, "big" if order == ">" else "little")


def odd_tiff(choose):
    order, mark = choose.choice([(">", b"MM"), ("<", b"II")])
    magic = choose.choice([b"\0*", b"*\0"] * 4 + [b"\0+", b"+\0", b"??"])
    announced = count = choose.randint(0, 4)
    if choose.random() < 0.2:
        announced += choose.randint(1, 3)
    base = 8 + 2 + 12 * count + 4
    entries, elsewhere = b"", b""
    for _ in range(count):
        tag = choose.choice([0x0112, 0x0112, 0x010F, 0x0131])
        kind = choose.choice([3, 3, 3, 4, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 0, 14])
        numbers = choose.choice([1, 1, 1, 0, 2, 3, 5])
        value = b"".join(odd_number(choose, order, kind) for _ in range(numbers))
        if choose.random() < 0.1:
            numbers = choose.choice([40, 2**32 - 1])
        if len(value) > 4:
            offset = base + len(elsewhere)
            if choose.random() < 0.15:
                offset += choose.choice([1, 10, 2**31])
            elsewhere += value
            value = struct.pack(order + "I", offset)
        entries += struct.pack(order + "HHI", tag, kind, numbers) + value.ljust(4, b"\0")
    directory = 8 if choose.random() < 0.95 else choose.choice([0, 9, 200, 2**32 - 1])
    whole = (mark + magic + struct.pack(order + "I", directory) + struct.pack(order + "H", announced) + entries
             + struct.pack(order + "I", 0) + elsewhere)
    return whole if choose.random() < 0.9 else whole[: choose.randint(0, len(whole))]


def odd_xmp(choose):
    return b"".join(
        choose.choice([b'tiff:Orientation="%d"', b"<tiff:Orientation>%d</tiff:Orientation>", b"tiff:Orientation='%d'",
                       b'tiff:Orientation=" %d"', b'exif:Orientation="%d"']) % choose.choice([0, 1, 3, 6, 8, 9, 12])
        for _ in range(choose.randint(0, 2)))


def odd_jpeg(choose, plain):
    segments = b""
    for _ in range(choose.randint(1, 3)):
        if choose.random() < 0.6:
            content = b"Exif\0\0" * choose.choice([1, 1, 1, 2]) + (odd_tiff(choose) if choose.random() < 0.8 else b"")
        else:
            content = choose.choice([b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"])
            content += odd_xmp(choose)
        segments += b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return plain[:2] + segments + plain[2:]


def odd_text(choose, keyword, text):
    """A text chunk of any kind, now and then malformed."""
    packed = zlib.compress(text)
    if choose.random() < 0.1:
        packed = choose.choice([packed[: len(packed) // 2], b"", b"\x78\x9cnonsense"])
    return choose.choice([
        chunk(b"tEXt", keyword + b"\0" + text), chunk(b"zTXt", keyword + b"\0\0" + packed),
        chunk(b"iTXt", keyword + b"\0\0\0en\0\0" + text), chunk(b"iTXt", keyword + b"\0\1\0\0x\0" + packed),
        chunk(b"iTXt", keyword + b"\0\1\1\0\0" + packed), chunk(b"iTXt", keyword + b"\0\0\0en" + text),
    ])


def odd_profile(choose):
    content = b"Exif\0\0" * choose.randint(0, 2) + odd_tiff(choose)
    digits = content.hex()
    if choose.random() < 0.1:
        digits = digits[:7] + choose.choice(["\n", " ", "g", ""]) + digits[8:]
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return ("\nexif\n%8d\n" % len(content) + choose.choice(["\n", "\n", "\n ", ""]).join(lines) + "\n").encode()


def odd_png(choose):
    def piece():
        kind = choose.randrange(6)
        if kind == 0:
            return chunk(b"eXIf", b"Exif\0\0" * choose.choice([0, 0, 1, 2]) + odd_tiff(choose))
        if kind == 1:
            return odd_text(choose, b"XML:com.adobe.xmp", odd_xmp(choose))
        if kind == 2:
            return odd_text(choose, b"Raw profile type " + choose.choice([b"exif", b"exif", b"APP1"]), odd_profile(choose))
        if kind == 3:
            return chunk(b"acTL", struct.pack(">II", choose.choice([0, 1, 2]), 0))
        if kind == 4:
            return chunk(b"tEXt", b"exif\0" + b"Exif\0\0" + odd_tiff(choose))
        return chunk(b"tEXt", b"Comment\0none")

    header = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 3, 2, 0, 0, 1, 1, 0, 0)) if choose.random() < 0.3 else b""
    later = chunk(b"fcTL", struct.pack(">IIIIIHHBB", bool(frame), 3, 2, 0, 0, 1, 1, 0, 0))
    data = zlib.compress(b"\0\1\2\3\0\4\5\6")
    before = b"".join(piece() for _ in range(choose.randint(0, 2)))
    after = b"".join(piece() for _ in range(choose.randint(0, 2)))
    if choose.random() < 0.3:
        after += later + chunk(b"fdAT", struct.pack(">I", 1 + bool(frame)) + data) + piece()
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + frame + chunk(b"IDAT", data) + after
            + chunk(b"IEND", b""))


# What Pillow makes of them.


def turned(image):
    return ImageOps.exif_transpose(image).convert("RGB")


def evaluation_size(width, height, side):
    """torchvision's Resize of the shorter side."""
    return (side, side * height // width) if width <= height else (side * width // height, side)


def center_cropped(image, side):
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))


def exact_crop(file, side, crop):
    image = turned(Image.open(file))
    return center_cropped(image.resize(evaluation_size(*image.size, side), Image.BICUBIC), crop)


def scaled_crop(file, side, crop):
    """As DecodingMode.scaled: decoded at a fraction, while lengths follow from the whole size."""
    image = Image.open(file)
    width, height = image.size
    spare = min(width, height) // (OVERSAMPLING * side)
    denominator = next((d for d in (8, 4, 2) if d <= spare), 1)
    if image.format != "JPEG" or width * height <= LARGEST_EXACT or denominator == 1:
        return exact_crop(file, side, crop)
    image.draft(None, (width // denominator, height // denominator))
    assert image.size == (math.ceil(width / denominator), math.ceil(height / denominator))
    orientation = image.getexif().get(0x0112, 1)
    # Where the picture ends in the draft, whose last pixels it may fill in part only.
    right, bottom = width / denominator, height / denominator
    left, top = image.width - right, image.height - bottom
    box = {1: (0, 0, right, bottom), 2: (left, 0, image.width, bottom), 3: (left, top, image.width, image.height),
           4: (0, top, right, image.height), 5: (0, 0, bottom, right), 6: (top, 0, image.height, right),
           7: (top, left, image.height, image.width), 8: (0, left, bottom, image.width)}[orientation]
    if orientation >= 5:
        width, height = height, width
    return center_cropped(turned(image).resize(evaluation_size(width, height, side), Image.BICUBIC, box), crop)


class Cases:
    def __init__(self, folder):
        self.folder = folder
        self.all = []

    def stored(self, name, image):
        (self.folder / name).write_bytes(image.tobytes())
        return {"width": image.width, "height": image.height, "pixels": name}

    def add(self, content, extension):
        """The file's path, its case and what Pillow shows of it; None if Pillow shows nothing."""
        name = f"{len(self.all)}.{extension}"
        path = self.folder / name
        path.write_bytes(content)
        try:
            image = turned(Image.open(path))
        except Exception:
            # Of odd metadata Pillow says so by many kinds of errors.
            return None
        case = {"file": name, "crops": [], "resized": []}
        self.all.append(case)
        return path, case, image

    def add_plain(self, choose, content, extension):
        path, case, image = self.add(content, extension)
        case["decoded"] = self.stored(f"{path.name}.decoded", image)
        self.add_crops(choose, path, case, image, exact_crop)
        to = (choose.randint(1, 120), choose.randint(1, 120))
        filter = choose.choice(["box", "bicubic"])
        result = self.stored(f"{path.name}.resized", image.resize(to, getattr(Image, filter.upper())))
        case["resized"].append({"filter": filter, "image": result})

    def add_crops(self, choose, path, case, image, make):
        for index in range(2):
            side = choose.randint(1, 100)
            crop = choose.randint(1, side)
            if max(evaluation_size(*image.size, side)) > 20_000:
                continue
            result = self.stored(f"{path.name}.crop{index}", make(path, side, crop))
            case["crops"].append({"shorterSide": side, "isScaled": make is scaled_crop, "image": result})


def main(folder, count, seed):
    choose = random.Random(seed)
    cases = Cases(Path(folder))
    for _ in range(count):
        make = choose.choice([jpeg, jpeg, jpeg, png, png, png, webp, gif, bmp, tiff])
        cases.add_plain(choose, make(choose), make.__name__)
    for size in [(1000, 4101), (4103, 1001), (2001, 2011)]:
        path, case, image = cases.add(jpeg(choose, size), "jpg")
        cases.add_crops(choose, path, case, image, scaled_crop)
    file = io.BytesIO()
    picture(choose, "RGB", (5, 3)).save(file, "JPEG")
    for _ in range(count):
        content, extension = (odd_jpeg(choose, file.getvalue()), "jpg") if choose.random() < 0.5 else (odd_png(choose), "png")
        added = cases.add(content, extension)
        if added:
            path, case, image = added
            case["decoded"] = cases.stored(f"{path.name}.decoded", image)
    (cases.folder / "cases.json").write_text(json.dumps(cases.all))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
