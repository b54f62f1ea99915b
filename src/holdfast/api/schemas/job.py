"""Jobs."""

from pydantic import Field

from holdfast.api.schemas.base import JsonObject, Moment, Outgoing, Seconds, Total
from holdfast.domain.jobs import JobStatus


class JobOut(Outgoing):
    """A job: work that waits, is under way, or has used up its attempts."""

    id: int
    kind: str
    payload: JsonObject
    status: JobStatus
    priority: int
    run_at: Moment
    attempt: int
    max_attempts: int
    lease_owner: str | None
    lease_until: Moment | None
    unique_key: str | None
    analysis_id: str | None
    last_error: str | None
    created_at: Moment


class JobPage(Outgoing):
    """A page of jobs by number."""

    items: list[JobOut]
    next_cursor: str | None
    total: Total = None


class JobCount(Outgoing):
    """How many jobs of one kind are in one status."""

    kind: str
    status: JobStatus
    count: int = Field(ge=0)


class ScheduleOut(Outgoing):
    """A job that comes again and again."""

    name: str
    kind: str
    payload: JsonObject
    every_seconds: Seconds
    next_at: Moment
    enabled: bool


class SchedulePage(Outgoing):
    """The schedules by name."""

    items: list[ScheduleOut]
    next_cursor: str | None
