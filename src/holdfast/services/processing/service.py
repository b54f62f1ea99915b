"""Processing: indexes follow what is kept, in batches, each change once in the end."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller, Role
from holdfast.domain.analysis import Analysis
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import PayloadCorrupt, ProcessorError, ProcessorUnavailable, StoreError
from holdfast.domain.jobs import Job, JobStatus, NewJob
from holdfast.domain.processing import (
    REBUILD_JOB,
    Document,
    IndexState,
    Processing,
    ProcessingStatus,
    digest,
    job_kind,
    sync_jobs,
)
from holdfast.processors.contract import Processor, Write
from holdfast.processors.registry import Processors
from holdfast.services import Effect
from holdfast.store.payloads import unpack
from holdfast.store.processing import Mark
from holdfast.store.unit_of_work import Store, UnitOfWork

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LARGEST_RESULT = 8 * 1024 * 1024
_MOST_FINDINGS = 200
_REBUILD_AT_ONCE = 500
_DEAD_AT_ONCE = 500
_REPEATS = 20
_QUEUE_AT_ONCE = 1000
# Whoever began to read the old index has ended by then.
_DISCARD_AFTER = timedelta(seconds=60)


class _Moved(Exception):
    """What was read has changed since: read it again."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Analyses as one moment had them.

    Attributes:
        state: the index.
        documents: those to be indexed, with their versions.
        gone: keys that must not be in the index.
        versions: of every analysis that was read.
    """

    state: IndexState
    documents: list[Document]
    gone: list[int]
    versions: dict[int, int]


class ProcessingService:
    """The use cases of processing."""

    def __init__(self, store: Store, processors: Processors) -> None:
        """Work on ``store``, with ``processors``."""
        self._store = store
        self._processors = processors
        self._prepared: set[str] = set()

    def prepare(self) -> None:
        """See that every enabled processor has an index; what a new one has missed, or an old one did, is rebuilt."""
        for name in self._processors.enabled:
            state = self._ensure(name)
            if state.version != self._processors.get(name).version and state.building is None:
                self.rebuild([name])

    def _ensure(self, name: str) -> IndexState:
        state = self._store.read(lambda uow: uow.processing.index(name))
        if state is not None:
            return state
        processor = self._processors.get(name)

        def work(uow: UnitOfWork) -> IndexState:
            # What was kept before there was an index is put into it before it counts as whole.
            is_late = bool(uow.processing.keys_after(0, 1))
            made = IndexState(
                processor=name,
                version=processor.version,
                generation=0 if is_late else 1,
                building=1 if is_late else None,
            )
            if not uow.processing.add_index(made, uow.now):
                state = uow.processing.index(name)
                assert state is not None
                return state
            uow.processing.apply(lambda connection: processor.create(connection, 1))
            if is_late:
                uow.jobs.enqueue([_rebuild_job(name)], uow.now)
            return made

        return self._store.write(work)

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
            self._ensure(name)
            processor = self._processors.get(name)

            def work(uow: UnitOfWork, name: str = name, processor: Processor = processor) -> None:
                state = uow.processing.index(name, lock=True)
                assert state is not None
                if state.building is None:
                    self._begin(uow, state, processor)
                else:
                    uow.jobs.enqueue([_rebuild_job(name)], uow.now)

            self._store.write(work)
        return names

    @staticmethod
    def _begin(uow: UnitOfWork, state: IndexState, processor: Processor) -> IndexState:
        building = replace(state, building=state.generation + 1, built_to=0)
        uow.processing.apply(lambda connection: processor.create(connection, state.generation + 1))
        uow.processing.put_index(building, uow.now)
        uow.jobs.enqueue([_rebuild_job(state.processor)], uow.now)
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

    def sync(self, name: str, keys: Sequence[int], settle: Callable[[Effect], object]) -> None:
        """Make an index say of analyses what is true now.

        Args:
            name: the processor.
            keys: the analyses, by internal key.
            settle: writes an effect, in one transaction with whatever else it has to write.

        Raises:
            ProcessorUnavailable: its back end is away.
            Exception: one of the documents is at fault, perhaps.
        """
        processor = self._processors.get(name)
        if name not in self._prepared:
            self._ensure(name)
            self._prepared.add(name)

        def attempt() -> None:
            read = self._store.read(lambda uow: _look(uow, processor, keys))
            settle(_index(processor, read, read.state.generations))

        _until_it_stands(attempt, name)

    def build(self, name: str, stop: Callable[[], bool]) -> bool:
        """Go on building an index, page by page; False when it was stopped before the end.

        Raises:
            ProcessorUnavailable: its back end is away; what is built stays.
        """
        processor = self._processors.get(name)
        state = self._store.read(lambda uow: uow.processing.index(name))
        if state is None or state.building is None:
            return True
        building = state.building
        # The next page is read and cut into words while the database is busy with the one before.
        coming = _begun(partial(self._page, processor, building, state.built_to))
        while not stop():
            page = coming.result()
            if page is None:
                return True
            keys, effect = page
            coming = _begun(partial(self._page, processor, building, keys[-1]))
            if effect is None or not self._stands(effect):
                self._build(processor, building, keys)
            self._store.write(partial(_built, name, keys[-1]))
        return False

    def _page(self, processor: Processor, building: int, after: int) -> tuple[list[int], Effect | None] | None:
        """The keys that follow and what writes them, None if they must be taken one by one; None after the last."""

        def look(uow: UnitOfWork) -> tuple[list[int], _Read | None]:
            keys = uow.processing.keys_after(after, _REBUILD_AT_ONCE)
            return keys, _look(uow, processor, keys, again=True) if keys else None

        keys, read = self._store.read(look)
        if read is None or read.state.building != building:
            return None
        try:
            return keys, _index(processor, read, [building])
        except Exception:  # noqa: BLE001
            # Whatever it is comes again when the page is built by itself, and is seen to there.
            return keys, None

    def _stands(self, effect: Effect) -> bool:
        """Write what was made of a page; False when it must be made anew."""
        try:
            self._store.write(effect)
        except Exception as error:
            if passes(error):
                raise
            return False
        return True

    def _build(self, processor: Processor, building: int, keys: Sequence[int]) -> None:
        def attempt() -> None:
            read = self._store.read(lambda uow: _look(uow, processor, keys, again=True))
            if read.state.building == building:
                self._store.write(_index(processor, read, [building]))

        try:
            _until_it_stands(attempt, processor.name)
        except Exception as error:
            if passes(error):
                raise
            if len(keys) > 1:
                for half in halves(keys):
                    self._build(processor, building, half)
                return
            # Its own job tries it a few times more, and keeps the reason; the others need not wait for it.
            _log.warning("An analysis is left out of the index of %s for now: %s", processor.name, error)
            self._store.write(lambda uow: _try_alone(uow, processor.name, keys[0]))

    def swap(self, name: str) -> Effect:
        """What makes the index that was built the one that is read."""
        processor = self._processors.get(name)

        def effect(uow: UnitOfWork) -> None:
            state = uow.processing.index(name, lock=True)
            if state is None or state.building is None:
                return
            read = IndexState(processor=name, version=processor.version, generation=state.building)
            uow.processing.put_index(read, uow.now)
            if not state.generation:
                return
            payload = {"processor": name, "discard": state.generation}
            uow.jobs.enqueue([NewJob(kind=REBUILD_JOB, payload=payload, run_at=uow.now + _DISCARD_AFTER)], uow.now)

        return effect

    def discard(self, name: str, generation: int) -> Effect:
        """What drops an index that nobody reads any more."""
        processor = self._processors.get(name)

        def effect(uow: UnitOfWork) -> None:
            state = uow.processing.index(name)
            if state is None or generation not in state.generations:
                uow.processing.apply(lambda connection: processor.discard(connection, generation))

        return effect


def halves(values: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Both halves of at least two values."""
    middle = len(values) // 2
    return values[:middle], values[middle:]


def passes(error: Exception) -> bool:
    """Whether it is trouble of the moment; what a database makes of one document is that document's fault."""
    return isinstance(error, ProcessorUnavailable | StoreError) and error.retry_suggested


def _until_it_stands(attempt: Callable[[], None], name: str) -> None:
    for _ in range(_REPEATS):
        try:
            attempt()
        except _Moved:
            continue
        return
    raise ProcessorUnavailable(f"What the processor {name!r} reads changes faster than it can be indexed")


def _look(uow: UnitOfWork, processor: Processor, keys: Sequence[int], *, again: bool = False) -> _Read:
    """Read what is to be indexed; with ``again`` also what is noted as done."""
    state = uow.processing.index(processor.name)
    if state is None:
        raise ProcessorError(f"The index of {processor.name!r} is gone", processor=processor.name)
    stored = {one.key: one.value for one in uow.analyses.of_keys(list(dict.fromkeys(keys)))}
    there = {key: value for key, value in stored.items() if value.deleted_at is None}
    marks = {} if again else uow.processing.marks(processor.name, list(there))
    fresh = {}
    for key, value in there.items():
        named = digest(value)
        # One that runs again stays in the index as it was, until it has ended.
        if value.status.ended and not _is_done(marks.get(key), named, processor.version):
            fresh[key] = (value, named)
    results = _results(uow, {key: value for key, (value, _) in fresh.items()})
    told = [key for key, (value, _) in fresh.items() if value.finding_count]
    findings = uow.findings.of_many(told, _MOST_FINDINGS) if told else {}
    documents = [
        Document(key=key, analysis=value, result=results.get(key), findings=tuple(findings.get(key, ())), digest=named)
        for key, (value, named) in fresh.items()
    ]
    return _Read(
        state=state,
        documents=documents,
        gone=[key for key in dict.fromkeys(keys) if key not in there],
        versions={key: value.version for key, value in stored.items()},
    )


def _is_done(mark: Mark | None, named: str, version: str) -> bool:
    if mark is None or mark.status is ProcessingStatus.FAILED:
        return False
    return mark.digest == named and mark.processor_version == version


def _results(uow: UnitOfWork, values: Mapping[int, Analysis]) -> dict[int, Any]:
    wanted = {
        key: value.result.hash
        for key, value in values.items()
        if value.result is not None and value.result.size <= _LARGEST_RESULT
    }
    frames = uow.payloads.read_many(sorted(set(wanted.values()))) if wanted else {}
    results = {}
    for key, name in wanted.items():
        try:
            # A result may be gone by now, as each statement on PostgreSQL may see; its analysis has moved then.
            results[key] = msgspec.json.decode(unpack(name, frames[name])) if name in frames else None
        except PayloadCorrupt as error:
            _log.warning("A result is left out of the indexes: %s", error)
    return results


def _begun(work: Callable[[], T]) -> Future[T]:
    """What ``work`` comes to in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 whoever asks for the result gets it
            future.set_exception(error)

    # A daemon, as a lane is: a back end that hangs must not keep the process.
    threading.Thread(target=run, name="holdfast-build", daemon=True).start()
    return future


def _index(processor: Processor, read: _Read, generations: Sequence[int]) -> Effect:
    """Let a processor work, and return what is to be written."""
    accepted: list[Document] = []
    refused: list[Document] = []
    for document in read.documents:
        (accepted if processor.accepts(document) else refused).append(document)
    leaving = [*read.gone, *(document.key for document in refused)]
    done = processor.process(accepted, generations) if accepted else None
    removed = processor.remove(leaving, generations) if leaving else None
    writes = [write for write in (done, removed) if write is not None]
    marks = [_mark(processor, document, ProcessingStatus.COMPLETED) for document in accepted]
    marks += [_mark(processor, document, ProcessingStatus.SKIPPED) for document in refused]
    touched = [*(document.key for document in read.documents), *read.gone]
    known = {key: read.versions[key] for key in touched if key in read.versions}

    def effect(uow: UnitOfWork) -> None:
        if not touched:
            return
        state = uow.processing.index(processor.name, hold=True)
        # What has changed since it was read may have been indexed since by another worker: the newer one stays.
        if state is None or state.generations != read.state.generations or uow.analyses.hold_versions(touched) != known:
            raise _Moved
        for write in writes:
            for generation in generations:
                uow.processing.apply(partial(_written, write, generation))
        uow.processing.note(processor.name, marks, uow.now)
        uow.processing.forget([processor.name], read.gone)

    return effect


def _written(write: Write, generation: int, connection: sa.Connection) -> None:
    write(connection, generation)


def _mark(processor: Processor, document: Document, status: ProcessingStatus) -> Mark:
    return Mark(key=document.key, status=status, digest=document.digest, processor_version=processor.version)


def _dead(after: int, uow: UnitOfWork) -> list[Job]:
    return uow.jobs.listing(JobStatus.DEAD, after=after, limit=_DEAD_AT_ONCE)


def _built(name: str, last: int, uow: UnitOfWork) -> None:
    state = uow.processing.index(name, lock=True)
    if state is not None and state.building is not None:
        uow.processing.put_index(replace(state, built_to=max(state.built_to, last)), uow.now)


def _try_alone(uow: UnitOfWork, name: str, key: int) -> None:
    stored = next(iter(uow.analyses.of_keys([key])), None)
    # Where one waits, or was given up, it has the same to say.
    if stored is not None and not uow.jobs.of_analysis(stored.value.analysis_id, [job_kind(name)]):
        uow.processing.forget([name], [key])
        uow.jobs.enqueue(sync_jobs([name], [key], stored.value.analysis_id), uow.now)


def _with_job(one: Processing, job: Job | None) -> Processing:
    """What a job that waits, runs or is dead adds to what is noted."""
    if job is None or job.status is JobStatus.DEAD:
        return one
    status = ProcessingStatus.RUNNING if job.status is JobStatus.LEASED else ProcessingStatus.PENDING
    failed = 0 if job.last_error is None else job.attempt - (job.status is JobStatus.LEASED)
    return replace(one, status=status, attempts=failed, last_error=job.last_error)


def _rebuild_job(name: str) -> NewJob:
    return NewJob(kind=REBUILD_JOB, payload={"processor": name}, unique_key=f"{REBUILD_JOB}:{name}", max_attempts=1_000)


def _require_admin(caller: Caller) -> None:
    caller.require(Role.ADMIN)
