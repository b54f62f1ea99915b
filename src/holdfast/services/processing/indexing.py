"""Indexing: documents become rows of an index, in pages, each version of an analysis once in the end."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from holdfast.domain.errors import PayloadCorrupt, ProcessorError, ProcessorUnavailable, StoreError
from holdfast.domain.jobs import NewJob
from holdfast.domain.processing import (
    REBUILD_JOB,
    Document,
    IndexState,
    ProcessingStatus,
    job_kind,
    sync_jobs,
)
from holdfast.processors.contract import Processor, Write
from holdfast.processors.registry import Processors
from holdfast.services import Effect
from holdfast.services.processing.beside import DidNotReturn, begun, within
from holdfast.store.documents import Source
from holdfast.store.payloads import unpack
from holdfast.store.processing import Mark
from holdfast.store.unit_of_work import Store, UnitOfWork

T = TypeVar("T")

_log = logging.getLogger(__name__)

_MOST_FINDINGS = 200
_REBUILD_AT_ONCE = 1_000
_NOTED_EVERY = 10
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worked:
    """What a processor has made of what was read.

    Attributes:
        writes: what is to be written for it.
        marks: what is to be noted.
    """

    writes: list[Write]
    marks: list[Mark]


class Indexing:
    """Brings indexes up to date, and builds them anew."""

    def __init__(self, store: Store, processors: Processors, timeout_seconds: float) -> None:
        """Work on ``store``, with ``processors``, each of which returns in ``timeout_seconds`` or is taken to hang."""
        self._store = store
        self._processors = processors
        self._timeout = timeout_seconds
        self._prepared: set[str] = set()

    def ensure(self, name: str) -> IndexState:
        state = self._store.read(lambda uow: uow.processing.index(name))
        if state is not None:
            return state
        processor = self._processors.get(name)

        def work(uow: UnitOfWork) -> IndexState:
            # What was kept before there was an index is put into it before it counts as whole.
            is_late = uow.processing.is_any_kept()
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
            settle(self._index(processor, read, read.state.generations))

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
        coming = begun(partial(self._page, processor, building, state.built_to))
        unnoted: list[int] = []
        try:
            while not stop():
                page = coming.result()
                if page is None:
                    return True
                keys, effect = page
                coming = begun(partial(self._page, processor, building, keys[-1]))
                if effect is None or not self._stands(effect):
                    self._build(processor, building, keys)
                unnoted.append(keys[-1])
                # Whoever goes on after a crash builds a few pages again, which costs less than a commit for each.
                if len(unnoted) == _NOTED_EVERY:
                    self._store.write(partial(_built, name, unnoted[-1]))
                    unnoted.clear()
        finally:
            if unnoted:
                self._store.write(partial(_built, name, unnoted[-1]))
        return False

    def _page(self, processor: Processor, building: int, after: int) -> tuple[list[int], Effect | None] | None:
        """The keys that follow and what writes them, None if they must be taken one by one; None after the last."""

        def look(uow: UnitOfWork) -> tuple[list[int], _Read | None]:
            sources = uow.documents.page(processor.name, after, _REBUILD_AT_ONCE)
            keys = [source.key for source in sources]
            return keys, _read(uow, processor, sources, keys, again=True) if keys else None

        keys, read = self._store.read(look)
        if read is None or read.state.building != building:
            return None
        try:
            return keys, self._index(processor, read, [building])
        except ProcessorUnavailable:
            raise
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
                self._store.write(self._index(processor, read, [building]))

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

    def _index(self, processor: Processor, read: _Read, generations: Sequence[int]) -> Effect:
        """Let a processor work, and return what is to be written."""
        try:
            worked = within(self._timeout, lambda: _work(processor, read, generations), processor.name)
        except DidNotReturn:
            # What hangs has its connections: others are made, and the old ones are closed, which may hang as well.
            begun(self._processors.renew(processor.name, processor).close)
            raise
        return _effect(processor.name, read, generations, worked)

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
    wanted = list(dict.fromkeys(keys))
    return _read(uow, processor, uow.documents.of_keys(processor.name, wanted), wanted, again=again)


def _read(
    uow: UnitOfWork, processor: Processor, sources: Sequence[Source], keys: Sequence[int], *, again: bool
) -> _Read:
    state = uow.processing.index(processor.name)
    if state is None:
        raise ProcessorError(f"The index of {processor.name!r} is gone", processor=processor.name)
    there = {source.key for source in sources if source.is_there}
    # One that runs again stays in the index as it was, until it has ended.
    fresh = [
        source
        for source in sources
        if source.is_there and source.has_ended and (again or not _is_done(source, processor.version))
    ]
    told = [source.key for source in fresh if source.has_findings]
    findings = uow.findings.of_many(told, _MOST_FINDINGS) if told else {}
    return _Read(
        state=state,
        documents=[source.document(_result(source), findings.get(source.key, ())) for source in fresh],
        gone=[key for key in keys if key not in there],
        versions={source.key: source.version for source in sources},
    )


def _is_done(source: Source, version: str) -> bool:
    status, digest, by = source.mark
    return digest == source.digest and by == version and status != ProcessingStatus.FAILED.value


def _result(source: Source) -> Any:
    found = source.result
    if found is None:
        return None
    try:
        return msgspec.json.decode(unpack(*found))
    except PayloadCorrupt as error:
        _log.warning("A result is left out of the indexes: %s", error)
        return None


def _work(processor: Processor, read: _Read, generations: Sequence[int]) -> _Worked:
    accepted: list[Document] = []
    refused: list[Document] = []
    for document in read.documents:
        (accepted if processor.accepts(document) else refused).append(document)
    leaving = [*read.gone, *(document.key for document in refused)]
    done = processor.process(accepted, generations) if accepted else None
    removed = processor.remove(leaving, generations) if leaving else None
    marks = [_mark(processor, document, ProcessingStatus.COMPLETED) for document in accepted]
    marks += [_mark(processor, document, ProcessingStatus.SKIPPED) for document in refused]
    return _Worked(writes=[write for write in (done, removed) if write is not None], marks=marks)


def _effect(name: str, read: _Read, generations: Sequence[int], worked: _Worked) -> Effect:
    touched = [*(document.key for document in read.documents), *read.gone]
    known = {key: read.versions[key] for key in touched if key in read.versions}

    def effect(uow: UnitOfWork) -> None:
        if not touched:
            return
        state = uow.processing.index(name, hold=True)
        # What has changed since it was read may have been indexed since by another worker: the newer one stays.
        if state is None or state.generations != read.state.generations or uow.analyses.hold_versions(touched) != known:
            raise _Moved
        for write in worked.writes:
            for generation in generations:
                uow.processing.apply(partial(_written, write, generation))
        uow.processing.note(name, worked.marks, uow.now)
        uow.processing.forget([name], read.gone)

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
