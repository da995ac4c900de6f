"""with_pgvector.py DATABASE add FOLDER, or with_pgvector.py DATABASE find PHOTO: search among photographs in PostgreSQL."""
import sys

import numpy
import psycopg
from headwater_stream import Embedder, images_in
from pgvector.psycopg import register_vector

database, action, argument = sys.argv[1:]
with Embedder(["headwater", "embed", "--stream", "--normalize", "l2"]) as headwater, psycopg.connect(database) as connection:
    [(tap, dimension)] = headwater.taps.items()
    origin = (headwater.origin["version"], tap)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    connection.execute(f"""CREATE TABLE IF NOT EXISTS photos
        (path text PRIMARY KEY, version text NOT NULL, tap text NOT NULL, embedding vector({dimension}) NOT NULL);
        CREATE INDEX IF NOT EXISTS nearest ON photos USING hnsw (embedding vector_ip_ops)""")
    for other in connection.execute("SELECT version, tap FROM photos WHERE (version, tap) <> (%s, %s) LIMIT 1", origin):
        sys.exit(f"the table photos has vectors of {other}, not of {origin}: empty it, or search with the former model")
    for path, vectors, error in headwater.embed(images_in(argument)):
        if error:
            print(f"{path}: {error}", file=sys.stderr)
        elif action == "add":
            connection.execute("""INSERT INTO photos VALUES (%s, %s, %s, %s) ON CONFLICT (path)
                DO UPDATE SET embedding = excluded.embedding""", (path, *origin, numpy.array(vectors[0])))
        else:
            for found, cosine in connection.execute("""SELECT path, -(embedding <#> %(v)s) FROM photos
                    ORDER BY embedding <#> %(v)s LIMIT 10""", {"v": numpy.array(vectors[0])}):
                print(path, f"{cosine:.4f}", found, sep="\t")
