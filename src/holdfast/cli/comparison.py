"""The command that compares analyses."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode, UsageFailed
from holdfast.cli.session import AsJson, Database, Session, find_id
from holdfast.domain.comparison import Change, Comparison, FindingChange

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.bootstrap import Holdfast


def compare(
    context: typer.Context,
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="[EARLIER] LATER | REPO BRANCH BRANCH",
            help="Two analyses; one, to compare it with the one before it; or a repository and two of its branches.",
        ),
    ],
    change: Annotated[
        list[Change] | None,
        typer.Option(metavar="CHANGE", help="Only these findings; repeatable: added, fixed, unchanged."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="NUMBER", help="How many findings at most.")] = 20,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Compare two analyses, or two branches: what was found newly, what is fixed, which figures moved."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        compared = _compared(holdfast, named)
        earlier, later = compared.before.analysis_id, compared.after.analysis_id
        found = holdfast.comparison.changes(later, earlier, changes=change or (), limit=limit)
        if session.as_json:
            record = records.comparison(compared) | {"chain": holdfast.comparison.chain(later)}
            items = [records.finding_change(one) for one in found.items]
            session.write(record | {"items": items, "is_complete": found.next is None})
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        short = text.short_ids([earlier, later])
        session.out.print(views.facts(_facts(compared, short)))
        moved = [metric for metric in compared.metrics if metric.before != metric.after]
        if moved:
            session.out.print(views.section("Figures", _metrics(session, compared)))
        if found.items:
            session.out.print(views.section("Findings", _findings(session, found.items)))
        if found.next is not None:
            session.out.print(Text("There are more: --limit shows them", "dim"))
    return ExitCode.OK


def _compared(holdfast: "Holdfast", named: list[str]) -> Comparison:
    """What is meant, side by side."""
    if len(named) == 1:
        return holdfast.comparison.compare(find_id(holdfast, named[0]))
    if len(named) == 2:
        earlier, later = (find_id(holdfast, one) for one in named)
        return holdfast.comparison.compare(later, earlier)
    if len(named) == 3:
        repo_id, against, branch = named
        return holdfast.comparison.compare_branches(repo_id, branch, against)
    raise UsageFailed("Give one or two analyses, or a repository and two of its branches")


def _facts(compared: Comparison, short: dict[str, str]) -> list[tuple[str, str | None]]:
    counts = compared.findings
    before, after = compared.sizes
    sizes = None if before is None or after is None else f"{text.size(before)} before, {text.size(after)} now"
    return [
        ("earlier", f"{short[compared.before.analysis_id]}  {text.moment(compared.before.created_at)}"),
        ("later", f"{short[compared.after.analysis_id]}  {text.moment(compared.after.created_at)}"),
        (
            "findings",
            f"{counts[Change.ADDED]:,} added, {counts[Change.FIXED]:,} fixed, {counts[Change.UNCHANGED]:,} unchanged",
        ),
        ("result", sizes),
    ]


def _metrics(session: Session, compared: Comparison) -> "Table":
    from holdfast.cli import views

    columns = [
        views.Column(title="figure", flexible=True),
        views.Column(title="before", right=True),
        views.Column(title="now", right=True),
        views.Column(title="difference", right=True, since=60),
    ]
    rows = (
        (
            views.Middle(metric.name),
            "" if metric.before is None else views.number(metric.before),
            "" if metric.after is None else views.number(metric.after),
            ""
            if metric.difference is None
            else f"{'+' if metric.difference > 0 else ''}{views.number(metric.difference)}",
        )
        for metric in compared.metrics
        if metric.before != metric.after
    )
    return views.table(session.out.width, columns, rows)


def _findings(session: Session, items: list[FindingChange]) -> "Table":
    from rich.text import Text

    from holdfast.cli import views

    styles = {Change.ADDED: "red", Change.FIXED: "green", Change.UNCHANGED: "dim"}
    columns = [
        views.Column(title="change"),
        views.Column(title="severity"),
        views.Column(title="finding", flexible=True),
        views.Column(title="where", flexible=True, since=60),
    ]
    rows = (
        (
            Text(one.change.value, styles[one.change]),
            Text(one.finding.severity.value, views.SEVERITY_STYLES[one.finding.severity]),
            views.Middle(one.finding.title),
            views.Middle(views.place(one.finding)),
        )
        for one in items
    )
    return views.table(session.out.width, columns, rows)
