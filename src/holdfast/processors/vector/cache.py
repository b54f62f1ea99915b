"""Vectors in memory, in blocks that are filled one after the other and never moved."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from holdfast.processors.vector.index import Matrix, Scored, Vector, portions

_Keys = npt.NDArray[np.int64]
Row = tuple[int, bytes]

_BLOCK = 8192
_STALE_PART = 4


class Cache:
    """The vectors of one model that were read so far; one thread at a time adds to it.

    Attributes:
        last: the greatest key among them.
        complete_below: the number below which every transaction was complete when they were read.
    """

    def __init__(self, dimensions: int, most_bytes: int) -> None:
        """Take vectors of so many dimensions, and so many bytes of them."""
        self.last = 0
        self.complete_below = 0
        self._dimensions = dimensions
        self._room = most_bytes // (4 * dimensions)
        self._blocks: list[tuple[_Keys, Matrix, npt.NDArray[np.bool_]]] = []
        self._size = 0
        self._sorted: _Keys = np.empty(0, dtype=np.int64)

    @property
    def room(self) -> int:
        """For how many more vectors there is room."""
        return self._room - self._size

    def is_stale(self) -> bool:
        """Whether so many of them are deleted that it pays to read them all anew."""
        return sum(int(gone.sum()) for _, _, gone in self._blocks) * _STALE_PART > max(self._size, _BLOCK)

    def unknown(self, keys: Sequence[int]) -> list[int]:
        """Those of these keys that are not among them."""
        wanted = np.asarray(keys, dtype=np.int64)
        new: list[int] = wanted[~np.isin(wanted, self._sorted)].tolist()
        return new

    def add(self, rows: Sequence[Row]) -> None:
        """Take new vectors, for which there is room."""
        while rows:
            rows = rows[self._fill(rows) :]

    def _fill(self, rows: Sequence[Row]) -> int:
        start = self._size % _BLOCK
        if not start:
            matrix = np.zeros((_BLOCK, self._dimensions), dtype=np.float32)
            self._blocks.append((np.zeros(_BLOCK, dtype=np.int64), matrix, np.zeros(_BLOCK, dtype=np.bool_)))
        keys, matrix, _ = self._blocks[-1]
        rows = rows[: _BLOCK - start]
        end = start + len(rows)
        matrix[start:end] = matrix_of([data for _, data in rows])
        keys[start:end] = [key for key, _ in rows]
        self._size += len(rows)
        self._sorted = np.sort(np.concatenate([self._sorted, keys[start:end]]), kind="stable")
        self.last = max(self.last, int(self._sorted[-1]))
        return len(rows)

    def view(self, beyond: Sequence[tuple[_Keys, Vector]]) -> "View":
        """What there is at this moment, with the keys and scores of the vectors that found no room."""
        return View(self._blocks[:], self._size, beyond)


class View:
    """The vectors as one search sees them, whatever is added meanwhile."""

    def __init__(
        self,
        blocks: Sequence[tuple[_Keys, Matrix, npt.NDArray[np.bool_]]],
        size: int,
        beyond: Sequence[tuple[_Keys, Vector]],
    ) -> None:
        """See the first ``size`` of these rows, and what lies beyond them."""
        self._blocks = blocks
        self._beyond = beyond
        self._size = size
        cached = np.concatenate([np.empty(0, dtype=np.int64), *(keys for keys, _, _ in blocks)])[:size]
        self._keys = np.concatenate([cached, *(keys for keys, _ in beyond)])

    def ranked(self, query: Vector, k: int, among: Collection[int] | None) -> Iterator[list[Scored]]:
        """The vectors nearest to the query first, in portions; only those with keys ``among`` these, if any are."""
        scores = self._scores(query)
        left = np.flatnonzero(scores > -np.inf)
        if among is not None:
            left = left[np.isin(self._keys[left], np.fromiter(among, dtype=np.int64, count=len(among)))]
        for size in portions(k):
            if not len(left):
                return
            if len(left) > size:
                # Most searches end with one of the first portions: what follows need not be in order for that.
                left = left[np.argpartition(-scores[left], size)]
            yield self._portion(_ordered(left[:size], scores), scores)
            left = left[size:]

    def _scores(self, query: Vector) -> Vector:
        parts = [np.where(gone, np.float32(-np.inf), matrix @ query) for _, matrix, gone in self._blocks]
        cached = np.concatenate([np.empty(0, dtype=np.float32), *parts])[: self._size]
        return np.concatenate([cached, *(scores for _, scores in self._beyond)])

    def _portion(self, places: npt.NDArray[np.intp], scores: Vector) -> list[Scored]:
        return list(zip(self._keys[places].tolist(), np.clip(scores[places], -1, 1).tolist(), strict=True))

    def forget(self, keys: Collection[int]) -> None:
        """These are deleted: no later search needs to look at them."""
        gone = np.fromiter(keys, dtype=np.int64, count=len(keys))
        for place in np.flatnonzero(np.isin(self._keys[: self._size], gone)).tolist():
            self._blocks[place // _BLOCK][2][place % _BLOCK] = True


def matrix_of(rows: Sequence[bytes]) -> Matrix:
    """Vectors as they are kept, one below the other."""
    return np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), -1 if rows else 0)


def _ordered(places: npt.NDArray[np.intp], scores: Vector) -> npt.NDArray[np.intp]:
    return places[np.argsort(-scores[places], kind="stable")]
