"""Use cases: one is one method is one transaction. Services know the store, not each other.

What a worker does is a handler: it computes outside of any transaction and returns an effect, which is written
in the transaction that removes the job. So the effect of a job happens exactly once, whoever is killed when.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

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


class Settling(Protocol):
    """How a batch's jobs end; each of these is one transaction."""

    def settle(self, jobs: Sequence[Job], effect: Effect | None) -> None:
        """Remove jobs and write their common effect; it is written though some of them were lost meanwhile.

        Raises:
            Exception: the effect failed, and all is as before.
        """
        ...

    def fail(self, job: Job, error: BaseException) -> None:
        """An attempt failed: repeat it later, or bury the job after its last one."""
        ...

    def postpone(self, jobs: Sequence[Job], error: BaseException, seconds: float) -> None:
        """Give jobs back for later; the attempt does not count."""
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


@runtime_checkable
class BatchHandler(Handler, Protocol):
    """A handler that does many jobs at once, in a thread of its own.

    Attributes:
        batch: how many jobs it takes at a time.
    """

    batch: int

    def is_paused(self) -> bool:
        """Whether it takes no jobs for now."""
        ...

    def handle_batch(self, jobs: Sequence[Job], lease: Lease, settling: Settling) -> None:
        """Do the jobs, and settle each of them.

        Raises:
            GivenBack: it stopped because the worker drains; those that are not settled go back.
            Exception: those that are not settled have failed.
        """
        ...
