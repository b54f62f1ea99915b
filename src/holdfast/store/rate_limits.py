"""How often something was done: one count for all processes."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import insert_into

_t = tables.rate_limits.c
_SWEPT_AT_ONCE = 20


class RateLimits:
    """The counts of one transaction; each ends with its window."""

    def __init__(self, connection: sa.Connection, engine: Engine, now: datetime) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine
        self._now = now

    def add(self, key: str, seconds: int, amount: int) -> int:
        """Count ``amount`` more; others who count the same wait until this transaction ends.

        Args:
            key: what is counted.
            seconds: how long a window lasts, which begins with the first that is counted in it.
            amount: how many.

        Returns:
            The window's count.
        """
        row = {"key": key, "count": amount, "expires_at": self._now + timedelta(seconds=seconds)}
        insert = insert_into(self._connection)(tables.rate_limits).values(row)
        is_over = _t.expires_at <= self._now
        count: int = self._connection.execute(
            insert.on_conflict_do_update(
                index_elements=["key"],
                set_={
                    "count": sa.case((is_over, insert.excluded.count), else_=_t.count + insert.excluded.count),
                    "expires_at": sa.case((is_over, insert.excluded.expires_at), else_=_t.expires_at),
                },
            ).returning(_t.count)
        ).scalar_one()
        if count == amount:
            self._sweep()
        return count

    def read(self, key: str) -> tuple[int, datetime] | None:
        """The window's count and end; None when there is no window."""
        select = sa.select(_t.count, _t.expires_at).where(_t.key == key, _t.expires_at > self._now)
        row = self._connection.execute(select).one_or_none()
        return None if row is None else (row[0], row[1])

    def clear(self, key: str | None = None) -> int:
        """Forget a count, or all; returns how many there were."""
        delete = sa.delete(tables.rate_limits)
        return self._connection.execute(delete if key is None else delete.where(_t.key == key)).rowcount

    def _sweep(self) -> None:
        """Forget some windows that are over: each new one drops more than itself, so they cannot pile up."""
        over = sa.select(_t.key).where(_t.expires_at <= self._now).limit(_SWEPT_AT_ONCE)
        keys = self._connection.execute(self._engine.skip_locked(over)).scalars().all()
        if keys:
            self._connection.execute(sa.delete(tables.rate_limits).where(_t.key.in_(keys)))
