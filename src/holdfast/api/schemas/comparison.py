"""Two analyses side by side."""

from pydantic import Field

from holdfast.api.schemas.base import Outgoing
from holdfast.api.schemas.finding import FindingOut
from holdfast.domain.comparison import Change


class ChangeCounts(Outgoing):
    """How many findings were added, fixed and left unchanged."""

    added: int
    fixed: int
    unchanged: int


class MetricChangeOut(Outgoing):
    """A figure in both analyses; null where one has none."""

    name: str
    before: float | None
    after: float | None
    difference: float | None


class SizesOut(Outgoing):
    """Bytes of the results; null where there is none."""

    before: int | None
    after: int | None


class FindingChangeOut(Outgoing):
    """A finding and what became of it."""

    change: Change
    finding: FindingOut


class ComparisonOut(Outgoing):
    """What two analyses have differently: counts and figures of all, findings by pages."""

    analysis_id: str = Field(description="The later one.")
    against: str = Field(description="The earlier one.")
    findings: ChangeCounts
    metrics: list[MetricChangeOut]
    size_bytes: SizesOut
    chain: list[str] = Field(description="The later one and those that it took the place of, newest first.")
    items: list[FindingChangeOut]
    next_cursor: str | None = Field(description="For the parameter `cursor` of the next request; null at the end.")


class BranchComparisonOut(ComparisonOut):
    """What the newest analyses of two branches have differently."""

    repo_id: str
    branch: str = Field(description="The branch whose analysis is the later one.")
    against_branch: str
