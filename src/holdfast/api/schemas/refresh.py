"""What is stale, and refreshing it."""

from pydantic import Field

from holdfast.api.schemas.analysis import ErrorOut
from holdfast.api.schemas.base import Moment, Outgoing
from holdfast.domain.freshness import Level, Reason, Urgency
from holdfast.domain.refresh import TaskStatus


class ChangesOut(Outgoing):
    """What has changed since an analysis, with the first names of each sort."""

    added: int
    modified: int
    deleted: int
    total: int
    added_names: list[str]
    modified_names: list[str]
    deleted_names: list[str]
    is_partial: bool = Field(description="Whether there may be more than were counted.")


class RecommendationOut(Outgoing):
    """What to do."""

    should_refresh: bool
    urgency: Urgency
    message: str = Field(examples=["Analysis from 2 hours ago"])
    suggestion: str | None


class RefreshTaskOut(Outgoing):
    """A refresh of a branch."""

    task_id: str
    client_session_id: str
    repo_id: str
    branch_name: str
    status: TaskStatus
    is_automatic: bool = Field(description="Whether nobody asked for it but the look for what is stale.")
    delay_minutes: float
    run_at: Moment
    created_at: Moment
    created_by: str
    started_at: Moment | None
    finished_at: Moment | None
    analysis_id: str | None
    error: ErrorOut | None
    failures: int = Field(description="How many refreshes of the branch have failed in a row.")
    retry_at: Moment | None


class StalenessOut(Outgoing):
    """How a branch stands; of one that is not known: that there is no result."""

    repo_id: str
    branch_name: str
    exists: bool = Field(description="Whether there is a complete analysis of it.")
    is_stale: bool
    last_analyzed: Moment | None
    age_hours: float | None
    threshold_hours: float
    level: Level | None = Field(description="By its age alone.")
    stale_at: Moment | None = Field(description="When it becomes stale by its age.")
    reason: Reason | None = Field(description="The weightiest.")
    reasons: list[Reason]
    changes: ChangesOut | None
    recommendation: RecommendationOut
    estimated_seconds: float | None = Field(description="What a refresh will probably take, by earlier ones.")
    estimate_basis: str
    estimate_runs: int
    analysis_id: str | None
    commit_sha: str
    analyzed_commit_sha: str
    marked_at: Moment | None
    marked_by: str | None
    refresh: RefreshTaskOut | None = Field(description="The refresh that waits or is under way.")
    checked_at: Moment = Field(description="The moment of this answer, by the clock of all others in it.")


class StalenessPage(Outgoing):
    """How several branches stand; without what a refresh will take, and which one waits."""

    items: list[StalenessOut]
    next_cursor: str | None = Field(description="For the parameter `cursor` of the next request; null at the end.")


class StaleBranchPage(Outgoing):
    """A page of a repository's stale branches, by name."""

    success: bool = True
    repo_id: str
    stale_branches: list[StalenessOut]
    count: int = Field(description="How many are on this page.")
    next_cursor: str | None


class Marked(Outgoing):
    """A branch that was marked for refresh."""

    success: bool = True
    message: str
    repo_id: str
    branch_name: str
    marked_at: Moment


class Scheduled(Outgoing):
    """A refresh that waits."""

    success: bool = True
    message: str
    task_id: str
    repo_id: str
    branch_name: str
    delay_minutes: float
    run_at: Moment


class TaskPage(Outgoing):
    """A page of refreshes, newest first."""

    success: bool = True
    tasks: list[RefreshTaskOut]
    count: int = Field(description="How many are on this page.")
    next_cursor: str | None


class CancelledOut(Outgoing):
    """A refresh that was called off."""

    success: bool = True
    message: str
    task_id: str
    status: TaskStatus


class RefreshingBranch(Outgoing):
    """A branch that is being refreshed."""

    repo_id: str
    branch_name: str


class AutoRefreshOut(Outgoing):
    """How refreshing by itself stands."""

    running: bool = Field(description="Whether workers look for what is stale.")
    auto_refresh_enabled: bool = Field(description="Whether they refresh it.")
    check_interval_minutes: float
    currently_refreshing: int
    refreshing_branches: list[RefreshingBranch]
    next_check_at: Moment | None


class Accepted(Outgoing):
    """What was sent was heard; whether it concerns anything here is not told."""

    success: bool = True
