"""Exports: written by a worker part by part, fetched part by part, of any size in bounded memory."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import zstandard

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, ErrorInfo
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import ExportNotFound, ExportNotReady, LeaseLost
from holdfast.domain.events import Event
from holdfast.domain.export_files import WRITERS
from holdfast.domain.exporting import EXPORT_JOB, Export, Exported, ExportStatus, Format
from holdfast.domain.jobs import Job, NewJob
from holdfast.domain.ports import IdSource
from holdfast.services import Effect, GivenBack, Lease
from holdfast.store.searches import groups_at, search
from holdfast.store.triage import GroupFilter
from holdfast.store.unit_of_work import Store, UnitOfWork

_GROUPS_AT_ONCE = 200
_PART_BYTES = 1 << 20
_LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPage:
    """A page of exports.

    Attributes:
        items: newest first.
        next: where the next page begins; None when this is the last one.
    """

    items: list[Export]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Some groups' share of a file."""

    data: bytes
    groups: int


class ExportsService:
    """The use cases of exports."""

    def __init__(self, store: Store, id_source: IdSource, *, kept: timedelta) -> None:
        """Work on ``store``.

        Args:
            store: what is exported, and where exports wait to be fetched.
            id_source: gives randomness.
            kept: how long an export may be fetched.
        """
        self._store = store
        self._ids = id_source
        self._kept = kept

    def stream(self, analysis_id: str, form: Format, *, caller: Caller = LOCAL) -> Iterator[bytes]:
        """An analysis as a file, written while it is fetched.

        Args:
            analysis_id: the analysis.
            form: as what.
            caller: who asks.

        Returns:
            The file in pieces; whatever is wrong with the request is raised before the first.
        """

        def work(uow: UnitOfWork) -> tuple[int, Analysis]:
            stored = search(uow, analysis_id, caller)
            uow.ledger.append([_event("duplicates.exported", uow, stored.value, caller, form)])
            return stored.key, stored.value

        key, value = self._store.write(work)
        return (piece.data for piece in _pieces(self._store, key, value, form))

    def request(self, analysis_id: str, form: Format, *, caller: Caller = LOCAL) -> Export:
        """Have a worker write an export; follow it with ``get``.

        Args:
            analysis_id: the analysis.
            form: as what.
            caller: who asks.
        """
        # 192 random bits: whoever was not told the address does not find it.
        export_id = urlsafe_b64encode(self._ids.random(24)).decode()

        def work(uow: UnitOfWork) -> Export:
            stored = search(uow, analysis_id, caller)
            total = uow.triage.counts(stored.key).total.groups
            export = Export(
                export_id=export_id,
                owner=stored.value.context.client_session_id,
                analysis_id=analysis_id,
                format=form,
                status=ExportStatus.PENDING,
                groups_done=0,
                groups_total=total,
                size=0,
                error=None,
                created_at=uow.now,
                completed_at=None,
                expires_at=uow.now + self._kept,
            )
            uow.exports.add(stored.key, export)
            job = NewJob(kind=EXPORT_JOB, payload={"export_id": export_id}, max_attempts=3, analysis_id=analysis_id)
            uow.jobs.enqueue([job], uow.now)
            uow.ledger.append([_event("duplicates.exported", uow, stored.value, caller, form)])
            return export

        return self._store.write(work)

    def get(self, export_id: str, *, caller: Caller = LOCAL) -> Export:
        """An export.

        Raises:
            ExportNotFound: there is none, it has expired, or it is somebody else's.
        """
        return self._store.read(lambda uow: _find(uow, export_id, caller))

    def list(self, *, limit: int = 100, after: str | None = None, caller: Caller = LOCAL) -> ExportPage:
        """A page of exports that may still be fetched, newest first.

        Args:
            limit: how many at most.
            after: ``next`` of the page before.
            caller: who asks; all but administrators see their own only.
        """
        check_limit(limit, _LARGEST_PAGE)
        found = self._store.read(lambda uow: uow.exports.page(caller.sees, uow.now, limit=limit + 1, after=after))
        shown = found[:limit]
        return ExportPage(items=shown, next=shown[-1].export_id if len(found) > limit else None)

    def download(self, export_id: str, *, caller: Caller = LOCAL) -> tuple[Export, Iterator[bytes]]:
        """An export and its file in pieces.

        Raises:
            ExportNotFound: there is none, it has expired, or it is somebody else's.
            ExportNotReady: it is not written yet, or never will be.
        """
        export = self.get(export_id, caller=caller)
        if export.status is not ExportStatus.READY:
            why = f": {export.error}" if export.error else ""
            raise ExportNotReady(f"The export is {export.status.value}{why}", percentage=round(export.percentage, 1))
        return export, self._parts(export_id)

    def _parts(self, export_id: str) -> Iterator[bytes]:
        ordinal = 0
        unpacker = zstandard.ZstdDecompressor()
        while True:
            place = ordinal
            part = self._store.read(lambda uow, place=place: uow.exports.part(export_id, place))  # type: ignore[misc]
            if part is None:
                return
            yield unpacker.decompress(part)
            ordinal += 1

    def delete(self, export_id: str, *, caller: Caller = LOCAL) -> None:
        """Delete an export and its file.

        Raises:
            ExportNotFound: there is none, it has expired, or it is somebody else's.
        """

        def work(uow: UnitOfWork) -> None:
            export = _find(uow, export_id, caller)
            uow.exports.delete([export_id])
            event = Event(
                name="duplicates.export_deleted",
                at=uow.now,
                analysis_id=export.analysis_id,
                client_session_id=export.owner,
                actor=caller.name,
                data={"format": export.format.value},
            )
            uow.ledger.append([event])

        self._store.write(work)


class ExportHandler:
    """Writes exports."""

    kind = EXPORT_JOB
    is_long = True

    def __init__(self, store: Store) -> None:
        """Export from ``store``, into it."""
        self._store = store

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        """Write the file, a part in each transaction."""
        export_id = str(job.payload["export_id"])

        def begin(uow: UnitOfWork) -> tuple[Export, int, Analysis] | None:
            _fence(uow, job)
            export = uow.exports.find(export_id)
            stored = None if export is None else uow.analyses.find(export.analysis_id)
            if export is None or stored is None:
                return None
            uow.exports.restart(export_id)
            return export, stored.key, stored.value

        begun = self._store.write(begin)
        if begun is None:
            return None
        export, key, value = begun
        packer = zstandard.ZstdCompressor(level=3, write_content_size=True)
        size = 0
        for ordinal, part in enumerate(_parts(_pieces(self._store, key, value, export.format))):
            if lease.lost():
                raise LeaseLost(job_id=job.id)
            if lease.draining():
                raise GivenBack
            size += len(part.data)
            data, done, written = packer.compress(part.data), part.groups, size

            def keep(
                uow: UnitOfWork, ordinal: int = ordinal, data: bytes = data, done: int = done, written: int = written
            ) -> None:
                _fence(uow, job)
                # Deleted or expired meanwhile: then nobody waits for it.
                if uow.exports.find(export_id) is not None:
                    uow.exports.append(export_id, ordinal, data, groups_done=done, size=written)

            self._store.write(keep)
        return lambda uow: uow.exports.settle(export_id, ExportStatus.READY, uow.now)

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """The next attempt begins anew; after the last one the export has failed, which its owner sees."""
        if dead:
            uow.exports.settle(str(job.payload["export_id"]), ExportStatus.FAILED, uow.now, error.message)
        return False


def _find(uow: UnitOfWork, export_id: str, caller: Caller) -> Export:
    export = uow.exports.find(export_id)
    if export is None or export.expires_at <= uow.now or not caller.may_see(export.owner):
        raise ExportNotFound
    return export


def _fence(uow: UnitOfWork, job: Job) -> None:
    if not uow.jobs.holds(job):
        raise LeaseLost(job_id=job.id)


def _parts(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Pieces put together to parts of about a megabyte; ``groups`` counts all so far."""
    waiting: list[bytes] = []
    size = groups = 0
    for piece in pieces:
        waiting.append(piece.data)
        size += len(piece.data)
        groups += piece.groups
        if size >= _PART_BYTES:
            yield _Piece(data=b"".join(waiting), groups=groups)
            waiting, size = [], 0
    if waiting:
        yield _Piece(data=b"".join(waiting), groups=groups)


def _pieces(store: Store, key: int, value: Analysis, form: Format) -> Iterator[_Piece]:
    writer = WRITERS[form](value)
    yield _Piece(data=writer.head(), groups=0)
    after: int | None = None
    while True:
        place = after

        def look(uow: UnitOfWork, place: int | None = place) -> tuple[list[int], list[Exported]]:
            ordinals = uow.triage.page(key, GroupFilter(), after=place, limit=_GROUPS_AT_ONCE)
            shown = groups_at(uow, key, ordinals)
            return ordinals, [Exported(finding=one.finding, decision=one.decision) for one in shown]

        ordinals, groups = store.read(look)
        if not ordinals:
            break
        wanted = [group for group in groups if group.decision is not None or not form.of_decisions]
        yield _Piece(data="".join(writer.group(group) for group in wanted).encode(), groups=len(ordinals))
        after = ordinals[-1]
    yield _Piece(data=writer.tail(), groups=0)


def _event(name: str, uow: UnitOfWork, value: Analysis, caller: Caller, form: Format) -> Event:
    return Event(
        name=name,
        at=uow.now,
        analysis_id=value.analysis_id,
        client_session_id=value.context.client_session_id,
        actor=caller.name,
        data={"format": form.value},
    )
