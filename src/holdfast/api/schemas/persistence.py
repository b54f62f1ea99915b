"""The documented shapes of results kept per client; times are epoch seconds there."""

from pydantic import Field

from holdfast.api.schemas.base import Incoming, Json, JsonObject, Moment, Outgoing
from holdfast.api.schemas.repository import SyncFigures
from holdfast.domain.analysis import Status


class HistoryItem(Outgoing):
    """One analysis of a client."""

    analysis_id: str
    kind: str
    status: Status
    created_at: float = Field(description="Epoch seconds.", examples=[1640995200.0])
    completed_at: float | None
    has_result: bool
    retrieval_count: int
    max_retrievals: int | None


class History(Outgoing):
    """A client's analyses, newest first."""

    success: bool
    client_id: str
    analyses: list[HistoryItem]
    count: int = Field(description="How many are on this page.")
    limit: int
    offset: int
    next_cursor: str | None
    retrieved_at: Moment


class Kept(Outgoing):
    """An analysis with its whole result."""

    analysis_id: str
    client_session_id: str
    client_ip: str | None
    kind: str
    code_hash: str | None
    status: Status
    created_at: float
    completed_at: float | None
    ttl_seconds: float | None
    expires_at: float | None
    retrieval_count: int
    max_retrievals: int | None
    result_data: Json = None


class Retrieved(Outgoing):
    """One analysis, counted as retrieved."""

    success: bool
    analysis_id: str
    analysis: Kept
    retrieved_at: Moment


class Availability(Outgoing):
    """How an analysis stands for a client; looking counts nothing."""

    success: bool
    analysis_id: str
    availability: str = Field(description="not_found, unauthorized, expired, or the analysis' status.")
    available: bool = Field(description="Whether its result can be retrieved.")
    checked_at: Moment


class Removed(Outgoing):
    """What was deleted."""

    success: bool
    analysis_id: str
    message: str
    deleted_at: Moment | None
    restore: str | None
    restorable_until: Moment | None


class StatsFigures(Outgoing):
    """What the store holds."""

    total_results: int
    total_sessions: int
    storage_size_bytes: int
    storage_size_mb: float
    storage_limit_mb: float = Field(description="Of the results of anonymous clients.")
    status_counts: dict[str, int]
    last_cleanup: float | None = Field(description="Epoch seconds; null before the first.")


class CacheFigures(Outgoing):
    """What is noted of derived files."""

    total_entries: int
    total_size_bytes: int
    total_size_mb: float


class StatsAnswer(Outgoing):
    """What the store holds, in the documents' envelope."""

    success: bool
    stats: StatsFigures
    cache: CacheFigures
    sync: SyncFigures
    retrieved_at: Moment


class CleanupWanted(Incoming):
    """What to remove beside what goes by itself."""

    cleanup_old_repos: bool = Field(default=False, description="Repositories in the trash for `max_age_hours`.")
    cleanup_old_analyses: bool = Field(default=False, description="Analyses older than `max_age_days`; pinned stay.")
    cleanup_cache: bool = Field(default=False, description="What is noted of files not used for `max_age_hours`.")
    max_age_hours: float = Field(default=24, gt=0, le=876_000)
    max_age_days: float = Field(default=30, gt=0, le=36_500)


class Cleanup(Outgoing):
    """What a cleanup removed."""

    success: bool
    cleaned: int
    details: JsonObject
    cleaned_at: Moment


class Health(Outgoing):
    """Whether the store answers."""

    success: bool
    status: str
    store: str
    checked_at: Moment
