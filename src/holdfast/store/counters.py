"""Figures that are kept up to date by every transaction, so that nobody counts rows."""

from collections import Counter

import sqlalchemy as sa

from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import Insert, InsertInto, Prepared

_t = tables.counters.c


def _add(insert: InsertInto) -> Insert:
    statement = insert(tables.counters)
    return statement.on_conflict_do_update(
        index_elements=["name", "shard"], set_={"value": _t.value + statement.excluded.value}
    )


_ADD = Prepared(_add)
_READ = sa.select(_t.name, sa.func.sum(_t.value)).group_by(_t.name)
_ONE = Prepared(
    lambda _: sa.select(sa.func.sum(_t.value).label("value")).where(_t.name == sa.bindparam("counter", type_=sa.Text))
)


class Counters:
    """The counters of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine
        self._added: Counter[str] = Counter()

    def add(self, name: str, value: int = 1) -> None:
        """Add to a counter when the transaction is flushed."""
        self._added[name] += value

    def flush(self) -> None:
        """Write what was added."""
        # Sorted: two transactions on one shard take the rows in the same order and cannot deadlock.
        shard = self._engine.shard()
        rows = [{"name": name, "shard": shard, "value": value} for name, value in sorted(self._added.items()) if value]
        self._added.clear()
        _ADD.run_many(self._connection, rows)

    def read(self) -> dict[str, int]:
        """Every counter's value by name."""
        return {name: int(value) for name, value in self._connection.execute(_READ)}

    def value(self, name: str) -> int:
        """One counter's value, with what this transaction has added."""
        return int(_ONE.scalar(self._connection, {"counter": name}) or 0) + self._added[name]
