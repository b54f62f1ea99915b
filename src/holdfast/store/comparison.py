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
        rows, is_in_both = _matched(before, after)
        select = sa.select(rows.c.analysis, is_in_both.label("both"), sa.func.count().label("number"))
        found = {
            (row.analysis, bool(row.both)): row.number
            for row in self._connection.execute(select.group_by(rows.c.analysis, is_in_both))
        }
        return {
            Change.ADDED: found.get((after, False), 0),
            Change.FIXED: found.get((before, False), 0),
            Change.UNCHANGED: found.get((after, True), 0),
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
        rows, is_in_both = _matched(before, after)
        here = before if change is Change.FIXED else after
        wanted = is_in_both if change is Change.UNCHANGED else ~is_in_both
        select = sa.select(rows.c.ordinal).where(rows.c.analysis == here, wanted, rows.c.ordinal > beyond)
        select = select.order_by(rows.c.ordinal).limit(limit)
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


def _matched(before: int, after: int) -> tuple[sa.CTE, sa.ColumnElement[bool]]:
    """The findings of both, sorted instead of joined, and which of them have a like one on the other side."""
    number = sa.func.row_number().over(partition_by=[_f.identity, _f.analysis], order_by=_f.ordinal)
    numbered = (
        sa.select(_f.analysis, _f.ordinal, _f.identity, number.label("number"))
        .where(_f.analysis.in_({before, after}))
        .cte("numbered")
    )
    alike = sa.func.count().over(partition_by=[numbered.c.identity, numbered.c.number]).label("alike")
    rows = sa.select(numbered.c.analysis, numbered.c.ordinal, alike).cte("matched")
    return rows, rows.c.alike == len({before, after})
