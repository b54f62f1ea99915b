"""Commands about what is kept and what goes: the trash, pins, retention."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.analyses import Ids, each
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Cursor, Database, Limit, Session, cursor_of, place_of

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.domain.retention import Going


def restore(
    context: typer.Context, analysis_ids: Ids, *, database: Database = None, as_json: AsJson = False
) -> ExitCode:
    """Take analyses out of the trash."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        return each(session, holdfast, analysis_ids, holdfast.restore_analysis, lambda _: "Restored")


def pin(context: typer.Context, analysis_ids: Ids, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """Keep analyses whatever retention says: they do not expire and are never removed."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        return each(session, holdfast, analysis_ids, holdfast.pin_analysis, lambda _: "Pinned")


def unpin(context: typer.Context, analysis_ids: Ids, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """Leave analyses to retention again."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        return each(session, holdfast, analysis_ids, holdfast.unpin_analysis, lambda _: "Unpinned")


def trash(
    context: typer.Context,
    owner: Annotated[str | None, typer.Option(metavar="OWNER", help="Only of this owner.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List what is in the trash and may still be restored, latest deleted first."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        after = None if cursor is None else place_of(cursor)
        page = holdfast.queries.trash(client_session_id=owner, limit=limit, after=after)
        more = cursor_of(page.next)
        if session.as_json:
            session.write(
                records.page([records.analysis(item, holdfast.freshness.age(item)) for item in page.items], more)
            )
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        columns = [
            views.Column(title="id", flexible=True),
            views.Column(title="status"),
            views.Column(title="kind", since=70),
            views.Column(title="subject", flexible=True),
            views.Column(title="deleted"),
        ]
        now = datetime.now(UTC)
        short = text.short_ids([item.analysis_id for item in page.items])
        cells = (
            (
                views.Middle(short[item.analysis_id]),
                views.status(item.status, session.out, words=session.out.width >= 60),
                views.Middle(item.kind),
                views.Middle(views.subject_of(item)),
                text.age(item.deleted_at or now, now),
            )
            for item in page.items
        )
        shown = views.table(session.out.width, columns, cells) if page.items else Text("The trash is empty.")
        session.out.print(shown)
        if more is not None:
            session.out.print(Text(f"There are more: --cursor {more}", "dim"))
    return ExitCode.OK


def plan(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="NUMBER", help="How many to name at most; all are counted.")
    ] = 100,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Say what the next sweep would remove, and why; nothing is changed.

    It goes by the settings of this environment: let them be the worker's.
    """
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        found = holdfast.retention.plan(limit)
        if session.as_json:
            session.write(records.plan(found))
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        if not found.total:
            session.out.print(Text("Nothing would go."))
            return ExitCode.OK
        session.out.print(_listed(session, found.items))
        if found.total > len(found.items):
            session.out.print(Text(f"... and {found.total - len(found.items):,} more", "dim"))
        session.out.print()
        rows = [(name.replace("_", " "), f"{count:,}") for name, count in found.counts.items()]
        total = text.count(found.total, "analysis", "analyses")
        session.out.print(views.facts([*rows, ("together", f"{total}, {text.size(found.bytes)}")]))
    return ExitCode.OK


def _listed(session: Session, items: "list[Going]") -> "Table":
    from holdfast.cli import views

    columns = [
        views.Column(title="id", flexible=True),
        views.Column(title="why"),
        views.Column(title="kind", since=70),
        views.Column(title="owner", flexible=True, since=90),
        views.Column(title="created", since=60),
        views.Column(title="size", right=True, since=60),
    ]
    now = datetime.now(UTC)
    short = text.short_ids([item.candidate.analysis_id for item in items])
    cells = (
        (
            views.Middle(short[item.candidate.analysis_id]),
            item.reason.value.replace("_", " "),
            views.Middle(item.candidate.kind),
            views.Middle(item.candidate.owner),
            text.age(item.candidate.created_at, now),
            text.size(item.candidate.stored_size),
        )
        for item in items
    )
    return views.table(session.out.width, columns, cells)


def sweep(context: typer.Context, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """Remove now what is not to be kept any longer; workers do it by themselves.

    It goes by the settings of this environment: let them be the worker's.
    """
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        swept = holdfast.sweep()
        if session.as_json:
            session.write(records.sweep(swept))
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        if not swept.is_complete:
            session.out.print(Text("Another process is sweeping."))
            return ExitCode.OK
        total = text.count(swept.total, "analysis", "analyses")
        session.out.print(Text(f"{total} removed, {text.size(swept.bytes)}, in {text.duration(swept.seconds)}"))
        rows = [
            (name.replace("_", " "), f"{count:,}") for name, count in [*swept.counts.items(), *swept.forgotten.items()]
        ]
        if rows:
            session.out.print(views.facts(rows))
    return ExitCode.OK
