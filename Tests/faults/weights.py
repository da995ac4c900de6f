"""Weights that are NaN or infinite are refused at load, with the tensor's name and the place in it, whatever the type they are
stored in; the model before serves on. Weights that are denormal numbers load, make nothing slower, and change the answers by
nothing that could be seen."""

import statistics
import time

from harness import IMAGE, Model, check

SHORT = False
SECONDS = 600


def run(bench):
    folder = bench.models("good")
    wrong = {"nan": float("nan"), "infinity": float("inf"), "negative-infinity": float("-inf")}
    places = [("unet.input_blocks.1.0.in_layers.2.weight", 1000), ("head.classifier.1.weight", 7),
              ("unet.out.2.bias", 0)]
    for name, value in wrong.items():
        for tensor, at in places:
            model = Model.variant(name, 0)
            model.set(tensor, [value], at)
            model.write(folder / f"{name}-{tensor}.safetensors")
    with bench.service("--model-directory", folder) as service:
        truth = service.features()
        for name in wrong:
            for tensor, at in places:
                answer = service.load(f"{name}-{tensor}.safetensors")
                check(answer.status == 422 and f"'{tensor}' is not finite at number {at}" in answer.json["detail"],
                      f"{name} in {tensor}: {answer}")
                check(service.features() == truth, "other features after a refused model")
        bench.note(f"{len(wrong) * len(places)} refused, such as: {answer.json['detail']}")
        for name in wrong:
            for tensor, at in places:
                (folder / f"{name}-{tensor}.safetensors").unlink()
        denormals(bench, service, folder)


def denormals(bench, service, folder):
    """In a model stored in f32, half of the weights of every convolution are made denormal, and in another one zero."""
    for name, tiny in (("denormal", 1e-40), ("zero", 0.0)):
        def change(tensor, values):
            if not tensor.endswith("weight") or len(values) < 10_000:
                return values
            return [tiny if index % 2 else value for index, value in enumerate(values)]

        Model.variant(name, 0).in_f32(change).write(folder / f"{name}.safetensors")
    found, times = {}, {"denormal": [], "zero": []}
    for turn in range(6):
        for name in times:
            check(service.load(f"{name}.safetensors").status == 200, f"the model {name} doesn't load")
            found[name] = service.features()[0]["taps"][0]["embedding"]
            for _ in range(10):
                began = time.monotonic()
                service.embed(IMAGE)
                times[name].append(time.monotonic() - began)
    largest = max(map(abs, found["zero"]))
    difference = max(abs(a - b) for a, b in zip(found["denormal"], found["zero"])) / largest
    ratio = statistics.median(times["denormal"]) / statistics.median(times["zero"])
    check(difference < 1e-6, f"denormal weights change the answer by {difference}")
    # Where they are computed with in microcode, they cost a hundredfold.
    check(ratio < 3, f"denormal weights take {ratio:.1f} times as long as zeros")
    bench.note(f"half of the weights denormal: embeddings differ from those with zeros by {difference:.1g} relative, a "
               f"request takes {ratio:.2f} times as long")
