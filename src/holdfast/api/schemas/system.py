"""What the service says of itself."""

from pydantic import Field

from holdfast.api.schemas.base import JsonObject, Moment, Outgoing
from holdfast.api.schemas.job import JobCount


class KindOut(Outgoing):
    """A kind of analysis."""

    kind: str
    version: str = Field(description="Of its analyzer; empty if that cannot be loaded.")
    where: str


class KindPage(Outgoing):
    """Every kind by name."""

    items: list[KindOut]
    next_cursor: None = None


class StatsOut(Outgoing):
    """What the store holds."""

    total_results: int
    total_sessions: int
    storage_size_bytes: int
    status_counts: dict[str, int]
    last_cleanup: Moment | None
    storage_limit_mb: float
    anonymous_size_bytes: int
    removed_counts: dict[str, int] = Field(description="Analyses that retention has removed, by reason.")
    removed_bytes: dict[str, int] = Field(description="Their results as they were kept, by reason.")
    jobs: list[JobCount]


class Alive(Outgoing):
    """The service answers."""

    status: str = Field(examples=["ok"])
    version: str


class Ready(Outgoing):
    """The service can do its work."""

    status: str = Field(examples=["ready"])
    store: str = Field(examples=["sqlite"])


class RetentionReport(Outgoing):
    """What retention did or would do."""

    success: bool
    report: JsonObject
