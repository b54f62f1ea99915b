"""The contract of a vector index, kept by each of them; tests/processors/test_vector_index.py holds them to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from holdfast.domain.analysis import Analysis
from holdfast.store.lists import Filter

Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]


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
        analysis: the analysis.
        vectors: one row for each piece of its text, each of length 1; without rows nothing is kept.
    """

    analysis: Analysis
    vectors: Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An analysis that was found.

    Attributes:
        analysis_id: which one.
        score: the cosine between the query and the nearest piece of its text, -1 to 1.
        ordinal: the place of that piece in its text, from 0.
    """

    analysis_id: str
    score: float
    ordinal: int


class VectorIndex(Protocol):
    """Vectors of analyses; safe to share between threads."""

    def put(self, model: Model, entries: Sequence[Entry]) -> None:
        """Keep these vectors of these analyses in place of all others; durable when it returns.

        An analysis that was deleted meanwhile is passed over. To do it again changes nothing.
        """
        ...

    def drop(self, analysis_ids: Sequence[str]) -> None:
        """Forget all vectors of these analyses, as far as there are any."""
        ...

    def search(self, model: Model, query: Vector, k: int, where: Filter) -> list[Hit]:
        """The nearest analyses of those that fit ``where``, best first; equal scores in the order of their ids.

        The filter comes before the limit: there are fewer than ``k`` only if fewer fit and have vectors of this model
        with as many dimensions as ``query``, which has length 1.
        """
        ...

    def vectors(self, model: Model, analysis_id: str) -> Matrix:
        """The vectors of one analysis in the order of its text; without rows when there are none."""
        ...

    def count(self, model: Model) -> int:
        """How many vectors of this model there are."""
        ...

    def close(self) -> None:
        """Release what is held; what is kept stays."""
        ...
