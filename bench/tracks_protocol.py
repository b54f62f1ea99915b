"""How P8 and what it measures talk: one process each, tracks in by a file, pairs out by another.

Each is given the path of a Parquet file with the columns song, artist, album and duration_seconds, and writes one with
the columns left, right (places of tracks) and score. Only the search itself is counted, not the start of the process.
"""

import json
import resource
import sys
import time
from collections.abc import Callable

import polars as pl

Search = Callable[[pl.DataFrame], pl.DataFrame]


def serve(search: Search) -> None:
    """Search as the command line says, and print what it cost."""
    source, target = sys.argv[1:3]
    tracks = pl.read_parquet(source)
    began, cpu = time.perf_counter(), _cpu()
    pairs = search(tracks)
    told = {"cpu": _cpu() - cpu, "seconds": time.perf_counter() - began}
    pairs.select("left", "right", pl.col("score").cast(pl.Float64)).write_parquet(target)
    # Linux tells kibibytes.
    told["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
