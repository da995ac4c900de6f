#!/usr/bin/env python3
"""Embeds images with Ray Data: reads them from any file system that pyarrow supports, and writes Parquet.

    python3 deploy/ray/embed.py [OPTIONS] IMAGES OUTPUT

Each actor of the pool runs one process of `headwater embed --stream` on --cores-per-actor cores. The program must be on every
node. A row has

    path, modified                           the image and its modification time
    tap, vector                              where the embedding was read, and the embedding
    model, version, precision, normalize     what computed it
    error                                    why there is no embedding; tap and vector are then null

Rows are committed after every --commit-every images, as a folder `commit-N` with a file `_SUCCESS`. After a failure, the same
command removes what was not committed and continues after the last commit; a repeated command embeds only images that are new
or have changed. The rows of an image that has changed follow its old ones; those with the latest `modified` count. An output
is refused if another model, version or tap wrote it. Two runs must not write the same output at the same time.
"""

import argparse
import concurrent.futures
import itertools
import shlex
import sys
from pathlib import Path

import pyarrow
import pyarrow.dataset
import pyarrow.fs
import ray

sys.path.append(str(Path(__file__).resolve().parent.parent / "stream"))
import headwater_stream  # noqa: E402

ENDINGS = (".jpg", ".jpeg", ".png")
ORIGIN = ["model", "version", "precision", "normalize"]
TEXT = pyarrow.string()
SCHEMA = pyarrow.schema([
    ("path", TEXT), ("modified", pyarrow.timestamp("us", "UTC")), ("tap", TEXT), ("vector", pyarrow.list_(pyarrow.float32())),
    *((name, TEXT) for name in ORIGIN), ("error", TEXT)])


@ray.remote
def description(command):
    """The origin and the taps of what a command computes."""
    with headwater_stream.Embedder(command) as embedder:
        return embedder.origin, list(embedder.taps)


class Embedding:
    """An actor of the pool: a process, and threads that read images ahead of it."""

    def __init__(self, command, origin, taps, images):
        self.embedder = embedder = headwater_stream.Embedder(command)
        if (embedder.origin, list(embedder.taps)) != (origin, taps):
            raise RuntimeError(f"this node computes {embedder.origin} at {list(embedder.taps)}, the first {origin} at {taps}")
        self.files = pyarrow.fs.FileSystem.from_uri(images)[0]
        self.threads = concurrent.futures.ThreadPoolExecutor(8)

    def read(self, path):
        """An image's bytes and no error, or no bytes, which are no image, and why they can't be read."""
        try:
            with self.files.open_input_stream(path) as file:
                return file.readall(), None
        except OSError as error:
            return b"", str(error)

    def __call__(self, batch):
        paths, times = batch["path"].to_pylist(), batch["modified"].to_pylist()
        unread = []

        def images():
            for path, (image, error) in zip(paths, self.threads.map(self.read, paths)):
                unread.append(error)
                yield path, image

        rows = []
        origin = self.embedder.origin.values()
        for index, (path, vectors, error) in enumerate(self.embedder.embed(images())):
            error = unread[index] or error
            if error is not None:
                rows.append((path, times[index], None, None, *origin, error))
            for tap, vector in zip(self.embedder.taps, vectors):
                rows.append((path, times[index], tap, vector, *origin, None))
        columns = zip(*rows)
        return pyarrow.table([pyarrow.array(list(column), field.type) for column, field in zip(columns, SCHEMA)], SCHEMA)


def listed(images):
    """Pairs of each image's path in its file system and its modification time, by path."""
    files, folder = pyarrow.fs.FileSystem.from_uri(images)
    found = files.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
    return sorted((file.path, file.mtime) for file in found if file.is_file and file.path.lower().endswith(ENDINGS))


class Output:
    """A folder of commits. What a failed run left is removed when it is opened."""

    def __init__(self, uri):
        self.uri = uri
        self.files, self.folder = pyarrow.fs.FileSystem.from_uri(uri)
        found = self.files.get_file_info(pyarrow.fs.FileSelector(self.folder, allow_not_found=True))
        self.commits = []
        for folder in sorted(info.path for info in found if info.base_name.startswith("commit-")):
            if self.files.get_file_info(f"{folder}/_SUCCESS").is_file:
                self.commits.append(folder)
            else:
                self.files.delete_dir(folder)

    def rows(self, columns):
        parts = [pyarrow.dataset.dataset(folder, SCHEMA, filesystem=self.files, format="parquet") for folder in self.commits]
        return pyarrow.concat_tables([SCHEMA.empty_table().select(columns), *(part.to_table(columns) for part in parts)])

    def require(self, origin, taps):
        """Ends the program unless this model, at these taps, wrote what is there."""
        found = {tuple(row.values()) for row in self.rows(ORIGIN).group_by(ORIGIN).aggregate([]).to_pylist()}
        found_taps = set(self.rows(["tap"])["tap"].unique().to_pylist()) - {None}
        if found - {tuple(origin.values())} or (found_taps and found_taps != set(taps)):
            sys.exit(f"{self.uri} was written by {sorted(found)} at {sorted(found_taps)}, and this run has "
                     f"{tuple(origin.values())} at {taps}: name another output, or run the former model")

    def append(self, dataset):
        folder = f"{self.folder}/commit-{len(self.commits):06}"
        dataset.write_parquet(folder, filesystem=self.files)
        self.files.open_output_stream(f"{folder}/_SUCCESS").close()
        self.commits.append(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="the URI of a folder, such as s3://bucket/photos, which is searched recursively")
    parser.add_argument("output", help="the URI of the folder of commits")
    parser.add_argument("--command", type=shlex.split, default="headwater embed --stream",
                        help="what runs on nodes, with options such as --model and --from; default: %(default)s")
    parser.add_argument("--commit-every", type=int, default=10_000, metavar="IMAGES", help="default: %(default)s")
    parser.add_argument("--actors", type=int, default=2, help="the most actors of the pool; default: %(default)s")
    parser.add_argument("--cores-per-actor", type=int, default=1, metavar="CORES", help="default: %(default)s")
    arguments = parser.parse_args()
    ray.init(log_to_driver=False)
    # The module goes along with what uses it, so that nodes need no copy.
    ray.cloudpickle.register_pickle_by_value(headwater_stream)
    command = [*arguments.command, "--workers", str(arguments.cores_per_actor)]
    origin, taps = ray.get(description.remote(command))
    output = Output(arguments.output)
    output.require(origin, taps)
    done = {(row["path"], row["modified"]) for row in output.rows(["path", "modified"]).to_pylist()}
    left = iter([file for file in listed(arguments.images) if file not in done])
    count = 0
    while chunk := list(itertools.islice(left, arguments.commit_every)):
        table = pyarrow.table([[path for path, _ in chunk], [time for _, time in chunk]], SCHEMA.names[:2])
        files = ray.data.from_arrow(table).repartition(4 * arguments.actors)
        output.append(files.map_batches(
            Embedding, fn_constructor_args=(command, origin, taps, arguments.images), batch_size=64, batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=arguments.actors), num_cpus=arguments.cores_per_actor))
        count += len(chunk)
    failed = len({row["path"] for row in output.rows(["path", "error"]).to_pylist() if row["error"] is not None})
    print(f"{arguments.output}: {count} images embedded now; {failed} images in all have an error instead of a vector")


if __name__ == "__main__":
    main()
