"""What an analysis found: findings with their items, and metrics."""

import hashlib
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from holdfast.domain.errors import InvalidInput


class Severity(StrEnum):
    """How much a finding matters, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingItem:
    """One member of a finding (a track of a duplicate group, a place where a clone stands).

    Attributes:
        key: what it is, within the subject.
        data: a JSON-able snapshot of it as it was found.
    """

    key: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that an analysis found.

    Attributes:
        rule: the rule that found it, stable (``code/long-function``).
        severity: how much it matters.
        title: one line for people.
        message: the whole explanation, with what to do.
        path: where, if it has a place.
        line: first line there, from 1.
        end_line: last line there, inclusive.
        identity: what stays the same when the place moves, so that two runs can be compared;
            made from rule, path and title when not given.
        score: the figure that made it a finding, if it has one.
        data: further JSON-able facts.
        items: its members.
    """

    rule: str
    severity: Severity
    title: str
    message: str = ""
    path: str | None = None
    line: int | None = None
    end_line: int | None = None
    identity: str = ""
    score: float | None = None
    data: dict[str, Any] = field(default_factory=dict)
    items: tuple[FindingItem, ...] = ()

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):
            raise InvalidInput(f"The score of {self.title[:80]!r} is no finite number", field="score")
        if any(line is not None and not 0 <= line < 2**31 for line in (self.line, self.end_line)):
            raise InvalidInput(f"{self.title[:80]!r} is on no line of a file", field="line")
        if not self.identity:
            text = "\0".join((self.rule, self.path or "", self.title))
            identity = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:32]
            object.__setattr__(self, "identity", identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of an analysis.

    Attributes:
        name: what it measures, with the unit in the name when it is not a count, a score (0-100) or a
            percentage (0-100).
        value: the figure, finite.
    """

    name: str
    value: float
