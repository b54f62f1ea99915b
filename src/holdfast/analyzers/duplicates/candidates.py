"""Which pairs of signatures are worth a comparison: neighbours under a common key. Pure.

The work is bounded: a signature meets at most ``window`` others under a key, whether ten thousand bear it or two.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from holdfast.analyzers.duplicates.hashes import U64, letter_masks
from holdfast.analyzers.duplicates.keys import I64, Gate, Key, Order, keys
from holdfast.analyzers.duplicates.screening import CUT_LENGTHS, I32, Flags, allowed_edits, screen

# A list of pairs may grow by so many before it is worth sorting.
_SOME_PAIRS = 1 << 20


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
    edits: I32
    may_be_cut: Flags
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
    shapes = _shapes(table)
    # Of signatures under one key those of like artists stand together, or those of like titles: the table's own order.
    places = np.argsort(table["artist_rank"].to_numpy(), kind="stable")
    found: list[I64] = []
    distinct, looked_at = 0, 0
    for key in keys(table):
        check()
        for left, right in _neighbours(key, places if key.order is Order.ARTIST else None, size):
            looked_at += len(left)
            passed = _pass(key.gate, shapes, left, right)
            if passed.any():
                low, high = left[passed], right[passed]
                found.append(np.minimum(low, high) * size + np.maximum(low, high))
        # Many keys find the same pairs: what is held stays near what is distinct.
        if sum(map(len, found)) > 2 * distinct + _SOME_PAIRS:
            found = [_distinct(np.concatenate(found))]
            distinct = len(found[0])
    pairs = _distinct(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    left, right = np.divmod(pairs, max(size, 1))
    worth = screen(table, left, right, check)
    return Candidates(left=left[worth], right=right[worth], looked_at=looked_at)


def _shapes(table: pl.DataFrame) -> _Shapes:
    tight = table["tight"]
    length = tight.str.len_chars().to_numpy().astype(np.int32)
    given = table["title_length"].to_numpy()
    return _Shapes(
        title_length=length,
        edits=allowed_edits(length),
        may_be_cut=(given >= CUT_LENGTHS[0]) & (given <= CUT_LENGTHS[1]),
        title_letters=letter_masks(tight),
        artist_letters=letter_masks(table["whole_artist"]),
        album_letters=_letters_of_albums(table["albums"]),
        loose=table["loose"].to_numpy(),
    )


def _letters_of_albums(albums: pl.Series) -> U64:
    masks: U64 = np.zeros(len(albums), dtype=np.uint64)
    each = albums.to_frame("album").with_row_index("row").explode("album").drop_nulls()
    np.bitwise_or.at(masks, each["row"].to_numpy(), letter_masks(each["album"]))
    return masks


def _neighbours(key: Key, places: I64 | None, size: int) -> Iterator[tuple[I64, I64]]:
    """Pairs at distance 1, 2, ... ``window`` under the same key, each distance at once.

    Args:
        key: the signatures and their keys.
        places: the rows in the order in which they stand under one key; None for that of their numbers.
        size: how many rows there are.
    """
    rows = key.rows
    if places is not None:
        place_of = np.empty(size, dtype=np.int64)
        place_of[places] = np.arange(size)
        rows = place_of[rows]
    # The key's upper bits and the place in one number: a sort of numbers is many times quicker than one of pairs. Two
    # keys that are one by their upper bits, as a few in a billion are, cost a glance and no more.
    bits = np.uint64(max(size - 1, 1).bit_length())
    packed = np.sort((key.hashes >> bits << bits) | rows.astype(np.uint64))
    hashes = packed >> bits
    starts = np.nonzero(hashes[:-1] == hashes[1:])[0]
    rows = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    rows = rows if places is None else places[rows]
    for distance in range(1, key.window + 1):
        if not len(starts):
            return
        left, right = rows[starts], rows[starts + distance]
        other = left != right
        yield left[other], right[other]
        starts = starts[starts + distance + 1 < len(rows)]
        starts = starts[hashes[starts] == hashes[starts + distance + 1]]


def _pass(gate: Gate, shapes: _Shapes, left: I64, right: I64) -> Flags:
    if gate is Gate.TITLE:
        edits = np.maximum(shapes.edits[left], shapes.edits[right])
        apart = np.abs(shapes.title_length[left] - shapes.title_length[right])
        letters = np.bitwise_count(shapes.title_letters[left] ^ shapes.title_letters[right])
        passed: Flags = (apart <= edits) & (letters <= 2 * edits)
        cut = np.nonzero(~passed & (shapes.may_be_cut[left] | shapes.may_be_cut[right]))[0]
        passed[cut] = _maybe_cut(shapes, left[cut], right[cut])
        return passed
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
    inside: Flags = (shapes.title_letters[short] & ~shapes.title_letters[long]) == 0
    return shapes.may_be_cut[short] & inside


def _distinct(values: I64) -> I64:
    """As ``numpy.unique``, which is several times slower on large arrays since it hashes."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered
