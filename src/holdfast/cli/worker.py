"""The worker as a command."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import os
import signal
from collections import Counter
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Session, database_name
from holdfast.domain.jobs import JobStatus

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast


def worker(  # noqa: PLR0913 each is an option of the command line
    context: typer.Context,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="NUMBER", help="How many analyses at once; HOLDFAST_CONCURRENCY, else 1."),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="SECONDS", help="How often to look without being told that something waits; 1."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, metavar="NUMBER", help="How many analyses a processor gets at a time."),
    ] = None,
    *,
    no_vector_store: Annotated[
        bool, typer.Option("--no-vector-store", help="Leave the vector index to other workers.")
    ] = False,
    no_graph_db: Annotated[bool, typer.Option("--no-graph-db", help="Leave the graph to other workers.")] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle", "--once", help="Do what is due, then end.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say what waits and who works.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Do jobs until it is told to stop.

    Several workers, on several machines, share the work. SIGTERM and Ctrl-C end it within two seconds; what it was
    doing goes back and is continued by another worker.
    """
    session = Session(context, database, as_json=as_json)
    with session.open(create=not status, log_level="INFO") as holdfast:
        if status:
            return _status(session, holdfast)
        from holdfast.cli.live import handling

        left = [name for name, is_left in (("vector", no_vector_store), ("graph", no_graph_db)) if is_left]
        made = holdfast.worker(concurrency=concurrency, without=left)
        if interval is not None:
            made.idle_seconds = interval
        if batch_size is not None:
            made.set_batch(batch_size)
        told = False

        def stop(_signal: int, _frame: FrameType | None) -> None:
            nonlocal told
            if told:
                os._exit(ExitCode.INTERRUPTED)
            told = True
            made.stop()

        with handling(signal.SIGTERM, stop), handling(signal.SIGINT, stop):
            where = database_name(holdfast)
            typer.echo(f"Worker {made.name} on {where}. Ctrl-C ends it.", err=True)
            finished = made.run(until_idle=until_idle)
        if session.as_json:
            session.write({"worker": made.name, "finished": finished})
        else:
            typer.echo(f"{text.count(finished, 'job')} finished", err=True)
    return ExitCode.OK


def _status(session: Session, holdfast: "Holdfast") -> ExitCode:
    counts = holdfast.jobs.counts()
    leased = holdfast.jobs.listing(JobStatus.LEASED, limit=1000)
    owners = Counter(job.lease_owner or "" for job in leased)
    last = {job.lease_owner or "": job.lease_until for job in leased}
    workers = [
        {"worker": name, "jobs": number, "lease_until": records.time(last[name])} for name, number in owners.items()
    ]
    waiting = [{"kind": kind, "status": state, "count": number} for (kind, state), number in sorted(counts.items())]
    processors = holdfast.processing.status()
    if session.as_json:
        shown = [records.processor(one) for one in processors]
        session.write({"workers": workers, "jobs": waiting, "processors": shown})
        return ExitCode.OK
    for row in waiting:
        typer.echo(f"{row['count']:>7,}  {row['kind']} {row['status']}")
    for name, number in owners.items():
        typer.echo(f"{name}: {text.count(number, 'job')} under way")
    if not waiting:
        typer.echo("Nothing waits, nobody works.")
    return ExitCode.OK
