"""Images and tensors that drive activations to extremes get finite numbers, or the error not_finite for this image alone: black,
white, checkerboards, noise, one pixel, long strips, and tensors of huge, denormal and alternating numbers. Other images of the same
batch get the same bits as alone, and the service keeps running."""

import json
import math
import struct
import threading

from harness import Load, ask, check, png, version_of

SHORT = True
SECONDS = 600
SIDE = 32


def images(random):
    noise = lambda x, y: [random.choice((0, 255)) for _ in range(3)]
    return {
        "black": png(SIDE, SIDE, lambda x, y: (0, 0, 0)),
        "white": png(SIDE, SIDE, lambda x, y: (255, 255, 255)),
        "a checkerboard": png(SIDE, SIDE, lambda x, y: (255 * ((x + y) % 2),) * 3),
        "stripes of colour": png(SIDE, SIDE, lambda x, y: [(255, 0, 0), (0, 255, 255)][x % 2]),
        "noise of extremes": png(SIDE, SIDE, noise),
        "large noise": png(300, 200, noise),
        "one pixel": png(1, 1, lambda x, y: (255, 0, 255)),
        "a strip": png(60, 1, lambda x, y: (255 * (x % 2),) * 3),
    }


def tensors():
    count = 3 * SIDE * SIDE
    alternating = [1 if index % 2 else -1 for index in range(count)]
    scaled = lambda factor: [factor * each for each in alternating]
    return {
        "zeros": [0.0] * count, "denormals": [1e-40] * count, "1e4": scaled(1e4), "1e10": scaled(1e10),
        "1e20": scaled(1e20), "1e30": scaled(1e30), "the largest": scaled(3.4028234e38), "1e38 constant": [1e38] * count,
        "one huge": [3e38] + [0.0] * (count - 1), "infinities": [math.inf] * count, "NaN": [math.nan] * count,
        "one NaN": [math.nan] + [0.0] * (count - 1),
    }


def infer(service, model, values):
    """Normalised pixels through the Open Inference Protocol, as a binary tensor."""
    data = struct.pack(f"<{len(values)}f", *values)
    head = json.dumps({
        "inputs": [{"name": "pixels", "shape": [1, 3, SIDE, SIDE], "datatype": "FP32",
                    "parameters": {"binary_data_size": len(data)}}],
        "outputs": [{"name": name} for name in ("embedding", "logits")]}).encode()
    return ask(service.port, "POST", f"/v2/models/{model}/infer", head + data,
               {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"})


def run(bench):
    rounds = 1 if bench.is_short else 10
    with bench.service("--workers", "2") as service:
        truth = {version_of(service.embed()): service.features()}
        model = service.active()
        finite, refused = set(), set()
        with Load(service.port, clients=6, expected=truth) as load:
            for _ in range(rounds):
                for name, image in images(bench.random).items():
                    answer = service.embed(image, "/classify")
                    check(answer.status == 200, f"{name}: {answer}")
                    check(all(map(math.isfinite, answer.results[0]["logits"])), f"{name}: {answer}")
                    finite.add(name)
                for name, values in tensors().items():
                    answer = infer(service, model, values)
                    if answer.status == 200:
                        numbers = [number for output in answer.json["outputs"] for number in output["data"]]
                        check(all(map(math.isfinite, numbers)), f"{name}: numbers that are not finite")
                        finite.add(name)
                    else:
                        check(400 <= answer.status <= 500 and answer.code in ("not_finite", "malformed_body",
                              "unprocessable_image"), f"{name}: {answer}")
                        refused.add(f"{name} ({answer.code})")
        load.require_no_faults()
        bench.note(f"answered with finite numbers: {', '.join(sorted(finite))}")
        bench.note(f"refused alone: {', '.join(sorted(refused))}")
        bench.note(f"{load.answers} ordinary images in the same batches, all with the bits that they have alone")
