"""The jobs of processors, as a worker does them."""

import logging
import random
import time
from collections.abc import Sequence

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import ProcessorUnavailable
from holdfast.domain.jobs import Job, backoff
from holdfast.domain.processing import (
    REBUILD_JOB,
    ProcessingStatus,
    job_kind,
)
from holdfast.services import Effect, GivenBack, Lease, Settling
from holdfast.services.processing.indexing import Indexing, halves, passes
from holdfast.store.processing import Mark
from holdfast.store.unit_of_work import UnitOfWork

_log = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0


class ProcessHandler:
    """Brings one processor's index up to date, in a thread that nothing else waits for."""

    is_long = False

    def __init__(self, indexing: Indexing, name: str, batch: int) -> None:
        """Work for the processor ``name``, ``batch`` analyses at a time."""
        self.kind = job_kind(name)
        self.batch = batch
        self._indexing = indexing
        self._name = name
        self._failures = 0
        self._paused_until = 0.0

    def is_paused(self) -> bool:
        """Whether its back end was away a moment ago: all that waits need not be tried to see that it still is."""
        return time.monotonic() < self._paused_until

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        """One job alone."""
        effects: list[Effect] = []
        self._indexing.sync(self._name, job.payload["keys"], effects.append)
        return effects[-1] if effects else None

    def handle_batch(self, jobs: Sequence[Job], lease: Lease, settling: Settling) -> None:
        """Do many at once; what fails is found by halves."""
        if lease.draining():
            raise GivenBack
        try:
            keys = [key for job in jobs for key in job.payload["keys"]]
            self._indexing.sync(self._name, keys, lambda effect: settling.settle(jobs, effect))
        except ProcessorUnavailable as error:
            self._postpone(jobs, error, settling)
        except Exception as error:
            # A processor is anybody's code: whatever does not pass by itself is searched for among its documents.
            if passes(error):
                raise
            if len(jobs) == 1:
                settling.fail(jobs[0], error)
                return
            for half in halves(jobs):
                self.handle_batch(half, lease, settling)
        else:
            self._failures = 0

    def _postpone(self, jobs: Sequence[Job], error: ProcessorUnavailable, settling: Settling) -> None:
        self._failures += 1
        seconds = backoff(self._failures, random.random(), cap=_LONGEST_PAUSE).total_seconds()  # noqa: S311 spreads
        _log.warning("The processor %s is tried again in %.1f s: %s", self._name, seconds, error)
        self._paused_until = time.monotonic() + seconds
        settling.postpone(jobs, error, seconds)

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """Note why it was given up; the job is kept for somebody to look at."""
        if dead:
            reason = f"{error.code}: {error.message}"
            there = [one.key for one in uow.analyses.of_keys(job.payload["keys"])]
            failed = [
                Mark(key=key, status=ProcessingStatus.FAILED, attempts=job.attempt, last_error=reason) for key in there
            ]
            uow.processing.note(self._name, failed, uow.now)
        return True


class RebuildHandler:
    """Builds indexes anew, in a thread that nothing else waits for."""

    kind = REBUILD_JOB
    is_long = True
    batch = 1

    def __init__(self, indexing: Indexing, enabled: Sequence[str]) -> None:
        """Build with ``indexing`` what is enabled."""
        self._indexing = indexing
        self._enabled = enabled

    def is_paused(self) -> bool:
        """Never: a job that fails waits by itself."""
        return False

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        """Build until all is in it, and make it the one that is read; or discard one."""
        name = job.payload["processor"]
        if name not in self._enabled:
            return None
        if "discard" in job.payload:
            return self._indexing.discard(name, job.payload["discard"])
        if not self._indexing.build(name, lambda: lease.lost() or lease.draining()):
            raise GivenBack
        return self._indexing.swap(name)

    def handle_batch(self, jobs: Sequence[Job], lease: Lease, settling: Settling) -> None:
        """One at a time."""
        for job in jobs:
            try:
                effect = self.handle(job, lease)
            except ProcessorUnavailable as error:
                settling.postpone([job], error, _LONGEST_PAUSE / 4)
            else:
                settling.settle([job], effect)

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """What is built stays, and the next one goes on from there."""
        return True
