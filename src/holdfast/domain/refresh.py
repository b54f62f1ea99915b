"""Refreshes: asked for, waiting for their time, under way, over."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import IllegalMove, InvalidInput
from holdfast.domain.events import Event
from holdfast.domain.jobs import NewJob, backoff

RUN_REFRESH_JOB = "refresh.run"
CHECK_JOB = "refresh.check"
WATCH_JOB = "refresh.watch"

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_LONGEST_DELAY_MINUTES = 366 * 24 * 60
# A failure costs as long as a success: first after a quarter of an hour, then ever more seldom, at least once a day.
_FIRST_PAUSE_SECONDS = 900.0
_LONGEST_PAUSE_SECONDS = 86_400.0
_ATTEMPTS = 5


class TaskStatus(StrEnum):
    """Where a refresh stands."""

    SCHEDULED = "scheduled"
    EXECUTING = "executing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether it waits or is under way; a branch has at most one such."""
        return self in {TaskStatus.SCHEDULED, TaskStatus.EXECUTING}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTask:
    """A refresh of a branch.

    Attributes:
        task_id: its id.
        client_session_id: whose it is.
        repo_id: the branch's repository.
        branch_name: the branch.
        status: where it stands.
        is_automatic: whether nobody asked for it but the check for what is stale.
        delay_minutes: how long it was to wait.
        run_at: when it is due.
        created_at: when it was asked for.
        created_by: who asked.
        started_at: when its analysis was submitted.
        finished_at: when it was over.
        analysis_id: its analysis.
        error: why it failed.
        failures: how many refreshes of the branch have failed in a row.
        retry_at: after a failure, when the check may try the branch again.
    """

    task_id: str
    client_session_id: str
    repo_id: str
    branch_name: str
    status: TaskStatus = TaskStatus.SCHEDULED
    is_automatic: bool = False
    delay_minutes: float
    run_at: datetime
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    analysis_id: str | None = None
    error: ErrorInfo | None = None
    failures: int = 0
    retry_at: datetime | None = None

    def job(self) -> NewJob:
        """The work that begins it when it is due."""
        return NewJob(
            kind=RUN_REFRESH_JOB,
            payload={"task_id": self.task_id},
            run_at=self.run_at,
            max_attempts=_ATTEMPTS,
            unique_key=run_key(self.task_id),
        )

    def rescheduled(self, run_at: datetime, delay_minutes: float) -> "RefreshTask":
        """The same, due at another moment; from now on somebody has asked for it."""
        return replace(self, run_at=run_at, delay_minutes=delay_minutes, is_automatic=False)

    def started(self, now: datetime, analysis_id: str) -> "RefreshChange":
        """Its analysis was submitted."""
        value = replace(self, status=TaskStatus.EXECUTING, started_at=now, analysis_id=analysis_id)
        return RefreshChange(value=value, events=(value.event("refresh.started", now),))

    def ended(self, now: datetime, error: ErrorInfo | None) -> "RefreshChange":
        """It is over: with a new result, or by an error; then the branch is left alone for a while."""
        failures = 0 if error is None else self.failures + 1
        value = replace(
            self,
            status=TaskStatus.COMPLETED if error is None else TaskStatus.FAILED,
            finished_at=now,
            error=error,
            failures=failures,
            retry_at=None if error is None else now + pause_after(failures),
        )
        more: dict[str, Any] = (
            {} if error is None else {"code": error.code, "message": error.message, "failures": failures}
        )
        return RefreshChange(
            value=value,
            events=(value.event(f"refresh.{value.status.value}", now, **more),),
            # What else is stale need not wait for the next look.
            jobs=(check_now(),) if self.is_automatic else (),
        )

    def cancelled(self, now: datetime, by: str) -> "RefreshChange":
        """It is called off before it began.

        Raises:
            IllegalMove: it has begun.
        """
        if self.status is not TaskStatus.SCHEDULED:
            raise IllegalMove(
                f"The refresh is {self.status} and can no longer be called off",
                analysis_id=self.analysis_id,
                status=self.status.value,
            )
        value = replace(self, status=TaskStatus.CANCELLED, finished_at=now)
        return RefreshChange(value=value, events=(value.event("refresh.cancelled", now, by),))

    def event(self, name: str, at: datetime, by: str = "system", **more: Any) -> Event:
        """What the ledger is told of it."""
        about = {"task_id": self.task_id, "repo_id": self.repo_id, "branch": self.branch_name}
        return Event(
            name=name,
            at=at,
            analysis_id=self.analysis_id,
            client_session_id=self.client_session_id,
            actor=by,
            data=about | more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshChange:
    """What one transaction writes.

    Attributes:
        value: the refresh as it will be.
        events: what the ledger is told.
        jobs: the work that follows.
    """

    value: RefreshTask
    events: tuple[Event, ...] = ()
    jobs: tuple[NewJob, ...] = ()


def check_now() -> NewJob:
    """A look for what is stale, at once; the schedule's own, so that there is one at a time."""
    return NewJob(kind=CHECK_JOB, unique_key=f"schedule:{CHECK_JOB}")


def run_key(task_id: str) -> str:
    """The key of the job that begins a refresh."""
    return f"{RUN_REFRESH_JOB}:{task_id}"


def due(now: datetime, delay_minutes: float) -> datetime:
    """When a refresh is due that is to wait so long.

    Raises:
        InvalidInput: the delay is negative, or longer than a year.
    """
    if not 0 <= delay_minutes <= _LONGEST_DELAY_MINUTES:
        raise InvalidInput(
            f"delay_minutes must be 0 to {_LONGEST_DELAY_MINUTES}, a year", field="delay_minutes", value=delay_minutes
        )
    return now + timedelta(minutes=delay_minutes)


def pause_after(failures: int) -> timedelta:
    """How long the check leaves a branch alone after so many failures in a row."""
    return backoff(failures, 0.5, base=_FIRST_PAUSE_SECONDS, cap=_LONGEST_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The hours, in UTC, in which refreshes begin by themselves; it may go over midnight.

    Attributes:
        begin: its first minute.
        end: the first minute after it.
    """

    begin: time
    end: time

    @classmethod
    def of(cls, text: str) -> "Window":
        """The window written as ``22:00-06:00``.

        Raises:
            InvalidInput: it is none.
        """
        match = _WINDOW.fullmatch(text.strip())
        if match is None or match.group(1, 2) == match.group(3, 4):
            raise InvalidInput(f"{text[:40]!r} is no window: give two times in UTC, 22:00-06:00", field="window")
        hours = [int(part) for part in match.groups()]
        return cls(begin=time(hours[0], hours[1]), end=time(hours[2], hours[3]))

    def holds(self, now: datetime) -> bool:
        """Whether the moment, in UTC, is within."""
        at = now.time().replace(microsecond=0)
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoRefresh:
    """How refreshing by itself stands.

    Attributes:
        running: whether workers look for what is stale: the latest look is no later than it should be.
        auto_refresh_enabled: whether they refresh it.
        check_interval_minutes: how often they look.
        refreshing_branches: what is being refreshed, each as repository and branch, at most a hundred.
        currently_refreshing: how many are.
        next_check_at: when they look next.
    """

    running: bool
    auto_refresh_enabled: bool
    check_interval_minutes: float
    refreshing_branches: tuple[tuple[str, str], ...]
    currently_refreshing: int
    next_check_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRules:
    """What refreshing by itself goes by.

    Attributes:
        is_enabled: whether it does until somebody enables or disables it.
        check_seconds: how often it looks for what is stale.
        concurrency: how many refreshes it lets run at once.
        window: when it begins them; None for any time.
        kind: the kind of analysis of a branch that was not analysed before.
    """

    is_enabled: bool = False
    check_seconds: float = 1800.0
    concurrency: int = 1
    window: Window | None = None
    kind: str = "code"
