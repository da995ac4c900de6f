#!/usr/bin/env python3
"""Embeds images with Spark: reads them from any file system that Spark supports, and writes Parquet.

    spark-submit deploy/spark/embed.py [OPTIONS] IMAGES OUTPUT

Each task runs one process of `headwater embed --stream` with as many workers as the task has cores (spark.task.cpus). The
program must be on every executor, or in --archives; other files don't have to be. A row has

    path, modified                           the image and its modification time
    tap, vector                              where the embedding was read, and the embedding
    model, version, precision, normalize     what computed it
    error                                    why there is no embedding; tap and vector are then null

Rows are committed after every --commit-every images. After a failure, the same command continues after the last commit, and a
repeated command embeds only images that are new or have changed. The rows of an image that has changed follow its old ones;
those with the latest `modified` count. An output is refused if another model, version or tap wrote it.
"""

import argparse
import collections
import itertools
import re
import shlex
import sys
from pathlib import Path

from pyspark import TaskContext
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType, TimestampType

# With --py-files, and on executors, it is importable as it is.
sys.path.append(str(Path(__file__).resolve().parent.parent / "stream"))
import headwater_stream  # noqa: E402

ORIGIN = ["model", "version", "precision", "normalize"]
SCHEMA = StructType([
    StructField("path", StringType()), StructField("modified", TimestampType()), StructField("tap", StringType()),
    StructField("vector", ArrayType(FloatType())), *(StructField(name, StringType()) for name in ORIGIN),
    StructField("error", StringType())])


def description(command):
    """The origin and the taps of what a command computes."""
    import headwater_stream
    with headwater_stream.Embedder(command) as embedder:
        return embedder.origin, list(embedder.taps)


def embed_partition(files, command, origin, taps):
    """The rows of a partition's images; runs on an executor."""
    import headwater_stream
    waiting = collections.deque()

    def images():
        for file in files:
            waiting.append(file.modificationTime)
            yield file.path, bytes(file.content)

    command = [*command, "--workers", str(TaskContext.get().cpus())]
    with headwater_stream.Embedder(command) as embedder:
        if (embedder.origin, list(embedder.taps)) != (origin, taps):
            raise RuntimeError(f"this executor computes {embedder.origin} at {list(embedder.taps)}, the first {origin} at {taps}")
        for path, vectors, error in embedder.embed(images()):
            modified = waiting.popleft()
            if error is not None:
                yield (path, modified, None, None, *origin.values(), error)
            for tap, vector in zip(taps, vectors):
                yield (path, modified, tap, vector.tolist(), *origin.values(), None)


def images_in(spark, paths):
    options = {"recursiveFileLookup": "true", "pathGlobFilter": "*.{jpg,jpeg,png,JPG,JPEG,PNG}"}
    return spark.read.format("binaryFile").options(**options).load(paths)


def literally(path):
    """A path that Spark, which takes paths for patterns, reads as itself."""
    return re.sub(r"([\\\[\]{}*?,^])", r"\\\1", path)


def rows_of(spark, output):
    """What was written before, and no rows if there is no output yet."""
    try:
        return spark.read.schema(SCHEMA).parquet(output)
    except AnalysisException as error:
        if "PATH_NOT_FOUND" not in str(error):
            raise
        return spark.createDataFrame([], SCHEMA)


def require_same_origin(done, origin, taps, output):
    found = {tuple(row) for row in done.select(*ORIGIN).distinct().collect()}
    found_taps = {row.tap for row in done.where("tap IS NOT NULL").select("tap").distinct().collect()}
    if found - {tuple(origin.values())} or (found_taps and found_taps != set(taps)):
        sys.exit(f"{output} was written by {sorted(found)} at {sorted(found_taps)}, and this run has {tuple(origin.values())} "
                 f"at {taps}: name another output, or run the former model")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="a folder, such as s3a://bucket/photos, which is searched recursively")
    parser.add_argument("output", help="the folder of the Parquet files")
    parser.add_argument("--command", type=shlex.split, default="headwater embed --stream",
                        help="what runs on executors, with options such as --model and --from; default: %(default)s")
    parser.add_argument("--commit-every", type=int, default=10_000, metavar="IMAGES", help="default: %(default)s")
    arguments = parser.parse_args()
    spark = SparkSession.builder.appName("headwater embed").getOrCreate()
    context = spark.sparkContext
    context.addPyFile(headwater_stream.__file__)
    command = arguments.command
    origin, taps = context.parallelize([command], 1).map(description).first()
    done = rows_of(spark, arguments.output)
    require_same_origin(done, origin, taps, arguments.output)
    # Only names and times: the contents of what is done aren't read again.
    listed = images_in(spark, arguments.images).selectExpr("path", "modificationTime AS modified")
    left = listed.join(done.select("path", "modified").distinct(), ["path", "modified"], "left_anti")
    paths = (row.path for row in left.select("path").orderBy("path").toLocalIterator())
    count = 0
    while chunk := list(itertools.islice(paths, arguments.commit_every)):
        files = images_in(spark, [literally(path) for path in chunk]).coalesce(context.defaultParallelism)
        rows = files.rdd.mapPartitions(lambda part: embed_partition(part, command, origin, taps))
        spark.createDataFrame(rows, SCHEMA, verifySchema=False).write.mode("append").parquet(arguments.output)
        count += len(chunk)
    failed = rows_of(spark, arguments.output).where("error IS NOT NULL").select("path").distinct().count()
    print(f"{arguments.output}: {count} images embedded now; {failed} images in all have an error instead of a vector")


if __name__ == "__main__":
    main()
