"""Leaves out, by whole columns, the pairs that a comparison would refuse; most candidates are such. Pure.

Comparing one pair in Python costs what twenty cost here. Nothing is left out that ``compare`` would take: where this
cannot tell, the pair stays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from holdfast.analyzers.duplicates.compare import ARTIST_WITH_SAME_TITLE, SAME_SWAPPED, TITLE_INSIDE
from holdfast.analyzers.duplicates.hashes import U64, hash_here, mix

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
_Texts = NDArray[np.object_]

# Players and discs of old cut titles at 30 characters.
CUT_LENGTHS = (27, 31)
_AT_ONCE = 1 << 20


def allowed_edits(length: I32) -> I32:
    """How many typos a title of so many letters may have."""
    return np.select([length <= 3, length < 8, length < 16], [0, 1, 2], 3).astype(np.int32)


def screen(table: pl.DataFrame, left: I64, right: I64, check: Callable[[], None] = lambda: None) -> Flags:
    """Which pairs are worth a comparison.

    Args:
        table: the table of Signatures.
        left: a row of it for each pair.
        right: the other row.
        check: called now and then; raises to stop.
    """
    columns = _Columns(table)
    worth = np.zeros(len(left), dtype=bool)
    for begin in range(0, len(left), _AT_ONCE):
        check()
        some = slice(begin, begin + _AT_ONCE)
        worth[some] = _screen(columns, left[some], right[some])
    return worth


class _Columns:
    """What of the table is looked at, each column made when it is first asked for."""

    def __init__(self, table: pl.DataFrame) -> None:
        self._table = table
        self.versions: I64 = table["versions"].to_numpy()
        self.loose: Flags = table["loose"].to_numpy()
        self.title_length: I32 = table["title_length"].to_numpy().astype(np.int32)
        self.tight = hash_here(table["tight"])
        self.whole_title = hash_here(table["whole_title"])
        self.whole_artist = hash_here(table["whole_artist"])
        self.kind = mix(self.versions.astype(np.uint64), hash_here(table["numbers"]))
        self.unnumbered, self.is_numbered = self._optional("unnumbered")
        self.head, _ = self._optional("head")
        _, self.has_tail = self._optional("tail")
        self.length: I32 = table["tight"].str.len_chars().to_numpy().astype(np.int32)
        self.edits = allowed_edits(self.length)

    def _optional(self, name: str) -> tuple[U64, Flags]:
        return hash_here(self._table[name]), (self._table[name] != "").to_numpy()

    @cached_property
    def titles(self) -> _Texts:
        return _texts(self._table["tight"])

    @cached_property
    def leads(self) -> _Texts:
        return _texts(self._table["lead"])

    @cached_property
    def wholes(self) -> _Texts:
        return _texts(self._table["whole_artist"])

    @cached_property
    def artist_words(self) -> _Texts:
        return _texts(self._table["artist_words"])

    @cached_property
    def told(self) -> pl.Series:
        """What may hold more than the title."""
        return self._table.select(told=pl.concat_str("whole_artist", "tight"))["told"]

    @cached_property
    def names(self) -> pl.Series:
        """Between spaces, so that a name is found as a whole only."""
        return self._table.select(names=pl.format(" {} ", "names"))["names"]

    @cached_property
    def lead(self) -> U64:
        return hash_here(self._table["lead"])


@dataclass(frozen=True, slots=True)
class _Pairs:
    columns: _Columns
    left: I64
    right: I64

    def at(self, places: I64) -> "_Pairs":
        return _Pairs(self.columns, self.left[places], self.right[places])

    def turned(self) -> "_Pairs":
        return _Pairs(self.columns, self.right, self.left)

    def equal(self, one: NDArray[Any], other: NDArray[Any] | None = None) -> Flags:
        same: Flags = one[self.left] == (one if other is None else other)[self.right]
        return same


def _screen(columns: _Columns, left: I64, right: I64) -> Flags:
    pairs = _Pairs(columns, left, right)
    kind = pairs.equal(columns.kind)
    worth = (pairs.equal(columns.tight) & kind) | pairs.equal(columns.whole_title)
    for way in (pairs, pairs.turned()):
        worth |= way.equal(columns.unnumbered, columns.tight) & columns.is_numbered[way.left]
        worth |= way.equal(columns.head, columns.tight) & columns.has_tail[way.left]
    unsure = np.nonzero(~worth & kind)[0]
    worth[unsure] = _titles_close(pairs.at(unsure)) | _maybe_cut(pairs.at(unsure))
    # Titles agree: mostly by chance, among the many songs of one name.
    agreeing = np.nonzero(worth)[0]
    worth[agreeing] = _artists_close(pairs.at(agreeing))
    for way in (pairs, pairs.turned()):
        worth |= way.equal(columns.whole_title, columns.whole_artist)
    alike = np.nonzero(~worth & pairs.equal(columns.versions))[0]
    loose = alike[columns.loose[left[alike]] | columns.loose[right[alike]]]
    worth[loose] = _title_inside(pairs.at(loose))
    return worth


def _titles_close(pairs: _Pairs) -> Flags:
    columns = pairs.columns
    allowed = np.maximum(columns.edits[pairs.left], columns.edits[pairs.right])
    edits = _alike(pairs, columns.titles, columns.titles, OSA.distance, cutoff=3, dtype=np.int32)
    close: Flags = edits <= allowed
    return close


def _maybe_cut(pairs: _Pairs) -> Flags:
    columns = pairs.columns
    lengths = columns.title_length
    found = np.zeros(len(pairs.left), dtype=bool)
    for way in (pairs, pairs.turned()):
        at = np.nonzero((lengths[way.left] >= CUT_LENGTHS[0]) & (lengths[way.left] <= CUT_LENGTHS[1]) & ~found)[0]
        short, long = columns.titles[way.left[at]], columns.titles[way.right[at]]
        found[at] = [whole.startswith(begin) for begin, whole in zip(short, long, strict=True)]
    return found


def _artists_close(pairs: _Pairs) -> Flags:
    """Whether the artists are near enough for titles that agree, or unknown, or the two fields may be swapped."""
    columns = pairs.columns
    same = pairs.equal(columns.whole_artist) | pairs.equal(columns.lead)
    # Without an artist the albums decide, or what else the title holds.
    close = same | (columns.loose[pairs.left] | columns.loose[pairs.right])
    for one in (columns.leads, columns.wholes, columns.artist_words):
        rest = np.nonzero(~close)[0]
        close[rest] = _likeness(pairs.at(rest), one, one, ARTIST_WITH_SAME_TITLE) > 0
    for way in (pairs, pairs.turned()):
        rest = np.nonzero(~close)[0]
        close[rest] = _lead_among(way.at(rest))
    rest = np.nonzero(~close)[0]
    swapped = pairs.at(rest)
    found = _likeness(swapped, columns.titles, columns.wholes, SAME_SWAPPED) > 0
    close[rest] = found & (_likeness(swapped.turned(), columns.titles, columns.wholes, SAME_SWAPPED) > 0)
    return close


def _lead_among(pairs: _Pairs) -> Flags:
    """Whether the first name of the left one is among the right one's names."""
    names = pairs.columns.names
    both = pl.DataFrame(
        {"lead": pl.Series(pairs.columns.leads[pairs.left], dtype=pl.String), "all": names[pairs.right]}
    )
    among: Flags = (
        both.select(pl.col("all").str.contains(pl.format(" {} ", "lead"), literal=True)).to_series().to_numpy()
    )
    return among


def _title_inside(pairs: _Pairs) -> Flags:
    """Whether one's title stands in what is told of the other, which has no artist; as ``compare`` sees it."""
    columns = pairs.columns
    inside = np.zeros(len(pairs.left), dtype=bool)
    for way in (pairs, pairs.turned()):
        at = np.nonzero(columns.loose[way.left] & ~inside)[0]
        told, titles = columns.told[way.left[at]].to_list(), columns.titles[way.right[at]]
        inside[at] = process.cpdist(told, titles, scorer=fuzz.partial_ratio, score_cutoff=TITLE_INSIDE) > 0
    return inside


def _likeness(pairs: _Pairs, one: _Texts, other: _Texts, cutoff: float) -> NDArray[np.float32]:
    found: NDArray[np.float32] = _alike(pairs, one, other, fuzz.ratio, cutoff=cutoff)
    return found


def _alike(
    pairs: _Pairs, one: _Texts, other: _Texts, scorer: Any, *, cutoff: float, dtype: type[Any] = np.float32
) -> NDArray[Any]:
    left, right = one[pairs.left], other[pairs.right]
    found: NDArray[Any] = process.cpdist(left, right, scorer=scorer, score_cutoff=cutoff, dtype=dtype)
    return found


def _texts(column: pl.Series) -> _Texts:
    return np.array(column.to_list(), dtype=object)
