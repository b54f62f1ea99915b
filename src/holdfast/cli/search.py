"""Commands that find analyses."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Cursor, Database, Limit, Session, cursor_of, place_of
from holdfast.domain.errors import AnalysisNotFound, InvalidInput

if TYPE_CHECKING:
    from rich.text import Text

    from holdfast.domain.processing import Ranked
    from holdfast.domain.snippets import Snippet
    from holdfast.services.search import Hit
    from holdfast.store.lists import Place


class Group(StrEnum):
    """What analyses are grouped by."""

    THREAD = "thread"
    SESSION = "session"
    PROCESS = "process"


class Facet(StrEnum):
    """Fields whose values are counted."""

    KIND = "kind"
    STATUS = "status"
    TAG = "tag"
    OWNER = "owner"


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to find; see docs/reference/query-language.md.")],
    *,
    by: Annotated[
        list[str] | None, typer.Option(metavar="PROCESSOR", help="What ranks; repeatable; fulltext when not given.")
    ] = None,
    facet: Annotated[
        list[Facet] | None,
        typer.Option(metavar="FIELD", help="Count its values: kind, status, tag, owner; repeatable."),
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Find analyses by words and filters, best first."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        after = None if cursor is None else _place(cursor)
        found = holdfast.search.search(query, by=by, limit=limit, after=after, facets=[*(facet or ())])
        more = _cursor(found.next)
        if session.as_json:
            hits = [records.hit(hit, holdfast.freshness.age(hit.analysis)) for hit in found.items]
            page = records.page(hits, more)
            session.write(page | {"facets": found.facets, "is_ranked": found.is_ranked, "hints": found.hints})
            return ExitCode.OK
        from rich.text import Text

        if not found.items:
            session.out.print(Text("Nothing fits."))
        for hint in found.hints:
            session.out.print(Text(hint, "dim"))
        for hit in found.items:
            _print_hit(session, hit)
        for name, counts in found.facets.items():
            values = ", ".join(f"{text.safe(value)} {count:,}" for value, count in counts.items())
            session.out.print(Text(f"{name}: {values or 'none'}", "dim"))
        if more is not None:
            session.out.print(Text(f"There are more: --cursor {more}", "dim"))
    return ExitCode.OK


def _print_hit(session: Session, hit: "Hit") -> None:
    from rich.text import Text

    from holdfast.cli import views

    value = hit.analysis
    head = Text.assemble(
        (value.analysis_id, "bold"), "  ", views.status(value.status, session.out), f"  {value.kind}  "
    )
    head.append(text.safe(", ".join(value.tags)), "dim")
    session.out.print(head)
    for part in (hit.title, hit.text):
        if part is not None:
            session.out.print(Text("  ") + _marked(part))
    if hit.title is None and value.summary:
        session.out.print(Text(f"  {text.safe(value.summary)}", no_wrap=True, overflow="ellipsis"))


def _marked(part: "Snippet") -> "Text":
    from rich.text import Text

    shown = Text()
    at = 0
    for start, end in part.highlights:
        shown.append(text.safe(part.text[at:start]))
        shown.append(text.safe(part.text[start:end]), "bold yellow")
        at = end
    shown.append(text.safe(part.text[at:]))
    return shown


def _cursor(place: "Place | Ranked | None") -> str | None:
    from holdfast.domain.processing import Ranked

    return f"r{place.score.hex()}.{place.key}" if isinstance(place, Ranked) else cursor_of(place)


def _place(cursor: str) -> "Place | Ranked":
    from holdfast.domain.processing import Ranked

    score, dot, key = cursor.removeprefix("r").rpartition(".")
    if not (cursor.startswith("r") and dot):
        return place_of(cursor)
    try:
        return Ranked(score=float.fromhex(score), key=int(key))
    except (ValueError, OverflowError) as error:
        raise InvalidInput("The cursor is not one that `holdfast search` gave", field="cursor") from error


def thread(
    context: typer.Context,
    thread_id: Annotated[str, typer.Argument(metavar="ID", help="The thread, or with --by the session or process.")],
    *,
    by: Annotated[Group, typer.Option(metavar="WHAT", help="thread, session or process.")] = Group.THREAD,
    limit: Limit = 50,
    cursor: Cursor = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="With parameters and results.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show the conversation of a thread, oldest first."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        after = None if cursor is None else place_of(cursor)
        found = holdfast.search.conversation(thread_id, by=by.value, limit=limit, after=after)
        if not found.items and cursor is None:
            raise AnalysisNotFound(f"There is no {by.value} {thread_id[:200]!r}")
        more = _cursor(found.next)
        values = [hit.analysis for hit in found.items]
        results = {
            value.analysis_id: holdfast.get_result(value.analysis_id)
            for value in values
            if verbose and value.result is not None
        }
        if session.as_json:
            items = [
                records.analysis(value, holdfast.freshness.age(value))
                | ({"result": results.get(value.analysis_id)} if verbose else {})
                for value in values
            ]
            session.write(records.page(items, more))
            return ExitCode.OK
        import json

        from rich.text import Text

        from holdfast.cli import views

        for value in values:
            head = Text.assemble((text.moment(value.created_at), "dim"), "  ", views.status(value.status, session.out))
            head.append(f"  {value.kind}  {value.analysis_id}")
            session.out.print(head)
            if value.summary:
                session.out.print(Text(f"  {text.safe(value.summary)}"))
            if verbose:
                for name, content in (("parameters", value.params), ("result", results.get(value.analysis_id))):
                    shown = json.dumps(content, ensure_ascii=False, indent=2)
                    session.out.print(Text(f"  {name}: {text.paragraph(shown)}", "dim"))
        if more is not None:
            session.out.print(Text(f"There are more: --cursor {more}", "dim"))
    return ExitCode.OK
