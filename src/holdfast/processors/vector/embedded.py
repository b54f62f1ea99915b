"""Exact search in the store's own tables: every vector is compared with, in memory, nothing is approximated.

The vectors are read once, then only what is new; what was deleted is noticed when it would be found. Whether an
analysis fits the filter is asked of the store each time.
"""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import sqlalchemy as sa

from holdfast.processors.vector.cache import Cache, Scores, View, matrix_of
from holdfast.processors.vector.index import Entry, Hit, Matrix, Model, Vector
from holdfast.processors.vector.matching import conditions, confirmed, eligible
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.lists import Filter
from holdfast.store.vectors import Vectors

_v = tables.vectors.c
_a = tables.analyses.c

# Up to so many that fit, it is cheaper to name them than to try the nearest ones.
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

    def put(self, model: Model, entries: Sequence[Entry]) -> None:
        rows = {entry.analysis.analysis_id: [vector.tobytes() for vector in entry.vectors] for entry in entries}
        dimensions = next((entry.vectors.shape[1] for entry in entries if len(entry.vectors)), 0)

        def write(connection: sa.Connection) -> None:
            vectors = Vectors(connection, self._engine)
            if dimensions:
                vectors.put(vectors.ensure_model(model.name, model.version, dimensions), rows)
            else:
                vectors.drop(rows)

        self._engine.write(write)

    def drop(self, analysis_ids: Sequence[str]) -> None:
        self._engine.write(lambda connection: Vectors(connection, self._engine).drop(analysis_ids))

    def search(self, model: Model, query: Vector, k: int, where: Filter) -> list[Hit]:
        with ExitStack() as stack:
            # Of two searches, the one that sees the later state is also the later one to read on; what the cache holds
            # and a search does not see was therefore deleted before it.
            with self._lock:
                connection, below = stack.enter_context(self._engine.follow())
                vectors = Vectors(connection, self._engine)
                key = vectors.model(model.name, model.version, len(query))
                if key is None:
                    return []
                view = self._read_on(vectors, key, query, below)
            return _best(connection, key, view, query, k, where)

    def _read_on(self, vectors: Vectors, key: int, query: Vector, below: int) -> View:
        if self._cached is None or self._cached[0] != key or self._cached[1].is_stale():
            self._cached = (key, Cache(len(query), self._cache_bytes))
        cache = self._cached[1]
        left = (cache.add(rows) for rows in vectors.since(key, cache.last, cache.complete_below))
        beyond = [Scores(rows, query) for rows in left if rows]
        if not cache.is_full:
            cache.complete_below = below
        return cache.view(beyond)

    def vectors(self, model: Model, analysis_id: str) -> Matrix:
        with self._engine.read() as connection:
            rows = Vectors(connection, self._engine).of(model.name, model.version, analysis_id)
        return matrix_of(rows, len(rows[0]) // 4 if rows else 0)

    def count(self, model: Model) -> int:
        with self._engine.read() as connection:
            return Vectors(connection, self._engine).count(model.name, model.version)

    def close(self) -> None:
        with self._lock:
            self._cached = None


def _best(connection: sa.Connection, model: int, view: View, query: Vector, k: int, where: Filter) -> list[Hit]:
    fitting = connection.execute(eligible(where).limit(_FEW + 1)).scalars().all()
    among: list[int] | None = None
    if len(fitting) <= _FEW:
        theirs = sa.select(_v.id).where(_v.analysis.in_(fitting), _v.model == model)
        among = list(connection.execute(theirs).scalars())

    def confirm(keys: Sequence[Any]) -> dict[Any, str]:
        rows = sa.select(_v.id, _a.analysis_id).join(tables.analyses, _a.id == _v.analysis).where(_v.id.in_(keys))
        fits = rows if among is not None else rows.where(*conditions(where))
        found = {row.id: row.analysis_id for row in connection.execute(fits)}
        if missing := [key for key in keys if key not in found]:
            there = set(connection.execute(sa.select(_v.id).where(_v.id.in_(missing))).scalars())
            view.forget([key for key in missing if key not in there])
        return found

    return confirmed(view.ranked(query, k, among), k, confirm)
