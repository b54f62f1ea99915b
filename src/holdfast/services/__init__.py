"""Use cases: one is one method is one transaction. Services know the store, not each other.

What a worker does is a handler: it computes outside of any transaction and returns an effect, which is written
in the transaction that removes the job. So the effect of a job happens exactly once, whoever is killed when.
"""

from collections.abc import Callable
from typing import Protocol

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.jobs import Job
from holdfast.store.unit_of_work import UnitOfWork

Effect = Callable[[UnitOfWork], None]


class Lease(Protocol):
    """A worker's hold on a job."""

    def lost(self) -> bool:
        """Whether another worker may have the job by now."""
        ...

    def draining(self) -> bool:
        """Whether the worker is about to stop and wants its jobs back."""
        ...


class GivenBack(Exception):
    """Raised by a handler that stops because its worker drains."""


class Handler(Protocol):
    """What does the jobs of one kind.

    Attributes:
        kind: the kind of job.
        is_long: whether a job may take longer than a moment; it then gets a thread of its own.
    """

    kind: str
    is_long: bool

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        """Do the job, and return what is to be written when it is removed.

        Raises:
            GivenBack: it stopped because the worker drains.
            Exception: the attempt failed; it is repeated later.
        """
        ...

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """An attempt is over without effect; called in the transaction that gives the job back.

        Args:
            uow: that transaction.
            job: the job as it was leased.
            error: why.
            dead: whether it was the last attempt.

        Returns:
            Whether a dead job should be kept for somebody to look at.
        """
        ...
