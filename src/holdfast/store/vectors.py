"""What analyses mean, as vectors: bytes of little-endian float32, one row a piece of text."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing

import sqlalchemy as sa

from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import insert_into

_m = tables.vector_models.c
_v = tables.vectors.c
_a = tables.analyses.c

_BLOCK = 4096


class Vectors:
    """The vectors as one transaction sees them."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def model(self, name: str, version: str, dimensions: int) -> int | None:
        """The key of a model; None when no vector of it was ever kept."""
        select = sa.select(_m.id).where(_m.name == name, _m.version == version, _m.dimensions == dimensions)
        return self._connection.execute(select).scalar()

    def ensure_model(self, name: str, version: str, dimensions: int) -> int:
        """The key of a model, which is made if it has none."""
        row = {"name": name, "version": version, "dimensions": dimensions}
        insert = insert_into(self._connection)(tables.vector_models).on_conflict_do_nothing()
        self._connection.execute(insert, row)
        key = self.model(name, version, dimensions)
        assert key is not None
        return key

    def put(self, model: int, rows: Mapping[str, Sequence[bytes]]) -> list[int]:
        """Keep these vectors in place of all others of these analyses.

        Args:
            model: the model's key.
            rows: the vectors in order, by analysis_id; deleted analyses are passed over.

        Returns:
            The keys of the analyses whose vectors are others than before.
        """
        keys = self._held(rows)
        kept: dict[int, dict[tuple[int, int], bytes]] = defaultdict(dict)
        select = sa.select(_v.analysis, _v.model, _v.ordinal, _v.data).where(_v.analysis.in_(keys.values()))
        for row in self._connection.execute(select):
            kept[row.analysis][row.model, row.ordinal] = row.data
        changed = {
            key: rows[analysis_id]
            for analysis_id, key in keys.items()
            if kept[key] != {(model, ordinal): data for ordinal, data in enumerate(rows[analysis_id])}
        }
        if not changed:
            return []
        self._connection.execute(sa.delete(tables.vectors).where(_v.analysis.in_(changed)))
        transaction = self._engine.transaction_number(self._connection)
        new = [
            {"analysis": key, "model": model, "ordinal": ordinal, "transaction": transaction, "data": data}
            for key, vectors in changed.items()
            for ordinal, data in enumerate(vectors)
        ]
        if new:
            self._connection.execute(sa.insert(tables.vectors), new)
        return list(changed)

    def drop(self, analysis_ids: Collection[str]) -> None:
        """Forget the vectors of these analyses."""
        keys = sa.select(_a.id).where(_a.analysis_id.in_(analysis_ids))
        self._connection.execute(sa.delete(tables.vectors).where(_v.analysis.in_(keys)))

    def of(self, name: str, version: str, analysis_id: str) -> list[bytes]:
        """The vectors of an analysis by a model, in order."""
        select = (
            sa.select(_v.data)
            .join(tables.analyses, _a.id == _v.analysis)
            .join(tables.vector_models, _m.id == _v.model)
            .where(_a.analysis_id == analysis_id, _m.name == name, _m.version == version)
            .order_by(_v.ordinal)
        )
        return list(self._connection.execute(select).scalars())

    def count(self, name: str, version: str) -> int:
        """How many there are of a model."""
        models = sa.select(_m.id).where(_m.name == name, _m.version == version)
        select = sa.select(sa.func.count()).select_from(tables.vectors).where(_v.model.in_(models))
        return int(self._connection.execute(select).scalar_one())

    def since(self, model: int, last: int, transaction: int) -> Iterator[list[tuple[int, int, bytes]]]:
        """What may be new: keys, places in the text and bytes, in portions.

        Args:
            model: the model's key.
            last: the greatest key that was seen, where keys are in the order of commits.
            transaction: where they are not, the number below which all transactions were complete when last seen;
                rows may then come again.
        """
        new = _v.id > last if self._engine.has_one_writer else _v.transaction >= transaction
        select = (
            sa.select(_v.id, _v.ordinal, _v.data)
            .where(_v.model == model, new, self._engine.numbered(_v.transaction))
            .order_by(*self._engine.commit_order(_v.transaction, _v.id))
        )
        with closing(self._connection.execution_options(yield_per=_BLOCK).execute(select)) as found:
            for portion in found.partitions():
                yield [(row[0], row[1], row[2]) for row in portion]

    def _held(self, analysis_ids: Collection[str]) -> dict[str, int]:
        """The keys of those analyses that are there, in their order; nobody else changes their vectors meanwhile."""
        select = sa.select(_a.id, _a.analysis_id).where(_a.analysis_id.in_(analysis_ids)).order_by(_a.id)
        return {row.analysis_id: row.id for row in self._connection.execute(self._engine.locked(select))}
