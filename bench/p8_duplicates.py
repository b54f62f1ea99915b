"""P8: duplicates in made-up libraries, by Holdfast's matcher and by others that people use for this.

Each searches the same file in a process of its own, one after the other. Pairs are judged: a pair of tracks counts as
found if they are in one group. The others give scored pairs; each gets the threshold that is best for it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.report import Options, Report, run
from bench.tracks import make_library

_Labels = NDArray[np.int64]
_ROOT = Path(__file__).parents[1]
_PEERS = _ROOT / ".venv-peers" / "bin" / "python"
_MISSING = "splink, datasketch, usual recipe: not measured, .venv-peers is missing. Get it by `make bench-peers`."
_SECONDS = 1800
# What the page of figures asks for: CPU seconds, megabytes, how many times splink's CPU time.
_GOALS = {10_000: (0.5, 600, None), 100_000: (2.5, 600, 2.5), 1_000_000: (25, 4096, 8)}
_F1, _PRECISION = 0.975, 0.99


class _Contender(NamedTuple):
    name: str
    python: Path
    module: str
    largest: int


_HOLDFAST = _Contender("Holdfast", Path(sys.executable), "bench.duplicates_holdfast", 10_000_000)
_OTHERS = (
    _Contender("splink", _PEERS, "bench.peers.splink_tracks", 1_000_000),
    _Contender("polars blocks and rapidfuzz", _PEERS, "bench.peers.blocking_tracks", 1_000_000),
    _Contender("datasketch", _PEERS, "bench.peers.datasketch_tracks", 100_000),
)


class _Found(NamedTuple):
    precision: float
    recall: float
    f1: float
    cpu: float
    megabytes: float


def measure(options: Options, report: Report) -> None:
    sizes = [1_000] if options.small else [10_000, 100_000]
    # A million takes minutes to make, and the others minutes to search.
    sizes += [options.rows] if options.rows > 100_000 and not options.small else []
    if not _PEERS.exists():
        report.note(_MISSING)
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            _measure(size, Path(folder), report)


def _measure(size: int, folder: Path, report: Report) -> None:
    library = make_library(size, seed=size + 7)
    source = folder / f"{size}.parquet"
    library.select("song", "artist", "album", "duration_seconds").write_parquet(source)
    songs = library["song_id"].to_numpy()
    ours = _search(_HOLDFAST, source, songs)
    cpu, memory, times = _GOALS.get(size, (None, None, None))
    name = f"{size:,} tracks: Holdfast"
    report.add("P8", f"{name}, F1", ours.f1, "", goal=f">= {_F1}", met=ours.f1 >= _F1)
    report.add(
        "P8", f"{name}, precision", ours.precision, "", goal=f">= {_PRECISION}", met=ours.precision >= _PRECISION
    )
    report.add("P8", f"{name}, recall", ours.recall, "")
    report.add(
        "P8", f"{name}, CPU", ours.cpu, "s", goal=f"<= {cpu} s" if cpu else "", met=ours.cpu <= cpu if cpu else None
    )
    report.add(
        "P8", f"{name}, memory", ours.megabytes, "MB",
        goal=f"<= {memory} MB" if memory else "", met=ours.megabytes <= memory if memory else None,
    )  # fmt: skip
    for other in _OTHERS:
        if not _PEERS.exists() or size > other.largest:
            continue
        found = _search(other, source, songs)
        name = f"{size:,} tracks: {other.name}"
        ratio = found.cpu / ours.cpu
        wanted = times if other.name == "splink" else None
        report.add("P8", f"{name}, F1", found.f1, "", ratio=ours.f1 / found.f1, against="by Holdfast")
        report.add("P8", f"{name}, precision", found.precision, "")
        report.add("P8", f"{name}, recall", found.recall, "")
        report.add(
            "P8", f"{name}, CPU", found.cpu, "s", ratio=ratio, against="Holdfast's",
            goal=f">= {wanted} x" if wanted else "", met=ratio >= wanted if wanted else None,
        )  # fmt: skip
        report.add(
            "P8", f"{name}, memory", found.megabytes, "MB", ratio=found.megabytes / ours.megabytes, against="Holdfast's"
        )


def _search(contender: _Contender, source: Path, songs: _Labels) -> _Found:
    target = source.with_suffix(".pairs")
    done = subprocess.run(
        [str(contender.python), "-m", contender.module, str(source), str(target)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    best = max(
        (_judge(labels, songs) for labels in _groupings(pl.read_parquet(target), len(songs))), key=lambda one: one[2]
    )
    return _Found(*best, cpu=told["cpu"], megabytes=told["megabytes"])


def _groupings(pairs: pl.DataFrame, size: int) -> Iterator[_Labels]:
    """The groups at several thresholds, from the strictest to the laxest; the pairs that join are added as it goes."""
    parent = list(range(size))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    ordered = pairs.sort("score", descending=True)
    scores = ordered["score"].to_numpy()
    levels = np.unique(np.quantile(scores, np.linspace(0, 1, 25)))[::-1] if len(scores) else np.array([0.0])
    begin = 0
    for level in levels:
        end = int(np.searchsorted(-scores, -level, side="right"))
        for left, right in ordered[begin:end].select("left", "right").iter_rows():
            parent[root(left)] = root(right)
        begin = end
        yield np.array([root(place) for place in range(size)])


def _judge(labels: _Labels, songs: _Labels) -> tuple[float, float, float]:
    frame = pl.DataFrame({"label": labels, "song": songs})

    def pairs(*columns: str) -> int:
        count = pl.col("len")
        return int(frame.group_by(columns).len().select((count * (count - 1) // 2).sum()).item())

    right, found, there = pairs("label", "song"), pairs("label"), pairs("song")
    return right / max(found, 1), right / max(there, 1), 2 * right / max(found + there, 1)


if __name__ == "__main__":
    run({"p8": measure})
