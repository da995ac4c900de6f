"""The mixed traffic of deploy/soak, python only: requests of every sort with what must become of them."""

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "Tests/Fixtures/images"
KEY = "a-key-for-the-soak"


@dataclass(frozen=True)
class Kind:
    """A sort of request, how often it comes, and what must become of it."""

    name: str
    weight: float
    request: bytes
    statuses: frozenset = frozenset([200])
    # "good" ones are answered with features; "refused" ones are at fault; "left" ones are given up by their client.
    role: str = "good"


def message(method, target, body=b"", **headers):
    fields = {"Host": "localhost", "X-API-Key": KEY, "Content-Length": len(body)}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def form(*images):
    parts = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n' + image + b"\r\n" for image in images
    )
    return {"body": parts + b"--edge--\r\n", "Content_Type": "multipart/form-data; boundary=edge"}


def documents(*images):
    text = json.dumps({"images": [base64.b64encode(image).decode() for image in images]})
    return {"body": text.encode(), "Content_Type": "application/json"}


def png_of(width, height):
    """A PNG that says it is of that size, and isn't."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def mixture():
    def image(name):
        return (IMAGES / name).read_bytes()

    small, photo, detailed = image("rgb-32x32.jpg"), image("rgb-640x427-q90-420.jpg"), image("rgb-500x375-q95-444.jpg")
    png, alpha, progressive = image("rgb-120x80.png"), image("rgba-64x48.png"), image("rgb-301x533-progressive.jpg")
    infer = "/v2/models/headwater-cifar10/infer"
    taps = "/embed?at=1,0.9375&from=pooled,middle&normalize=l2"
    good = [
        ("JPEG 32x32", 30, message("POST", "/embed", small)),
        ("JPEG 640x427", 16, message("POST", "/embed", photo)),
        ("JPEG 500x375", 6, message("POST", "/embed", detailed)),
        ("JPEG 2501x1999", 1, message("POST", "/embed", image("large-2501x1999.jpg"))),
        ("JPEG 1x1", 1, message("POST", "/embed", image("tiny-1x1.jpg"))),
        ("JPEG turned", 2, message("POST", "/embed", image("exif-orientation-6-90x60.jpg"))),
        ("JPEG CMYK", 1, message("POST", "/embed", image("cmyk-200x150.jpg"))),
        ("PNG", 8, message("POST", "/embed", png)),
        ("PNG palette", 2, message("POST", "/embed", image("palette-100x100.png"))),
        ("taps", 5, message("POST", taps, photo)),
        ("npy", 4, message("POST", "/embed", small, Accept="application/x-npy")),
        ("form", 3, message("POST", "/embed", **form(small, png, progressive))),
        ("JSON", 3, message("POST", "/embed?encoding=base64", **documents(small, alpha))),
        ("inference", 4, message("POST", infer, photo, Inference_Header_Content_Length=0)),
        ("classes", 5, message("POST", "/classify?top=3", photo)),
        ("trajectory", 0.2, message("POST", "/trajectory", small)),
    ]
    refused = [
        ("text as image", 415, message("POST", "/embed", b"this is no image" * 20)),
        ("half a JPEG", 422, message("POST", "/embed", photo[: len(photo) // 2])),
        ("PNG with a flaw", 422, message("POST", "/embed", png[:500] + bytes(40) + png[540:])),
        ("PNG of 60000x60000", 413, message("POST", "/embed", png_of(60_000, 60_000))),
        ("2000x9", 422, message("POST", "/embed", image("wide-2000x9.jpg"))),
        ("unknown tap", 422, message("POST", "/embed?at=7", small)),
        ("unknown parameter", 400, message("POST", "/embed?size=7", small)),
        ("half a JSON", 400, message("POST", "/embed", documents(small)["body"][:900], Content_Type="application/json")),
        ("form without end", 400, message("POST", "/embed", form(small)["body"][:-20], Content_Type=form()["Content_Type"])),
        ("another model", 404, message("POST", "/v2/models/other/infer", small, Inference_Header_Content_Length=0)),
        ("nothing there", 404, message("GET", "/nothing")),
        ("wrong method", 405, message("DELETE", "/embed")),
        ("no HTTP", 400, b"HELO there\r\n\r\n"),
        ("body too large", 413, message("POST", "/embed", Content_Length=1 << 32)),
        ("wrong key", (401, 429), message("GET", "/model", X_API_Key="a-wrong-key")),
    ]
    left = [
        ("leaves without its answer", 2, message("POST", "/embed", photo)),
        ("leaves with half its body sent", 1, message("POST", "/embed", detailed)[:60_000]),
        ("leaves with half its head sent", 1, message("POST", "/embed", small)[:40]),
    ]
    kinds = [Kind(*kind) for kind in good] + [Kind("model", 0.5, message("GET", "/model"))]
    for name, statuses, request in refused:
        statuses = frozenset(statuses if isinstance(statuses, tuple) else [statuses])
        kinds.append(Kind(name, 0.3, request, statuses, "refused"))
    return kinds + [Kind(*kind, role="left") for kind in left]


def variant(model):
    """The same model with another bias of its first layer, and without the record of what it answers."""
    length = struct.unpack("<Q", model[:8])[0]
    header = json.loads(model[8 : 8 + length])
    configuration = json.loads(header["__metadata__"]["headwater"])
    del configuration["selfTest"]
    header["__metadata__"]["headwater"] = json.dumps(configuration)
    start, _ = header["unet.input_blocks.0.0.bias"]["data_offsets"]
    data = bytearray(model[8 + length :])
    data[start : start + 6] = struct.pack("<3e", 0.25, -0.25, 0.5)
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    return struct.pack("<Q", len(written)) + written + data
