"""A first look, in a minute."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import serve as serving
from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Session
from holdfast.domain.errors import EmptyRepository, InvalidTarget, NotARepository

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast

_DEMO_PORT = 8000
_SONGS = 2_000
_GROUPS = 5


def _word(value: object) -> str:
    """As a shell takes it for one word."""
    return text.safe(shlex.quote(str(value)))


def _program() -> str:
    """How this program is called here: by its name, or by its path where the shell would not find that."""
    if shutil.which("holdfast") is not None:
        return "holdfast"
    beside = Path(sys.executable).with_name("holdfast")
    if not beside.exists():
        return "holdfast"
    return _word(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


class NothingToShow(InvalidTarget):
    """There is no git repository here to analyse."""

    code = NotARepository.code
    suggestions = (
        "Go into a git repository and run `holdfast demo` there",
        "Or name one: `holdfast demo PATH`",
        "Or get one: `git clone https://github.com/pallets/flask && holdfast demo flask`",
    )


def _music(session: Session, holdfast: "Holdfast") -> ExitCode:
    """Search an invented music library for duplicates."""
    from rich.text import Text

    from holdfast.analyzers.duplicates.sample import write_sample
    from holdfast.cli import groups as views
    from holdfast.cli import running

    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        library = Path(folder) / "Library.xml"
        write_sample(library, tracks=_SONGS)
        session.out.print(Text(f"$ holdfast duplicates scan {library.name}", "bold cyan"))
        made = holdfast.submit("duplicates", str(library), tags=["demo"])
        analysis = running.finish(session, holdfast, made.analysis)
    code = running.tell(session, holdfast, analysis, findings=False)
    page = holdfast.duplicates.groups.page(analysis.analysis_id, limit=_GROUPS)
    session.out.print(views.table(session.out, page.items))
    return code


def demo(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="A git repository; the one you are in by default.")] = None,
    *,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve what was kept at the end, if this is a terminal.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """See Holdfast work on a git repository.

    It is analysed, the result is kept, and found again; then an invented music library is searched for duplicates.
    """
    session = Session(context, database, as_json=as_json)
    with session.open(create=True) as holdfast:
        from rich.text import Text

        from holdfast.cli import running, views

        where = str(path or Path.cwd())
        try:
            submission = holdfast.submit("code", where, tags=["demo"])
        except (NotARepository, EmptyRepository) as error:
            raise NothingToShow(error.message, **error.details) from error
        analysis = running.finish(session, holdfast, submission.analysis)
        code = running.tell(session, holdfast, analysis, reused=submission.reused)
        if session.as_json or code is not ExitCode.OK:
            return code
        out = session.out
        short = text.safe(text.short_ids([analysis.analysis_id])[analysis.analysis_id])
        out.print()
        out.print(Text("$ holdfast list --limit 5", "bold cyan"))
        out.print(views.analyses(out, holdfast.list_analyses(limit=5).items))
        out.print()
        out.print(Text(f"$ holdfast show {short} --no-findings --attempts", "bold cyan"))
        out.print(views.attempts(out, holdfast.queries.attempts(analysis.analysis_id)))
        out.print()
        code = _music(session, holdfast)
        out.print()
        out.print(Text("Try next", "bold"))
        program = _program()
        tries = (
            (f"{program} analyze {_word(path or '.')}", "is answered at once: nothing has changed"),
            (f"{program} show {short} --events", "what happened to it, from the ledger"),
            (f"{program} show {short} --raw", "the whole result, for programs"),
            (f"{program} duplicates scan ~/Music", "the same for your own music"),
            (f"{program} serve", "the same over HTTP: open http://127.0.0.1:8000"),
        )
        longest = max(len(command) for command, _ in tries)
        for command, what in tries:
            out.print(Text.assemble("  ", (command.ljust(longest), "cyan"), f"   {what}" if out.width >= 100 else ""))
        # Without a terminal nobody could end it.
        if serve and sys.stdin.isatty():
            out.print()
            out.print(Text("$ holdfast serve", "bold cyan"))
            return serving.run(session, holdfast, host="127.0.0.1", port=_DEMO_PORT)
    return code
