"""Commands that tend the indexes."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from typing import Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode, UsageFailed
from holdfast.cli.session import AsJson, Database, Session, database_name, find_id

Processors = Annotated[
    list[str] | None,
    typer.Option("--processors", metavar="NAME", help="Only these; repeatable; all that are enabled by default."),
]


def process(
    context: typer.Context,
    processor_type: Annotated[
        str | None, typer.Option(metavar="NAME", help="For this processor only, such as fulltext.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How many at most.")] = 10,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Process what waits, here and now, without a worker."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        done = holdfast.process_pending_analyses(processor_type, limit)
        if session.as_json:
            session.write({"processed": done})
        else:
            typer.echo(f"{text.count(done, 'analysis', 'analyses')} processed")
    return ExitCode.OK


def reprocess(
    context: typer.Context,
    analysis_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Analyses.")] = None,
    *,
    processors: Processors = None,
    everything: Annotated[bool, typer.Option("--all", help="Build the indexes anew, from every analysis.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Try again what was given up.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Queue analyses to be processed anew, for a worker to do."""
    if sum((bool(analysis_ids), everything, failed)) != 1:
        raise UsageFailed("Give analyses, or --all, or --failed")
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        if failed:
            queued = holdfast.processing.retry_failed(processors)
            words = f"{text.count(queued, 'job')} queued again"
        elif everything:
            queued = holdfast.processing.reprocess(None, processors)
            words = f"{text.count(queued, 'index', 'indexes')} to be built anew"
        else:
            found = [find_id(holdfast, one) for one in analysis_ids or ()]
            queued = holdfast.processing.reprocess(found, processors)
            words = f"{text.count(queued, 'analysis', 'analyses')} queued"
        if session.as_json:
            session.write({"success": True, "queued": queued})
        else:
            typer.echo(words)
    return ExitCode.OK


def status(
    context: typer.Context,
    *,
    analysis_id: Annotated[
        str | None, typer.Option(metavar="ID", help="How far the processors are with this analysis.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show how far the indexes are, and what was given up and why."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        if analysis_id is not None:
            found = holdfast.processing.of_analysis(find_id(holdfast, analysis_id))
            if session.as_json:
                session.write(records.page([records.processing(one) for one in found]))
                return ExitCode.OK
            from holdfast.cli import views

            columns = [
                views.Column(title="processor"),
                views.Column(title="status"),
                views.Column(title="attempts", right=True),
                views.Column(title="last error", flexible=True),
            ]
            one_by_one = (
                (one.processor, one.status.value, str(one.attempts), views.Middle(one.last_error or ""))
                for one in found
            )
            session.out.print(views.table(session.out.width, columns, one_by_one))
            return ExitCode.OK
        rows, dead = holdfast.processing.status(), holdfast.processing.failed(limit=20)
        if session.as_json:
            session.write(
                {
                    "database": database_name(holdfast),
                    "processors": [records.processor(row) for row in rows],
                    "failed": [records.job(job) for job in dead],
                }
            )
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        columns = [
            views.Column(title="processor"),
            views.Column(title="index"),
            views.Column(title="done", right=True),
            views.Column(title="waiting", right=True),
            views.Column(title="failed", right=True),
            views.Column(title="behind", right=True),
        ]
        cells = (
            (
                row.name,
                ("building" if row.is_building else "ready" if row.generation else "none") if row.is_enabled else "off",
                f"{row.counts.get('completed', 0):,}",
                f"{row.waiting:,}",
                f"{row.dead:,}",
                text.duration(row.lag_seconds),
            )
            for row in rows
        )
        session.out.print(views.table(session.out.width, columns, cells) if rows else Text("No processors."))
        for job in dead:
            session.out.print(Text(f"job {job.id} ({job.kind}): {text.safe(job.last_error or '')}", "red"))
        if dead:
            session.out.print(Text("Try them again: holdfast reprocess --failed", "dim"))
    return ExitCode.OK
