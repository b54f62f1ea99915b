"""How often something was done: one count for all processes."""

from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa

from holdfast.domain.limits import SLACK, Window
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import InsertInto, insert_into
from holdfast.store.types import Timestamp

_t = tables.rate_limits.c
_SWEPT_AT_ONCE = 20
_MICROSECOND = timedelta(microseconds=1)


@cache
def _hit(insert: InsertInto) -> sa.Executable:
    """Count, unless that were too much; the same as ``domain.limits.Window`` in one statement."""
    now, length, amount, most = (
        sa.bindparam(name, type_=sa.BigInteger) for name in ("now", "length", "amount", "most")
    )
    # Moments are whole microseconds in the database: they are reckoned with there.
    over = sa.type_coerce(_t.expires_at, sa.BigInteger)
    lasts, slides = over - length > now, over > now
    left = sa.cast(sa.case((lasts, over - length - now), else_=over - now), sa.Double) / sa.cast(length, sa.Double)
    used = sa.case((lasts, _t.earlier * left + _t.count), (slides, _t.count * left), else_=0)
    values = {"key": sa.bindparam("what", type_=_t.key.type), "count": amount, "earlier": 0}
    statement = insert(tables.rate_limits).values(values | {"expires_at": now + 2 * length})
    return statement.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "count": sa.case((lasts, _t.count + amount), else_=amount),
            "earlier": sa.case((lasts, _t.earlier), (slides, _t.count), else_=0),
            "expires_at": sa.case((lasts, over), (slides, over + length), else_=now + 2 * length),
        },
        where=used + amount <= most + SLACK,
    ).returning(_t.count, _t.earlier)


class RateLimits:
    """The counts of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine, now: datetime) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine
        self._now = now

    def add(self, key: str, seconds: int, amount: int, most: int) -> bool:
        """Count ``amount`` more, if that is within the limit; others who count the same wait for this transaction.

        Args:
            key: what is counted.
            seconds: how long a window lasts; the first one begins with the first that is counted.
            amount: how many.
            most: the limit.

        Returns:
            Whether it was counted.
        """
        if amount > most:
            return False
        values = {
            "what": key,
            "now": Timestamp().process_bind_param(self._now, self._connection.dialect),
            "length": timedelta(seconds=seconds) // _MICROSECOND,
            "amount": amount,
            "most": most,
        }
        row = self._connection.execute(_hit(insert_into(self._connection)), values).one_or_none()
        if row is not None and (row[0], row[1]) == (amount, 0):
            self._sweep()
        return row is not None

    def read(self, key: str, seconds: int) -> Window | None:
        """What was counted; None when that is long ago."""
        select = sa.select(_t.count, _t.earlier, _t.expires_at).where(_t.key == key, _t.expires_at > self._now)
        row = self._connection.execute(select).one_or_none()
        if row is None:
            return None
        length = timedelta(seconds=seconds)
        count, earlier, over = row
        return Window(count=count, earlier=earlier, ends_at=over - length, length=length)

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
