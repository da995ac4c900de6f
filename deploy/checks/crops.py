"""Many different photographs, for checks that need some: crops of the fixtures', and files that are damaged."""

import io
import random
from pathlib import Path

PHOTOS = ["rgb-640x427-q90-420.jpg", "rgb-500x375-q95-444.jpg", "large-2501x1999.jpg"]
IMAGES = Path(__file__).resolve().parent.parent.parent / "Tests/Fixtures/images"


def make(folder, count, seed=0):
    """Writes JPEGs 000.jpg and so on into a folder, the same for the same seed. Needs Pillow."""
    from PIL import Image

    folder.mkdir(parents=True)
    photos = []
    for name in PHOTOS:
        photo = Image.open(IMAGES / name).convert("RGB")
        photo.thumbnail((640, 640))
        photos.append(photo)
    choice = random.Random(seed)
    for number in range(count):
        photo = choice.choice(photos)
        side = choice.randint(40, min(photo.size) - 1)
        left, top = (choice.randint(0, length - side) for length in photo.size)
        file = io.BytesIO()
        photo.crop((left, top, left + side, top + side)).resize((64, 64)).save(file, "JPEG", quality=90)
        (folder / f"{number:03}.jpg").write_bytes(file.getvalue())


def damage(folder):
    """Adds a file that is no image, one that lacks pixels, and one whose name has every character that patterns have."""
    whole = (IMAGES / "rgb-32x32.jpg").read_bytes()
    (folder / "no image.jpg").write_bytes(b"no image")
    (folder / "half.jpg").write_bytes(whole[:len(whole) // 2])
    (folder / "a b%20{x,y}[1]é.jpg").write_bytes(whole)
