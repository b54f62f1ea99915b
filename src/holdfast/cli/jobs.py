"""Commands about leased work."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from datetime import UTC, datetime
from typing import Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode, UsageFailed
from holdfast.cli.session import AsJson, Database, Limit, Session
from holdfast.domain.jobs import Job, JobStatus

_AT_ONCE = 100


def list_jobs(
    context: typer.Context,
    status: Annotated[
        JobStatus | None, typer.Option(metavar="STATUS", help="Only these: ready, leased or dead.")
    ] = None,
    limit: Limit = 20,
    after: Annotated[int, typer.Option(metavar="NUMBER", help="Only those with higher numbers.")] = 0,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List jobs by number: those that wait, those that run, and the dead, which have used up their attempts."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        found = holdfast.jobs.listing(status, after=after, limit=limit + 1)
        shown, more = found[:limit], len(found) > limit
        if session.as_json:
            cursor = str(shown[-1].id) if more else None
            session.write(records.page([records.job(job) for job in shown], cursor))
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        columns = [
            views.Column(title="job", right=True),
            views.Column(title="status"),
            views.Column(title="kind"),
            views.Column(title="analysis", flexible=True, since=60),
            views.Column(title="attempt", right=True, since=70),
            views.Column(title="due", since=60),
            views.Column(title="error", flexible=True, since=90),
        ]
        now = datetime.now(UTC)
        cells = (
            (
                str(job.id),
                job.status.value,
                job.kind,
                views.Middle(job.analysis_id or ""),
                f"{job.attempt}/{job.max_attempts}",
                text.age(job.run_at, now),
                views.Middle(job.last_error or ""),
            )
            for job in shown
        )
        session.out.print(views.table(session.out.width, columns, cells) if shown else Text("No jobs."))
        if more:
            session.out.print(Text(f"There are more: --after {shown[-1].id}", "dim"))
    return ExitCode.OK


def retry(
    context: typer.Context,
    job_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="The job's number.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every dead job.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Queue dead jobs again, with fresh attempts."""
    if (job_id is None) != everything:
        raise UsageFailed("Give either a job's number or --all")
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        retried: list[Job] = []
        if job_id is not None:
            retried.append(holdfast.jobs.retry(job_id))
        after = 0
        while everything and (dead := holdfast.jobs.listing(JobStatus.DEAD, after=after, limit=_AT_ONCE)):
            retried.extend(holdfast.jobs.retry(job.id) for job in dead)
            after = dead[-1].id
        if session.as_json:
            session.write(records.outcomes([records.job(job) for job in retried], []))
        else:
            typer.echo(f"{text.count(len(retried), 'job')} queued again")
    return ExitCode.OK


def schedules(context: typer.Context, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """List what is queued again and again."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        found = holdfast.jobs.schedules()
        if session.as_json:
            session.write(records.page([records.schedule(schedule) for schedule in found], None))
            return ExitCode.OK
        from rich.text import Text

        from holdfast.cli import views

        columns = [
            views.Column(title="schedule", flexible=True),
            views.Column(title="job", flexible=True),
            views.Column(title="every", right=True),
            views.Column(title="next", since=60),
            views.Column(title="runs", since=60),
        ]
        now = datetime.now(UTC)
        cells = (
            (
                views.Middle(schedule.name),
                views.Middle(schedule.kind),
                text.duration(schedule.every_seconds),
                text.age(schedule.next_at, now),
                "yes" if schedule.enabled else "no",
            )
            for schedule in found
        )
        session.out.print(views.table(session.out.width, columns, cells) if found else Text("No schedules."))
    return ExitCode.OK
