"""Writes the fixtures of published model families; deploy/make-family-fixtures runs it where its packages are installed."""

import argparse
import gzip
import io
import json
import tarfile
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import checks
import fixtures
import hostile
import parametrisations as p
import weights

# The points of a fixture's grid at which F and every place are recorded.
EVALUATED = (0, 2, 4)
TENSORS = "expected.safetensors"


def image(fixture):
    """A picture-like input, [1, 3, S, S]."""
    side = fixture.channels_side
    return weights.numbers("image", (1, 3, side, side)).double() / 2


def expected(fixture):
    """What the reference computes, as the index's `tensors` describes it."""
    grid, x = fixture.grid, image(fixture)
    tensors = {"input": x}
    # The activations of the same weights are in the fixture that has them first.
    for number, point in enumerate(EVALUATED if "sameWeightsAs" not in fixture.entry else []):
        tensors[f"output.{number}"] = fixture.reference(x, grid.tau[point])
        tensors |= {f"mean.{number}.{place}": value for place, value in fixture.reference.means(x, grid.tau[point]).items()}
    for name, other in fixture.others.items():
        tensors[f"output.{name}"] = other(x, grid.tau[EVALUATED[0]])
    start = x / grid.c[0]
    tensors["euler"] = torch.cat(p.euler(grid, start, fixture.reference))
    tensors["heun"] = p.heun(grid, start, fixture.reference)[-1]
    if not all(value.isfinite().all() for value in tensors.values()):
        raise AssertionError(f"{fixture.name}: a number isn't finite")
    return {name: value.float().contiguous() for name, value in tensors.items()}


def archive(folder, path):
    """Packs a folder without dates and owners, so that equal contents give equal archives."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = tarfile.TarInfo(str(file.relative_to(folder)))
                entry.size = file.stat().st_size
                tar.addfile(entry, io.BytesIO(file.read_bytes()))
    path.write_bytes(gzip.compress(packed.getvalue(), 9, mtime=0))


def differs_little(old, new):
    """Whether an archive has the files of another; expected numbers may differ by the processor's rounding."""
    with tempfile.TemporaryDirectory() as name:
        contents = []
        for which, path in (("old", old), ("new", new)):
            folder = Path(name, which)
            with tarfile.open(path) as tar:
                tar.extractall(folder, filter="data")
            contents.append({str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()})
        if contents[0].keys() != contents[1].keys():
            return False
        for relative in contents[0]:
            files = [content[relative] for content in contents]
            if Path(relative).name == TENSORS:
                tensors = [load_file(file) for file in files]
                if tensors[0].keys() != tensors[1].keys():
                    return False
                if not all(torch.allclose(value, tensors[1][key], rtol=1e-6, atol=1e-6 * float(value.abs().max()))
                           for key, value in tensors[0].items()):
                    return False
            elif files[0].read_bytes() != files[1].read_bytes():
                return False
    return True


def write(item, output):
    """Saves a fixture or a refusal into its archive and gives its entry of the index."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        item.save(folder)
        if isinstance(item, fixtures.Fixture):
            save_file(expected(item), folder / TENSORS)
        archive(folder, output / f"{item.name}.tar.gz")
    if isinstance(item, fixtures.Fixture):
        return item.entry | {"grid": vars(item.grid)}
    return item.entry


def remove_old(output):
    """Removes the archives that the folder's index lists."""
    path = output / "index.json"
    if path.exists():
        index = json.loads(path.read_text())
        for entry in index["fixtures"] + index["refusals"]:
            (output / f"{entry['name']}.tar.gz").unlink(missing_ok=True)


def check(items):
    """The formula against the packages' samplers, and fixtures of the same weights against each other."""
    checks.predictions()
    checks.sigma_schedulers()
    checks.denoisers()
    by_name = {item.name: item for item in items}
    inversions = 0
    for item in items:
        if item.parametrisation == "epsilon" and item.entry["dialect"] in ("improved-diffusion", "guided-diffusion"):
            checks.ddim_inversion(item, image(item))
            inversions += 1
        twin = by_name.get(item.entry.get("sameWeightsAs"))
        if twin:
            checks.require_close(
                f"{item.name} and {twin.name}", item.reference(image(item), 7.0), twin.reference(image(item), 7.0), 1e-12)
    return inversions


INDEX = {
    "about": "Tiny networks of published model families in the files that their trainers save, and files to refuse. Each is "
    "NAME.tar.gz; deploy/make-family-fixtures makes them all. Weights are exact in bf16.",
    "tensors": {
        "input": "[1, 3, S, S], what the network reads",
        "output.N": "F(input, tau), its first three channels, at point evaluated[N] of the grid; not where sameWeightsAs is given",
        "mean.N.PLACE": "[1, channels], the spatial means of a place's activations in that evaluation; likewise",
        "output.null": "F(input, tau) without a class, at point evaluated[0]",
        "output.net_model": "F(input, tau) of torchcfm's weights without averaging, at point evaluated[0]",
        "output.model": "F(input, tau) of RectifiedFlow's weights without averaging, at point evaluated[0]",
        "euler": "[points, 3, S, S], every state x of explicit Euler over the grid, from x = input / c at the first point",
        "heun": "[1, 3, S, S], the last state by Heun's method over the same points",
    },
    "network": {
        "modulation": "film, or additive: the embedding is added before the second norm",
        "resampling": "convolution, residual (of ADM), or residual with 1x1 skip (of DDPM++)",
        "sinusoids": "the order of the time embedding's halves", "frequencyShift": "frequencies are 10000^(-i / (half - shift))",
        "downsamplePadding": "symmetric: 1 on every side; bottom-right: 0 left and above, 1 right and below",
        "attentionInDecoder": "at the levels with attention in every block, or in the level's last block",
        "residualScale": "every residual sum, attention's included, is multiplied by it",
        "heads": "of every attention", "headWidth": "channels of a head, instead of heads",
        "channelMultipliers": "widths of the levels by modelChannels; the first convolution has modelChannels, or in guided-diffusion the "
        "first level's width",
    },
    "options": "What the source doesn't state, so that the importer must be told or know it by the model's name. groups: norms of EDM and "
    "RectifiedFlow have 32 groups, but fewer than that below 128 channels, which these narrow networks don't follow. parametrisation "
    "and schedule: as in the entry.",
    "formula": "dx/ds = a·x + b·F(c·x, tau); grid lists the source's own time, s, a, b, c and tau of every point, in double precision",
    "evaluated": list(EVALUATED),
    "precision": "All arithmetic is in double precision, except the time embedding: tau times a frequency and its sine and cosine are "
    "single precision, as in every package. Tensors are rounded to single precision.",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="compare with the fixtures there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    remove_old(arguments.output)

    items = list(fixtures.all_fixtures())
    inversions = check(items)
    refusals = list(hostile.all_refusals())
    index = INDEX | {
        "fixtures": [write(item, arguments.output) for item in items],
        "refusals": [write(item, arguments.output) for item in refusals],
    }
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    (arguments.output / "index.json").write_text(text)
    print(f"{len(items)} fixtures, {len(refusals)} files to refuse; Euler is DDIM inversion in {inversions} of them")
    if arguments.check:
        if (arguments.check / "index.json").read_text() != text:
            raise SystemExit("index.json differs")
        for item in items + refusals:
            if not differs_little(arguments.check / f"{item.name}.tar.gz", arguments.output / f"{item.name}.tar.gz"):
                raise SystemExit(f"{item.name} differs")
        print(f"they are those of {arguments.check}")


if __name__ == "__main__":
    main()
