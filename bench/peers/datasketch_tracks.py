"""datasketch: MinHash over letter triples of artist and title, a locality-sensitive index, Jaccard on what it finds."""

import importlib
from typing import Any

import polars as pl

from bench.tracks_protocol import serve

# Installed in .venv-peers only, where no type checker looks.
datasketch: Any = importlib.import_module("datasketch")

_PERMUTATIONS = 64
_THRESHOLD = 0.6


def search(tracks: pl.DataFrame) -> pl.DataFrame:
    texts = tracks.select(
        pl.concat_str(pl.col("artist", "song").fill_null(""), separator=" ")
        .str.to_lowercase()
        .str.replace_all(r"[^\p{L}\p{N}]+", " ")
    ).to_series()
    sets = [{text[at : at + 3].encode() for at in range(max(1, len(text) - 2))} for text in texts]
    hashes = datasketch.MinHash.bulk(sets, num_perm=_PERMUTATIONS)
    index = datasketch.MinHashLSH(threshold=_THRESHOLD, num_perm=_PERMUTATIONS)
    found: list[tuple[int, int, float]] = []
    for place, one in enumerate(hashes):
        for other in index.query(one):
            both = len(sets[place] & sets[other])
            score = both / max(1, len(sets[place]) + len(sets[other]) - both)
            if score >= _THRESHOLD:
                found.append((other, place, score))
        index.insert(place, one)
    return pl.DataFrame(found, schema={"left": pl.Int64, "right": pl.Int64, "score": pl.Float64}, orient="row")


if __name__ == "__main__":
    serve(search)
