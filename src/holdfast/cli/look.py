"""Commands that only look."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import platform
import sqlite3
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

import holdfast as package
from holdfast import records
from holdfast.cli import text
from holdfast.cli.analyses import Id
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import (
    AsJson,
    Cursor,
    Database,
    Limit,
    Session,
    cursor_of,
    database_name,
    find_id,
    place_of,
    write_bytes,
)
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.errors import InvalidInput
from holdfast.domain.findings import Severity
from holdfast.domain.freshness import Age
from holdfast.domain.tasks import TASK

if TYPE_CHECKING:
    from holdfast.services.queries import Stats


def names(values: type[StrEnum]) -> str:
    """The values of an enumeration, as help lists them."""
    return ", ".join(value.value for value in values)


def list_analyses(  # noqa: PLR0913, PLR0917 each is an option of the command line
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only this kind.")] = None,
    status: Annotated[
        list[Status] | None, typer.Option(metavar="STATUS", help=f"Only these; repeatable: {names(Status)}.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", "--tags", metavar="TAG", help="Only those with each of these; repeatable."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(metavar="KIND:KEY", help="Only of this subject, as `show` names it.")
    ] = None,
    thread_id: Annotated[str | None, typer.Option(metavar="ID", help="Only of this chain.")] = None,
    task_name: Annotated[str | None, typer.Option(metavar="NAME", help="Only of tasks of this name.")] = None,
    session_id: Annotated[str | None, typer.Option(metavar="ID", help="Only of this working session.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="OWNER", help="Only of this owner.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    *,
    ascending: Annotated[bool, typer.Option("--ascending", help="Oldest first.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List analyses, newest first."""
    session = Session(context, database, as_json=as_json)
    where: dict[str, Any] = {
        "kind": kind,
        "thread_id": thread_id,
        "session_id": session_id,
        "client_session_id": owner,
    }
    if subject is not None:
        subject_kind, colon, key = subject.partition(":")
        if not colon or not key:
            raise InvalidInput("A subject is given as KIND:KEY, as `holdfast show` names it", field="subject")
        where["subject"] = (subject_kind, key)
    if task_name is not None:
        if subject is not None:
            raise InvalidInput("A task's name is a subject: give one of them", field="task_name")
        where["subject"] = (TASK, task_name)
    with session.open() as holdfast:
        after = None if cursor is None else place_of(cursor)
        page = holdfast.list_analyses(
            limit=limit, after=after, ascending=ascending, status=status or (), tags=tag or (), **where
        )
        more = cursor_of(page.next)
        if session.as_json:
            session.write(
                records.page([records.analysis(item, holdfast.freshness.age(item)) for item in page.items], more)
            )
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        if page.items:
            session.out.print(views.analyses(session.out, page.items))
        else:
            filtered = any(value is not None for value in where.values()) or status or tag or cursor
            session.out.print(
                Text("Nothing fits." if filtered else "Nothing is kept yet. Begin with: holdfast analyze PATH")
            )
        if more is not None:
            session.out.print(Text(f"There are more: --cursor {more}", "dim"))
    return ExitCode.OK


def show(  # noqa: PLR0913 each is an option of the command line
    context: typer.Context,
    analysis_id: Id,
    *,
    findings: Annotated[bool, typer.Option(help="With what it found.")] = True,
    severity: Annotated[
        list[Severity] | None,
        typer.Option(metavar="SEVERITY", help=f"Only these findings; repeatable: {names(Severity)}."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="How many findings at most; 20, or all with --json, by default."),
    ] = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="With every metric.")] = False,
    events: Annotated[bool, typer.Option("--events", help="With what happened to it.")] = False,
    attempts: Annotated[bool, typer.Option("--attempts", help="With its runs.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the result as it is kept, JSON, and nothing else.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show an analysis: what it is, how it went, what it found."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        found = find_id(holdfast, analysis_id)
        if raw:
            write_bytes(holdfast.queries.result(found))
            return ExitCode.OK
        analysis, progress = holdfast.queries.progress(found)
        severities = tuple(severity or ())
        values = {metric.name: metric.value for metric in holdfast.queries.metrics(found)} if metrics else {}
        happened = holdfast.queries.events(found, limit=1000) if events else []
        runs = holdfast.queries.attempts(found) if attempts else []
        if session.as_json:
            record = records.analysis(analysis, holdfast.freshness.age(analysis)) | records.progressed(progress)
            if findings:
                listed = holdfast.queries.findings(found, severities=severities, limit=limit)
                record["findings"] = [records.finding(ordinal, finding) for ordinal, finding in listed]
            if metrics:
                record["metrics"] = values
            if events:
                record["events"] = [records.event(entry) for entry in happened]
            if attempts:
                record["attempts"] = [records.attempt(run) for run in runs]
            session.write(record)
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import report, views

        out = session.out
        out.print(report.headline(out, analysis))
        out.print(views.facts(_facts(analysis, holdfast.freshness.age(analysis))))
        if analysis.error is not None:
            out.print()
            views.print_why(out, analysis.error)
            views.print_details(out, analysis.error)
        out.print()
        report.print_report(out, holdfast, analysis, findings=findings, limit=limit or 20, severities=severities)
        if metrics:
            out.print(views.section("Metrics", views.metrics(out, values)))
        if attempts:
            body = views.attempts(out, runs) if runs else Text("none", "dim")
            out.print(views.section("Attempts", body))
        if events:
            out.print(views.section("Events", views.events(out, happened)))
    return ExitCode.OK


def _facts(analysis: Analysis, age: Age) -> list[tuple[str, Any]]:
    from datetime import UTC, datetime

    now = datetime.now(UTC)

    def at(moment: datetime | None) -> str | None:
        return None if moment is None else f"{text.moment(moment)}  ({text.age(moment, now)})"

    subject, context = analysis.subject, analysis.context
    result = analysis.result
    params = ", ".join(f"{name}={value}" for name, value in analysis.params.items() if value not in (None, [], ""))
    partial = " (partial)" if analysis.result_is_partial else ""
    kept = (
        None if result is None else f"{text.size(result.size)} of JSON, {text.size(result.stored_size)} kept{partial}"
    )
    used = None if analysis.max_retrievals is None else f"{analysis.retrieval_count} of {analysis.max_retrievals}"
    version = f" (analyzer version {analysis.analyzer_version})" if analysis.analyzer_version else ""
    return [
        ("id", analysis.analysis_id),
        ("kind", f"{analysis.kind}{version}"),
        ("subject", None if subject is None else f"{subject.kind}:{subject.key}"),
        ("revision", subject.revision if subject is not None and subject.revision else None),
        ("parameters", params or None),
        ("tags", ", ".join(analysis.tags) or None),
        ("owner", context.client_session_id),
        ("thread", context.thread_id),
        ("session", context.session_id),
        ("created", at(analysis.created_at)),
        ("started", at(analysis.started_at)),
        ("ended", at(analysis.completed_at)),
        ("freshness", None if age.level is None else age.level.value.replace("_", " ")),
        ("stale", at(age.stale_at)),
        ("expires", at(analysis.expires_at)),
        ("retrieved", used),
        ("pinned", "yes" if analysis.is_pinned else None),
        ("result", kept),
    ]


def stats(context: typer.Context, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """Show what the store holds, and what waits to be done."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        held, waiting = holdfast.get_stats(), holdfast.jobs.counts()
        url = database_name(holdfast)
        if session.as_json:
            session.write(records.stats(held, waiting) | {"database": url})
            return ExitCode.OK
        from holdfast.cli import views

        by_status = ", ".join(f"{number:,} {status.replace('_', ' ')}" for status, number in held.status_counts.items())
        jobs = ", ".join(f"{number:,} {kind} {status}" for (kind, status), number in sorted(waiting.items()))
        session.out.print(
            views.facts(
                [
                    ("database", url),
                    ("analyses", f"{held.total_results:,}{f' ({by_status})' if by_status else ''}"),
                    ("owners", f"{held.total_sessions:,}"),
                    ("results", text.size(held.storage_size_bytes)),
                    ("anonymous", _pool(held)),
                    ("swept", None if held.last_cleanup is None else text.moment(held.last_cleanup)),
                    ("removed", _removed(held)),
                    ("jobs", jobs or "none"),
                ]
            )
        )
    return ExitCode.OK


def _removed(held: "Stats") -> str | None:
    if not held.removed_counts:
        return None
    reasons = ", ".join(f"{number:,} {reason.replace('_', ' ')}" for reason, number in held.removed_counts.items())
    return f"{text.size(sum(held.removed_bytes.values()))} ({reasons})"


def _pool(held: "Stats") -> str | None:
    if not held.anonymous_size_bytes:
        return None
    return f"{text.size(held.anonymous_size_bytes)} of {text.size(int(held.storage_limit_mb * 1_000_000))}"


def kinds(context: typer.Context, *, as_json: AsJson = False) -> ExitCode:
    """List the kinds of analysis that can be run here."""
    from holdfast.analyzers.registry import Registry

    session = Session(context, None, as_json=as_json)
    rows = Registry().kinds()
    if session.as_json:
        session.write(records.page([records.kind(row) for row in rows], None))
        return ExitCode.OK
    from holdfast.cli import views

    columns = [
        views.Column(title="kind"),
        views.Column(title="version"),
        views.Column(title="analyzer", flexible=True),
    ]
    cells = ((row.kind, row.version or "broken", views.Middle(row.where)) for row in rows)
    session.out.print(views.table(session.out.width, columns, cells))
    return ExitCode.OK


def version(context: typer.Context, *, as_json: AsJson = False) -> ExitCode:
    """Show the versions of Holdfast and of what it stands on."""
    session = Session(context, None, as_json=as_json)
    known = {
        "holdfast": package.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
    }
    if session.as_json:
        session.write(known)
    else:
        for name, value in known.items():
            typer.echo(f"{name:9}{value}")
    return ExitCode.OK
