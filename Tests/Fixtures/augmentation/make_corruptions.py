"""Makes corruptions.safetensors for AugmentationTests: what the benchmark's definitions make of two small pictures where
nothing is random, or where the random numbers are given.

Needs pillow==13.0.0, numpy, scipy, opencv-python-headless and safetensors. ImageMagick's motion blur is written out from its
definition. Names are `picture/corruption/severity`; of motion blur the number at the end is the angle in degrees.
"""

import colorsys
import io
import math
import pathlib

import cv2
import numpy as np
import PIL
from PIL import Image
from safetensors.numpy import save_file
from scipy.ndimage import zoom

assert PIL.__version__ == "13.0.0", f"other versions give other bits: {PIL.__version__}"

here = pathlib.Path(__file__).parent


def pictures():
    photograph = Image.open(here.parent / "images" / "rgb-120x80.png").convert("RGB").crop((20, 0, 100, 80))
    photograph = np.asarray(photograph.resize((32, 32), Image.BICUBIC))
    noise = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    noise[:4, :4] = 0
    return {"photograph": photograph, "noise": noise}


def finished(x):
    return np.uint8(np.clip(x, 0, 1) * 255)


def defocus(pixels, severity):
    radius, alias = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][severity - 1]
    grid = np.arange(-8, 9)
    x, y = np.meshgrid(grid, grid)
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), (3, 3), sigmaX=alias)
    return finished(cv2.filter2D(pixels / 255.0, -1, kernel))


def motion(pixels, severity, angle):
    radius, sigma = [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)][severity - 1]
    taps = 2 * math.ceil(radius) + 1
    kernel = np.array([math.exp(-i * i / (2 * sigma * sigma)) for i in range(taps)])
    kernel /= kernel.sum()
    across, along = taps * math.sin(math.radians(angle)), taps * math.cos(math.radians(angle))
    length = math.hypot(across, along)
    steps = [(math.ceil(i * along / length - 0.5), math.ceil(i * across / length - 0.5)) for i in range(taps)]
    result = np.zeros(pixels.shape)
    for row in range(32):
        for column in range(32):
            for weight, (right, down) in zip(kernel, steps):
                result[row, column] += weight * pixels[np.clip(row + down, 0, 31), np.clip(column + right, 0, 31)]
    return np.uint8(np.clip(np.round(result), 0, 255))


def zoom_blur(pixels, severity):
    factors = np.arange(1, [1.06, 1.11, 1.16, 1.21, 1.26][severity - 1], 0.01)
    x = (pixels / 255.0).astype(np.float32)
    total = x.copy()
    for factor in factors:
        kept = math.ceil(32 / factor)
        start = (32 - kept) // 2
        large = zoom(x[start : start + kept, start : start + kept], (factor, factor, 1), order=1)
        trim = (large.shape[0] - 32) // 2
        total += large[trim : trim + 32, trim : trim + 32]
    return finished(total / (len(factors) + 1))


def brightness(pixels, severity):
    amount = [0.05, 0.1, 0.15, 0.2, 0.3][severity - 1]
    result = np.zeros(pixels.shape)
    for row in range(32):
        for column in range(32):
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[row, column] / 255.0))
            result[row, column] = colorsys.hsv_to_rgb(hue, saturation, min(value + amount, 1))
    return finished(result)


def contrast(pixels, severity):
    x = pixels / 255.0
    means = x.mean(axis=(0, 1), keepdims=True)
    return finished((x - means) * [0.75, 0.5, 0.4, 0.3, 0.15][severity - 1] + means)


def pixelate(pixels, severity):
    side = int(32 * [0.95, 0.9, 0.85, 0.75, 0.65][severity - 1])
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.BOX).resize((32, 32), Image.BOX))


def jpeg(pixels, severity):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=[80, 65, 58, 50, 40][severity - 1])
    return np.asarray(Image.open(file))


def plasma(side, decay, uniform):
    """Diamond-square on whole arrays, wrapped around."""
    heights = np.zeros((side, side))
    step, wibble = side, 100.0

    def displaced(sums):
        return sums / 4 + wibble * wibble * (2 * uniform(sums.shape) - 1)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = displaced(pairs + np.roll(pairs, -1, axis=1))
        middles, corners = heights[half::step, half::step], heights[::step, ::step]
        adjacent = middles + np.roll(middles, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        heights[::step, half::step] = displaced(adjacent)
        adjacent = middles + np.roll(middles, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        heights[half::step, ::step] = displaced(adjacent)
        step, wibble = half, wibble / decay
    heights -= heights.min()
    return heights / heights.max()


tensors = {}
for name, pixels in pictures().items():
    tensors[f"{name}/original"] = pixels
    for severity in range(1, 6):
        tensors[f"{name}/defocus-blur/{severity}"] = defocus(pixels, severity)
        tensors[f"{name}/zoom-blur/{severity}"] = zoom_blur(pixels, severity)
        tensors[f"{name}/brightness/{severity}"] = brightness(pixels, severity)
        tensors[f"{name}/contrast/{severity}"] = contrast(pixels, severity)
        tensors[f"{name}/pixelate/{severity}"] = pixelate(pixels, severity)
        tensors[f"{name}/jpeg/{severity}"] = jpeg(pixels, severity)
        for angle in (-33, 0, 20):
            tensors[f"{name}/motion-blur/{severity}/{angle}"] = motion(pixels, severity, angle)

random = np.random.default_rng(11)
draws = random.random(32 * 32)
for decay in (3, 1.75):
    position = 0

    def uniform(shape):
        global position
        position += shape[0] * shape[1]
        return draws[position - shape[0] * shape[1] : position].reshape(shape)

    tensors[f"plasma/{decay}"] = plasma(32, decay, uniform)
tensors["plasma/draws"] = draws
save_file(tensors, here / "corruptions.safetensors")
