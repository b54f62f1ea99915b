"""Findings and metrics."""

from pydantic import Field

from holdfast.api.schemas.base import LARGEST, Incoming, JsonObject, Outgoing, Total
from holdfast.domain.findings import Finding, FindingItem, Severity


class FindingItemIn(Incoming):
    """One member of a finding."""

    key: str = Field(max_length=4096, description="What it is, within the subject.")
    data: JsonObject = Field(default_factory=dict)


class FindingIn(Incoming):
    """One thing that an analysis found."""

    rule: str = Field(min_length=1, max_length=256, examples=["code/long-function"])
    severity: Severity
    title: str = Field(min_length=1, max_length=1024)
    message: str = ""
    path: str | None = None
    line: int | None = Field(default=None, ge=0, le=LARGEST)
    end_line: int | None = Field(default=None, ge=0, le=LARGEST)
    identity: str = Field(default="", max_length=256)
    score: float | None = None
    data: JsonObject = Field(default_factory=dict)
    items: list[FindingItemIn] = Field(default_factory=list)

    def value(self) -> Finding:
        """As the services know it."""
        return Finding(
            rule=self.rule,
            severity=self.severity,
            title=self.title,
            message=self.message,
            path=self.path,
            line=self.line,
            end_line=self.end_line,
            identity=self.identity,
            score=self.score,
            data=self.data,
            items=tuple(FindingItem(key=item.key, data=item.data) for item in self.items),
        )


class FindingItemOut(Outgoing):
    """One member of a finding."""

    key: str
    data: JsonObject


class FindingOut(Outgoing):
    """One thing that an analysis found."""

    ordinal: int = Field(description="Its place in the order, from 0.")
    rule: str
    severity: Severity
    title: str
    message: str
    path: str | None
    line: int | None
    end_line: int | None
    identity: str = Field(description="Stays the same when the place moves.")
    score: float | None
    data: JsonObject
    items: list[FindingItemOut]


class FindingPage(Outgoing):
    """A page of findings."""

    items: list[FindingOut]
    next_cursor: str | None
    total: Total = None


class MetricOut(Outgoing):
    """One figure."""

    name: str
    value: float


class MetricPage(Outgoing):
    """Every metric by name."""

    items: list[MetricOut]
    next_cursor: None = None
