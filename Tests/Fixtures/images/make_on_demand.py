"""Makes the files of the folder on-demand, and on-demand.safetensors, what Pillow makes of them, for OnDemandFormatTests.

Needs pillow==13.0.0, pillow-heif, numpy and safetensors. Names are `on-demand/FILE/decoded`. Of HEIC and AVIF, encoders of other versions
give other files.
"""

import io
import pathlib
import struct

import numpy as np
import PIL
from PIL import Image, ImageOps
from pillow_heif import register_heif_opener
from safetensors.numpy import save_file

assert PIL.__version__ == "13.0.0", f"other versions give other bits: {PIL.__version__}"
register_heif_opener()

here = pathlib.Path(__file__).parent
size = width, height = 29, 18
random = np.random.default_rng(13)


def picture(mode="RGB", size=size):
    """A gradient with a disc."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    disc = (x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < size[1] ** 2 / 6
    planes = [x * 255 // size[0], y * 255 // size[1], np.where(disc, 220, 40), np.where(disc, 255, 20 + x * 5)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8), "RGBA").convert(mode)


def encoded(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def tiff(chunks, bits, samples, photometric, *more):
    """Uncompressed strips or tiles, in the order of big-endian bytes. More are entries of tag and values."""
    entries = {256: [width], 257: [height], 258: [bits] * samples, 259: [1], 262: [photometric], 277: [samples],
               **dict(more)}
    offsets, counts = (324, 325) if 322 in entries else (273, 279)
    entries[offsets], entries[counts] = [0] * len(chunks), [len(chunk) for chunk in chunks]
    entries.setdefault(278, [height])
    start = 8 + 2 + 12 * len(entries) + 4
    spare = sum(4 * len(values) for values in entries.values() if len(values) > 1)
    place = start + spare
    for index, chunk in enumerate(chunks):
        entries[offsets][index] = place
        place += len(chunk)
    directory, values_elsewhere = b"", b""
    for tag, values in sorted(entries.items()):
        numbers = b"".join(struct.pack(">I", value) for value in values)
        if len(values) > 1:
            pointer = struct.pack(">I", start + len(values_elsewhere))
            values_elsewhere += numbers
            numbers = pointer
        directory += struct.pack(">HHI", tag, 4, len(values)) + numbers
    return (b"MM\0*" + struct.pack(">IH", 8, len(entries)) + directory + struct.pack(">I", 0) + values_elsewhere
            + b"".join(chunks))


def tiles(pixels, side):
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)))
    return [padded[y : y + side, x : x + side].tobytes()
            for y in range(0, padded.shape[0], side) for x in range(0, padded.shape[1], side)]


colours = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
deep = random.integers(0, 65536, (height, width, 3), dtype=np.uint16)
associated = np.dstack([colours // 2, np.full((height, width, 1), 150, np.uint8)])
files = {
    "lzw.tif": encoded(picture(), "TIFF", compression="tiff_lzw"),
    "deflate.tif": encoded(picture("RGBA"), "TIFF", compression="tiff_adobe_deflate", strip_size=400),
    "packbits-palette.tif": encoded(picture().quantize(40), "TIFF", compression="packbits"),
    "group4.tif": encoded(picture("L").convert("1"), "TIFF", compression="group4"),
    "jpeg.tif": encoded(picture(), "TIFF", compression="jpeg", quality=80),
    "cmyk.tif": encoded(picture("CMYK"), "TIFF", compression="tiff_lzw"),
    "gray-16.tif": encoded(Image.fromarray(deep[..., 0] // 200), "TIFF"),
    "turned.tif": encoded(picture(), "TIFF", compression="tiff_lzw", tiffinfo={0x0112: 6}),
    "turned-xmp.tif": encoded(picture(), "TIFF", tiffinfo={700: b'<x tiff:Orientation="8"/>'}),
    "two-pictures.tif": encoded(picture(), "TIFF", save_all=True, append_images=[picture("L")]),
    "rgb-16.tif": tiff([deep.astype(">u2").tobytes()], 16, 3, 2),
    "associated.tif": tiff([associated.tobytes()], 8, 4, 2, (338, [1])),
    "tiles.tif": tiff(tiles(colours, 16), 8, 3, 2, (322, [16]), (323, [16])),
    "planes.tif": tiff([colours[..., plane].tobytes() for plane in range(3)], 8, 3, 2, (284, [2])),
    "full-chroma.heic": encoded(picture(size=(64, 48)), "HEIF", quality=80, chroma=444),
    "half-chroma.heic": encoded(picture(size=(64, 48)), "HEIF", quality=80, chroma=420),
    "gray.heic": encoded(picture("L", (64, 48)), "HEIF", quality=80),
    "alpha.heic": encoded(picture("RGBA", (64, 48)), "HEIF", quality=80, chroma=444),
    "turned.heic": encoded(picture(size=(64, 48)), "HEIF", quality=80, chroma=444, exif=exif(6)),
    "full-chroma.avif": encoded(picture(size=(64, 48)), "AVIF", quality=80, subsampling="4:4:4"),
    "half-chroma.avif": encoded(picture(size=(64, 48)), "AVIF", quality=80, subsampling="4:2:0"),
    "turned.avif": encoded(picture(size=(64, 48)), "AVIF", quality=80, subsampling="4:4:4", exif=exif(8)),
}
tensors = {}
(here / "on-demand").mkdir(exist_ok=True)
for name, content in files.items():
    (here / "on-demand" / name).write_bytes(content)
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    tensors[f"on-demand/{name}/decoded"] = np.asarray(image)
save_file(tensors, here / "on-demand.safetensors")
