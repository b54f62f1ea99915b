"""The findings of two analyses, matched in the database: nobody holds them all in memory."""

import sqlalchemy as sa

from holdfast.domain.comparison import Change
from holdfast.store import tables

_f = tables.findings.c
_a = tables.analyses.c


class Comparisons:
    """Compares analyses in one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def counts(self, before: int, after: int) -> dict[Change, int]:
        """How many findings two analyses, given by their internal keys, have alone and in common."""
        old, new = _ranked(before, "old"), _ranked(after, "new")
        matched = sa.select(sa.func.count()).select_from(old.join(new, _same(old, new))).scalar_subquery()
        totals = [
            sa.select(sa.func.count()).where(_f.analysis == key).scalar_subquery().label(name)
            for key, name in ((before, "old_total"), (after, "new_total"))
        ]
        row = self._connection.execute(sa.select(matched.label("matched"), *totals)).one()
        return {
            Change.ADDED: row.new_total - row.matched,
            Change.FIXED: row.old_total - row.matched,
            Change.UNCHANGED: row.matched,
        }

    def ordinals(self, before: int, after: int, change: Change, *, beyond: int, limit: int) -> list[int]:
        """Which findings changed so, by their places.

        Args:
            before: the internal key of the one analysis.
            after: that of the other.
            change: what became of them; fixed ones have their places in ``before``, the others in ``after``.
            beyond: the place where the page before ended.
            limit: how many at most.
        """
        here, there = (before, after) if change is Change.FIXED else (after, before)
        shown, other = _ranked(here, "shown"), _ranked(there, "other")
        ordinal = shown.c.ordinal
        select = sa.select(ordinal)
        if change is Change.UNCHANGED:
            select = select.select_from(shown.join(other, _same(shown, other)))
        else:
            joined = shown.outerjoin(other, _same(shown, other))
            select = select.select_from(joined).where(other.c.ordinal.is_(None))
        select = select.where(ordinal > beyond).order_by(ordinal).limit(limit)
        return list(self._connection.execute(select).scalars())

    def chain(self, analysis_id: str, limit: int) -> list[str]:
        """An analysis and those that it took the place of, newest first: followed in one statement."""
        step = (
            sa.select(_a.analysis_id, _a.refreshed_from, sa.literal(0).label("depth"))
            .where(_a.analysis_id == analysis_id)
            .cte("chain", recursive=True)
        )
        older = tables.analyses.alias("older").c
        step = step.union_all(
            sa.select(older.analysis_id, older.refreshed_from, step.c.depth + 1).where(
                older.analysis_id == step.c.refreshed_from, step.c.depth < limit - 1
            )
        )
        select = sa.select(step.c.analysis_id).order_by(step.c.depth)
        return list(self._connection.execute(select).scalars())


def _ranked(analysis: int, name: str) -> sa.CTE:
    """The findings of an analysis, each with its number among those of the same identity."""
    number = sa.func.row_number().over(partition_by=_f.identity, order_by=_f.ordinal)
    return sa.select(_f.ordinal, _f.identity, number.label("number")).where(_f.analysis == analysis).cte(name)


def _same(one: sa.CTE, other: sa.CTE) -> sa.ColumnElement[bool]:
    return sa.and_(one.c.identity == other.c.identity, one.c.number == other.c.number)
