"""Makes the files of the folder formats, and formats.safetensors, what Pillow makes of them, for GoldenImageTests.

Needs pillow==13.0.0, numpy and safetensors. Names are `formats/FILE/decoded`.
"""

import io
import pathlib
import struct

import numpy as np
import PIL
from PIL import Image, ImageOps
from safetensors.numpy import save_file

assert PIL.__version__ == "13.0.0", f"other versions give other bits: {PIL.__version__}"

here = pathlib.Path(__file__).parent
size = width, height = 29, 18
random = np.random.default_rng(13)


def picture(mode="RGB", size=size):
    """A gradient with a disc and a little noise."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    disc = (x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < size[1] ** 2 / 6
    planes = [x * 255 // size[0], y * 255 // size[1], np.where(disc, 220, 40), np.where(disc, 255, x * 8)]
    pixels = np.stack(planes, -1) + random.integers(-9, 10, (size[1], size[0], 4))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGBA").convert(mode)


def encoded(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def animated_webp(**options):
    """An animation whose first frame doesn't cover the canvas."""
    first = Image.new("RGBA", size)
    first.paste(picture("RGBA", (11, 9)), (8, 6))
    return encoded(first, "WEBP", save_all=True, append_images=[picture("RGBA")], **options)


def placed_gif(file, screen, left, top, transparent=None):
    """The file with another screen, and its picture at a place of it."""
    descriptor = file.index(b",\0\0\0\0" + struct.pack("<HH", *size))
    control = b"" if transparent is None else b"\x21\xf9\4\1\0\0" + bytes([transparent, 0])
    return (file[:6] + struct.pack("<HH", *screen) + file[10:descriptor] + control + b","
            + struct.pack("<HH", left, top) + file[descriptor + 5 :])


def bmp(bits, rows, compression=0, masks=(), palette=b"", header_size=40, is_top_down=False):
    header = struct.pack(
        "<IiiHHIIiiII", header_size, width, -height if is_top_down else height, 1, bits, compression, 0, 0, 0,
        len(palette) // 4, 0) + struct.pack(f"<{len(masks)}I", *masks)
    header = header.ljust(header_size, b"\0")
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + palette + rows


def rows(bits):
    return random.bytes((width * bits + 31) // 32 * 4 * height)


def run_lengths(bits):
    """Runs, literal indices and a move, which together fill the picture."""
    literals = bytes(range(7)) if bits == 8 else bytes.fromhex("01234560")
    start = bytes([5, 0x12]) + bytes([0, 7]) + literals + b"\0" * (len(literals) % 2) + b"\0\0"
    moved = bytes([4, 0x34, 0, 2, 3, 1])
    return start + moved + b"".join(bytes([width, row]) + b"\0\0" for row in range(height)) + b"\0\1"


colours = picture("RGB").quantize(16)
files = {
    "lossy.webp": encoded(picture("RGB"), "WEBP", quality=60),
    "lossless.webp": encoded(picture("RGB"), "WEBP", lossless=True),
    "alpha.webp": encoded(picture("RGBA"), "WEBP", quality=80),
    "lossless-alpha-exact.webp": encoded(picture("RGBA"), "WEBP", lossless=True, exact=True),
    "turned.webp": encoded(picture("RGB"), "WEBP", quality=75, exif=exif(6)),
    "turned-xmp.webp": encoded(picture("RGB"), "WEBP", quality=75, xmp=b'<x tiff:Orientation="8"/>'),
    "animated.webp": animated_webp(lossless=True),
    "animated-lossy.webp": animated_webp(quality=50, exif=exif(3)),
    "palette.gif": encoded(colours, "GIF", interlace=False),
    "interlaced.gif": encoded(picture("RGB").quantize(200), "GIF", interlace=True),
    "gray.gif": encoded(picture("L"), "GIF"),
    "transparent.gif": encoded(colours, "GIF", transparency=3),
    "animated.gif": encoded(colours, "GIF", save_all=True, append_images=[picture("RGB")]),
    "placed.gif": placed_gif(encoded(colours, "GIF"), (40, 30), 7, 5),
    "placed-transparent.gif": placed_gif(encoded(colours, "GIF"), (40, 30), 7, 5, transparent=4),
    "beyond-screen.gif": placed_gif(encoded(colours, "GIF"), (10, 10), 2, 3),
    "bilevel.bmp": encoded(picture("1"), "BMP"),
    "gray.bmp": encoded(picture("L"), "BMP"),
    "palette.bmp": encoded(picture("RGB").quantize(100), "BMP"),
    "rgb.bmp": encoded(picture("RGB"), "BMP"),
    "rgba.bmp": encoded(picture("RGBA"), "BMP"),
    "4-bits.bmp": bmp(4, rows(4), palette=random.bytes(4 * 11)),
    "run-lengths-8.bmp": bmp(8, run_lengths(8), compression=1, palette=random.bytes(4 * 200)),
    "run-lengths-4.bmp": bmp(4, run_lengths(4), compression=2, palette=random.bytes(4 * 16)),
    "555.bmp": bmp(16, rows(16)),
    "565-top-down.bmp": bmp(16, rows(16), compression=3, masks=(0xF800, 0x7E0, 0x1F), header_size=52, is_top_down=True),
    "fields-32.bmp": bmp(32, rows(32), compression=3, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000), header_size=108),
}
tensors = {}
for name, content in files.items():
    (here / "formats" / name).write_bytes(content)
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    tensors[f"formats/{name}/decoded"] = np.asarray(image)
save_file(tensors, here / "formats.safetensors")
