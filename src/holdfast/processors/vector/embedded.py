"""Exact search in the store's own tables: every vector is compared with, in memory, nothing is approximated.

The vectors are read once, then only what is new; what was deleted is noticed when it would be found. What is allowed
is asked of the store each time.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from holdfast.domain.processing import Ranked
from holdfast.processors.contract import Write
from holdfast.processors.vector.cache import Cache, View, matrix_of
from holdfast.processors.vector.index import Allowed, Entry, Matrix, Model, Vector, among, confirmed
from holdfast.store import keysets, tables
from holdfast.store.engine import Engine
from holdfast.store.vectors import Vectors

_v = tables.vectors.c

# Up to so many analyses that are allowed, it is cheaper to name their vectors than to try the nearest ones.
_FEW = 2000


class EmbeddedIndex:
    """A vector index in the database that the analyses are in; see ``VectorIndex``."""

    def __init__(self, engine: Engine, *, cache_bytes: int) -> None:
        """Keep vectors in ``engine``.

        Args:
            engine: the database.
            cache_bytes: how much memory the vectors may take; what does not fit is read for each search.
        """
        self._engine = engine
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._cached: tuple[int, Cache] | None = None

    def create(self, connection: sa.Connection) -> None:
        """Nothing: the tables are part of the schema."""

    def put(self, model: Model, entries: Sequence[Entry]) -> Write:
        rows = {entry.key: [vector.tobytes() for vector in entry.vectors.astype("<f4")] for entry in entries}
        dimensions = next((entry.vectors.shape[1] for entry in entries if len(entry.vectors)), 0)

        def write(connection: sa.Connection, _: int) -> None:
            vectors = Vectors(connection, self._engine)
            if dimensions:
                self._put(connection, vectors.ensure_model(model.name, model.version, dimensions), rows)
            else:
                vectors.drop(rows)

        return write

    def _put(self, connection: sa.Connection, model: int, rows: dict[int, list[bytes]]) -> list[int]:
        return Vectors(connection, self._engine).put(model, rows)

    def drop(self, keys: Sequence[int]) -> Write:
        return lambda connection, _: Vectors(connection, self._engine).drop(keys)

    def search(self, connection: sa.Connection, model: Model, query: Vector, k: int, allowed: Allowed) -> list[Ranked]:
        vectors = Vectors(connection, self._engine)
        key = vectors.model(model.name, model.version, len(query))
        if key is None:
            return []
        with self._lock:
            view = self._read_on(vectors, key, query, self._engine.complete_below(connection))
        some = sa.select(sa.func.count()).select_from(allowed.limit(_FEW + 1).subquery())
        chosen: list[int] | None = None
        if connection.execute(some).scalar_one() <= _FEW:
            fitting = list(connection.execute(allowed).scalars())
            theirs = sa.select(_v.id).where(keysets.among(_v.analysis, fitting), _v.model == key)
            chosen = list(connection.execute(theirs).scalars())

        def confirm(places: Sequence[Any]) -> dict[Any, int]:
            rows = connection.execute(sa.select(_v.id, _v.analysis).where(keysets.among(_v.id, list(places))))
            found = {row.id: row.analysis for row in rows}
            self._forget(view, [place for place in places if place not in found])
            if chosen is not None:
                return found
            fits = set(connection.execute(among(allowed, set(found.values()))).scalars())
            return {place: analysis for place, analysis in found.items() if analysis in fits}

        return confirmed(view.ranked(query, k, chosen), k, confirm)

    def _read_on(self, vectors: Vectors, key: int, query: Vector, complete_below: int) -> View:
        if self._cached is None or self._cached[0] != key or self._cached[1].is_stale():
            self._cached = (key, Cache(len(query), self._cache_bytes))
        cache = self._cached[1]
        new = cache.unknown(vectors.since(key, cache.last, cache.complete_below))
        taken, rest = new[: cache.room], new[cache.room :]
        for rows in vectors.read(taken):
            cache.add(rows)
        beyond: list[tuple[npt.NDArray[np.int64], Vector]] = []
        for rows in vectors.read(rest):
            keys = np.array([row[0] for row in rows], dtype=np.int64)
            beyond.append((keys, matrix_of([row[1] for row in rows]) @ query))
        if not rest:
            cache.complete_below = max(cache.complete_below, complete_below)
        return cache.view(beyond)

    def _forget(self, view: View, keys: Sequence[int]) -> None:
        if not keys:
            return
        # Another search may have read them in a later state than this one's: only now it is certain.
        with self._engine.read() as connection:
            view.forget(Vectors(connection, self._engine).missing(keys))

    def vectors(self, connection: sa.Connection, model: Model, key: int) -> Matrix:
        return matrix_of(Vectors(connection, self._engine).of(model.name, model.version, key))

    def count(self, connection: sa.Connection, model: Model) -> int:
        return Vectors(connection, self._engine).count(model.name, model.version)

    def check(self) -> None:
        """It is there whenever the database is."""

    def close(self) -> None:
        with self._lock:
            self._cached = None
