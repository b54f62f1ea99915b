"""Leased work: enqueue, claim, settle, take back, repeat."""

import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import InvalidInput, JobNotFound, StoreError
from holdfast.domain.events import Event
from holdfast.domain.jobs import Job, JobStatus, NewJob, Schedule, backoff
from holdfast.services import Effect, Handler
from holdfast.store.unit_of_work import Store, UnitOfWork

_log = logging.getLogger(__name__)

_TAKE_BACK_AT_ONCE = 100
_LONGEST_INTERVAL = timedelta(days=3653).total_seconds()


class JobsService:
    """The use cases of jobs."""

    def __init__(self, store: Store, handlers: Mapping[str, Handler], lease_seconds: float) -> None:
        """Work on ``store``.

        Args:
            store: where jobs are kept.
            handlers: what does them, by kind.
            lease_seconds: how long a worker may be silent before its jobs go to others.
        """
        self._store = store
        self._handlers = handlers
        self._lease = timedelta(seconds=lease_seconds)

    def enqueue(self, jobs: Sequence[NewJob]) -> None:
        """Keep new jobs."""
        self._store.write(lambda uow: uow.jobs.enqueue(jobs, uow.now))

    def claim(self, worker: str, kinds: Sequence[str], limit: int, *, likely: bool = False) -> list[Job]:
        """Lease due jobs to a worker.

        Args:
            worker: who leases them.
            kinds: the kinds that it can do.
            limit: how many at most.
            likely: whether there are probably some.
        """
        # Else looked for first: an idle worker must not write, or it would wake all the others.
        if limit <= 0 or not (likely or self._store.read(lambda uow: uow.jobs.is_due(kinds, uow.now))):
            return []
        return self._store.write(lambda uow: uow.jobs.claim(worker, kinds, limit, uow.now, self._lease))

    def heartbeat(self, worker: str, jobs: Collection[int]) -> set[int]:
        """Extend a worker's leases on ``jobs``, given by their numbers; returns those that it still has."""
        return self._store.write(lambda uow: uow.jobs.heartbeat(worker, uow.now + self._lease, jobs))

    def settle(self, worker: str, done: Sequence[tuple[Job, Effect | None]]) -> None:
        """Remove jobs and write their effects, all in one transaction; lost jobs have no effect."""

        def work(uow: UnitOfWork) -> None:
            held = uow.jobs.remove_many([job for job, _ in done], worker)
            for job, effect in done:
                if effect is not None and job.id in held:
                    effect(uow)

        self._store.write(work)

    def settle_together(self, worker: str, jobs: Sequence[Job], effect: Effect | None) -> None:
        """Remove jobs and write their common effect, in one transaction; also when some of them were lost."""

        def work(uow: UnitOfWork) -> None:
            uow.jobs.remove_many(jobs, worker)
            if effect is not None:
                effect(uow)

        self._store.write(work)

    def postpone(self, jobs: Sequence[Job], error: BaseException, seconds: float) -> None:
        """Give jobs back for later; the attempt does not count, and the reason is kept."""
        why = ErrorInfo.of(error)
        wait = timedelta(seconds=seconds)
        self._store.write(lambda uow: uow.jobs.postpone(jobs, uow.now + wait, f"{why.code}: {why.message}"))

    def fail(self, job: Job, error: BaseException) -> None:
        """An attempt failed: repeat it later, or bury the job after its last one."""
        wait = backoff(job.failures, random.random())  # noqa: S311 spreads retries, guards nothing
        self._unless_spoilt(job, lambda uow: self._give_up_attempt(uow, job, ErrorInfo.of(error), wait))

    def give_back(self, job: Job) -> None:
        """The worker drains: somebody else does the job, at once, and the attempt does not count."""
        why = ErrorInfo(code="WORKER_DRAINED", message="The worker was stopped")

        def work(uow: UnitOfWork) -> None:
            uow.jobs.release(job, run_at=uow.now, error=None, counted=False)
            self._tell(uow, job, why, dead=False)

        self._unless_spoilt(job, work)

    def take_back(self, kinds: Sequence[str] | None = None, *, worker: str = "") -> int:
        """Take jobs from workers that were not heard of in time.

        Args:
            kinds: of these kinds; of all that have a handler here when None, since it is told.
            worker: who asks; its own jobs stay.

        Returns:
            How many.
        """
        known = list(self._handlers) if kinds is None else kinds
        first = self._store.read(lambda uow: uow.jobs.expired(uow.now, 1, known, sparing=worker, hold=False))
        if not first:
            return 0

        def work(uow: UnitOfWork) -> int:
            jobs = uow.jobs.expired(uow.now, _TAKE_BACK_AT_ONCE, known, sparing=worker)
            for job in jobs:
                self._give_up_attempt(uow, job, _worker_lost(job), timedelta())
            return len(jobs)

        try:
            return self._store.write(work)
        except Exception as error:
            if _passes(error):
                raise
            # One of them spoils the batch: one by one, until it is that one's turn.
            (job,) = first
            self._unless_spoilt(job, lambda uow: self._give_up_attempt(uow, job, _worker_lost(job), timedelta()))
            return 1

    def _unless_spoilt(self, job: Job, work: Callable[[UnitOfWork], None]) -> None:
        """Write ``work`` if the job is still held; where the handler makes that impossible, put the job aside."""

        def held(uow: UnitOfWork) -> None:
            if uow.jobs.holds(job):
                work(uow)

        try:
            self._store.write(held)
        except Exception as error:
            # What a handler makes of a loss is its own, and so is how that fails.
            if _passes(error):
                raise
            _log.exception("Job %d (%s) is put aside, as its handler fails to hear of its loss", job.id, job.kind)
            why = ErrorInfo.of(error)

            def put_aside(uow: UnitOfWork) -> None:
                if uow.jobs.holds(job):
                    self._bury(uow, job, f"{why.code}: {why.message}")

            self._store.write(put_aside)

    def _give_up_attempt(self, uow: UnitOfWork, job: Job, why: ErrorInfo, wait: timedelta) -> None:
        reason = f"{why.code}: {why.message}"
        if job.attempt < job.max_attempts:
            uow.jobs.release(job, run_at=uow.now + wait, error=reason, counted=True)
            self._tell(uow, job, why, dead=False)
        elif self._tell(uow, job, why, dead=True):
            self._bury(uow, job, reason)
        else:
            uow.jobs.drop(job.id)

    @staticmethod
    def _bury(uow: UnitOfWork, job: Job, reason: str) -> None:
        uow.jobs.bury(job, reason)
        data = {"job_id": job.id, "kind": job.kind, "error": reason, "attempts": job.attempt}
        uow.ledger.append([Event(name="job.died", at=uow.now, analysis_id=job.analysis_id, data=data)])

    def _tell(self, uow: UnitOfWork, job: Job, why: ErrorInfo, *, dead: bool) -> bool:
        handler = self._handlers.get(job.kind)
        return True if handler is None else handler.lost(uow, job, why, dead=dead)

    def retry(self, job_id: int) -> Job:
        """Queue a dead job again.

        Raises:
            JobNotFound: there is no dead job of that number.
        """

        def work(uow: UnitOfWork) -> Job:
            job = uow.jobs.revive(job_id, uow.now)
            if job is None:
                raise JobNotFound(f"There is no dead job {job_id}", job_id=job_id)
            data = {"job_id": job.id, "kind": job.kind}
            uow.ledger.append([Event(name="job.retried", at=uow.now, analysis_id=job.analysis_id, data=data)])
            return job

        return self._store.write(work)

    def listing(self, status: JobStatus | None = None, *, after: int = 0, limit: int = 100) -> list[Job]:
        """Jobs by number, of one status or of all."""
        check_limit(limit)
        return self._store.read(lambda uow: uow.jobs.listing(status, after=after, limit=limit))

    def counts(self) -> dict[tuple[str, str], int]:
        """How many jobs wait, run or are dead, by kind and status."""
        return self._store.read(lambda uow: uow.jobs.counts())

    def next_due(self, kinds: Sequence[str]) -> float | None:
        """Seconds until the next delayed job or schedule is due; None when there is none."""

        def look(uow: UnitOfWork) -> float | None:
            moment = uow.jobs.next_due(kinds)
            return None if moment is None else (moment - uow.now).total_seconds()

        return self._store.read(look)

    def schedule(self, name: str, kind: str, every_seconds: float, payload: dict[str, object] | None = None) -> None:
        """Enqueue a job of ``kind`` every so many seconds, from one interval from now on; replaces its namesake.

        A namesake that is due earlier keeps its moment.
        """
        if not 1 <= every_seconds <= _LONGEST_INTERVAL:
            raise InvalidInput("A schedule's interval is a second to ten years", field="every_seconds")

        def work(uow: UnitOfWork) -> None:
            first = uow.now + timedelta(seconds=every_seconds)
            uow.jobs.put_schedule(
                Schedule(
                    name=name,
                    kind=kind,
                    payload=dict(payload or {}),
                    every_seconds=every_seconds,
                    next_at=first,
                )
            )

        self._store.write(work)

    def schedules(self) -> list[Schedule]:
        """Every schedule by name."""
        return self._store.read(lambda uow: uow.jobs.schedules())

    def unschedule(self, name: str) -> bool:
        """Forget a schedule; False when there was none."""
        return self._store.write(lambda uow: uow.jobs.remove_schedule(name))

    def fire_schedules(self) -> int:
        """Enqueue what the schedules ask for by now; returns how many jobs."""
        if not self._store.read(lambda uow: uow.jobs.is_schedule_due(uow.now)):
            return 0
        return self._store.write(lambda uow: uow.jobs.fire_schedules(uow.now))


def _worker_lost(job: Job) -> ErrorInfo:
    return ErrorInfo(
        code="WORKER_LOST",
        message=f"The worker {job.lease_owner} was not heard of in time",
        suggestions=("Look for what ended the worker's process",),
    )


def _passes(error: Exception) -> bool:
    """Whether it is the store's trouble of the moment, not the job's own."""
    return isinstance(error, StoreError) and error.retry_suggested
