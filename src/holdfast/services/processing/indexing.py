"""Indexing: documents become rows of an index, in pages, each version of an analysis once in the end."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from holdfast.domain.analysis import Analysis
from holdfast.domain.errors import PayloadCorrupt, ProcessorError, ProcessorUnavailable, StoreError
from holdfast.domain.jobs import NewJob
from holdfast.domain.processing import (
    REBUILD_JOB,
    Document,
    IndexState,
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
_REPEATS = 20
# Whoever began to read the old index has ended by then.
_DISCARD_AFTER = timedelta(seconds=60)


class _Moved(Exception):
    """What was read has changed since: read it again."""


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


class Indexing:
    """Brings indexes up to date, and builds them anew."""

    def __init__(self, store: Store, processors: Processors) -> None:
        """Work on ``store``, with ``processors``."""
        self._store = store
        self._processors = processors
        self._prepared: set[str] = set()

    def ensure(self, name: str) -> IndexState:
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
                uow.jobs.enqueue([rebuild_job(name)], uow.now)
            return made

        return self._store.write(work)

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
            self.ensure(name)
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
            # Written by a processor, which is anybody's code.
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


def rebuild_job(name: str) -> NewJob:
    """Builds an index anew; one at a time."""
    return NewJob(kind=REBUILD_JOB, payload={"processor": name}, unique_key=f"{REBUILD_JOB}:{name}", max_attempts=1_000)


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
