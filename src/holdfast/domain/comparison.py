"""What two analyses have found differently."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.domain.analysis import Analysis
from holdfast.domain.findings import Finding


class Change(StrEnum):
    """What became of a finding from one analysis to another, in the order to show."""

    ADDED = "added"
    FIXED = "fixed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """A figure in both analyses.

    Attributes:
        name: what it measures.
        before: its value in the one; None where it has none.
        after: its value in the other; None likewise.
    """

    name: str
    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        """By how much it grew; None where one of the values is missing."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingChange:
    """A finding that both or one of two analyses have.

    Attributes:
        change: added and unchanged ones are as the later analysis has them, fixed ones as the earlier.
        ordinal: its place there.
        finding: the finding.
    """

    change: Change
    ordinal: int
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two analyses side by side; findings are read by pages.

    A finding is the same in both where its identity is. Where an identity comes several times, the first there is the
    first here: of three that became two, one is fixed.

    Attributes:
        before: the one.
        after: the other.
        findings: how many findings were added, fixed and left unchanged.
        metrics: the figures of both by name.
    """

    before: Analysis
    after: Analysis
    findings: Mapping[Change, int]
    metrics: tuple[MetricChange, ...]

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """Bytes of the results' JSON; None where there is no result."""
        before, after = self.before.result, self.after.result
        return None if before is None else before.size, None if after is None else after.size


def metric_changes(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[MetricChange, ...]:
    """The figures of two analyses by name."""
    return tuple(
        MetricChange(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
    )
