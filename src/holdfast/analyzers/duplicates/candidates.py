"""Which pairs of signatures are worth a comparison: neighbours under a common key. Pure.

The work is bounded: a signature meets at most ``window`` others under a key, whether ten thousand bear it or two.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from holdfast.analyzers.duplicates.hashes import U64, letter_masks
from holdfast.analyzers.duplicates.keys import I64, Gate, Key, Order, keys

I32 = NDArray[np.int32]
Flags = NDArray[np.bool_]

# Players and discs of old cut titles at 30 characters.
CUT_LENGTHS = (27, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Pairs to compare.

    Attributes:
        left: a row of the table for each pair.
        right: the other row, larger; the pairs are sorted and distinct.
        looked_at: how many pairs were looked at to find these.
    """

    left: I64
    right: I64
    looked_at: int


@dataclass(frozen=True, slots=True)
class _Shapes:
    """What the gates look at."""

    title_length: I32
    given_length: I32
    edits: I32
    title_letters: U64
    artist_letters: U64
    album_letters: U64
    loose: Flags


def find_candidates(table: pl.DataFrame, check: Callable[[], None] = lambda: None) -> Candidates:
    """The pairs of signatures that share a key and may be duplicates.

    Args:
        table: the table of Signatures.
        check: called now and then; raises to stop.
    """
    size = table.height
    tight = table["tight"]
    length = tight.str.len_chars().to_numpy().astype(np.int32)
    shapes = _Shapes(
        title_length=length,
        given_length=table["title_length"].to_numpy().astype(np.int32),
        edits=allowed_edits(length),
        title_letters=letter_masks(tight),
        artist_letters=letter_masks(table["whole_artist"]),
        album_letters=letter_masks(table["albums"].list.join("")),
        loose=table["loose"].to_numpy(),
    )
    by_artist = table["artist_words"].rank("dense").to_numpy().astype(np.int64)
    found: list[I64] = []
    looked_at = 0
    for key in keys(table):
        check()
        for left, right in _neighbours(key, by_artist):
            looked_at += len(left)
            passed = _pass(key.gate, shapes, left, right)
            if passed.any():
                low, high = left[passed], right[passed]
                found.append(np.minimum(low, high) * size + np.maximum(low, high))
        # Many keys find the same pairs: what is held stays near what is distinct.
        found = [_distinct(np.concatenate(found))] if found else []
    pairs = found[0] if found else np.empty(0, dtype=np.int64)
    return Candidates(left=pairs // max(size, 1), right=pairs % max(size, 1), looked_at=looked_at)


def allowed_edits(length: I32) -> I32:
    """How many typos a title of so many letters may have."""
    return np.select([length <= 3, length < 8, length < 16], [0, 1, 2], 3).astype(np.int32)


def _neighbours(key: Key, by_artist: I64) -> Iterator[tuple[I64, I64]]:
    """Pairs at distance 1, 2, ... ``window`` under the same key, each distance at once."""
    rows, hashes = _shared(key.rows, key.hashes)
    # The table is sorted by title, so a row's number is its title's place.
    order = np.lexsort((rows, by_artist[rows], hashes)) if key.order is Order.ARTIST else np.lexsort((rows, hashes))
    rows, hashes = rows[order], hashes[order]
    first = np.nonzero(hashes[:-1] == hashes[1:])[0]
    for distance in range(1, key.window + 1):
        if not len(first):
            return
        left, right = rows[first], rows[first + distance]
        other = left != right
        yield left[other], right[other]
        first = first[first + distance + 1 < len(rows)]
        first = first[hashes[first] == hashes[first + distance + 1]]


def _shared(rows: I64, hashes: U64) -> tuple[I64, U64]:
    """Those whose key somebody else has, too."""
    order = np.argsort(hashes, kind="stable")
    rows, hashes = rows[order], hashes[order]
    shared = np.zeros(len(hashes), dtype=bool)
    same = hashes[1:] == hashes[:-1]
    shared[1:] |= same
    shared[:-1] |= same
    return rows[shared], hashes[shared]


def _pass(gate: Gate, shapes: _Shapes, left: I64, right: I64) -> Flags:
    if gate is Gate.TITLE:
        edits = np.maximum(shapes.edits[left], shapes.edits[right])
        apart = np.abs(shapes.title_length[left] - shapes.title_length[right])
        letters = np.bitwise_count(shapes.title_letters[left] ^ shapes.title_letters[right])
        passed: Flags = (apart <= edits) & (letters <= 2 * edits)
        return passed | _maybe_cut(shapes, left, right)
    if gate is Gate.ARTIST:
        # A misspelt name, or one of two names: not another artist altogether.
        letters = np.bitwise_count(shapes.artist_letters[left] ^ shapes.artist_letters[right])
        close: Flags = letters <= 4
        return close
    if gate is Gate.MIXED:
        return _maybe_mixed(shapes, left, right) | _maybe_mixed(shapes, right, left)
    return np.ones(len(left), dtype=bool)


def _maybe_mixed(shapes: _Shapes, loose: I64, other: I64) -> Flags:
    """Whether all that is told of one without an artist may be the other's title with its artist or album."""
    told = shapes.title_letters[loose] | shapes.artist_letters[loose]
    beside = shapes.artist_letters[other] | shapes.album_letters[other]
    lost = np.bitwise_count(shapes.title_letters[other] & ~told)
    more = np.bitwise_count(told & ~(shapes.title_letters[other] | beside))
    maybe: Flags = shapes.loose[loose] & (lost <= 2) & (more <= 4)
    return maybe


def _maybe_cut(shapes: _Shapes, left: I64, right: I64) -> Flags:
    """Whether the shorter of two titles may be the longer one, cut off: it has no letter that the longer one lacks."""
    short = np.where(shapes.title_length[left] < shapes.title_length[right], left, right)
    long = left + right - short
    length = shapes.given_length[short]
    cut: Flags = (length >= CUT_LENGTHS[0]) & (length <= CUT_LENGTHS[1])
    inside: Flags = (shapes.title_letters[short] & ~shapes.title_letters[long]) == 0
    return cut & inside


def _distinct(values: I64) -> I64:
    """As ``numpy.unique``, which is several times slower on large arrays since it hashes."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered
