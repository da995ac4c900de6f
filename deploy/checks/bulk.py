"""What deploy/check-spark and deploy/check-ray have in common: the images, what must come of them, and the comparison."""

import collections
import os
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "stream"))
import crops  # noqa: E402
import headwater_stream  # noqa: E402

IMAGES = 400


def expect(holds, problem):
    if not holds:
        sys.exit(f"{Path(sys.argv[0]).name}: {problem}")


def make_images(folder):
    """Images and damaged files, some of them in a folder of their own."""
    crops.make(folder, IMAGES // 2)
    crops.make(folder / "2019/summer", IMAGES // 2, seed=1)
    crops.damage(folder)


def embedded_at_once(headwater, folder):
    """What one process gives: vectors, or an error, by path."""
    with headwater_stream.Embedder([headwater, "embed", "--stream"]) as embedder:
        images = headwater_stream.images_in(folder)
        expected = {name: (vectors, error) for name, vectors, error in embedder.embed(images)}
        return expected, embedder.origin, list(embedder.taps)


def compare(rows, expected, origin, taps):
    """Ends the program unless the rows are those of one process, bit for bit, each once."""
    [tap] = taps
    found = collections.Counter(row["path"].removeprefix("file:") for row in rows)
    expect(max(found.values()) == 1, f"rows are there twice: {found.most_common(3)}")
    expect(found.keys() == expected.keys(), f"{len(found)} paths instead of {len(expected)}, such as "
           f"{sorted(found.keys() ^ expected.keys())[:3]}")
    for row in rows:
        vectors, error = expected[row["path"].removeprefix("file:")]
        expect({name: row[name] for name in origin} == origin, f"{row['path']} was computed by {row}")
        expect(row["error"] == error, f"{row['path']}: the error is {row['error']}, not {error}")
        expect(row["modified"] is not None, f"{row['path']} has no modification time")
        if error is None:
            # Numbers of f32 that are equal and not zero have the same bits.
            expect(row["tap"] == tap and row["vector"] == vectors[0].tolist(), f"{row['path']} has another vector")
        else:
            expect(row["tap"] is None and row["vector"] is None, f"{row['path']} has an error and a vector")
    errors = sum(error is not None for _, error in expected.values())
    expect(errors == 2, f"{errors} of the images have errors instead of 2")


def check_the_comparison(expected, origin, taps):
    """The check must fail where something is wrong."""
    def rows():
        return [{"path": path, "modified": 1, "tap": None if error else taps[0],
                 "vector": None if error else vectors[0].tolist(), **origin, "error": error}
                for path, (vectors, error) in expected.items()]

    compare(rows(), expected, origin, taps)
    for change in (lambda rows: rows.pop(), lambda rows: rows.append(rows[0]), lambda rows: rows[0].update(version="?"),
                   lambda rows: next(row for row in rows if row["vector"])["vector"].__setitem__(0, 0.5),
                   lambda rows: next(row for row in rows if row["error"]).update(error="?")):
        wrong = rows()
        change(wrong)
        message = None
        try:
            compare(wrong, expected, origin, taps)
        except SystemExit as refusal:
            message = refusal.code
        expect(message, "wrong rows pass the comparison")


def enter_environment(folder, packages):
    """Goes on in the virtual environment, which has the packages."""
    import environment

    if Path(sys.prefix) != folder:
        environment.install(folder, packages)
        os.execv(folder / "bin/python", [folder / "bin/python", *sys.argv])


def other_model(headwater, path):
    """The bundled model in another type: another version."""
    subprocess.run([headwater, "convert", "--dtype", "bf16", "-o", path], check=True, capture_output=True)
    return path
