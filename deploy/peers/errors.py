"""How far Headwater's velocity and state after three evaluations are from the same network in double precision."""

import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import networks
from turns import HEADWATER, environment


def read_safetensors(torch, path):
    data = Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    del header["__metadata__"]
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        values = torch.frombuffer(bytearray(data[start:end]), dtype=types[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"]).double()
    return tensors


def report(name):
    import numpy
    import torch

    torch.manual_seed(2)
    pixels = networks.pixels(name)

    def run(*arguments):
        return subprocess.run([HEADWATER, *arguments], check=True, capture_output=True, text=True, env=environment()).stdout

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model = f"{folder}/model.safetensors"
        run("bench", "write-model", name, "-o", model)
        tensors = read_safetensors(torch, model)
        description = json.loads(run("inspect", "--json", model))
        times = description["pass"]["times"][:4]

        # A PNG of noise of the size that preprocessing resizes to, so that it only crops and scales.
        preprocessing = description["preprocessing"]
        side = preprocessing["resizeShorterSide"]
        image = torch.randint(0, 256, (side, side, 3), dtype=torch.uint8)
        path = f"{folder}/image.png"
        Path(path).write_bytes(png(image.numpy()))
        mean, deviation = (
            torch.tensor(preprocessing[key], dtype=torch.float64)[:, None, None]
            for key in ["mean", "standardDeviation"]
        )
        inset = slice(round((side - pixels) / 2), round((side - pixels) / 2) + pixels)
        start = (image[inset, inset].permute(2, 0, 1).double() / 255 - mean) / deviation

        def states(number):
            network = networks.unet(torch, name).to(number)
            network.load_state_dict({key[5:]: value.to(number) for key, value in tensors.items() if key[:5] == "unet."})
            x, found = start[None].to(number), []
            for now, then in zip(times, times[1:]):
                # The model's clock starts at noise: going upstream its time falls by the step.
                x = x + (then - now) * network(torch.tensor([now], dtype=torch.float32), x)
                found.append(x[0].double())
            return found

        def row(label, found, exact):
            def relative(a, b):
                return float((a - b).norm() / b.norm())

            velocity = relative(found[0] - start, exact[0] - start)
            print(f"{name:8} {label:15} velocity {velocity:.1e}  state after 3 evaluations {relative(found[2], exact[2]):.1e}")

        exact = states(torch.float64)
        row("torch f32", states(torch.float32), exact)
        for precision in ["f32", "bf16"]:
            output = f"{folder}/states.npy"
            at = ",".join(str(time) for time in times[1:])
            run(
                "embed", "--model", str(model), "--at", at, "--from", "state", "--precision", precision, "-o", output, path
            )
            states_read = torch.from_numpy(numpy.load(output)).double().reshape(3, 3, pixels, pixels)
            row(f"headwater {precision}", list(states_read), exact)


def png(pixels):
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    height, width, _ = pixels.shape
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    report(sys.argv[1])
