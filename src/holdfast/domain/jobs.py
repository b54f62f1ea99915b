"""Leased work: the values and rules of jobs and their schedules."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class JobStatus(StrEnum):
    """Where a job stands; a job that is done is gone."""

    READY = "ready"
    LEASED = "leased"
    DEAD = "dead"


ATTEMPTS = 5
"""Attempts that a job has, unless it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be enqueued.

    Attributes:
        kind: which handler does it.
        payload: small JSON-able facts for the handler.
        run_at: not before this moment; at once when None.
        priority: higher goes first.
        max_attempts: after so many failed attempts the job is dead.
        unique_key: while a job with this key waits or runs, another one is not enqueued.
        analysis_id: the analysis that it is for, if any.
    """

    kind: str
    payload: dict[str, Any] = field(default_factory=dict)
    run_at: datetime | None = None
    priority: int = 0
    max_attempts: int = ATTEMPTS
    unique_key: str | None = None
    analysis_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is kept.

    Attributes:
        id: its number.
        kind: which handler does it.
        payload: facts for the handler.
        status: where it stands.
        priority: higher goes first.
        run_at: not before this moment.
        attempt: how many times it was leased; with ``lease_owner`` it fences a worker that lost its lease.
        max_attempts: after so many failed attempts it is dead.
        lease_owner: the worker that has it.
        lease_until: when it goes back if the worker is not heard of.
        unique_key: see NewJob.
        analysis_id: see NewJob.
        last_error: why the latest attempt failed.
        created_at: when it was enqueued.
    """

    id: int
    kind: str
    payload: dict[str, Any]
    status: JobStatus
    priority: int
    run_at: datetime
    attempt: int
    max_attempts: int
    lease_owner: str | None
    lease_until: datetime | None
    unique_key: str | None
    analysis_id: str | None
    last_error: str | None
    created_at: datetime

    @property
    def failures(self) -> int:
        """Which attempt this is of those that count, from 1; told by how many are left.

        Whatever postpones a job raises both figures, as the fence gives no number twice, and so does who retries a dead
        one. Of a job with more attempts than usual, those that do not count are told only near the end.
        """
        left = self.max_attempts - self.attempt
        return self.attempt if left >= ATTEMPTS else min(self.attempt, ATTEMPTS - left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job that is enqueued again and again.

    Attributes:
        name: its name, unique.
        kind: the kind of job.
        payload: the job's payload.
        every_seconds: the interval.
        next_at: when it is due.
        enabled: whether it runs.
    """

    name: str
    kind: str
    payload: dict[str, Any]
    every_seconds: float
    next_at: datetime
    enabled: bool = True

    def after(self, now: datetime) -> datetime:
        """The first due moment after ``now`` on the schedule's own grid; missed ones are not made up for."""
        every = timedelta(seconds=self.every_seconds)
        return self.next_at + every * max(0, (now - self.next_at) // every + 1)


def backoff(attempt: int, jitter: float, *, base: float = 1.0, cap: float = 300.0) -> timedelta:
    """How long to wait before the next attempt: exponential with equal jitter.

    The formula is "equal jitter" of M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        attempt: the attempt that failed, from 1.
        jitter: a random number in [0, 1).
        base: seconds before the second attempt, at most.
        cap: seconds, at most.
    """
    ceiling = min(cap, base * 2.0 ** (min(attempt, 64) - 1))
    return timedelta(seconds=ceiling / 2 + ceiling / 2 * jitter)
