"""Compares Headwater with the packages of published networks; deploy/compare-families runs it where these are installed."""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import fixtures
import parametrisations as p
import published

# Relative to the largest number of a vector.
BOUND = 2e-5
# For large images, if PyTorch isn't more exact in single precision.
LARGE_PIXELS, LARGE_BOUND = 256, 5e-5
# The image and noise alone: a step over the whole pass shows the network's output, which a small step would hide.
POINTS = 2
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}


@dataclass
class Numbers:
    """The means of every place at both points of the grid, by (point, place), and the state after the step between them."""

    means: dict
    state: torch.Tensor

    def errors(self, exact):
        """The largest error of the means with its point and place, and that of the state."""
        if self.means.keys() != exact.means.keys():
            raise SystemExit(f"the places differ: {sorted(self.means.keys() ^ exact.means.keys())}")
        errors = {key: relative_error(value, exact.means[key]) for key, value in self.means.items()}
        worst = max(errors, key=errors.get)
        return errors[worst], worst, relative_error(self.state, exact.state)


def relative_error(found, exact):
    """The largest difference relative to the largest number."""
    # Not a number must not pass as no error.
    error = float((found.double() - exact.double()).abs().max() / exact.double().abs().max())
    return error if error == error else float("inf")


def write_image(path, pixels):
    """A coarse random picture with noise, as a PNG."""
    generator = np.random.default_rng(21)
    coarse = generator.integers(32, 224, (8, 8, 3)).repeat(pixels // 8, axis=0).repeat(pixels // 8, axis=1)
    noise = generator.integers(-32, 32, (pixels, pixels, 3))
    Image.fromarray((coarse + noise).astype(np.uint8)).save(path)


def read_image(path):
    """The picture as the input of a network, from -1 to 1, [1, 3, S, S]."""
    values = torch.from_numpy(np.array(Image.open(path))).double()
    return (values / 127.5 - 1).permute(2, 0, 1)[None]


def grid(model):
    """The two points of the model's pass."""
    return fixtures.grid(model.parametrisation, model.schedule, p.ends(model.schedule))


def by_package(model, network, image, precision):
    """What the package computes in a precision, with Euler's method by the formula of docs/families.md."""
    reference = model.reference(network, label=model.label, precision=precision)
    points = grid(model)
    deviation = p.SIGMA_DATA if model.parametrisation == "edm" else 1
    x = (image / (deviation * points.c[0])).to(precision)
    means = {}

    def network_and_means(x, tau):
        output = reference(x, tau)
        means.update({(points.tau.index(tau), place): value[0] for place, value in reference.kept.items()})
        return output

    last = points.c[1] * p.euler(points, x, network_and_means)[1]
    network_and_means(last, points.tau[1])
    return Numbers(means, last.flatten())


def run(*command):
    """A command's standard output; ends the comparison if it fails."""
    done = subprocess.run([str(word) for word in command], env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def by_headwater(model, binary, source, picture, folder):
    """What Headwater computes with the imported file, the GFLOP of an evaluation and the MiB of packed weights."""
    file = folder / "model.safetensors"
    options = ["--as", model.name] if model.is_named else []
    options += ["--class", model.label] if model.label is not None else []
    run(binary, "import", source, *options, "--points", POINTS, "-o", file)
    description = json.loads(run(binary, "inspect", "--json", file))
    times = description["pass"]["times"]
    if not np.allclose(times, grid(model).time, rtol=1e-6, atol=0):
        raise SystemExit(f"{model.name}: the pass visits {times} instead of {grid(model).time}")
    places = [entry["place"] for entry in description["places"] if entry["place"] != "pooled"]
    row = run(binary, "embed", "--model", file, "--at", "all", "--from", ",".join(places), "--format", "jsonl", picture)
    embeddings = {
        (times.index(tap["time"]), tap["place"]): torch.tensor(tap["embedding"], dtype=torch.float64)
        for tap in json.loads(row)["taps"]}
    states = [embeddings.pop((point, "state")) for point in range(len(times))]
    plan = run(binary, "inspect", "--plan", "--batch", 1, file)
    weights = int(re.search(r"^packed weights (\d+) MiB", plan, re.MULTILINE)[1])
    return Numbers(embeddings, states[-1]), description["gigaflopsPerEvaluation"], weights


@dataclass
class Result:
    """The errors of a model."""

    model: published.Published
    means: float
    # The point and the place of that error.
    worst: tuple
    state: float
    torch_means: float
    torch_state: float
    gigaflops: float
    weights: int

    @property
    def bound(self):
        worst, torch_worst = max(self.means, self.state), max(self.torch_means, self.torch_state)
        return LARGE_BOUND if self.model.pixels >= LARGE_PIXELS and torch_worst >= worst else BOUND

    @property
    def is_good(self):
        return max(self.means, self.state) <= self.bound

    def line(self):
        return (f"{self.model.name}: means {self.means:.1e} (point {self.worst[0]}, {self.worst[1]}), state {self.state:.1e}; PyTorch in f32 "
                f"{self.torch_means:.1e}, {self.torch_state:.1e}; bound {self.bound:.0e}{'' if self.is_good else ': BEYOND'}")

    def row(self):
        return (f"| {self.model.name} | {self.model.pixels} | {self.model.parameters:,} | {self.gigaflops:.1f} | {self.weights} "
                f"| {self.means:.1e} | {self.torch_means:.1e} | {self.state:.1e} | {self.torch_state:.1e} |")


HEADER = """| model | pixels | parameters | GFLOP | MiB of weights | means | means, PyTorch | state | state, PyTorch |
|---|---|---|---|---|---|---|---|---|"""


def compare(model, binary):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = folder / "picture.png"
        write_image(picture, model.pixels)
        network = published.build(model)
        model.saver(network)(folder)
        ours, gigaflops, weights = by_headwater(model, binary, folder / model.source, picture, folder)
        image = read_image(picture)
        single = by_package(model, network, image, torch.float32)
        exact = by_package(model, network, image, torch.float64)
    means, worst, state = ours.errors(exact)
    torch_means, _, torch_state = single.errors(exact)
    return Result(model, means, worst, state, torch_means, torch_state, gigaflops, weights)


def gibibytes(who):
    return resource.getrusage(who).ru_maxrss / 2**20


def main():
    names = [model.name for model in published.ALL]
    parser = argparse.ArgumentParser(prog="deploy/compare-families")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}; all if none is given")
    parser.add_argument("--binary", type=Path, required=True)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no published model {', '.join(sorted(unknown))}; known are {', '.join(names)}")
    results = []
    for model in published.ALL:
        if not arguments.names or model.name in arguments.names:
            began = time.monotonic()
            results.append(compare(model, arguments.binary))
            print(f"{results[-1].line()}; {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n{HEADER}")
    for result in results:
        print(result.row())
    print(f"\nmost memory: {gibibytes(resource.RUSAGE_SELF):.1f} GiB here, {gibibytes(resource.RUSAGE_CHILDREN):.1f} GiB headwater")
    sys.exit(0 if all(result.is_good for result in results) else 1)


if __name__ == "__main__":
    main()
