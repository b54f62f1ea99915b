"""An analysis and its life.

    queued --> running --> completed
      ^ |         |
      | |         +------> failed, cancelled, timed_out
      | +----------------> cancelled, failed    |
      +------------------- resume --------------+     (and back to queued when a worker is lost)

A transition is a method that returns a Change: the new value, what to tell the ledger, and what work follows.
The caller writes all three in one transaction.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from holdfast.domain.context import Context
from holdfast.domain.errors import HoldfastError, IllegalMove
from holdfast.domain.events import Event
from holdfast.domain.jobs import NewJob
from holdfast.domain.subjects import Subject

RUN_JOB = "analysis.run"


class Status(StrEnum):
    """Where an analysis stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def ended(self) -> bool:
        """Whether nothing is being done for it."""
        return self not in {Status.QUEUED, Status.RUNNING}


_MOVES = {
    Status.QUEUED: {Status.RUNNING, Status.CANCELLED, Status.FAILED},
    Status.RUNNING: {Status.QUEUED, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT},
    Status.COMPLETED: set[Status](),
    Status.FAILED: {Status.QUEUED},
    Status.CANCELLED: {Status.QUEUED},
    Status.TIMED_OUT: {Status.QUEUED},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """Why an analysis ended without a complete result.

    Attributes:
        code: a stable code of the error tree.
        message: what was wrong.
        suggestions: what to do next.
        details: further JSON-able facts.
    """

    code: str
    message: str
    suggestions: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: BaseException, **details: Any) -> "ErrorInfo":
        """An error as it is kept, whatever it holds; ``details`` are added to its own."""
        if isinstance(error, HoldfastError):
            facts = _plain({**error.details, **details})
            return cls(code=error.code, message=_text(error), suggestions=error.suggestions, details=facts)
        message = f"{type(error).__qualname__}: {_text(error)}"
        return cls(code="UNEXPECTED_ERROR", message=message, details=_plain(details))


def _text(value: object) -> str:
    """As text that can be kept: undecodable file names hold lone surrogates, and ``__str__`` may fail."""
    try:
        return str(value).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 an error that cannot be told must not hide that there was one
        return type(value).__name__


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, dict):
        return {_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    is_plain = value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else _text(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRef:
    """A kept result's address.

    Attributes:
        hash: SHA-256 of the uncompressed bytes, in hexadecimal.
        size: uncompressed bytes.
        stored_size: bytes as they are kept.
    """

    hash: str
    size: int
    stored_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """One analysis of one subject, as it is kept; its payload, findings and metrics are read apart.

    Attributes:
        analysis_id: its id, the caller's own or a UUIDv7.
        kind: the kind of analysis.
        status: where it stands.
        context: its owner and surroundings.
        subject: what it is about.
        location: where the analyzer finds the subject.
        params: its parameters.
        fingerprint: names the input; see ``fingerprint.fingerprint``.
        code_hash: SHA-256 of what was analysed.
        analyzer_version: the version of the analyzer that runs it.
        summary: one or two sentences of the result.
        tags: labels, exact, in order.
        result: the payload's address, if there is a result.
        result_is_partial: whether the result is what there was when the run stopped.
        error: why it ended without a complete result.
        finding_count: how many findings it has.
        priority: of its run; higher goes first.
        timeout_seconds: how long an attempt may run.
        attempt: how many runs were begun.
        cancel_requested: whether somebody asked it to stop.
        version: counts the changes; guards against lost updates.
        refreshed_from: the analysis that this one takes the place of.
        created_at: when it was asked for.
        started_at: when the latest attempt began.
        completed_at: when it ended, however it ended.
        updated_at: when it last changed.
        ttl_seconds: how long it is kept from its creation; None for ever.
        expires_at: when it expires.
        retrieval_count: how often its result was retrieved.
        max_retrievals: how often it may be; None without limit.
        is_anonymous: whether its owner is a client that nobody vouches for.
        is_pinned: whether retention leaves it alone.
        deleted_at: when it was put into the trash, from where it may be restored for a while.
    """

    analysis_id: str
    kind: str
    status: Status
    context: Context = Context()
    subject: Subject | None = None
    location: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    fingerprint: str
    code_hash: str | None = None
    analyzer_version: str = ""
    summary: str = ""
    tags: tuple[str, ...] = ()
    result: PayloadRef | None = None
    result_is_partial: bool = False
    error: ErrorInfo | None = None
    finding_count: int = 0
    priority: int = 0
    timeout_seconds: float | None = None
    attempt: int = 0
    cancel_requested: bool = False
    version: int = 1
    refreshed_from: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    updated_at: datetime
    ttl_seconds: float | None = None
    retrieval_count: int = 0
    max_retrievals: int | None = None
    is_anonymous: bool = False
    is_pinned: bool = False
    deleted_at: datetime | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When it expires; None for never."""
        return None if self.ttl_seconds is None else self.created_at + timedelta(seconds=self.ttl_seconds)

    def is_expired(self, now: datetime) -> bool:
        """Whether it is past its time, or its retrievals are used up; never while it is pinned."""
        if self.is_pinned:
            return False
        used_up = self.max_retrievals is not None and self.retrieval_count >= self.max_retrievals
        return used_up or (self.expires_at is not None and self.expires_at <= now)

    def is_visible(self, now: datetime) -> bool:
        """Whether anybody may see it: it is neither in the trash nor expired, swept or not."""
        return self.deleted_at is None and not self.is_expired(now)

    def answers(self, wanted: "Analysis", now: datetime, reuse: timedelta) -> bool:
        """Whether its result may be given for a new request.

        Args:
            wanted: the new request, of the same owner.
            now: the moment.
            reuse: how old a result may be.
        """
        return (
            self.status is Status.COMPLETED
            and self.fingerprint == wanted.fingerprint
            and self.analyzer_version == wanted.analyzer_version
            and self.completed_at is not None
            and now - self.completed_at <= reuse
            and self.is_visible(now)
        )

    def submitted(self, max_attempts: int) -> "Change":
        """It was asked for: queue its run."""
        return Change(
            value=self,
            events=(self._event("analysis.submitted", self.created_at, kind=self.kind),),
            jobs=(self._run_job(max_attempts),),
        )

    def begun_here(self, actor: str) -> "Change":
        """It was asked for and runs at once, in its caller's own process."""
        return self._change("analysis.started", self.created_at, actor, kind=self.kind, attempt=self.attempt)

    def started(self, now: datetime, actor: str) -> "Change":
        """A worker begins an attempt."""
        value = self._move(Status.RUNNING, now, started_at=now, attempt=self.attempt + 1)
        return value._change("analysis.started", now, actor, attempt=value.attempt)

    def interrupted(self, now: datetime, actor: str, reason: str) -> "Change":
        """The attempt was lost; its job will be leased again."""
        if self.status.ended:
            raise self._illegal(Status.QUEUED)
        value = self._move(Status.QUEUED, now)
        return value._change("analysis.interrupted", now, actor, reason=reason)

    def completed(self, now: datetime, actor: str, result: PayloadRef, summary: str, finding_count: int) -> "Change":
        """The result is complete."""
        value = self._move(
            Status.COMPLETED,
            now,
            completed_at=now,
            result=result,
            result_is_partial=False,
            error=None,
            summary=summary,
            finding_count=finding_count,
            cancel_requested=False,
        )
        seconds = (now - (self.started_at or self.created_at)).total_seconds()
        return value._change("analysis.completed", now, actor, seconds=seconds, findings=finding_count)

    def ended(
        self, status: Status, now: datetime, actor: str, error: ErrorInfo, partial: PayloadRef | None = None
    ) -> "Change":
        """It ends without a complete result.

        Args:
            status: FAILED, CANCELLED or TIMED_OUT.
            now: the moment.
            actor: who ended it.
            error: why.
            partial: what there is of the result; what was kept before stays when None.
        """
        if not status.ended or status is Status.COMPLETED:
            raise self._illegal(status)
        value = self._move(status, now, completed_at=now, error=error, cancel_requested=False)
        if partial is not None:
            value = replace(value, result=partial, result_is_partial=True)
        return value._change(f"analysis.{status.value}", now, actor, code=error.code, message=error.message)

    def cancel_asked(self, now: datetime, actor: str) -> "Change":
        """Somebody wants it to stop: at once when queued, as soon as its worker hears of it when running."""
        if self.status is Status.QUEUED:
            why = ErrorInfo(code="ANALYSIS_CANCELLED", message="It was cancelled before it began")
            return self.ended(Status.CANCELLED, now, actor, why)
        if self.status is not Status.RUNNING:
            raise IllegalMove(
                f"The analysis is {self.status} already and cannot be cancelled",
                analysis_id=self.analysis_id,
                status=self.status.value,
            )
        if self.cancel_requested:
            return Change(value=self)
        value = replace(self, cancel_requested=True, updated_at=now, version=self.version + 1)
        return value._change("analysis.cancel_requested", now, actor)

    def resumed(self, now: datetime, actor: str, max_attempts: int, timeout_seconds: float | None = None) -> "Change":
        """Queue it again, to continue from its last checkpoint; with another time limit if one is given."""
        if not self.status.ended:
            raise self._illegal(Status.QUEUED)
        value = self._move(
            Status.QUEUED,
            now,
            completed_at=None,
            error=None,
            cancel_requested=False,
            timeout_seconds=(self.timeout_seconds if timeout_seconds is None else timeout_seconds) or None,
        )
        change = value._change("analysis.resumed", now, actor)
        return replace(change, jobs=(value._run_job(max_attempts),))

    def trashed(self, now: datetime, actor: str) -> "Change":
        """It is deleted, for now: a run that waits is cancelled, one under way is asked to stop."""
        before: tuple[Event, ...] = ()
        value = self
        if self.status is Status.QUEUED:
            cancelled = self.cancel_asked(now, actor)
            value, before = cancelled.value, cancelled.events
        stops = value.cancel_requested or value.status is Status.RUNNING
        value = replace(value, deleted_at=now, cancel_requested=stops, updated_at=now, version=value.version + 1)
        change = value._change("analysis.deleted", now, actor, kind=self.kind, status=self.status.value)
        return replace(change, events=(*before, *change.events))

    def restored(self, now: datetime, actor: str) -> "Change":
        """It is taken out of the trash."""
        value = replace(self, deleted_at=None, updated_at=now, version=self.version + 1)
        return value._change("analysis.restored", now, actor, status=self.status.value)

    def purged(self, now: datetime, actor: str) -> "Change":
        """It is deleted for good."""
        return self._change("analysis.purged", now, actor, kind=self.kind, status=self.status.value)

    def pinned(self, now: datetime, actor: str, *, is_pinned: bool) -> "Change":
        """Retention leaves it alone from now on, or no longer."""
        if self.is_pinned == is_pinned:
            return Change(value=self)
        value = replace(self, is_pinned=is_pinned, updated_at=now, version=self.version + 1)
        return value._change("analysis.pinned" if is_pinned else "analysis.unpinned", now, actor)

    def _move(self, status: Status, now: datetime, **changes: Any) -> "Analysis":
        if status not in _MOVES[self.status]:
            raise self._illegal(status)
        return replace(self, status=status, updated_at=now, version=self.version + 1, **changes)

    def _illegal(self, status: Status) -> IllegalMove:
        return IllegalMove(
            f"An analysis that is {self.status} cannot become {status}",
            analysis_id=self.analysis_id,
            status=self.status.value,
        )

    def _run_job(self, max_attempts: int) -> NewJob:
        return NewJob(
            kind=RUN_JOB,
            payload={"analysis_id": self.analysis_id},
            priority=self.priority,
            max_attempts=max_attempts,
            unique_key=f"{RUN_JOB}:{self.analysis_id}",
            analysis_id=self.analysis_id,
        )

    def _event(self, name: str, at: datetime, actor: str | None = None, **data: Any) -> Event:
        owner = self.context.client_session_id
        return Event(
            name=name,
            at=at,
            analysis_id=self.analysis_id,
            client_session_id=owner,
            actor=actor or owner,
            data=data,
        )

    def _change(self, name: str, at: datetime, actor: str, **data: Any) -> "Change":
        return Change(value=self, events=(self._event(name, at, actor, **data),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one transaction writes.

    Attributes:
        value: the analysis as it will be.
        events: what the ledger is told.
        jobs: the work that follows.
    """

    value: Analysis
    events: tuple[Event, ...] = ()
    jobs: tuple[NewJob, ...] = ()
