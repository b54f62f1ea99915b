"""Commands about what is stale, and about refreshing it."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode, UsageFailed
from holdfast.cli.session import AsJson, Cursor, Database, Limit, Session, cursor_of, find_id, place_of
from holdfast.domain.freshness import Level, Urgency
from holdfast.domain.refresh import TaskStatus

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast
    from holdfast.domain.refresh import AutoRefresh, RefreshTask
    from holdfast.services.freshness import Staleness

_URGENCIES = {Urgency.NONE: "dim", Urgency.LOW: "cyan", Urgency.MEDIUM: "yellow", Urgency.HIGH: "red"}
_STATUSES = {
    TaskStatus.SCHEDULED: "cyan",
    TaskStatus.EXECUTING: "blue",
    TaskStatus.COMPLETED: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.CANCELLED: "yellow",
}
_LEVELS = {Level.FRESH: "green", Level.MODERATE: "yellow", Level.STALE: "red", Level.VERY_STALE: "bold red"}


def stale(
    context: typer.Context,
    repo_id: Annotated[str | None, typer.Argument(metavar="[REPO]", help="The repository.")] = None,
    branch_name: Annotated[str | None, typer.Argument(metavar="[BRANCH]", help="One branch, whatever it is.")] = None,
    limit: Limit = 100,
    after: Annotated[str | None, typer.Option(metavar="BRANCH", help="The branch where the page before ended.")] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show which branches of a repository are stale and why; one branch; or how many there are of all."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        if repo_id is None:
            return _overview(session, holdfast)
        if branch_name is not None:
            return _one(session, holdfast.freshness.get_staleness_info(repo_id, branch_name))
        page = holdfast.freshness.get_stale_branches(repo_id, limit=limit, after=after)
        if session.as_json:
            session.write(records.page([records.staleness(item) for item in page.items], page.next))
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        if not page.items:
            session.out.print(Text("All branches are up to date."))
            return ExitCode.OK
        columns = [
            views.Column(title="branch", flexible=True),
            views.Column(title="urgency"),
            views.Column(title="why", flexible=True),
            views.Column(title="analyzed", since=60),
            views.Column(title="changed", right=True, since=80),
        ]
        now = datetime.now(UTC)
        rows = (
            (
                views.Middle(item.branch_name),
                Text(_urgency(item).value, _URGENCIES[_urgency(item)]),
                views.Middle(_why(item)),
                "never" if item.last_analyzed is None else text.age(item.last_analyzed, now),
                "" if item.freshness.changes is None else f"{item.freshness.changes.total:,}",
            )
            for item in page.items
        )
        session.out.print(views.table(session.out.width, columns, rows))
        if page.next is not None:
            session.out.print(Text(f"There are more: --after {text.safe(page.next)}", "dim"))
    return ExitCode.OK


def _urgency(item: "Staleness") -> Urgency:
    return item.freshness.recommendation.urgency


def _why(item: "Staleness") -> str:
    return ", ".join(reason.value.replace("_", " ") for reason in item.freshness.reasons)


def _one(session: Session, item: "Staleness") -> ExitCode:
    if session.as_json:
        session.write(records.staleness(item))
        return ExitCode.OK
    from rich.text import Text

    from holdfast.cli import views

    found, changes, estimate = item.freshness, item.freshness.changes, item.estimate
    rows: list[tuple[str, views.Cell | None]] = [
        ("branch", views.Middle(f"{item.repo_id} {item.branch_name}")),
        ("result", found.recommendation.message),
        ("level", None if found.level is None else Text(found.level.value.replace("_", " "), _LEVELS[found.level])),
        ("stale", None if found.stale_at is None else text.moment(found.stale_at)),
        ("why", _why(item) or "not stale"),
        (
            "changed",
            None
            if changes is None
            else f"{changes.added:,} added, {changes.modified:,} modified, {changes.deleted:,} deleted",
        ),
        ("to do", found.recommendation.suggestion),
        ("takes", None if estimate.seconds is None else f"about {text.duration(estimate.seconds)}"),
        ("refresh", None if item.refresh is None else item.refresh.status.value),
    ]
    session.out.print(views.facts(rows))
    return ExitCode.OK


def _overview(session: Session, holdfast: "Holdfast") -> ExitCode:
    found = holdfast.freshness.overview()
    if session.as_json:
        session.write(
            {
                "branches": found.branches,
                "stale": found.stale,
                "reasons": {reason.value: number for reason, number in found.reasons.items()},
                "levels": {level.value: number for level, number in found.levels.items()},
            }
        )
        return ExitCode.OK
    from holdfast.cli import views

    rows = [("branches", f"{found.branches:,}"), ("stale", f"{found.stale:,}")]
    rows += [(reason.value.replace("_", " "), f"{number:,}") for reason, number in found.reasons.items() if number]
    session.out.print(views.facts(rows))
    return ExitCode.OK


def refresh(
    context: typer.Context,
    named: Annotated[
        list[str], typer.Argument(metavar="ID | REPO BRANCH", help="An analysis, or a repository and its branch.")
    ],
    delay: Annotated[
        str, typer.Option("--in", metavar="DURATION", help="Of a branch: after so long, 90s, 15m, 12h, 30d.")
    ] = "",
    *,
    mark: Annotated[
        bool, typer.Option("--mark", help="Of a branch: only note that it is wanted, for when there is time.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Have an analysis, or a branch, analysed anew by a worker; the old result stays readable."""
    if len(named) > 2 or (len(named) == 1 and (delay or mark)) or (delay and mark):
        raise UsageFailed("Give an analysis, or a repository and a branch with --in or --mark")
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        if len(named) == 1:
            from holdfast.cli.running import tell_queued

            return tell_queued(session, holdfast, holdfast.submissions.refresh(find_id(holdfast, named[0])).analysis)
        from rich.text import Text

        repo_id, branch_name = named
        if mark:
            at = holdfast.refresh.mark_for_refresh(repo_id, branch_name)
            if session.as_json:
                session.write({"repo_id": repo_id, "branch_name": branch_name, "marked_at": records.time(at)})
            else:
                session.out.print(Text(f"Marked for refresh: {text.safe(repo_id)} {text.safe(branch_name)}"))
            return ExitCode.OK
        minutes = text.seconds_of(delay) / 60 if delay else 0.0
        task = holdfast.refresh.schedule_refresh(repo_id, branch_name, minutes)
        if session.as_json:
            session.write(records.refresh_task(task))
        else:
            session.out.print(Text(f"Scheduled as {task.task_id} for {text.moment(task.run_at)}"))
    return ExitCode.OK


def list_tasks(
    context: typer.Context,
    status: Annotated[
        list[TaskStatus] | None,
        typer.Option(metavar="STATUS", help=f"Only these; repeatable: {', '.join(one.value for one in TaskStatus)}."),
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List refreshes that wait, run, or were over lately, newest first."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        after = None if cursor is None else place_of(cursor)
        page = holdfast.refresh.get_scheduled_tasks(status or (), limit=limit, after=after)
        more = cursor_of(page.next)
        if session.as_json:
            session.write(records.page([records.refresh_task(item) for item in page.items], more))
            return ExitCode.OK
        from rich.text import Text

        if page.items:
            _print_tasks(session, page.items)
        else:
            session.out.print(Text("No refresh waits or was over lately."))
        if more is not None:
            session.out.print(Text(f"There are more: --cursor {more}", "dim"))
    return ExitCode.OK


def _print_tasks(session: Session, items: "list[RefreshTask]") -> None:
    from rich.text import Text

    from holdfast.cli import views

    columns = [
        views.Column(title="id", flexible=True),
        views.Column(title="status"),
        views.Column(title="repository", flexible=True, since=60),
        views.Column(title="branch", flexible=True),
        views.Column(title="due", since=70),
        views.Column(title="why it failed", flexible=True, since=110),
    ]
    now = datetime.now(UTC)
    rows = (
        (
            views.Middle(item.task_id),
            Text(item.status.value, _STATUSES[item.status]),
            views.Middle(item.repo_id),
            views.Middle(item.branch_name),
            text.age(item.run_at, now),
            views.Middle("" if item.error is None else f"{item.error.code}: {item.error.message}"),
        )
        for item in items
    )
    session.out.print(views.table(session.out.width, columns, rows))


def cancel(
    context: typer.Context,
    task_id: Annotated[str, typer.Argument(metavar="ID", help="The refresh, as `schedule list` names it.")],
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Call off a refresh that waits."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        task = holdfast.refresh.cancel_refresh(task_id)
        if session.as_json:
            session.write(records.refresh_task(task))
        else:
            from rich.text import Text

            session.out.print(Text(f"Called off {text.safe(task.task_id)}"))
    return ExitCode.OK


def auto(
    context: typer.Context,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Let workers do it from now on, or no longer.")
    ] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show whether what is stale is refreshed by itself, or change that."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        if enable is None:
            found = holdfast.refresh.get_status()
        elif enable:
            found = holdfast.refresh.enable_auto_refresh()
        else:
            found = holdfast.refresh.disable_auto_refresh()
        if session.as_json:
            session.write(records.auto_refresh(found))
        else:
            from holdfast.cli import views

            session.out.print(views.facts(_status(found)))
    return ExitCode.OK


def _status(found: "AutoRefresh") -> list[tuple[str, str | None]]:
    return [
        ("auto-refresh", "enabled" if found.auto_refresh_enabled else "disabled"),
        ("workers", "look for what is stale" if found.running else "none is looking"),
        ("every", f"{found.check_interval_minutes:g} minutes"),
        ("next", None if found.next_check_at is None else text.moment(found.next_check_at)),
        ("refreshing", f"{found.currently_refreshing:,}"),
    ]
