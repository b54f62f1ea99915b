"""Processing: indexes follow what is kept, in batches, each change once in the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller, Role
from holdfast.domain.checks import check_limit
from holdfast.domain.jobs import Job, JobStatus
from holdfast.domain.processing import (
    IndexState,
    Processing,
    ProcessingStatus,
    job_kind,
    sync_jobs,
)
from holdfast.processors.contract import Processor
from holdfast.processors.registry import Processors
from holdfast.services.processing.indexing import Indexing, rebuild_job
from holdfast.store.unit_of_work import Store, UnitOfWork

_DEAD_AT_ONCE = 500
_QUEUE_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorStatus:
    """How a processor does.

    Attributes:
        name: the processor.
        is_enabled: whether it is kept up to date here.
        version: of the index that is read.
        generation: of the index that is read; 0 before there is one.
        is_building: whether another index is being built beside it.
        waiting: jobs that wait for it or are under way.
        dead: jobs that it gave up.
        counts: analyses by what it has noted of them.
        lag_seconds: how long the next job to be done has waited; 0 when none waits.
    """

    name: str
    is_enabled: bool
    version: str = ""
    generation: int = 0
    is_building: bool = False
    waiting: int = 0
    dead: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    lag_seconds: float = 0.0


class ProcessingService:
    """The use cases of processing."""

    def __init__(self, store: Store, processors: Processors, indexing: Indexing) -> None:
        """Work on ``store``, with ``processors``, whose indexes ``indexing`` makes."""
        self._store = store
        self._processors = processors
        self._indexing = indexing

    def prepare(self) -> None:
        """See that every enabled processor has an index; what a new one has missed, or an old one did, is rebuilt."""
        for name in self._processors.enabled:
            state = self._indexing.ensure(name)
            if state.version != self._processors.get(name).version and state.building is None:
                self.rebuild([name])

    def rebuild(self, processors: Sequence[str] | None = None, *, caller: Caller = LOCAL) -> list[str]:
        """Build indexes anew, beside those that are read; a worker does it.

        Args:
            processors: whose; of all that are enabled when None.
            caller: who asks, an administrator.

        Returns:
            Those that are being built now.
        """
        _require_admin(caller)
        names = self._processors.check(processors)
        for name in names:
            self._indexing.ensure(name)
            processor = self._processors.get(name)

            def work(uow: UnitOfWork, name: str = name, processor: Processor = processor) -> None:
                state = uow.processing.index(name, lock=True)
                assert state is not None
                if state.building is None:
                    self._begin(uow, state, processor)
                else:
                    uow.jobs.enqueue([rebuild_job(name)], uow.now)

            self._store.write(work)
        return names

    @staticmethod
    def _begin(uow: UnitOfWork, state: IndexState, processor: Processor) -> IndexState:
        building = replace(state, building=state.generation + 1, built_to=0)
        uow.processing.apply(lambda connection: processor.create(connection, state.generation + 1))
        uow.processing.put_index(building, uow.now)
        uow.jobs.enqueue([rebuild_job(state.processor)], uow.now)
        return building

    def reprocess(
        self, analysis_ids: Sequence[str] | None, processors: Sequence[str] | None = None, *, caller: Caller = LOCAL
    ) -> int:
        """Queue analyses to be processed anew, whatever was done of them.

        Args:
            analysis_ids: which; every analysis when None, by building the indexes anew.
            processors: for these; for every enabled one when None.
            caller: who asks; for all of them, an administrator.

        Returns:
            How many analyses, or processors when all are meant, were queued.

        Raises:
            AnalysisNotFound: there is none of that id.
            UnknownProcessor: there is none of that name.
        """
        if analysis_ids is None:
            return len(self.rebuild(processors, caller=caller))
        names = self._processors.check(processors)
        wanted = list(dict.fromkeys(ids.check_id(one) for one in analysis_ids))

        def work(uow: UnitOfWork) -> int:
            keys = {one: uow.find_visible(one, caller).key for one in wanted}
            uow.processing.forget(names, list(keys.values()))
            jobs = [job for one, key in keys.items() for job in sync_jobs(names, [key], one)]
            uow.jobs.enqueue(jobs, uow.now)
            return len(keys)

        return self._store.write(work)

    def retry_failed(self, processors: Sequence[str] | None = None, *, caller: Caller = LOCAL) -> int:
        """Queue again what processors gave up; returns how many jobs."""
        _require_admin(caller)
        kinds = [job_kind(name) for name in self._processors.check(processors)]
        total = 0
        while True:
            revived = self._store.write(lambda uow: len(uow.jobs.revive_all(kinds, uow.now, _QUEUE_AT_ONCE)))
            total += revived
            if revived < _QUEUE_AT_ONCE:
                return total

    def failed(self, *, limit: int = 100, caller: Caller = LOCAL) -> list[Job]:
        """What processors gave up, by number."""
        _require_admin(caller)
        check_limit(limit)
        kinds = {job_kind(name) for name in self._processors.enabled}
        found: list[Job] = []
        after = 0
        while len(found) < limit:
            page = self._store.read(partial(_dead, after))
            found += [job for job in page if job.kind in kinds]
            if len(page) < _DEAD_AT_ONCE:
                break
            after = page[-1].id
        return found[:limit]

    def of_analysis(self, analysis_id: str, *, caller: Caller = LOCAL) -> list[Processing]:
        """How far each processor has come with an analysis, by the processors' names.

        Raises:
            AnalysisNotFound: there is none.
        """
        enabled = self._processors.enabled
        kinds = {job_kind(name): name for name in enabled}

        def look(uow: UnitOfWork) -> list[Processing]:
            stored = uow.find_visible(ids.check_id(analysis_id), caller)
            marks = uow.processing.marks_of(stored.key)
            jobs = {kinds[job.kind]: job for job in uow.jobs.of_analysis(analysis_id, list(kinds))}
            known = sorted({*enabled, *self._processors.installed(), *marks})
            found = []
            for name in known:
                mark, at = marks.get(name, (None, None))
                one = Processing(analysis_id=analysis_id, processor=name, status=ProcessingStatus.SKIPPED)
                if mark is not None:
                    one = replace(
                        one,
                        status=mark.status,
                        attempts=mark.attempts,
                        last_error=mark.last_error,
                        processor_version=mark.processor_version,
                        updated_at=at,
                    )
                elif name in enabled:
                    one = replace(one, status=ProcessingStatus.PENDING)
                found.append(_with_job(one, jobs.get(name)))
            return found

        return self._store.read(look)

    def status(self) -> list[ProcessorStatus]:
        """How every processor that is installed does, by name."""

        def look(uow: UnitOfWork) -> list[ProcessorStatus]:
            states = {state.processor: state for state in uow.processing.indexes()}
            counts, jobs = uow.processing.counts(), uow.jobs.counts()
            rows = []
            for name in sorted({*self._processors.installed(), *states}):
                kind, state = job_kind(name), states.get(name)
                waiting = sum(jobs.get((kind, status.value), 0) for status in (JobStatus.READY, JobStatus.LEASED))
                since = uow.jobs.waiting_since(kind)
                rows.append(
                    ProcessorStatus(
                        name=name,
                        is_enabled=name in self._processors.enabled,
                        version="" if state is None else state.version,
                        generation=0 if state is None else state.generation,
                        is_building=state is not None and state.building is not None,
                        waiting=waiting,
                        dead=jobs.get((kind, JobStatus.DEAD.value), 0),
                        counts=counts.get(name, {}),
                        lag_seconds=0.0 if since is None else max((uow.now - since).total_seconds(), 0.0),
                    )
                )
            return rows

        return self._store.read(look)

    def lags(self) -> dict[str, float]:
        """How many seconds the next job of each enabled processor has waited; 0 when none waits."""

        def look(uow: UnitOfWork) -> dict[str, float]:
            since = {name: uow.jobs.waiting_since(job_kind(name)) for name in self._processors.enabled}
            return {name: 0.0 if at is None else max((uow.now - at).total_seconds(), 0.0) for name, at in since.items()}

        return self._store.read(look)


def _dead(after: int, uow: UnitOfWork) -> list[Job]:
    return uow.jobs.listing(JobStatus.DEAD, after=after, limit=_DEAD_AT_ONCE)


def _with_job(one: Processing, job: Job | None) -> Processing:
    """What a job that waits, runs or is dead adds to what is noted."""
    if job is None or job.status is JobStatus.DEAD:
        return one
    status = ProcessingStatus.RUNNING if job.status is JobStatus.LEASED else ProcessingStatus.PENDING
    failed = 0 if job.last_error is None else job.attempt - (job.status is JobStatus.LEASED)
    return replace(one, status=status, attempts=failed, last_error=job.last_error)


def _require_admin(caller: Caller) -> None:
    caller.require(Role.ADMIN)
