"""Repositories, branches, what was found of them, and conflicts."""

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from holdfast.api.params import Findable
from holdfast.api.schemas.base import LARGEST, Incoming, Json, JsonObject, Moment, Outgoing
from holdfast.domain.conflicts import ConflictKind, Resolution
from holdfast.domain.sync import Outcome, Strategy

_Short = Annotated[Findable, StringConstraints(min_length=1, max_length=256)]
_Long = Annotated[Findable, StringConstraints(min_length=1, max_length=1024)]
_Word = Annotated[Findable, StringConstraints(min_length=1, max_length=128)]
_After = Annotated[float | None, Field(gt=0, le=LARGEST, description="After how long its analyses are stale.")]


class RepositoryIn(Incoming):
    """What is known of a repository, all of it."""

    name: _Short | None = Field(default=None, description="The id when left out.", examples=["holdfast"])
    owner: Annotated[Findable, StringConstraints(max_length=256)] = Field(
        default="", description="Who owns it where it comes from.", examples=["acme"]
    )
    location: Annotated[Findable, StringConstraints(max_length=1024)] = Field(
        default="", description="Where it is; stays as it was first said.", examples=["https://example.org/acme/x.git"]
    )
    default_branch: _Long | None = None
    metadata: JsonObject = Field(default_factory=dict)
    stale_after_seconds: _After = None


class RepositoryOut(Outgoing):
    """A repository."""

    repo_id: str
    client_session_id: str
    owner: str
    name: str
    location: str
    default_branch: str | None
    metadata: JsonObject
    version: int
    stale_after_seconds: float | None
    synced_at: Moment | None
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None


class RepositoryPage(Outgoing):
    """Repositories by id."""

    items: list[RepositoryOut]
    next_cursor: str | None


class RepositoryDeleted(Outgoing):
    """What was deleted."""

    success: bool
    repo_id: str
    deleted_at: Moment | None
    restore: str | None
    restorable_until: Moment | None


class FailedBranch(Outgoing):
    """A branch that was refused."""

    branch: str
    error: str


class ReadBackOut(Outgoing):
    """What reading a repository's branches from where it is led to."""

    repository: RepositoryOut
    total: int
    added: int
    changed: int
    gone: int
    failed: list[FailedBranch]


class BranchIn(Incoming):
    """What is said of a branch; what is left out or null stays as it is."""

    commit_sha: _Short | None = Field(default=None, examples=["0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"])
    is_default: bool | None = None
    last_commit_date: AwareDatetime | None = None
    metadata: JsonObject | None = None
    declared_at: AwareDatetime | None = Field(
        default=None, description="When it was so, by the writer's clock; now when left out."
    )


class NamedBranch(BranchIn):
    """What is said of one branch of several."""

    name: _Long
    base_version: int | None = Field(
        default=None, ge=1, le=LARGEST, description="The version that the writer knew; merges go by it."
    )


class BranchBatch(Incoming):
    """What is said of many branches."""

    branches: Annotated[list[NamedBranch], Field(max_length=1000)]
    strategy: Strategy | None = Field(default=None, description="The service's when left out.")


class BranchOut(Outgoing):
    """A branch."""

    repo_id: str
    name: str
    commit_sha: str
    previous_commit_sha: str | None
    is_default: bool
    last_commit_date: Moment | None
    last_analyzed: Moment | None
    analyzed_commit_sha: str | None
    marked_at: Moment | None
    marked_by: str | None
    stale_after_seconds: float | None
    metadata: JsonObject
    version: int
    declared_at: Moment
    declared_by: str
    gone_at: Moment | None
    created_at: Moment
    updated_at: Moment


_BECAME = (
    "`applied`: it is kept, as it was said or merged. `unchanged`: it was so already. "
    "`outdated`: something declared later is kept. `conflict`: somebody has to choose."
)


class StoredBranchOut(BranchOut):
    """A branch as it is kept now, and what became of what was said of it."""

    outcome: Outcome = Field(description=_BECAME)
    conflict_id: str | None = Field(description="The conflict that waits now.")


class BranchPage(Outgoing):
    """Branches by name."""

    items: list[BranchOut]
    next_cursor: str | None


class SyncedOut(Outgoing):
    """What became of one branch."""

    branch: str
    outcome: Outcome | None = Field(description=f"{_BECAME} Null if it was refused.")
    version: int | None
    conflict_id: str | None
    error: str | None


class BatchOut(Outgoing):
    """What became of a batch."""

    total: int
    synced: int
    conflicts: int
    failed: list[FailedBranch]
    results: list[SyncedOut]


class BranchAnalysisIn(Incoming):
    """What was found of a branch at a commit."""

    branch_name: _Long
    commit_sha: _Short
    analysis_timestamp: AwareDatetime | None = None
    file_tree: Json = None
    technologies: list[Annotated[Findable, StringConstraints(min_length=1, max_length=128)]] = Field(
        default_factory=list
    )
    metrics: JsonObject = Field(default_factory=dict)
    issues: list[Json] = Field(default_factory=list)
    ai_summary: str | None = None
    detailed_scores: JsonObject = Field(default_factory=dict)
    strategy: Strategy | None = Field(default=None, description="The service's when left out.")


class AnalysisSyncedOut(Outgoing):
    """What became of an analysis."""

    outcome: Outcome = Field(
        description="`applied`: it is the newest of its commit. `unchanged`: it was kept already. `outdated`: it is "
        "kept as an older one. `conflict`: somebody has to choose."
    )
    analysis_id: str
    conflict_id: str | None


class PointIn(Incoming):
    """One figure at one moment."""

    name: _Short
    at: AwareDatetime
    value: float
    commit_sha: _Short | None = None


class PointBatch(Incoming):
    """Figures of a branch."""

    branch_name: _Long
    points: Annotated[list[PointIn], Field(max_length=10_000)]


class PointsKept(Outgoing):
    """How many figures were kept."""

    success: bool
    count: int


class SampleOut(Outgoing):
    """A figure, or a stretch of time summed up."""

    at: Moment
    value: float = Field(description="Of a stretch: the mean.")
    least: float
    greatest: float
    count: int


class SeriesOut(Outgoing):
    """A figure of a branch over time, oldest first."""

    repo_id: str
    branch_name: str
    name: str
    items: list[SampleOut]


class ConflictOut(Outgoing):
    """Two versions that wait for a choice."""

    conflict_id: str
    repo_id: str
    branch_name: str
    kind: ConflictKind
    reason: str
    base: Json = None
    local: Json = None
    remote: Json = None
    local_version: int | None
    base_version: int | None
    branch_version: int
    version: int
    created_at: Moment
    created_by: str
    resolved_at: Moment | None
    resolved_by: str | None
    resolution: Resolution | None


class ConflictPage(Outgoing):
    """Open conflicts in the order in which they arose."""

    items: list[ConflictOut]
    next_cursor: str | None


class Choice(Incoming):
    """Which version to take."""

    resolution: Resolution
    merged: JsonObject | None = Field(default=None, description="The version to take, whole; with `merged` only.")


class ConflictsAnswer(Outgoing):
    """The open conflicts, in the document's shape."""

    conflicts: list[ConflictOut]
    count: int = Field(description="How many are on this page.")
    next_cursor: str | None


class ResolvedAnswer(Outgoing):
    """Which conflict was resolved, in the document's shape."""

    success: bool
    message: str
    conflict: ConflictOut


class SyncFigures(Outgoing):
    """How syncing stands."""

    strategy: Strategy
    pending_conflicts: int
    conflicts: list[ConflictOut] = Field(description="The first of them.")


class DocumentedBranch(Outgoing):
    """A branch, in the document's shape."""

    name: str
    commit_sha: str
    is_default: bool
    last_commit_date: Moment | None
    last_analyzed: Moment | None


class DocumentedBranches(Outgoing):
    """All branches of a repository."""

    repo_id: str
    branches: list[DocumentedBranch]


class DocumentedAnalysis(Outgoing):
    """The latest analysis of a branch; fields that its analyzer does not give are null."""

    repo_id: str
    branch_name: str
    commit_sha: str
    analysis_timestamp: Moment
    analysis_id: str
    kind: str
    file_tree: Json = None
    technologies: Json = None
    metrics: Json = None
    issues: Json = None
    ai_summary: Json = None
    detailed_scores: Json = None
    result: Json = Field(default=None, description="The whole result, where another analyzer made it.")


class DocumentedItem(Outgoing):
    """One analysis in the history of a branch."""

    analysis_id: str
    kind: str
    commit_sha: str
    analysis_timestamp: Moment
    overall_score: float | None
    technologies: list[str]
    issue_count: int


class DocumentedHistory(Outgoing):
    """A branch's analyses, newest first."""

    repo_id: str
    branch_name: str
    history: list[DocumentedItem]
    count: int
    limit: int
    next_cursor: str | None
