"""Everything of a store, or a part of it, out of one store and into another."""

import contextlib
from collections.abc import Callable
from typing import IO

from holdfast.domain.ports import IdSource
from holdfast.formats.bundle import Digest, Footer, Header
from holdfast.formats.foreign import Format, detect
from holdfast.formats.streams import ZSTD, InvalidBundle, LineStream, buffered, uncompressed
from holdfast.services.transfer import bundles, foreign
from holdfast.services.transfer.bundles import (
    BundleImport,
    Imported,
    NotEqual,
    SourceChanged,
    StoreNotEmpty,
    Told,
)
from holdfast.store.lists import Filter
from holdfast.store.unit_of_work import Store, UnitOfWork

__all__ = ["Format", "Imported", "NotEqual", "SourceChanged", "StoreNotEmpty", "Told", "TransferService"]


def _silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody listens."""


class TransferService:
    """The use cases of export, import, backup and moving."""

    def __init__(self, store: Store, id_source: IdSource, *, name: Callable[[], str]) -> None:
        """Work on ``store``.

        Args:
            store: what is kept.
            id_source: gives randomness.
            name: what the store is called where it is shown, without passwords.
        """
        self._store = store
        self._ids = id_source
        self._name = name

    def export_analyses(
        self,
        sink: IO[bytes],
        where: Filter | None = None,
        *,
        secrets: bool = False,
        compress: bool = False,
        told: Told = _silent,
    ) -> Footer:
        """Write a bundle: everything, or the analyses that fit with all that belongs to them.

        It is one consistent state, whoever writes meanwhile, and takes the memory of some hundred rows.

        Args:
            sink: where to.
            where: which analyses; None for everything.
            secrets: whether tokens and keys are in it, if it is everything.
            compress: whether it is compressed by zstd; who reads it notices by itself.
            told: hears how far it is.

        Returns:
            What it holds.
        """
        return bundles.write_bundle(
            self._store, sink, where, secrets=secrets, compress=compress, told=told, about=self._name()
        )

    def export_document(self, sink: IO[bytes], where: Filter | None = None, *, told: Told = _silent) -> None:
        """Write the analyses that fit as the one JSON document that other programs read; see ``formats.analyses``."""

        def look(uow: UnitOfWork) -> None:
            for piece in foreign.write(uow, where or Filter(), told):
                sink.write(piece)

        self._store.read(look)

    def import_analyses(self, source: IO[bytes], kind: Format | None = None, *, told: Told = _silent) -> Imported:
        """Bring in what a file holds: a bundle, an export of analyses, a SARIF log, runs of MLflow, an OTLP trace.

        To do it again does no harm: what is kept already stays as it is.

        Args:
            source: the file; one that zstd compressed is unpacked.
            kind: its format; found out when None.
            told: hears how far it is.

        Raises:
            InvalidFile: it is not of that format, or of none; what came before was kept, whole.
            InvalidBundle: see ``import_bundle``.
        """
        peeked = buffered(source)
        if kind is None:
            seen = peeked.peek(1 << 16)
            kind = Format.BUNDLE if seen[:4] == ZSTD else detect(seen)
        if kind is Format.BUNDLE:
            return self.import_bundle(peeked, told=told)
        return foreign.keep(self._store, foreign.read(uncompressed(peeked), kind), told)

    def import_bundle(self, source: IO[bytes], *, told: Told = _silent) -> Imported:
        """Bring a bundle in, beside what is kept; to do it again, or to go on after a kill, does no harm.

        What can be read twice is checked to its end first. Of a stream, what came before a damaged line is in.

        Args:
            source: a bundle.
            told: hears how far it is.

        Raises:
            InvalidBundle: it is damaged or cut off; the message names the line.
            RowRefused: a row cannot be kept here.
            ImportTakenOver: another process imports the same bundle.
        """
        total = None
        if source.seekable():
            # What is not whole is refused before any of it is in.
            start = source.tell()
            total = bundles.check_bundle(source, told).footer.rows
            source.seek(start)
        return BundleImport(self._store, self._run(), told).run(source, total=total)

    def check(self, source: IO[bytes], *, told: Told = _silent) -> tuple[Header, Footer]:
        """Read a bundle to its end, and keep nothing; see ``import_bundle`` for the errors."""
        checked = bundles.check_bundle(source, told)
        return checked.header, checked.footer

    def restore(self, source: IO[bytes], *, force: bool = False, told: Told = _silent) -> Imported:
        """Make the store what a bundle holds, and see that it is.

        Args:
            source: a bundle of everything, which can be read twice.
            force: whether what is kept goes.
            told: hears how far it is.

        Raises:
            StoreNotEmpty: something is kept, and is not to go.
            InvalidBundle: it is damaged, or is a part of a store only; nothing was changed.
            NotEqual: something else wrote to the store meanwhile.
        """
        start = source.tell()
        checked = bundles.check_bundle(source, told)
        header, footer = checked.header, checked.footer
        if header.selection is not None:
            raise InvalidBundle("The bundle is of selected analyses, not of a whole store: import it instead")
        source.seek(start)
        name = f"restore:{footer.sha256}"
        self._check_empty(self._store, name, force=force)
        done = BundleImport(self._store, self._run(), told, clear=True, name=name).run(source, total=footer.rows)
        bundles.compare(checked.kept, bundles.footer_of(self._store, secrets=header.secrets, told=told))
        return done

    def move_to(self, target: Store, *, force: bool = False, told: Told = _silent) -> Imported:
        """Copy everything into another store, tokens and keys included, and see that it is the same there.

        Args:
            target: a store with nothing in it, or what an earlier run of this began.
            force: whether what is kept there goes.
            told: hears how far it is.

        Raises:
            StoreNotEmpty: something is kept there, and is not to go.
            SourceChanged: this store is not what it was when an earlier run began.
            NotEqual: something else wrote to the target meanwhile.
        """
        name = f"move:{self._name()}"
        self._check_empty(target, name, force=force)
        if force:
            target.write(lambda uow: uow.intake.forget(f"import:{name}"))
        digest = Digest()

        def copy(uow: UnitOfWork) -> Imported:
            made = bundles.lines(uow, None, secrets=True, digest=digest, told=_silent)
            total = uow.outflow(None, secrets=True).expected()
            with contextlib.closing(made):
                return BundleImport(target, self._run(), told, clear=True, name=name).run(
                    buffered(LineStream(made)), total=total
                )

        done = self._store.read(copy)
        bundles.compare(digest.footer(), bundles.footer_of(target, secrets=True, told=told))
        return done

    @staticmethod
    def _check_empty(store: Store, name: str, *, force: bool) -> None:
        if not force and not store.write(
            lambda uow: uow.intake.is_empty() or uow.intake.find(f"import:{name}") is not None
        ):
            raise StoreNotEmpty

    def _run(self) -> str:
        return self._ids.random(8).hex()
