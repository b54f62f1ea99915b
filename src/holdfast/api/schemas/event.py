"""Events and progress."""

from pydantic import Field

from holdfast.api.schemas.base import JsonObject, Moment, Outgoing
from holdfast.domain.analysis import Status


class EventOut(Outgoing):
    """One thing that happened."""

    sequence: int = Field(description="Its place in the ledger: the `id` of a stream's event.")
    name: str
    at: Moment
    analysis_id: str | None
    client_session_id: str | None
    actor: str
    data: JsonObject


class EventPage(Outgoing):
    """A page of events, oldest first."""

    items: list[EventOut]
    next_cursor: str | None


class ProgressOut(Outgoing):
    """How far a run has come."""

    phase: str
    current_step: int
    total_steps: int
    percentage: float = Field(ge=0, le=100)
    estimated_remaining_seconds: float | None
    current_message: str
    items_processed: int
    total_items: int | None
    groups_found: int
    started_at: Moment
    updated_at: Moment


class AnalysisProgress(Outgoing):
    """Where an analysis stands."""

    analysis_id: str
    status: Status
    cancel_requested: bool
    attempt: int
    progress: ProgressOut | None = Field(description="None before the first run begins.")
    poll_after_seconds: float | None = Field(description="When to ask again; null when it has ended.")
