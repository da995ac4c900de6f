"""Embeds images through the pipes of `headwater embed --stream`, whose frames docs/bulk.md describes.

The module needs nothing but Python's standard library: import it, or copy it into a project.
"""

import array
import itertools
import json
import os
import pathlib
import struct
import subprocess
import tempfile

HEADER = "<cII"


def images_in(path):
    """Yields the name and the bytes of a file, or of every file in a folder and in its folders, sorted by name."""
    path = pathlib.Path(path)
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        yield str(file), file.read_bytes()


class Embedder:
    """A process that embeds images until its `with` block ends.

    `hello` is what it says of itself. `taps` has the name and the number of dimensions of each tap. Vectors can be compared
    with others if those have the same tap and the same `origin`.
    """

    def __init__(self, command=("headwater", "embed", "--stream")):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.hello = json.loads(self._read()[2])
        self.unanswered = 0
        self.taps = {f"{tap['time']}/{tap['place']}": tap["dimension"] for tap in self.hello["taps"]}
        model = self.hello["model"]
        self.origin = {"model": model["name"], "version": model["version"], "precision": model["precision"],
                       "normalize": self.hello["normalize"]}

    def embed(self, images):
        """Takes pairs of a name and an image file's bytes, and yields for each, in order, the name, the vectors and the error.

        There is one vector a tap, an array of f32, and no error; or there are no vectors, and the error is a text.
        """
        if self.unanswered:
            raise RuntimeError("an earlier iteration was given up with images unanswered; make a new Embedder")
        for name, image in images:
            self._write(os.fsencode(name), image)
            self.unanswered += 1
            if self.unanswered == self.hello["window"]:
                yield self._answer()
        while self.unanswered:
            yield self._answer()

    def _write(self, name, image):
        try:
            self.process.stdin.write(struct.pack(HEADER, b"I", len(name), len(image)) + name + image)
        except BrokenPipeError:
            self._fail()

    def _answer(self):
        kind, name, content = self._read()
        self.unanswered -= 1
        if kind == b"E":
            return os.fsdecode(name), [], content.decode()
        numbers = array.array("f", content)
        ends = itertools.accumulate(self.taps.values())
        return os.fsdecode(name), [numbers[end - count:end] for end, count in zip(ends, self.taps.values())], None

    def _read(self):
        try:
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail()
        kind, name, content = struct.unpack(HEADER, self._bytes(struct.calcsize(HEADER)))
        return kind, self._bytes(name), self._bytes(content)

    def _bytes(self, count):
        found = self.process.stdout.read(count)
        if len(found) < count:
            self._fail()
        return found

    def _fail(self):
        status = self.process.wait()
        self.log.seek(0)
        raise ChildProcessError(f"headwater ended with status {status}: {self.log.read().decode(errors='replace').strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        # An iteration that was given up has left answers, which nothing will read.
        self.process.stdout.close()
        self.process.wait()
        self.log.close()
