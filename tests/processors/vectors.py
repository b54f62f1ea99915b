"""What the tests of vector indexes share: analyses to point at, directions that are known, an index to ask."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from holdfast.domain.processing import Ranked
from holdfast.processors.vector.index import Allowed, Entry, Matrix, Model, Vector, VectorIndex
from holdfast.store import tables
from holdfast.store.unit_of_work import Store

MODEL = Model(name="test", version="1")
ALL: Allowed = sa.select(tables.analyses.c.id)


def unit(matrix: npt.NDArray[Any]) -> Matrix:
    rows: Matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    return rows


def random_vectors(count: int, dimensions: int, seed: int = 0) -> Matrix:
    return unit(np.random.default_rng(seed).normal(size=(count, dimensions)))


def axis(dimensions: int, *places: int) -> Matrix:
    """A vector along each of these axes."""
    return np.eye(dimensions, dtype=np.float32)[list(places)]


def owned_by(owner: str) -> Allowed:
    return ALL.where(tables.analyses.c.client_session_id == owner)


class Asked:
    """An index in a store, written and read as its processor does."""

    def __init__(self, store: Store, index: VectorIndex) -> None:
        self.store = store
        self.index = index
        store.engine.write(index.create)

    def put(self, vectors: Mapping[int, Matrix], model: Model = MODEL) -> None:
        write = self.index.put(model, [Entry(key=key, vectors=rows) for key, rows in vectors.items()])
        if write is not None:
            self.store.engine.write(lambda connection: write(connection, 1))

    def drop(self, keys: Sequence[int]) -> None:
        write = self.index.drop(keys)
        if write is not None:
            self.store.engine.write(lambda connection: write(connection, 1))

    def search(self, query: Vector, k: int = 10, allowed: Allowed = ALL, model: Model = MODEL) -> list[Ranked]:
        with self.store.engine.read() as connection:
            return self.index.search(connection, model, query, k, allowed)

    def keys(self, query: Vector, k: int = 10, allowed: Allowed = ALL, model: Model = MODEL) -> list[int]:
        return [hit.key for hit in self.search(query, k, allowed, model)]

    def vectors(self, key: int, model: Model = MODEL) -> Matrix:
        with self.store.engine.read() as connection:
            return self.index.vectors(connection, model, key)

    def count(self, model: Model = MODEL) -> int:
        with self.store.engine.read() as connection:
            return self.index.count(connection, model)
