"""The contract of a vector index, kept by each of them; tests/processors/test_vector_index.py holds them to it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from holdfast.domain.processing import Ranked
from holdfast.processors.contract import Write
from holdfast.store import keysets

Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]
Allowed = sa.Select[Any]

_FIRST = 64
_GROWTH = 8
# Below what the least of the databases takes in one statement.
_PARAMETERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What made a vector; those of two models, or of two versions of one, cannot be compared.

    Attributes:
        name: the model (``wordllama/l2_supercat_256``).
        version: changes whenever the same text may give another vector.
    """

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """What an index keeps of an analysis.

    Attributes:
        key: the analysis's internal key.
        vectors: one row for each piece of its text, each of length 1; without rows nothing is kept.
    """

    key: int
    vectors: Matrix


class VectorIndex(Protocol):
    """Vectors of analyses; safe to share between threads."""

    def create(self, connection: sa.Connection) -> None:
        """Make what is needed in the database beyond its tables; again is harmless."""
        ...

    def put(self, model: Model, entries: Sequence[Entry]) -> Write | None:
        """Keep these vectors of these analyses in place of all others.

        An analysis that was deleted meanwhile is passed over. To do it again changes nothing.

        Returns:
            What is to be written to the database; None when it was written elsewhere.
        """
        ...

    def drop(self, keys: Sequence[int]) -> Write | None:
        """Forget all vectors of these analyses, as far as there are any; as ``put``."""
        ...

    def search(self, connection: sa.Connection, model: Model, query: Vector, k: int, allowed: Allowed) -> list[Ranked]:
        """The nearest analyses among those allowed, best first; equal scores in the order of their keys.

        A score is the cosine between the query and the nearest piece of the analysis's text, -1 to 1. What is allowed
        comes before the limit: there are fewer than ``k`` only if fewer are allowed and have vectors of this model
        with as many dimensions as the query.

        Args:
            connection: reads the state to search.
            model: what made the query.
            query: what to look for, of length 1.
            k: how many at most.
            allowed: selects the keys of the analyses that may be found.
        """
        ...

    def vectors(self, connection: sa.Connection, model: Model, key: int) -> Matrix:
        """The vectors of one analysis in the order of its text; without rows when there are none."""
        ...

    def count(self, connection: sa.Connection, model: Model) -> int:
        """How many vectors of this model there are."""
        ...

    def check(self) -> None:
        """Raise ProcessorUnavailable unless it can be read and written; within a few seconds."""
        ...

    def close(self) -> None:
        """Release what is held; what is kept stays."""
        ...


Scored = tuple[Any, float]
"""What an index knows a vector by, and its score."""


def among(allowed: Allowed, keys: Iterable[int]) -> Allowed:
    """Of these keys those that are allowed."""
    return allowed.where(keysets.among(allowed.selected_columns[0], list(keys)))


def confirmed(
    ranked: Iterable[Sequence[Scored]], k: int, confirm: Callable[[Sequence[Any]], dict[Any, int]]
) -> list[Ranked]:
    """The best ``k`` analyses out of vectors in the order of their scores.

    Args:
        ranked: the vectors in portions, best first, until there are no more.
        k: how many analyses.
        confirm: of these vectors those whose analyses are allowed, with the analyses' keys.
    """
    best: dict[int, float] = {}
    for portion in ranked:
        fits = confirm([place for place, _ in portion])
        for place, score in portion:
            if (key := fits.get(place)) is not None:
                best.setdefault(key, score)
        # What scores the same as the last place may still belong there; what comes next scores no more than this.
        if len(best) >= k and portion and portion[-1][1] < sorted(best.values(), reverse=True)[k - 1]:
            break
    order = sorted(best.items(), key=lambda hit: (-hit[1], hit[0]))
    return [Ranked(key=key, score=score) for key, score in order[:k]]


def portions(k: int) -> Iterator[int]:
    """How many vectors to look at, again and again, until enough of them are allowed."""
    size = max(_FIRST, 4 * k)
    while True:
        yield min(size, _PARAMETERS)
        size *= _GROWTH
