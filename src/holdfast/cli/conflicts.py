"""Commands about conflicts that wait for a choice."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Cursor, Database, Limit, Session, cursor_of, place_of
from holdfast.domain.conflicts import Resolution
from holdfast.domain.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.domain.conflicts import Conflict

ConflictId = Annotated[str, typer.Argument(metavar="ID", help="The conflict.")]


def list_conflicts(
    context: typer.Context,
    limit: Limit = 20,
    cursor: Cursor = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List the conflicts that nobody has resolved, in the order in which they arose."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        place = None if cursor is None else place_of(cursor)
        page = holdfast.sync.get_conflicts(limit=limit, after=place)
    more = cursor_of(page.next)
    if session.as_json:
        session.write(records.page([records.conflict(one) for one in page.items], more))
        return ExitCode.OK
    from rich.text import Text

    from holdfast.cli import views

    columns = [
        views.Column(title="id"),
        views.Column(title="repository", flexible=True, since=70),
        views.Column(title="branch", flexible=True),
        views.Column(title="why", since=60),
        views.Column(title="arose"),
    ]
    now = datetime.now(UTC)
    cells = (
        (
            one.conflict_id,
            views.Middle(one.repo_id),
            views.Middle(one.branch_name),
            one.reason,
            text.age(one.created_at, now),
        )
        for one in page.items
    )
    shown = views.table(session.out.width, columns, cells) if page.items else Text("There are no open conflicts.")
    session.out.print(shown)
    if more is not None:
        session.out.print(Text(f"There are more: --cursor {more}", "dim"))
    return ExitCode.OK


def show(
    context: typer.Context, conflict_id: ConflictId, *, database: Database = None, as_json: AsJson = False
) -> ExitCode:
    """Show a conflict: what both sides say, and what they began with."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        value = holdfast.sync.get_conflict(conflict_id)
    _shown(session, value)
    return ExitCode.OK


def resolve(
    context: typer.Context,
    conflict_id: ConflictId,
    take: Annotated[
        Resolution | None,
        typer.Option(metavar="SIDE", help="local: what is kept stays; remote: what came in is taken."),
    ] = None,
    merged: Annotated[
        str | None, typer.Option(metavar="JSON", help="Take this version, whole, as `conflicts show --json` has them.")
    ] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Choose between the two sides of a conflict."""
    session = Session(context, database, as_json=as_json)
    if merged is not None and take is None:
        take = Resolution.MERGED
    if take is None:
        raise InvalidInput("Say which side to take: --take local, --take remote, or --merged JSON", field="take")
    content = None if merged is None else _content(merged)
    with session.open() as holdfast:
        value = holdfast.sync.resolve_conflict(conflict_id, take, merged=content)
    _shown(session, value)
    return ExitCode.OK


def _content(merged: str) -> dict[str, object]:
    try:
        content = json.loads(merged)
    except ValueError as error:
        raise InvalidInput(f"--merged is no JSON: {error}", field="merged") from error
    if not isinstance(content, dict):
        raise InvalidInput("--merged must be a JSON object", field="merged")
    return content


def _shown(session: Session, value: "Conflict") -> None:
    if session.as_json:
        session.write(records.conflict(value))
        return
    from holdfast.cli import views

    rows: list[tuple[str, views.Cell | None]] = [
        ("conflict", value.conflict_id),
        ("repository", value.repo_id),
        ("branch", value.branch_name),
        ("why", value.reason),
        ("arose", text.moment(value.created_at)),
        ("by", value.created_by),
        ("resolved", None if value.resolution is None else f"{value.resolution.value}, by {value.resolved_by}"),
    ]
    session.out.print(views.facts(rows))
    session.out.print()
    session.out.print(_sides(session, value))


def _sides(session: Session, value: "Conflict") -> "Table":
    from holdfast.cli import views

    sides = [side if isinstance(side, dict) else {} for side in (value.base, value.local, value.remote)]
    names = sorted({name for side in sides for name in side})
    columns = [views.Column(title="field"), *(views.Column(title=name, flexible=True) for name in _SIDES)]
    cells = ((name, *(_cell(side.get(name)) for side in sides)) for name in names)
    return views.table(session.out.width, columns, cells)


_SIDES = ("base", "local", "remote")


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
