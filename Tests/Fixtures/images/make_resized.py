"""Makes resized.safetensors, what Pillow makes of small pictures of many shapes, for PreprocessingTests.

Needs pillow==13.0.0, numpy and safetensors. Names are `WIDTHxHEIGHT-WIDTHxHEIGHT/filter`, and `/original` before it.
"""

import pathlib

import numpy as np
import PIL
from PIL import Image
from safetensors.numpy import save_file

assert PIL.__version__ == "13.0.0", f"other versions give other bits: {PIL.__version__}"

here = pathlib.Path(__file__).parent
random = np.random.default_rng(13)
tensors = {}
for width, height, *size in [(16, 40, 8, 20), (40, 16, 20, 8), (12, 50, 12, 9), (30, 11, 45, 7), (9, 9, 9, 8), (7, 23, 14, 46),
                             (16, 32, 8, 16), (16, 33, 8, 16), (1, 60, 3, 2), (60, 1, 2, 3)]:
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    name = f"{width}x{height}-{size[0]}x{size[1]}"
    tensors[f"{name}/original"] = pixels
    for filter in ("box", "bicubic"):
        tensors[f"{name}/{filter}"] = np.asarray(Image.fromarray(pixels).resize(size, getattr(Image, filter.upper())))
save_file(tensors, here / "resized.safetensors")
