"""Commands that carry: export, import, backup, restore, move."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import text
from holdfast.cli.errors import ExitCode, UsageFailed
from holdfast.cli.look import names
from holdfast.cli.session import AsJson, Database, Session
from holdfast.domain.analysis import Status
from holdfast.domain.errors import Conflict, InvalidInput, TargetNotFound
from holdfast.domain.tasks import TASK
from holdfast.formats.foreign import Format

if TYPE_CHECKING:
    from holdfast.formats.bundle import Footer
    from holdfast.services.transfer import Imported
    from holdfast.store.lists import Filter

Told = Callable[[str, int, int | None], None]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


class FileExists(Conflict):
    """There is a file of that name already."""

    code = "FILE_EXISTS"
    suggestions = ("Give another name", "Replace it with --force")


def export(  # noqa: PLR0913, PLR0917 each is an option of the command line
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - for standard output.")],
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only this kind.")] = None,
    status: Annotated[
        list[Status] | None, typer.Option(metavar="STATUS", help=f"Only these; repeatable: {names(Status)}.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", "--tags", metavar="TAG", help="Only those with each of these; repeatable."),
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="KIND:KEY", help="Only of this subject.")] = None,
    thread_id: Annotated[str | None, typer.Option(metavar="ID", help="Only of this chain.")] = None,
    task_name: Annotated[str | None, typer.Option(metavar="NAME", help="Only of tasks of this name.")] = None,
    session_id: Annotated[str | None, typer.Option(metavar="ID", help="Only of this working session.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="OWNER", help="Only of this owner.")] = None,
    since: Annotated[datetime | None, typer.Option(metavar="TIME", help="Only those asked for since, in UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(metavar="TIME", help="Only those asked for before, in UTC.")] = None,
    as_format: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="bundle, or analyses for one JSON document.")
    ] = Format.BUNDLE,
    *,
    force: Force = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Write everything that is kept, or the analyses that fit, into a file; .zst is compressed.

    Tokens and keys are not in it; `db backup` has them as well.
    """
    session = Session(context, database, as_json=as_json)
    if as_format not in {Format.BUNDLE, Format.ANALYSES}:
        raise UsageFailed(f"--format {as_format.value} can be imported, not exported")
    if task_name is not None:
        if subject is not None:
            raise InvalidInput("A task's name is a subject: give one of them", field="task_name")
        subject = f"{TASK}:{task_name}"
    where = _filter(kind, status, tag, subject, thread_id, session_id, owner, since, until)
    with session.open() as holdfast, _sink(file, force=force) as sink, _bar(session) as told:
        if as_format is Format.ANALYSES:
            holdfast.transfer.export_document(sink, where, told=told)
            return ExitCode.OK
        footer = holdfast.transfer.export_analyses(sink, where, compress=file.endswith(".zst"), told=told)
    _tell_written(session, file, footer)
    return ExitCode.OK


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where from; - for standard input.")],
    as_format: Annotated[
        Format | None,
        typer.Option("--format", metavar="FORMAT", help=f"What it is, where that cannot be seen: {names(Format)}."),
    ] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Bring in a bundle, an export of analyses, a SARIF log, runs of MLflow or an OTLP trace, beside what is kept.

    What is kept already stays as it is. After a kill the same command goes on where it was.
    """
    session = Session(context, database, as_json=as_json)
    with _source(file) as source, session.open(create=True) as holdfast, _bar(session) as told:
        done = holdfast.transfer.import_analyses(source, as_format, told=told)
    _tell_imported(session, done)
    return ExitCode.CONFLICT if done.differing else ExitCode.OK


def backup(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - for standard output.")],
    *,
    force: Force = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Write everything into a compressed file that `db restore` makes a store of; nobody has to stop writing.

    Tokens' hashes and signing keys are in it: keep it as safe as the database.
    """
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast, _sink(file, force=force, private=True) as sink, _bar(session) as told:
        footer = holdfast.transfer.export_analyses(sink, secrets=True, compress=True, told=told)
    _tell_written(session, file, footer)
    return ExitCode.OK


def restore(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A backup, or a bundle of everything.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Drop what is kept in the database.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Make the database what a backup holds, and see that it is; the backup is checked to its end first."""
    session = Session(context, database, as_json=as_json)
    with _source(file) as source, session.open(create=True) as holdfast, _bar(session) as told:
        if not source.seekable():
            raise UsageFailed("A backup is read twice: give a file, not standard input")
        done = holdfast.transfer.restore(source, force=force, told=told)
    _tell_imported(session, done)
    return ExitCode.OK


def migrate_to(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="URL", help="A new database, sqlite:///... or postgresql://...")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Drop what is kept there, and begin anew.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Copy everything into another database, tokens and keys included, and compare every table.

    After a kill the same command goes on where it was. Let nobody write to either meanwhile.
    """
    session = Session(context, database, as_json=as_json)
    other = Session(context, target, as_json=as_json)
    with session.open() as holdfast, other.open(create=True) as there, _bar(session) as told:
        if holdfast.engine.shown() == there.engine.shown():
            raise InvalidInput("A database cannot be copied into itself", field="URL")
        done = holdfast.transfer.move_to(there.store, force=force, told=told)
    _tell_imported(session, done)
    return ExitCode.OK


def _filter(  # noqa: PLR0913, PLR0917 one for each option
    kind: str | None,
    status: list[Status] | None,
    tag: list[str] | None,
    subject: str | None,
    thread_id: str | None,
    session_id: str | None,
    owner: str | None,
    since: datetime | None,
    until: datetime | None,
) -> "Filter | None":
    from datetime import UTC

    from holdfast.store.lists import Filter

    place = None
    if subject is not None:
        subject_kind, colon, key = subject.partition(":")
        if not colon or not key:
            raise InvalidInput("A subject is given as KIND:KEY, as `holdfast show` names it", field="subject")
        place = (subject_kind, key)
    where = Filter(
        kind=kind,
        status=tuple(status or ()),
        tags=tuple(tag or ()),
        subject=place,
        thread_id=thread_id,
        session_id=session_id,
        client_session_id=owner,
        created_after=None if since is None else since.replace(tzinfo=UTC),
        created_before=None if until is None else until.replace(tzinfo=UTC),
    )
    return None if where == Filter() else where


@contextlib.contextmanager
def _sink(file: str, *, force: bool, private: bool = False) -> Iterator[IO[bytes]]:
    """A file that is there when it is whole, and not before."""
    if file == "-":
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    if path.exists() and not force:
        raise FileExists(f"There is a file {text.safe(file)} already")
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise TargetNotFound(f"{text.safe(file)} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(number, "wb") as sink:
            if not private:
                mask = os.umask(0)
                os.umask(mask)
                os.fchmod(number, 0o666 & ~mask)
            yield sink
            sink.flush()
            os.fsync(number)
        # By link, where another file must not be replaced that came meanwhile.
        if force:
            Path(name).replace(path)
        else:
            _link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _link(name: str, path: Path) -> None:
    try:
        os.link(name, path)
    except FileExistsError as error:
        raise FileExists(f"There is a file {text.safe(str(path))} already") from error
    except OSError:
        # A file system without links.
        Path(name).replace(path)


@contextlib.contextmanager
def _source(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 closed below; only its opening may fail so
    except OSError as error:
        raise TargetNotFound(f"{text.safe(file)} cannot be read: {error.strerror}") from error
    with opened:
        yield opened


@contextlib.contextmanager
def _bar(session: Session) -> Iterator[Told]:
    """A live bar on a terminal, nothing anywhere else."""
    if session.as_json or not session.err.is_terminal:
        yield lambda _what, _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=session.err, transient=True) as live:
        task = live.add_task("", total=None)
        yield lambda what, done, total: live.update(task, description=what, completed=done, total=total)


def _tell_written(session: Session, file: str, footer: "Footer") -> None:
    kinds = {kind: total.rows for kind, total in footer.kinds.items()}
    if file == "-":
        return
    if session.as_json:
        session.write({"file": file, "rows": footer.rows, "kinds": kinds, "sha256": footer.sha256})
        return
    from rich.text import Text

    from holdfast.cli import views

    size = text.size(Path(file).stat().st_size)
    session.out.print(Text(f"{text.safe(file)}: {text.count(footer.rows, 'row')}, {size}"))
    if kinds:
        session.out.print(views.facts([(kind.replace("_", " "), f"{rows:,}") for kind, rows in kinds.items()]))


def _tell_imported(session: Session, done: "Imported") -> None:
    if session.as_json:
        session.write(
            {
                "added": dict(done.added),
                "there": dict(done.there),
                "differing": dict(done.differing),
                "named": list(done.named),
                "skipped": dict(done.skipped),
                "sha256": done.sha256 or None,
            }
        )
        return
    from rich.text import Text

    from holdfast.cli import views

    columns = [views.Column(title=title) for title in ("kind", "added", "there", "differing")]
    kinds = sorted(done.added.keys() | done.there.keys() | done.differing.keys())
    cells = [
        (kind.replace("_", " "), *(f"{part.get(kind, 0):,}" for part in (done.added, done.there, done.differing)))
        for kind in kinds
    ]
    session.out.print(views.table(session.out.width, columns, cells) if cells else Text("There was nothing in it."))
    for name, count in done.skipped.items():
        session.out.print(Text(f"Kept in the results only: {count:,} {name}", "dim"))
    if done.named:
        session.err.print(Text("These are kept here with other content, and stay as they are:", "yellow"))
        for name in done.named:
            session.err.print(Text(f"  {text.safe(name)}"))
