"""with_lancedb.py FOLDER add PHOTOS, or with_lancedb.py FOLDER find PHOTO: search among photographs in files of LanceDB."""
import sys

import lancedb
import pyarrow
from headwater_stream import Embedder, images_in

folder, action, argument = sys.argv[1:]
with Embedder(["headwater", "embed", "--stream", "--normalize", "l2"]) as headwater:
    [(tap, dimension)] = headwater.taps.items()
    origin = {"version": headwater.origin["version"], "tap": tap}
    vector = ("vector", pyarrow.list_(pyarrow.float32(), dimension))
    columns = pyarrow.schema([*((name, pyarrow.string()) for name in ("path", *origin)), vector])
    table = lancedb.connect(folder).create_table("photos", schema=columns, exist_ok=True)
    for other in table.search().where(f"version != '{origin['version']}' OR tap != '{tap}'").limit(1).to_list():
        sys.exit(f"{folder} has vectors of {other['version']} at {other['tap']}, not of {origin}: make another folder")
    rows = []
    for path, vectors, error in headwater.embed(images_in(argument)):
        if error:
            print(f"{path}: {error}", file=sys.stderr)
        else:
            rows.append({"path": path, **origin, "vector": list(vectors[0])})
if action == "add":
    table.merge_insert("path").when_matched_update_all().when_not_matched_insert_all().execute(pyarrow.Table.from_pylist(rows, columns))
    table.create_index("vector", config=lancedb.index.HnswSq(distance_type="dot"), replace=True)
for row in rows if action == "find" else []:
    for found in table.search(row["vector"]).distance_type("dot").limit(10).to_list():
        print(row["path"], f"{1 - found['_distance']:.4f}", found["path"], sep="\t")
