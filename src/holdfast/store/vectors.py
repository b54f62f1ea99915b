"""What analyses mean, as vectors: bytes of little-endian float32, one row a piece of text."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

import sqlalchemy as sa

from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import insert_into

_m = tables.vector_models.c
_v = tables.vectors.c
_a = tables.analyses.c

_PORTION = 4096


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

    def put(self, model: int, rows: Mapping[int, Sequence[bytes]]) -> list[int]:
        """Keep these vectors in place of all others of these analyses.

        Args:
            model: the model's key.
            rows: the vectors in order, by the analysis's key; deleted analyses are passed over.

        Returns:
            The keys of the analyses whose vectors are others than before.
        """
        there = self._held(rows)
        kept: dict[int, dict[tuple[int, int], bytes]] = defaultdict(dict)
        select = sa.select(_v.analysis, _v.model, _v.ordinal, _v.data).where(_v.analysis.in_(there))
        for row in self._connection.execute(select):
            kept[row.analysis][row.model, row.ordinal] = row.data
        wanted = {key: {(model, ordinal): data for ordinal, data in enumerate(rows[key])} for key in there}
        changed = [key for key in there if kept[key] != wanted[key]]
        if not changed:
            return []
        self._connection.execute(sa.delete(tables.vectors).where(_v.analysis.in_(changed)))
        transaction = self._engine.transaction_number(self._connection)
        new = [
            {"analysis": key, "model": model, "ordinal": ordinal, "transaction": transaction, "data": data}
            for key in changed
            for ordinal, data in enumerate(rows[key])
        ]
        if new:
            self._connection.execute(sa.insert(tables.vectors), new)
        return changed

    def drop(self, keys: Collection[int]) -> None:
        """Forget the vectors of these analyses."""
        self._connection.execute(sa.delete(tables.vectors).where(_v.analysis.in_(keys)))

    def of(self, name: str, version: str, key: int) -> list[bytes]:
        """The vectors of an analysis by a model, in order."""
        select = (
            sa.select(_v.data)
            .join(tables.vector_models, _m.id == _v.model)
            .where(_v.analysis == key, _m.name == name, _m.version == version)
            .order_by(_v.ordinal)
        )
        return list(self._connection.execute(select).scalars())

    def count(self, name: str, version: str) -> int:
        """How many there are of a model."""
        models = sa.select(_m.id).where(_m.name == name, _m.version == version)
        select = sa.select(sa.func.count()).select_from(tables.vectors).where(_v.model.in_(models))
        return int(self._connection.execute(select).scalar_one())

    def since(self, model: int, last: int, complete_below: int) -> Sequence[int]:
        """The keys of vectors that may be new, oldest first.

        Args:
            model: the model's key.
            last: the greatest key that was seen, where keys are in the order of commits.
            complete_below: where they are not, the transaction below which all was seen; some may come again.
        """
        new = _v.id > last if self._engine.has_one_writer else _v.transaction >= complete_below
        select = (
            sa.select(_v.id)
            .where(_v.model == model, new, self._engine.numbered(_v.transaction))
            .order_by(*self._engine.commit_order(_v.transaction, _v.id))
        )
        return self._connection.execute(select).scalars().all()

    def read(self, keys: Sequence[int]) -> Iterator[list[tuple[int, bytes]]]:
        """Vectors with their keys, in portions."""
        todo = iter(keys)
        while portion := list(islice(todo, _PORTION)):
            rows = self._connection.execute(sa.select(_v.id, _v.data).where(_v.id.in_(portion)))
            yield [(row[0], row[1]) for row in rows]

    def missing(self, keys: Collection[int]) -> set[int]:
        """Those of these vectors that are not there."""
        there = self._connection.execute(sa.select(_v.id).where(_v.id.in_(keys))).scalars()
        return set(keys).difference(there)

    def _held(self, keys: Collection[int]) -> list[int]:
        """Those of these analyses that are there; nobody else changes their vectors until the transaction ends."""
        select = sa.select(_a.id).where(_a.id.in_(keys)).order_by(_a.id)
        return list(self._connection.execute(self._engine.held(select)).scalars())
