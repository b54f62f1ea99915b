"""Comparing in parts of about a second, each of which can be computed anywhere. Pure.

A part holds all that its pairs need, and its key names its content: a value found under it is right whatever happened
in between.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import polars as pl
from numpy.typing import NDArray
from xxhash import xxh3_128_hexdigest

from holdfast.analyzers.duplicates.candidates import Candidates
from holdfast.analyzers.duplicates.compare import Signature, compare
from holdfast.analyzers.duplicates.hashes import hash_texts
from holdfast.analyzers.duplicates.keys import I64

# In every part's key: raise it when the same pairs give other edges.
PART_FORMAT = 2
PAIRS_A_PART = 40_000

_COMPARED = list(Signature._fields)
_EDGE = np.dtype([("left", "<u4"), ("right", "<u4"), ("similarity", "<u2"), ("doubts", "<u2")])
_SCALE = 10_000
NO_SECONDS = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Pairs to compare, with what they are about.

    Attributes:
        signatures: rows of the table of Signatures, in Arrow's IPC format.
        pairs: places in ``signatures``, two of 32 bits for each pair.
        key: names the content.
        tracks: how many of the library's tracks it stands for, for the progress.
        rows: each place's row in the whole table; the part's value speaks of places.
    """

    signatures: bytes
    pairs: bytes
    key: str
    tracks: int
    rows: I64


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Pairs of signatures that are alike.

    Attributes:
        left: a row of the table for each pair.
        right: the other row.
        similarity: 0 to 1.
        doubts: what differs, as numbers of Doubt.
    """

    left: I64
    right: I64
    similarity: NDArray[np.float64]
    doubts: I64


def split(table: pl.DataFrame, candidates: Candidates, pairs_a_part: int = PAIRS_A_PART) -> Iterator[Part]:
    """Split the comparisons by a hash of the title: one title's pairs are in one part.

    Args:
        table: the table of Signatures.
        candidates: pairs of its rows.
        pairs_a_part: about how many pairs go into a part.
    """
    number = max(1, -(-len(candidates.left) // pairs_a_part))
    part_of_pair = (hash_texts(table["tight"][candidates.left]) % np.uint64(number)).astype(np.int64)
    order = np.argsort(part_of_pair, kind="stable")
    ends = np.cumsum(np.bincount(part_of_pair, minlength=number))
    # All tracks are compared with all, in a way: each part tells of its share of them.
    tracks = np.diff(np.linspace(0, int(table["tracks"].sum()), number + 1).astype(np.int64))
    # What lies under a null is not defined.
    narrow = table.select(_COMPARED).with_columns(pl.col("least_seconds", "most_seconds").fill_null(NO_SECONDS))
    for place, end in enumerate(ends):
        chosen = order[(ends[place - 1] if place else 0) : end]
        yield _part(narrow, candidates.left[chosen], candidates.right[chosen], int(tracks[place]))


def compare_part(part: Part) -> bytes:
    """Compare the pairs of a part; the value is read by ``read_edges``."""
    table = pl.read_ipc(BytesIO(part.signatures))
    pairs = np.frombuffer(part.pairs, dtype="<u4").reshape(-1, 2)
    left, right = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    signatures = dict(read_signatures(table, np.unique(np.concatenate([left, right]))))
    found = []
    for one, other in zip(left.tolist(), right.tolist(), strict=True):
        verdict = compare(signatures[one], signatures[other])
        if verdict is not None:
            found.append((one, other, round(verdict.similarity * _SCALE), int(verdict.doubts)))
    return np.array(found, dtype=_EDGE).tobytes()


def read_edges(part: Part, value: bytes) -> Edges:
    """The edges that a part's value tells of, by rows of the whole table."""
    found = np.frombuffer(value, dtype=_EDGE)
    return Edges(
        left=part.rows[found["left"]],
        right=part.rows[found["right"]],
        similarity=found["similarity"] / _SCALE,
        doubts=found["doubts"].astype(np.int64),
    )


def join_edges(edges: list[Edges]) -> Edges:
    """All edges, in an order that does not depend on the parts."""
    left = np.concatenate([np.empty(0, np.int64), *(some.left for some in edges)])
    right = np.concatenate([np.empty(0, np.int64), *(some.right for some in edges)])
    similarity = np.concatenate([np.empty(0), *(some.similarity for some in edges)])
    doubts = np.concatenate([np.empty(0, np.int64), *(some.doubts for some in edges)])
    order = np.lexsort((right, left))
    return Edges(left=left[order], right=right[order], similarity=similarity[order], doubts=doubts[order])


def read_signatures(table: pl.DataFrame, rows: I64) -> Iterator[tuple[int, Signature]]:
    """Rows of the table as values."""
    fields = table.select(_COMPARED)[rows]
    seconds = pl.col("least_seconds", "most_seconds")
    columns = fields.with_columns(seconds.replace(NO_SECONDS, None)).to_dict(as_series=False)
    columns["guests"] = [frozenset(guests.split()) for guests in columns["guests"]]
    columns["names"] = [tuple(names.split()) for names in columns["names"]]
    columns["albums"] = [frozenset(albums) for albums in columns["albums"]]
    yield from zip(rows.tolist(), map(Signature._make, zip(*columns.values(), strict=True)), strict=True)


def _part(table: pl.DataFrame, left: I64, right: I64, tracks: int) -> Part:
    rows = np.unique(np.concatenate([left, right]))
    places = np.stack([np.searchsorted(rows, left), np.searchsorted(rows, right)], axis=1)
    out = BytesIO()
    # Arrow's older form: the bytes of the newer one depend on where the texts lay before, so no key could name them.
    table[rows].write_ipc(out, compat_level=pl.CompatLevel.oldest())
    signatures, pairs = out.getvalue(), places.astype("<u4").tobytes()
    return Part(
        signatures=signatures,
        pairs=pairs,
        key=f"{PART_FORMAT}:{xxh3_128_hexdigest(signatures + pairs)}",
        tracks=tracks,
        rows=rows,
    )
