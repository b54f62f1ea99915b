"""Searches for duplicates, groups, decisions, exports."""

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from holdfast.api.schemas.analysis import AnalysisOut
from holdfast.api.schemas.base import Incoming, JsonObject, Moment, Outgoing
from holdfast.api.schemas.event import EventPage
from holdfast.domain.exporting import ExportStatus, Format
from holdfast.domain.triage import Action, KeepStrategy

_LARGEST_BATCH = 10_000
_GroupId = Field(min_length=1, max_length=256)


class Search(Incoming):
    """A search to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"target": "/srv/music/Library.xml", "min_confidence": 0.8}]}
    )

    target: str = Field(min_length=1, max_length=4096, description="The library: a file, a folder, a database's URL.")
    search_term: str | None = Field(default=None, max_length=1000, description="What song, artist or album must have.")
    sort_by: str | None = Field(default=None, max_length=50, description="The order of the groups.")
    min_confidence: float | None = Field(default=None, ge=0, le=1, description="How alike tracks must be.")
    params: JsonObject = Field(default_factory=dict, description="Further parameters of the analyzer.")
    force_refresh: bool = Field(default=False, description="Search though a fresh result is kept.")

    def parameters(self) -> dict[str, Any]:
        """As the analyzer takes them."""
        named = {name: getattr(self, name) for name in ("search_term", "sort_by", "min_confidence")}
        return {**self.params, **{name: value for name, value in named.items() if value is not None}}


class SearchAgain(Incoming):
    """How a new search differs from the old one."""

    params: JsonObject | None = Field(
        default=None, description="Parameters that are to be other than they were; none when left out."
    )


class QuickRefresh(Incoming):
    """Which newest search is repeated."""

    search_term: str | None = Field(default=None, max_length=1000, description="The newest with this term; else any.")


class Resolve(Incoming):
    """A decision about groups."""

    group_ids: list[str] = Field(min_length=1, max_length=_LARGEST_BATCH)
    resolution_action: Action
    keeps: dict[str, str] = Field(default_factory=dict, description="By group, the track that stays.")
    note: str = Field(default="", max_length=2000)


class Delete(Incoming):
    """Tracks of one group that go."""

    group_id: str = _GroupId
    track_ids: list[str] = Field(default_factory=list, max_length=_LARGEST_BATCH, description="All but one when empty.")
    note: str = Field(default="", max_length=2000)


class BulkDelete(Incoming):
    """Tracks of many groups that go."""

    groups: list[Delete] = Field(min_length=1, max_length=_LARGEST_BATCH)
    note: str = Field(default="", max_length=2000)


class SmartDelete(Incoming):
    """A rule by which groups are decided."""

    strategy: KeepStrategy
    dry_run: bool = Field(default=True, description="Only say what would go.")
    group_ids: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=_LARGEST_BATCH,
        description="These; all that are not settled when left out.",
    )
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    include_doubtful: bool = Field(default=False, description="Also groups that somebody should look at.")
    note: str = Field(default="", max_length=2000)


class Undo(Incoming):
    """What is undone."""

    batch_id: str = Field(min_length=1, max_length=64)


class NewExport(Incoming):
    """A file to be written."""

    analysis_id: str = Field(min_length=1, max_length=128)
    format: Format = Format.JSON


class PreferencesIn(Incoming):
    """What the caller wants to be told of; what is left out stays as it is."""

    staleness_hours: float | None = Field(default=None, gt=0, le=876_000)
    change_percentage: float | None = Field(default=None, ge=0, le=100)
    change_count: int | None = Field(default=None, ge=0, le=2**31 - 1)
    show_age_warnings: bool | None = None
    show_change_warnings: bool | None = None
    auto_suggest: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> "PreferencesIn":
        if not self.model_fields_set:
            raise ValueError("name at least one preference")
        return self


class PreferencesOut(Outgoing):
    """What the caller wants to be told of."""

    staleness_hours: float
    change_percentage: float
    change_count: int
    show_age_warnings: bool
    show_change_warnings: bool
    auto_suggest: bool


class Figures(Outgoing):
    """What decisions concern."""

    groups: int
    tracks: int
    size_bytes: int
    plays: int


class TrackChangesOut(Outgoing):
    """What has changed in a library; of each sort the first ids are named."""

    added: int
    modified: int
    deleted: int
    total: int
    added_track_ids: list[str]
    modified_track_ids: list[str]
    deleted_track_ids: list[str]
    tracks_before: int
    tracks_now: int


class Advice(Outgoing):
    """Whether to search anew."""

    should_refresh: bool
    urgency: str
    suggestion: str | None
    reasons: list[str]


class AgeOut(Outgoing):
    """How old a search is."""

    level: str | None = Field(description="fresh, moderate, stale, very_stale; null before it is complete.")
    age_seconds: float | None
    message: str = Field(examples=["Analysis from 2 hours ago"])
    analyzed_at: Moment | None
    stale_at: Moment | None
    threshold_seconds: float
    is_stale: bool
    show_age_warning: bool
    show_change_warning: bool
    library_changes: TrackChangesOut | None
    changes_unknown: str | None = Field(description="Why the changes cannot be told, if they cannot.")
    recommendation: Advice


class AgeCheck(Outgoing):
    """How old a search is, and what has changed in its library since."""

    success: bool
    analysis_id: str
    age: AgeOut


class LibraryChangesOut(TrackChangesOut):
    """What has changed since a search."""

    success: bool
    analysis_id: str
    suggest_refresh: bool


class SearchOut(AnalysisOut):
    """A search and its age."""

    age: AgeOut


class DuplicateSearchPage(Outgoing):
    """A page of searches."""

    success: bool
    items: list[SearchOut]
    next_cursor: str | None


class TrackOut(Outgoing):
    """A track of a group, as it was when it was found; its snapshot's fields stand beside these."""

    model_config = ConfigDict(extra="allow")

    track_id: str
    still_exists: bool = Field(description="Whether it is still there, as far as the decisions tell.")
    deleted_at: Moment | None = Field(description="When it was decided that it goes.")


class DuplicateGroupOut(Outgoing):
    """A group of duplicates; what the analyzer found of it stands beside these fields."""

    model_config = ConfigDict(extra="allow")

    group_id: str
    title: str
    message: str
    resolved: bool = Field(description="Whether a decision settles it.")
    resolution_action: Action | None
    resolved_at: Moment | None
    resolution: JsonObject | None = Field(description="The decision that holds: its batch, what stays, what goes.")
    tracks: list[TrackOut]


class GroupPageOut(Outgoing):
    """A page of groups; each with its tracks and what was decided about it."""

    success: bool
    analysis_id: str
    items: list[DuplicateGroupOut]
    next_cursor: str | None


class SearchWhole(Outgoing):
    """A search with its age, how its groups stand, and the first of them."""

    success: bool
    analysis: AnalysisOut
    age: AgeOut
    metrics: dict[str, float]
    resolution: JsonObject
    groups: list[DuplicateGroupOut]
    next_cursor: str | None


class ProgressAnswer(Outgoing):
    """How far a search has come."""

    success: bool
    analysis_id: str
    status: str
    phase: str | None
    current_step: int
    total_steps: int
    percentage: float
    estimated_remaining_seconds: float | None
    current_message: str
    tracks_processed: int
    total_tracks: int | None
    groups_found: int
    start_time: Moment | None
    last_update: Moment | None


class ChoiceOut(Outgoing):
    """What becomes of a group."""

    group_id: str
    keeps: str | None
    goes: list[str]
    reason: str


class DecidedOut(Outgoing):
    """What a request to decide led to, or would lead to; the first groups are named, all are counted."""

    success: bool
    batch_id: str | None = Field(description="Undoes it; null where nothing was kept.")
    action: Action
    impact: Figures
    groups: list[ChoiceOut]
    skipped: list[ChoiceOut]
    skipped_count: int


class UndoneOut(Outgoing):
    """What was undone."""

    success: bool
    batch_id: str
    groups: int


class ResolutionOut(Outgoing):
    """How the groups of a search stand."""

    success: bool
    analysis_id: str
    total_groups: int
    resolved_groups: int
    unresolved_groups: int
    percentage: float
    by_action: dict[str, Figures]


class ImpactOut(Outgoing):
    """What all groups concern, what went by decisions, and what is left."""

    success: bool
    analysis_id: str
    before: Figures
    decided: Figures
    left: Figures


class SuggestionOut(Outgoing):
    """Whether to search anew."""

    success: bool
    analysis_id: str
    should_run: bool
    reasons: list[str]
    resolved: int
    changed: int | None
    message: str


class CleanedUp(Outgoing):
    """What a clean-up removed of the caller's own."""

    success: bool
    deleted: int
    kept: int
    by_reason: dict[str, int]


class ExportOut(Outgoing):
    """An export."""

    export_id: str
    analysis_id: str
    format: Format
    status: ExportStatus
    percentage: float
    size_bytes: int | None
    error: str | None
    download: str | None
    created_at: Moment
    completed_at: Moment | None
    expires_at: Moment


class ExportPageOut(Outgoing):
    """A page of exports."""

    success: bool
    items: list[ExportOut]
    next_cursor: str | None


class Gone(Outgoing):
    """What was deleted."""

    success: bool
    export_id: str


class ParameterChangeOut(Outgoing):
    """What a search had other than the one before it."""

    analysis_id: str
    created_at: Moment
    status: str
    parameters: JsonObject
    changed: dict[str, list[Any]]


class ParameterHistory(Outgoing):
    """The caller's searches, newest first."""

    success: bool
    items: list[ParameterChangeOut]


class AuditPage(EventPage):
    """A page of what happened, newest first."""

    success: bool


BODIES = (
    Search,
    SearchAgain,
    QuickRefresh,
    Resolve,
    Delete,
    BulkDelete,
    SmartDelete,
    Undo,
    NewExport,
    PreferencesIn,
)
"""The bodies that routes parse themselves."""
