"""Search by PostgreSQL's extension pgvector, where the database has it: an HNSW index beside the store's own vectors.

The vectors are those of ``EmbeddedIndex``; a table of pgvector's own type repeats them, so that it can be made, or made
anew, without any text being embedded again. All that speaks only PostgreSQL's dialect of vectors is here.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from holdfast.domain.processing import Ranked
from holdfast.processors.vector.cache import matrix_of
from holdfast.processors.vector.embedded import EmbeddedIndex
from holdfast.processors.vector.index import Allowed, Model, Scored, Vector, confirmed, portions
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.vectors import Vectors

_v = tables.vectors.c

_LOCK = 0x56656374
# What an HNSW index takes; wider vectors are compared one by one, by the server.
_WIDEST = 2000
# Of so many analyses at most every vector is compared: HNSW would look for them among the nearest of all, in vain.
_SELECTIVE = 5000
_BATCH = 500
_FEWEST_VISITED, _MOST_VISITED = 100, 1000

_TABLE = "vectors_pgvector"
_CREATE = f"""
    CREATE TABLE IF NOT EXISTS {_TABLE} (
        id bigint PRIMARY KEY REFERENCES vectors (id) ON DELETE CASCADE,
        analysis bigint NOT NULL,
        model bigint NOT NULL,
        embedding vector NOT NULL
    )"""


class _Type(sa.types.UserDefinedType[str]):
    """pgvector's type."""

    cache_ok = True

    def __init__(self, dimensions: int | None = None) -> None:
        self.dimensions = dimensions

    def get_col_spec(self, **_: Any) -> str:
        return "vector" if self.dimensions is None else f"vector({self.dimensions})"


_copy = sa.table(
    _TABLE, *(sa.column(name, sa.BigInteger) for name in ("id", "analysis", "model")), sa.column("embedding")
)
_c = _copy.c


def best_index(engine: Engine, *, cache_bytes: int) -> EmbeddedIndex:
    """The index that goes with the database: by pgvector where that can be, else the embedded one."""
    kind = EmbeddedIndex if engine.dialect == "sqlite" else PgvectorIndex
    return kind(engine, cache_bytes=cache_bytes)


class PgvectorIndex(EmbeddedIndex):
    """A vector index in PostgreSQL; without the extension it searches as ``EmbeddedIndex`` does."""

    _is_there = False

    def create(self, connection: sa.Connection) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if not _has_extension(connection):
            return
        connection.exec_driver_sql(_CREATE)
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {_TABLE}_analysis ON {_TABLE} (analysis)")
        models = connection.execute(sa.select(tables.vector_models.c.id, tables.vector_models.c.dimensions))
        for model, dimensions in models.all():
            _index(connection, model, dimensions)
        while self._copy(connection):
            pass

    def _put(self, connection: sa.Connection, model: int, rows: dict[int, list[bytes]]) -> list[int]:
        changed = super()._put(connection, model, rows)
        if changed and self._has_table(connection):
            dimensions = next(len(vectors[0]) // 4 for vectors in rows.values() if vectors)
            _index(connection, model, dimensions)
            while self._copy(connection, _v.analysis.in_(changed)):
                pass
        return changed

    def _copy(self, connection: sa.Connection, *chosen: sa.ColumnElement[bool]) -> int:
        """Copy some vectors that have no copy yet; returns how many."""
        select = (
            sa.select(_v.id, _v.analysis, _v.model, _v.data)
            .outerjoin(_copy, _c.id == _v.id)
            .where(_c.id.is_(None), *chosen)
            .limit(_BATCH)
        )
        rows = [row._asdict() | {"text": _text(matrix_of([row.data])[0])} for row in connection.execute(select)]
        if rows:
            embedding = sa.cast(sa.bindparam("text"), _Type())
            names: dict[str, Any] = {name: sa.bindparam(name) for name in ("id", "analysis", "model")}
            connection.execute(sa.insert(_copy).values(**names, embedding=embedding), rows)
        return len(rows)

    def _has_table(self, connection: sa.Connection) -> bool:
        # It never goes again, and with it the question.
        if not self._is_there:
            self._is_there = connection.exec_driver_sql(f"SELECT to_regclass('{_TABLE}') IS NOT NULL").scalar_one()
        return self._is_there

    def search(self, connection: sa.Connection, model: Model, query: Vector, k: int, allowed: Allowed) -> list[Ranked]:
        if not self._has_table(connection):
            return super().search(connection, model, query, k, allowed)
        key = Vectors(connection, self._engine).model(model.name, model.version, len(query))
        if key is None:
            return []
        chosen = sa.select(sa.func.count()).select_from(allowed.limit(_SELECTIVE + 1).subquery())
        if len(query) > _WIDEST or connection.execute(chosen).scalar_one() <= _SELECTIVE:
            return _exact(connection, key, query, k, allowed)
        found = confirmed(
            _nearest(connection, key, query, k, allowed), k, lambda keys: dict(zip(keys, keys, strict=True))
        )
        # The index gives up after some thousands of vectors of which none is allowed.
        return found if len(found) == k else _exact(connection, key, query, k, allowed)


def _distance(query: Vector) -> sa.ColumnElement[float]:
    kind = _Type(len(query))
    # Word by word as in the index, or that is not used.
    return sa.cast(_c.embedding, kind).op("<=>", return_type=sa.Float)(sa.cast(sa.literal(_text(query)), kind))


def _of_model(model: int) -> sa.ColumnElement[bool]:
    # In the statement itself: the index is partial.
    return _c.model == sa.literal_column(str(model))


def _exact(connection: sa.Connection, model: int, query: Vector, k: int, allowed: Allowed) -> list[Ranked]:
    chosen = allowed.cte("chosen").prefix_with("MATERIALIZED")
    nearest = sa.func.min(_distance(query)).label("nearest")
    select = (
        sa.select(_c.analysis, nearest)
        .where(_of_model(model), _c.analysis.in_(sa.select(chosen.c[0])))
        .group_by(_c.analysis)
        .order_by(nearest, _c.analysis)
        .limit(k)
    )
    return [Ranked(key=row.analysis, score=1 - row.nearest) for row in connection.execute(select)]


def _nearest(
    connection: sa.Connection, model: int, query: Vector, k: int, allowed: Allowed
) -> Iterator[Sequence[Scored]]:
    """Allowed vectors in portions, nearest first, as the HNSW index finds them."""
    # A look-up for each vector the index comes to. As a join, PostgreSQL might rather sort them all.
    key = allowed.selected_columns[0]
    is_allowed = allowed.where(key == _c.analysis).limit(1).correlate(_copy).scalar_subquery().is_not(None)
    distance = _distance(query)
    select = sa.select(_c.analysis, distance).where(_of_model(model), is_allowed).order_by(distance)
    seen = 0
    for size in portions(k):
        visited = min(max(size, _FEWEST_VISITED), _MOST_VISITED)
        settings = sa.select(
            sa.func.set_config("hnsw.ef_search", str(visited), True),  # noqa: FBT003 in this transaction only
            sa.func.set_config("hnsw.iterative_scan", "strict_order", True),  # noqa: FBT003
        )
        connection.execute(settings)
        rows = connection.execute(select.limit(size)).all()
        yield [(row[0], 1 - row[1]) for row in rows[seen:]]
        if len(rows) < size or size <= seen:
            return
        seen = len(rows)


def _index(connection: sa.Connection, model: int, dimensions: int) -> None:
    name = f"{_TABLE}_hnsw_{model}"
    if dimensions > _WIDEST or connection.exec_driver_sql(f"SELECT to_regclass('{name}') IS NOT NULL").scalar_one():
        return
    # Two that make it at once: PostgreSQL looks whether it exists before it waits for the other one.
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    connection.exec_driver_sql(
        f"CREATE INDEX IF NOT EXISTS {name} ON {_TABLE}"
        f" USING hnsw ((CAST(embedding AS vector({dimensions}))) vector_cosine_ops) WHERE model = {model}"
    )


def _has_extension(connection: sa.Connection) -> bool:
    """Whether pgvector is there, in a version that goes on while filters leave too little."""
    version = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    found = connection.exec_driver_sql(version).scalar()
    if found is None:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        except sa.exc.DBAPIError:
            # It is not installed on the server, or only an administrator may add it.
            return False
        found = connection.exec_driver_sql(version).scalar()
    return found is not None and tuple(map(int, found.split(".")[:2])) >= (0, 8)


def _text(vector: Vector) -> str:
    return str(vector.tolist())
