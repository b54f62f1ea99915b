"""Figures over time."""

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.domain.checks import check_moment, check_name
from holdfast.domain.errors import InvalidInput

_LARGEST_SAMPLE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One figure at one moment.

    Attributes:
        name: what it measures.
        at: when, aware.
        value: the figure, finite.
        commit_sha: the commit it was measured of, if any.
    """

    name: str
    at: datetime
    value: float
    commit_sha: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "name", 256)
        check_moment(self.at, "at")
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not is_number or not abs(self.value) <= sys.float_info.max:
            raise InvalidInput(f"The metric {self.name!r} is no finite number", field="value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The points of a stretch of time, summed up.

    Attributes:
        at: where the stretch begins.
        mean: of their values.
        least: of their values.
        greatest: of their values.
        count: how many there are.
    """

    at: datetime
    mean: float
    least: float
    greatest: float
    count: int


def check_range(since: datetime, until: datetime, every: timedelta | None) -> None:
    """Raise InvalidInput unless a range of figures may be asked for so."""
    check_moment(since, "since")
    check_moment(until, "until")
    if since > until:
        raise InvalidInput("The range ends before it begins", field="until")
    if every is not None and (every < timedelta(milliseconds=1) or (until - since) / every > _LARGEST_SAMPLE):
        raise InvalidInput(f"The range has more than {_LARGEST_SAMPLE} steps", field="every_seconds")
