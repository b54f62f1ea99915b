"""Searches, threads, and how far the indexes are."""

from pydantic import Field

from holdfast.api.schemas.analysis import AnalysisOut
from holdfast.api.schemas.base import Moment, Outgoing
from holdfast.domain.processing import ProcessingStatus


class SnippetOut(Outgoing):
    """A stretch of a text, and where in it something was found, as [first, end) of characters."""

    text: str
    highlights: list[tuple[int, int]]


class HitOut(Outgoing):
    """One analysis that was found."""

    analysis: AnalysisOut
    score: float = Field(description="Comparable within one search; 0 where nothing was ranked.")
    title: SnippetOut | None
    text: SnippetOut | None


class SearchPage(Outgoing):
    """A page of what was found."""

    items: list[HitOut]
    next_cursor: str | None
    facets: dict[str, dict[str, int]] = Field(description="How many have each value, of the newest 10,000.")
    is_ranked: bool
    hints: list[str] = Field(description="What the query does not find as things are set up, and how it would.")


class GroupOut(Outgoing):
    """A thread, a session or a process in figures."""

    id: str
    count: int
    unfinished: int
    first_at: Moment
    last_at: Moment


class GroupPage(Outgoing):
    """A page of threads, sessions or processes by id."""

    items: list[GroupOut]
    next_cursor: str | None


class ProcessingOut(Outgoing):
    """How far one processor has come with one analysis."""

    analysis_id: str
    processor: str
    status: ProcessingStatus
    attempts: int
    last_error: str | None
    processor_version: str
    updated_at: Moment | None


class ProcessingPage(Outgoing):
    """How far each processor has come with one analysis."""

    items: list[ProcessingOut]
    next_cursor: str | None


class ProcessorOut(Outgoing):
    """How a processor does."""

    name: str
    is_enabled: bool
    version: str
    generation: int
    is_building: bool
    waiting: int
    dead: int
    counts: dict[str, int]
    lag_seconds: float


class ProcessorPage(Outgoing):
    """Every processor by name."""

    items: list[ProcessorOut]
    next_cursor: str | None


class QueuedOut(Outgoing):
    """What was queued."""

    success: bool
    queued: int
