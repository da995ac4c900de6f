"""Makes augmentation.safetensors, what Pillow makes of three small pictures, for AugmentationTests.

Needs pillow==13.0.0, numpy and safetensors. Operations are called as the RandAugment policy `rand-m9-mstd0.5` calls them, and the
arguments follow from a strength of 0...10 as it has them; the names are `picture/operation/strength/sign`, and for
crops `picture/crop/side/x/y` and `picture/resized-crop/side/left/top/right/bottom`.
"""

import pathlib

import numpy as np
import PIL
from PIL import Image, ImageEnhance, ImageOps
from safetensors.numpy import save_file

assert PIL.__version__ == "13.0.0", f"other versions give other bits: {PIL.__version__}"

here = pathlib.Path(__file__).parent
FILL = (124, 116, 104)


def pictures():
    random = np.random.default_rng(7)
    photograph = Image.open(here.parent / "images" / "rgb-120x80.png").convert("RGB").resize((24, 20), Image.BICUBIC)
    noise = random.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    # Few values, the channels apart: nothing to stretch in blue.
    flat = np.stack([random.integers(90, 97, (16, 16)), random.integers(0, 2, (16, 16)) * 200, np.full((16, 16), 33)], 2)
    return {"photograph": np.asarray(photograph), "noise": noise, "flat": flat.astype(np.uint8)}


def operations(image, strength, sign):
    level = strength / 10
    factor = level * 1.8 + 0.1
    width, height = image.size

    def affine(*matrix):
        return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BICUBIC, fillcolor=FILL)

    add = min(128, int(level * 110))
    table = [min(255, i + add) if i < 128 else i for i in range(256)] * 3
    return {
        "autoContrast": ImageOps.autocontrast(image),
        "equalize": ImageOps.equalize(image),
        "invert": ImageOps.invert(image),
        "rotate": image.rotate(sign * level * 30, resample=Image.BICUBIC, fillcolor=FILL),
        # Pillow takes one bit at least; of none, nothing is left.
        "posterize": ImageOps.posterize(image, int(level * 4)) if level * 4 >= 1 else Image.new("RGB", image.size),
        "solarize": ImageOps.solarize(image, min(256, int(level * 256))),
        "solarizeAdd": image.point(table),
        "color": ImageEnhance.Color(image).enhance(factor),
        "contrast": ImageEnhance.Contrast(image).enhance(factor),
        "brightness": ImageEnhance.Brightness(image).enhance(factor),
        "sharpness": ImageEnhance.Sharpness(image).enhance(factor),
        "shearX": affine(1, sign * level * 0.3, 0, 0, 1, 0),
        "shearY": affine(1, 0, 0, sign * level * 0.3, 1, 0),
        "translateX": affine(1, 0, sign * level * 0.45 * width, 0, 1, 0),
        "translateY": affine(1, 0, 0, 0, 1, sign * level * 0.45 * height),
    }


signed = {"rotate", "shearX", "shearY", "translateX", "translateY"}
unscaled = {"autoContrast", "equalize", "invert"}
tensors = {}
for name, pixels in pictures().items():
    tensors[f"{name}/original"] = pixels
    image = Image.fromarray(pixels)
    for strength, sign in [(0, 1), (3.7, -1), (9, 1), (9, -1), (10, 1)]:
        for operation, result in operations(image, strength, sign).items():
            if operation in unscaled and strength != 9 or operation not in signed and (strength, sign) == (9, -1):
                continue
            if operation in unscaled and sign < 0:
                continue
            tensors[f"{name}/{operation}/{strength}/{'-' if sign < 0 else '+'}"] = np.asarray(result)
    for side, x, y in [(9, 3, 2), (8, -3, 12)]:
        tensors[f"{name}/crop/{side}/{x}/{y}"] = np.asarray(image.crop((x, y, x + side, y + side)))
    # A random resized crop's part, tall and wide, of which Pillow resizes either axis first.
    for side, part in [(9, (2, 0, 8, 12)), (9, (0, 0, 12, 5)), (5, (1, 1, 5, 12)), (7, (3, 2, 15, 5))]:
        resized = image.crop(part).resize((side, side), Image.BICUBIC)
        tensors[f"{name}/resized-crop/{side}/{'/'.join(map(str, part))}"] = np.asarray(resized)
save_file(tensors, here / "augmentation.safetensors")
