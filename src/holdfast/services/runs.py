"""Running an analysis: the handler of its job, and the keeper of what its process sends."""

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from holdfast.analyzers.pools import SpreadSettings
from holdfast.analyzers.process import RunEnd, RunReport, run_in_child
from holdfast.analyzers.registry import Registry
from holdfast.domain.analysis import RUN_JOB, Analysis, ErrorInfo, Status
from holdfast.domain.errors import AnalyzerCrashed, HoldfastError, InvalidTarget, LeaseLost, StoreError
from holdfast.domain.events import Event
from holdfast.domain.jobs import Job, backoff
from holdfast.domain.ports import Request
from holdfast.domain.progress import Progress
from holdfast.domain.retention import Rules
from holdfast.services import Effect, GivenBack, Lease
from holdfast.store.keeping import push_out
from holdfast.store.payloads import Payload, pack
from holdfast.store.runs import run_scope
from holdfast.store.unit_of_work import Store, UnitOfWork

_log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.25
_STOP_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0
_LOGGED_ITEMS = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A report ready to be written: hashed and compressed outside of the transaction."""

    report: RunReport
    payload: Payload

    @classmethod
    def of(cls, report: RunReport | None) -> "_Result | None":
        return None if report is None else cls(report=report, payload=pack(report.payload))


class RunHandler:
    """Runs analyses, each in a process of its own."""

    kind = RUN_JOB
    is_long = True

    def __init__(self, store: Store, registry: Registry, spread: SpreadSettings, rules: Rules) -> None:
        """Keep what runs find in ``store``, by ``rules``."""
        self._rules = rules
        self._store = store
        self._registry = registry
        self._spread = spread

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        """Run the analysis and return how its end is written."""
        analysis = self._begin(job)
        if analysis is None:
            return None
        keeper = _Keeper(self._store, job, lease, analysis)
        end = self._run(analysis, keeper)
        keeper.finish()
        # Stopped for the worker's sake; an analyzer may also give up by itself, and then it has ended.
        if end.status is Status.CANCELLED and lease.draining() and not keeper.cancelled:
            raise GivenBack
        if end.error is not None and end.error.code == AnalyzerCrashed.code and job.attempt < job.max_attempts:
            raise AnalyzerCrashed(end.error.message, **end.error.details)
        _log.info("Analysis %s ended: %s", analysis.analysis_id, end.status)
        result = _Result.of(end.report)
        return lambda uow: _end(uow, analysis, job, end, result, self._rules)

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """The attempt is over: the analysis waits for the next one, or has failed; it tells of that itself."""
        stored = uow.analyses.find(str(job.payload["analysis_id"]), lock=True)
        if stored is None or stored.value.status.ended:
            return False
        actor = f"worker:{job.lease_owner}"
        value = stored.value
        if value.status is Status.RUNNING:
            uow.runs.end_attempt(stored.key, value.attempt, Status.QUEUED, error, uow.now)
        if value.cancel_requested:
            # Nobody is left to stop it, so it stops here.
            why = ErrorInfo(code="ANALYSIS_CANCELLED", message="The analysis was cancelled")
            uow.save(stored, value.ended(Status.CANCELLED, uow.now, actor, why))
            uow.jobs.drop(job.id)
        elif dead:
            uow.save(stored, value.ended(Status.FAILED, uow.now, actor, error))
        elif value.status is Status.RUNNING:
            uow.save(stored, value.interrupted(uow.now, actor, f"{error.code}: {error.message}"))
        return False

    def _begin(self, job: Job) -> Analysis | None:
        """Start the attempt; None when there is nothing to run any more."""

        def work(uow: UnitOfWork) -> Analysis | None:
            if not uow.jobs.holds(job):
                raise LeaseLost(job_id=job.id)
            stored = uow.analyses.find(str(job.payload["analysis_id"]), lock=True)
            if stored is None or stored.value.status is not Status.QUEUED:
                return None
            change = stored.value.started(uow.now, f"worker:{job.lease_owner}")
            uow.save(stored, change)
            uow.runs.begin_attempt(stored.key, change.value.attempt, job.lease_owner or "", uow.now)
            uow.runs.progressed(stored.key, Progress(started_at=uow.now, updated_at=uow.now))
            return change.value

        return self._store.write(work)

    def _run(self, analysis: Analysis, keeper: "_Keeper") -> RunEnd:
        try:
            return run_in_child(
                self._registry.import_path(analysis.kind),
                _request(analysis),
                analysis_id=analysis.analysis_id,
                keeper=keeper,
                timeout_seconds=analysis.timeout_seconds,
                spread=self._spread,
            )
        except LeaseLost:
            raise
        except HoldfastError as error:
            if error.retry_suggested:
                raise
            return RunEnd(status=Status.FAILED, error=ErrorInfo.of(error))


def _request(analysis: Analysis) -> Request:
    if analysis.subject is None:
        raise InvalidTarget("The analysis has no subject to run on", analysis_id=analysis.analysis_id)
    return Request(subject=analysis.subject, params=analysis.params, location=analysis.location)


def _end(uow: UnitOfWork, begun: Analysis, job: Job, end: RunEnd, result: _Result | None, rules: Rules) -> None:
    stored = uow.analyses.find(begun.analysis_id, lock=True)
    # Deleted meanwhile, or taken over: then there is nothing to write to.
    if stored is None or stored.value.status is not Status.RUNNING or stored.value.attempt != begun.attempt:
        return
    value, actor = stored.value, f"worker:{job.lease_owner}"
    uow.runs.end_attempt(stored.key, value.attempt, end.status, end.error, uow.now)
    findings = None if result is None else result.report.findings
    payload = None if result is None else result.payload
    if end.status is Status.COMPLETED and result is not None:
        change = value.completed(uow.now, actor, result.payload.ref, result.report.summary, len(result.report.findings))
        uow.search_facts.keep_manifest(stored.key, run_scope(value.analysis_id))
        uow.runs.drop_checkpoints(run_scope(value.analysis_id))
        for progress in uow.runs.progress([stored.key]).values():
            uow.runs.progressed(stored.key, progress.finished(uow.now, len(result.report.findings)))
    else:
        error = end.error or ErrorInfo(code="RUN_ERROR", message="The analysis did not complete")
        change = value.ended(end.status, uow.now, actor, error, None if payload is None else payload.ref)
        if result is not None:
            partial = replace(change.value, summary=result.report.summary, finding_count=len(result.report.findings))
            change = replace(change, value=partial)
    uow.save(stored, change, payload=payload, findings=findings)
    if result is not None:
        uow.findings.add_metrics([(stored.key, result.report.metrics)])
    if end.status is Status.COMPLETED:
        push_out(uow, change.value, rules)


class _Keeper:
    """Writes what the process sends, as long as the job is ours.

    Attributes:
        cancelled: whether somebody asked the analysis to stop, in contrast to a worker that drains.
    """

    def __init__(self, store: Store, job: Job, lease: Lease, analysis: Analysis) -> None:
        self.cancelled = False
        self._store = store
        self._job = job
        self._lease = lease
        self._analysis = analysis
        self._key = store.read(lambda uow: uow.analyses.key_of(analysis.analysis_id))
        self._seen = Progress(started_at=analysis.updated_at, updated_at=analysis.updated_at)
        self._pending: Progress | None = None
        self._phase_began = time.monotonic()
        self._next_progress = 0.0
        self._next_look = 0.0

    def load(self, scope: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The checkpoints that are there."""
        return self._patiently(lambda: self._store.load_checkpoints(scope, keys))

    def save(self, scope: str, items: Mapping[str, bytes]) -> None:
        """Keep checkpoints."""

        def work(uow: UnitOfWork) -> None:
            self._fence(uow)
            uow.runs.save_checkpoints(scope, items, uow.now)

        self._patiently(lambda: self._store.write(work))

    def progressed(self, progress: Progress) -> None:
        """Keep how far the run has come: each phase, and a few times a second in between."""
        entered = progress.phase != self._seen.phase
        self._log_progress(progress)
        self._seen = self._pending = progress
        if self._key is None or (not entered and time.monotonic() < self._next_progress):
            return
        key = self._key
        event = Event(
            name="analysis.entered_phase",
            at=progress.updated_at,
            analysis_id=self._analysis.analysis_id,
            client_session_id=self._analysis.context.client_session_id,
            actor=f"worker:{self._job.lease_owner}",
            data={
                "kind": self._analysis.kind,
                "phase": progress.phase,
                "step": progress.current_step,
                "steps": progress.total_steps,
            },
        )

        def work(uow: UnitOfWork) -> None:
            self._fence(uow)
            uow.runs.progressed(key, progress)
            if entered:
                uow.ledger.append([event])

        self._patiently(lambda: self._store.write(work))
        self._pending = None
        self._next_progress = time.monotonic() + _PROGRESS_SECONDS

    def finish(self) -> None:
        """The run is over: keep what it told last, and log how long its last phase took."""
        pending, self._next_progress = self._pending, 0.0
        if pending is not None:
            self.progressed(pending)
        self._end_phase()

    def _end_phase(self) -> None:
        seen, now = self._seen, time.monotonic()
        if seen.phase:
            facts = (self._analysis.analysis_id, seen.phase, seen.items_processed, now - self._phase_began)
            _log.info("Analysis %s: %s done, %d items, %.2f s", *facts)
        self._phase_began = now

    def _log_progress(self, progress: Progress) -> None:
        if progress.phase != self._seen.phase:
            self._end_phase()
        elif progress.items_processed // _LOGGED_ITEMS > self._seen.items_processed // _LOGGED_ITEMS:
            items = f"{progress.items_processed}/{progress.total_items or '?'}"
            facts = (self._analysis.analysis_id, progress.phase, items, progress.percentage)
            _log.info("Analysis %s: %s - %s (%.1f%%)", *facts)

    def stop_asked(self) -> bool:
        """Whether the run should stop."""
        if self._lease.lost():
            raise LeaseLost(job_id=self._job.id)
        if self._lease.draining():
            return True
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _STOP_SECONDS
            name = self._analysis.analysis_id
            self.cancelled = self._patiently(lambda: self._store.read(lambda uow: uow.analyses.stop_asked(name)))
        return self.cancelled

    def _patiently(self, action: Callable[[], T]) -> T:
        # What runs for an hour does not end because the database restarts.
        until = time.monotonic() + _PATIENCE_SECONDS
        for attempt in itertools.count(1):
            try:
                return action()
            except StoreError as error:
                is_over = time.monotonic() > until or self._lease.lost() or self._lease.draining()
                if is_over or not error.retry_suggested:
                    raise
                _log.warning("Analysis %s waits for the store: %s", self._analysis.analysis_id, error)
                time.sleep(backoff(attempt, 0.5, base=0.1, cap=2.0).total_seconds())
        raise AssertionError("unreachable")

    def _fence(self, uow: UnitOfWork) -> None:
        # Held until the commit: a takeover in between would mix two attempts' checkpoints.
        if not uow.jobs.holds(self._job):
            raise LeaseLost(job_id=self._job.id)
