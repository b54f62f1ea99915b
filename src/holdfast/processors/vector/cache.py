"""Vectors in memory, in blocks that are filled one after the other and never moved."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from holdfast.processors.vector.index import Matrix, Vector
from holdfast.processors.vector.matching import Scored, portions

_Keys = npt.NDArray[np.int64]
_Row = tuple[int, int, bytes]

_BLOCK = 8192
_STALE_PART = 4


class Cache:
    """The vectors of one model that were read so far; one thread at a time adds to it.

    Attributes:
        last: the greatest key among them.
        complete_below: the number below which every transaction was complete when they were read.
        is_full: whether there is no room for more.
    """

    def __init__(self, dimensions: int, most_bytes: int) -> None:
        """Take vectors of so many dimensions, and so many bytes of them."""
        self.last = 0
        self.complete_below = 0
        self._dimensions = dimensions
        self._room = max(most_bytes // (4 * dimensions), 0)
        self._blocks: list[Matrix] = []
        self._keys: list[_Keys] = []
        self._ordinals: list[npt.NDArray[np.int32]] = []
        self._gone: list[npt.NDArray[np.bool_]] = []
        self._size = 0
        self._sorted: _Keys = np.empty(0, dtype=np.int64)

    @property
    def is_full(self) -> bool:
        return self._size >= self._room

    def is_stale(self) -> bool:
        """Whether so many of them are deleted that it pays to read them all anew."""
        return sum(int(gone.sum()) for gone in self._gone) * _STALE_PART > max(self._size, _BLOCK)

    def add(self, rows: Sequence[_Row]) -> list[_Row]:
        """Take what is new of these rows; returns what was new and found no room."""
        known = self._sorted
        places = np.searchsorted(known, [row[0] for row in rows])
        new = [
            row
            for row, place in zip(rows, places.tolist(), strict=True)
            if place == len(known) or known[place] != row[0]
        ]
        room = self._room - self._size
        taken, rest = new[:room], new[room:]
        while taken:
            taken = taken[self._fill(taken) :]
        return rest

    def _fill(self, rows: Sequence[_Row]) -> int:
        start = self._size % _BLOCK
        if not start:
            self._blocks.append(np.zeros((_BLOCK, self._dimensions), dtype=np.float32))
            self._keys.append(np.zeros(_BLOCK, dtype=np.int64))
            self._ordinals.append(np.zeros(_BLOCK, dtype=np.int32))
            self._gone.append(np.zeros(_BLOCK, dtype=np.bool_))
        rows = rows[: _BLOCK - start]
        end = start + len(rows)
        self._blocks[-1][start:end] = matrix_of([row[2] for row in rows], self._dimensions)
        self._keys[-1][start:end] = [row[0] for row in rows]
        self._ordinals[-1][start:end] = [row[1] for row in rows]
        self._size += len(rows)
        self._sorted = np.sort(np.concatenate([self._sorted, self._keys[-1][start:end]]), kind="stable")
        self.last = max(self.last, int(self._sorted[-1]))
        return len(rows)

    def view(self, beyond: Sequence["Scores"]) -> "View":
        """What there is at this moment, with what is known of the vectors that found no room."""
        return View(self._blocks[:], self._keys[:], self._ordinals[:], self._gone[:], self._size, beyond)


class Scores:
    """Vectors that were compared with the query and not kept."""

    def __init__(self, rows: Sequence[_Row], query: Vector) -> None:
        """Compare them."""
        self.keys: _Keys = np.array([row[0] for row in rows], dtype=np.int64)
        self.ordinals = np.array([row[1] for row in rows], dtype=np.int32)
        self.scores = matrix_of([row[2] for row in rows], len(query)) @ query


class View:
    """The vectors as one search sees them, whatever is added meanwhile."""

    def __init__(
        self,
        blocks: Sequence[Matrix],
        keys: Sequence[_Keys],
        ordinals: Sequence[npt.NDArray[np.int32]],
        gone: Sequence[npt.NDArray[np.bool_]],
        size: int,
        beyond: Sequence[Scores],
    ) -> None:
        """See the first ``size`` of these rows, and what lies beyond them."""
        self._blocks = blocks
        self._gone = gone
        self._size = size
        self._beyond = beyond
        self._keys = np.concatenate([_cut(keys, size), *(part.keys for part in beyond)])
        self._ordinals = np.concatenate([_cut(ordinals, size), *(part.ordinals for part in beyond)])

    def ranked(self, query: Vector, k: int, among: Sequence[int] | None) -> Iterator[Sequence[Scored]]:
        """The vectors nearest to the query first, in portions; only those with keys ``among`` these, if any are."""
        scores = _cut([block @ query for block in self._blocks], self._size)
        scores[_cut(self._gone, self._size)] = -np.inf
        scores = np.concatenate([scores, *(part.scores for part in self._beyond)])
        left = np.flatnonzero(scores > -np.inf)
        if among is not None:
            left = left[np.isin(self._keys[left], among)]
        order: npt.NDArray[np.intp] | None = None
        for size in portions(k):
            if order is None and len(left) > size:
                # Most searches end with the first portion: the others need not be in order for that.
                parted = left[np.argpartition(-scores[left], size)]
                first, left = parted[:size], parted[size:]
                yield self._portion(first[np.argsort(-scores[first], kind="stable")], scores)
                order = left[np.argsort(-scores[left], kind="stable")]
                continue
            if order is None:
                order = left[np.argsort(-scores[left], kind="stable")]
            if not len(order):
                return
            yield self._portion(order[:size], scores)
            order = order[size:]

    def _portion(self, places: npt.NDArray[np.intp], scores: Vector) -> list[Scored]:
        return list(
            zip(
                self._keys[places].tolist(),
                np.clip(scores[places], -1, 1).tolist(),
                self._ordinals[places].tolist(),
                strict=True,
            )
        )

    def forget(self, keys: Sequence[int]) -> None:
        """These are deleted: no later search needs to look at them."""
        for place in np.flatnonzero(np.isin(self._keys[: self._size], keys)).tolist():
            self._gone[place // _BLOCK][place % _BLOCK] = True


def matrix_of(rows: Sequence[bytes], dimensions: int) -> Matrix:
    """Vectors as they are kept, one below the other."""
    return np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), dimensions)


def _cut(blocks: Sequence[npt.NDArray], size: int) -> npt.NDArray:  # type: ignore[type-arg]
    return np.concatenate(blocks)[:size] if blocks else np.empty(0, dtype=np.float32)
