"""Bundles out of a store and into one."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import datetime
from typing import IO, Any

import msgspec
import zstandard

from holdfast.domain.errors import Conflict
from holdfast.domain.processing import feeds_an_index
from holdfast.formats.bundle import (
    NAME,
    VERSION,
    Digest,
    Footer,
    Header,
    Line,
    Reader,
    write_lines,
)
from holdfast.formats.streams import InvalidBundle
from holdfast.store import schema
from holdfast.store.intake_state import State
from holdfast.store.lists import Filter
from holdfast.store.rows import Incoming, RowRefused
from holdfast.store.unit_of_work import Store, UnitOfWork

# What is being done, how far it is, and of how much, if that is known.
Told = Callable[[str, int, int | None], None]

_log = logging.getLogger(__name__)
_ROWS_AT_ONCE = 1000
_BYTES_AT_ONCE = 4 * 1024 * 1024
_TOLD_EVERY = 1000
_RESULTS = "payloads"
_JOBS = "jobs"


class StoreNotEmpty(Conflict):
    """Something is kept there already."""

    code = "STORE_NOT_EMPTY"
    suggestions = ("Give a new database", "Drop what is kept there with --force")


class SourceChanged(Conflict):
    """What is moved is not what it was when the move began."""

    code = "SOURCE_CHANGED"
    suggestions = ("Stop whatever writes to it, and begin anew with --force",)


class NotEqual(Conflict):
    """What has arrived is not what was sent."""

    code = "NOT_EQUAL"
    suggestions = ("See that nothing else writes to the target, and begin anew with --force",)


class BundleNewer(InvalidBundle):
    """A newer Holdfast wrote the bundle."""

    code = "BUNDLE_NEWER"
    suggestions = ("Install the Holdfast that wrote it, or a newer one",)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes:
        added: rows brought in, by kind.
        there: rows that were there already, by kind.
        differing: rows that were there already with other content and stay as they are, by kind.
        named: some of those that differ.
        skipped: what the format holds that is not kept here, by name.
        sha256: of the bundle; empty for other formats.
    """

    added: Mapping[str, int]
    there: Mapping[str, int] = dataclasses.field(default_factory=dict)
    differing: Mapping[str, int] = dataclasses.field(default_factory=dict)
    named: tuple[str, ...] = ()
    skipped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    sha256: str = ""


def lines(
    uow: UnitOfWork, where: Filter | None, *, secrets: bool, digest: Digest, told: Told, about: str = ""
) -> Generator[bytes, None, None]:
    """The lines of a bundle of what one transaction sees."""
    outflow = uow.outflow(where, secrets=secrets)
    total = outflow.expected()
    selection = None if where is None else _selection(where)
    header = Header(
        bundle=NAME,
        version=VERSION,
        schema=schema.HEAD,
        created_at=uow.now.isoformat(),
        source={"database": about},
        selection=selection,
        secrets=secrets and where is None,
    )

    def counted() -> Iterator[tuple[str, dict[str, Any]]]:
        for number, row in enumerate(outflow.rows(), 1):
            if number % _TOLD_EVERY == 0:
                told("rows", number, max(total, number))
            yield row

    yield from write_lines(header, counted(), digest)
    told("rows", digest.rows, digest.rows)


def write_bundle(
    store: Store, sink: IO[bytes], where: Filter | None, *, secrets: bool, compress: bool, told: Told, about: str
) -> Footer:
    """Write a bundle of one consistent state; who writes to the store meanwhile is not kept waiting."""
    digest = Digest()
    if not compress:
        store.read(
            lambda uow: _write_all(sink, lines(uow, where, secrets=secrets, digest=digest, told=told, about=about))
        )
        return digest.footer()
    with zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(sink, closefd=False) as packed:
        store.read(
            lambda uow: _write_all(packed, lines(uow, where, secrets=secrets, digest=digest, told=told, about=about))
        )
    return digest.footer()


def footer_of(store: Store, *, secrets: bool, told: Told) -> Footer:
    """The footer of a bundle of everything: two stores that have the same one hold the same."""
    digest = Digest()

    def look(uow: UnitOfWork) -> None:
        for _ in lines(uow, None, secrets=secrets, digest=digest, told=told):
            pass

    store.read(look)
    return digest.footer()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A bundle that was read to its end.

    Attributes:
        header: its header.
        footer: its footer.
        kept: the footer of what is kept of it: those of older schemas have rows that are not taken along any more.
    """

    header: Header
    footer: Footer
    kept: Footer


def check_bundle(source: IO[bytes], told: Told) -> Checked:
    """Read a bundle to its end, and keep nothing.

    Raises:
        InvalidBundle: it is damaged or cut off, or of a newer schema; the message names the line.
    """
    reader = Reader.open(source)
    _check_schema(reader.header)
    kept = Digest()
    for line in reader.lines():
        if reader.number % _TOLD_EVERY == 0:
            told("lines checked", reader.number, None)
        if not _is_passed_over(line):
            kept.add(line.kind, reader.body)
    assert reader.footer is not None
    return Checked(header=reader.header, footer=reader.footer, kept=kept.footer())


def _is_passed_over(line: Line) -> bool:
    return line.kind == _JOBS and feeds_an_index(msgspec.json.decode(line.row["kind"], type=str))


class BundleImport:
    """One bundle on its way into a store."""

    def __init__(self, store: Store, by: str, told: Told, *, clear: bool = False, name: str | None = None) -> None:
        """Prepare.

        Args:
            store: where to.
            by: names this run among all others.
            told: hears how far it is.
            clear: whether what is kept there goes first.
            name: of the import; the bundle's own when None.
        """
        self._store = store
        self._by = by
        self._told = told
        self._clear = clear
        self._name = name

    def run(self, source: IO[bytes], *, total: int | None = None) -> Imported:
        """Bring a bundle in; what an earlier run brought is not brought again.

        Raises:
            InvalidBundle: it is damaged; what came before that line is in, whole, and a rerun goes on from there.
            SourceChanged: it is another one than was begun.
        """
        reader = Reader.open(source)
        _check_schema(reader.header)
        name = f"import:{self._name or reader.identity}"
        state = self._store.write(lambda uow: self._begin(uow, name))
        self._pass_over(reader, state)
        for batch in _batches(reader.lines(), reader):
            state = self._put(name, state, batch, reader)
            self._told("rows", reader.digest.rows, total)
        self._store.write(lambda uow: uow.intake.finish(name, uow.now))
        self._told("rows", reader.digest.rows, reader.digest.rows)
        assert reader.footer is not None
        _log.info("imported", extra={"added": state.added, "there": state.there, "differing": state.differing})
        return Imported(
            added=state.added,
            there=state.there,
            differing=state.differing,
            named=state.named,
            sha256=reader.footer.sha256,
        )

    def _begin(self, uow: UnitOfWork, name: str) -> State:
        if self._clear and uow.intake.find(name) is None:
            uow.intake.clear(uow.now)
        return uow.intake.begin(name, self._by, uow.now)

    def _pass_over(self, reader: Reader, state: State) -> None:
        """Read what an earlier run brought in, and see that it is the same."""
        if not state.line:
            return
        known = reader.lines()

        def results() -> Iterator[Line]:
            while reader.number < state.line and (line := next(known, None)) is not None:
                if line.kind == _RESULTS:
                    yield line

        # Results that nothing refers to yet may have gone since: somebody deleted what was equal to them.
        for offered in _batches(results(), reader):
            self._offer(offered)
        if reader.number != state.line or reader.digest.state.hex() != state.chain:
            raise SourceChanged

    def _offer(self, offered: list[Incoming]) -> None:
        self._store.write(lambda uow: uow.intake.offer_payloads(offered))

    def _put(self, name: str, state: State, batch: list[Incoming], reader: Reader) -> State:
        chain = reader.digest.state.hex()
        try:
            return self._store.write(lambda uow: uow.intake.put(name, state, batch, chain, uow.now))
        except RowRefused as error:
            if "line" in error.details:
                raise
            raise RowRefused(f"Lines {batch[0].line} to {batch[-1].line}: {error.message}") from error


def _batches(lines_: Iterator[Line], reader: Reader) -> Iterator[list[Incoming]]:
    """Rows in parts that are brought in together; when one is given out, the reader stands at its last row."""
    batch: list[Incoming] = []
    size = 0
    for line in lines_:
        batch.append(Incoming(line=reader.number, kind=line.kind, row=line.row))
        size += _size(line)
        if len(batch) >= _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def compare(sent: Footer, arrived: Footer) -> None:
    """See that what has arrived is what was sent.

    Raises:
        NotEqual: it is not; the error names the kinds that differ.
    """
    # Kind by kind: in what order the kinds stand in a bundle is up to the version that wrote it.
    kinds = sorted(
        kind for kind in sent.kinds.keys() | arrived.kinds.keys() if sent.kinds.get(kind) != arrived.kinds.get(kind)
    )
    if kinds:
        raise NotEqual(f"What has arrived differs from what was sent: {', '.join(kinds)}", kinds=kinds)


def _write_all(sink: Any, made: Generator[bytes, None, None]) -> None:
    with contextlib.closing(made):
        for line in made:
            sink.write(line)


def _size(line: Line) -> int:
    return sum(len(bytes(value)) for value in line.row.values())


def _check_schema(header: Header) -> None:
    if header.schema not in schema.REVISIONS:
        raise BundleNewer(
            f"The bundle has schema {header.schema}, this Holdfast knows up to {schema.HEAD}",
            line=1,
            found=header.schema,
            known=schema.HEAD,
        )


def _selection(where: Filter) -> dict[str, Any]:
    found = {field.name: getattr(where, field.name) for field in dataclasses.fields(where)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
        if value not in (None, ())
    }
