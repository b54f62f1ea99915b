"""Figures of branches over time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from holdfast.domain.series import Point
from holdfast.store import tables
from holdfast.store.prepared import Insert, InsertInto, Prepared

_t = tables.metric_points.c


def _put(insert: InsertInto) -> Insert:
    statement = insert(tables.metric_points)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["branch", "name", "at"], set_={"value": new.value, "commit_sha": new.commit_sha}
    )


_PUT = Prepared(_put)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


class Series:
    """The figures over time of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def put(self, branch: int, points: Sequence[Point]) -> None:
        """Keep points; one of the same name and moment takes the place of the one before."""
        rows = [
            {
                "branch": branch,
                "name": point.name,
                "at": point.at,
                "value": float(point.value),
                "commit_sha": point.commit_sha,
            }
            # In one order for all writers, so that two of them never wait for each other's rows.
            for point in sorted(points, key=lambda point: (point.name, point.at))
        ]
        _PUT.run_many(self._connection, rows)

    def names(self, branch: int) -> list[str]:
        """Which figures there are, in order, found by as many steps along the key."""
        names: list[str] = []
        while True:
            later = _t.name > (names[-1] if names else "")
            name = self._connection.execute(sa.select(sa.func.min(_t.name)).where(_t.branch == branch, later)).scalar()
            if name is None:
                return names
            names.append(name)

    def range(self, branch: int, name: str, since: datetime, until: datetime, limit: int) -> list[Point]:
        """Points from ``since`` on and before ``until``, oldest first."""
        select = sa.select(tables.metric_points).where(
            _t.branch == branch, _t.name == name, _t.at >= since, _t.at < until
        )
        rows = self._connection.execute(select.order_by(_t.at).limit(limit))
        return [Point(name=row.name, at=row.at, value=row.value, commit_sha=row.commit_sha) for row in rows]

    def sampled(
        self, branch: int, name: str, since: datetime, until: datetime, every: timedelta
    ) -> list[tuple[int, float, float, float, int]]:
        """Points of a range summed up in steps of equal length, those without a point left out.

        Returns:
            For each step its number from ``since`` on, the mean, the least, the greatest value, and how many.
        """
        begin, step = (sa.literal(number, sa.BigInteger) for number in (_microseconds(since), every // _MICROSECOND))
        # As whole numbers, which is what moments are kept as: both dialects then divide without a rest.
        place = ((sa.type_coerce(_t.at, sa.BigInteger) - begin) // step).label("place")
        select = (
            sa.select(place, sa.func.avg(_t.value), sa.func.min(_t.value), sa.func.max(_t.value), sa.func.count())
            .where(_t.branch == branch, _t.name == name, _t.at >= since, _t.at < until)
            .group_by(sa.text("place"))
            .order_by(sa.text("place"))
        )
        return [(int(row[0]), row[1], row[2], row[3], row[4]) for row in self._connection.execute(select)]
