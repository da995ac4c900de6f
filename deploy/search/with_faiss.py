"""with_faiss.py INDEX add FOLDER, or with_faiss.py INDEX find PHOTO: search among photographs in a file of FAISS."""
import json
import pathlib
import sys

import faiss
import numpy
from headwater_stream import Embedder, images_in

index, action, argument = sys.argv[1:]
notes = pathlib.Path(index + ".json")
with Embedder(["headwater", "embed", "--stream", "--normalize", "l2"]) as headwater:
    origin, [(tap, dimension)] = headwater.origin, headwater.taps.items()
    known = json.loads(notes.read_text()) if notes.exists() else {"origin": origin, "tap": tap, "paths": []}
    if (known["origin"], known["tap"]) != (origin, tap):
        sys.exit(f"{index} has vectors of {known['origin']} at {known['tap']}, not of {origin} at {tap}: make a new index")
    table = faiss.read_index(index) if notes.exists() else faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
    for path, vectors, error in headwater.embed(images_in(argument)):
        if error:
            print(f"{path}: {error}", file=sys.stderr)
        elif action == "find":
            for cosine, row in zip(*(found[0] for found in table.search(numpy.array(vectors), 10))):
                print(path, f"{cosine:.4f}", known["paths"][row], sep="\t")
        elif path not in known["paths"]:
            table.add(numpy.array(vectors))
            known["paths"].append(path)
if action == "add":
    faiss.write_index(table, index)
    notes.write_text(json.dumps(known))
