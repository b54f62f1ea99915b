"""The worker as a command."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode, UsageFailed
from holdfast.cli.session import AsJson, Database, Session, database_name
from holdfast.domain.errors import UnknownProcessor
from holdfast.domain.jobs import JobStatus
from holdfast.domain.processing import processor_name

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast
    from holdfast.cli.daemon import Seat
    from holdfast.worker import Worker

_PATIENCE_SECONDS = 10.0


class Order(StrEnum):
    """What is wanted of a worker in the background."""

    STOP = "stop"
    RESTART = "restart"


def worker(  # noqa: PLR0913 each is an option of the command line
    context: typer.Context,
    order: Annotated[
        Order | None,
        typer.Argument(metavar="[ORDER]", help="stop or restart: end the worker in the background, or start it anew."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="NUMBER", help="How many analyses at once; HOLDFAST_CONCURRENCY, else 1."),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="SECONDS", help="How often to look untold; HOLDFAST_PROCESS_INTERVAL, else 1."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, metavar="NUMBER", help="How many analyses a processor gets at a time."),
    ] = None,
    enable: Annotated[
        list[str] | None,
        typer.Option(metavar="PROCESSOR", help="Keep this index, and leave all not named so to others; repeatable."),
    ] = None,
    disable: Annotated[
        list[str] | None, typer.Option(metavar="PROCESSOR", help="Leave this index to other workers; repeatable.")
    ] = None,
    storage_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The folder of holdfast.db, in place of --database.")
    ] = None,
    *,
    no_vector_store: Annotated[bool, typer.Option("--no-vector-store", help="The same as --disable vector.")] = False,
    no_graph_db: Annotated[bool, typer.Option("--no-graph-db", help="The same as --disable graph.")] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle", "--once", help="Do what is due, then end.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Work in the background; one such worker of a database on a machine.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say what waits and who works.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every step.")] = False,
    seated: Annotated[bool, typer.Option("--seated", hidden=True)] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Do jobs until it is told to stop.

    Several workers, on several machines, share the work. SIGTERM and Ctrl-C end it within two seconds; what it was
    doing goes back and is continued by another worker. `worker --detach` starts one that outlives the terminal,
    `worker stop` ends that.
    """
    if storage_dir is not None:
        if database is not None:
            raise UsageFailed("Give --storage-dir or --database, not both")
        database = f"sqlite:///{storage_dir / 'holdfast.db'}"
    session = Session(context, database, as_json=as_json)
    if sum((order is not None, detach, status, until_idle)) > 1:
        raise UsageFailed("stop, restart, --detach, --once and --status exclude each other")
    left = {*map(processor_name, disable or ()), *(("vector",) * no_vector_store), *(("graph",) * no_graph_db)}
    if order is not None or detach:
        given = _given(concurrency, interval, batch_size, enable or (), sorted(left), verbose=verbose)
        return _in_background(session, order, given)
    level = "DEBUG" if verbose else "INFO"
    with session.open(create=not status, log_level=level) as holdfast:
        if status:
            return _status(session, holdfast)
        left |= _others(holdfast, enable or (), sorted(left))
        made = holdfast.worker(concurrency=concurrency, without=sorted(left))
        if interval is not None:
            made.idle_seconds = interval
        if batch_size is not None:
            made.set_batch(batch_size)
        with contextlib.ExitStack() as stack:
            if seated:
                stack.enter_context(_seat(session).taken(made.name))
            finished = _run(holdfast, made, until_idle=until_idle)
        if session.as_json:
            session.write({"worker": made.name, "finished": finished})
        else:
            typer.echo(f"{text.count(finished, 'job')} finished", err=True)
    return ExitCode.OK


def _others(holdfast: "Holdfast", enable: Sequence[str], disable: Sequence[str]) -> set[str]:
    """The indexes that are left to other workers, because those that are wanted are named."""
    wanted = holdfast.processors.check(enable)
    unknown = set(disable) - set(holdfast.processors.installed())
    if unknown:
        raise UnknownProcessor(f"There is no processor {min(unknown)[:80]!r}", field="disable")
    return set(holdfast.processors.enabled) - set(wanted) if enable else set()


def _run(holdfast: "Holdfast", made: "Worker", *, until_idle: bool) -> int:
    from holdfast.cli.live import handling

    told = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal told
        if told:
            os._exit(ExitCode.INTERRUPTED)
        told = True
        made.stop()

    with handling(signal.SIGTERM, stop), handling(signal.SIGINT, stop):
        typer.echo(f"Worker {made.name} on {database_name(holdfast)}. Ctrl-C ends it.", err=True)
        return made.run(until_idle=until_idle)


def _given(
    concurrency: int | None,
    interval: float | None,
    batch_size: int | None,
    enable: Sequence[str],
    disable: Sequence[str],
    *,
    verbose: bool,
) -> list[str]:
    """The same options once more, for a process of its own."""
    figures = {"--concurrency": concurrency, "--interval": interval, "--batch-size": batch_size}
    given = [f"{name}={value}" for name, value in figures.items() if value is not None]
    given += [f"--enable={name}" for name in enable] + [f"--disable={name}" for name in disable]
    return [*given, *(["--verbose"] if verbose else [])]


def _in_background(session: Session, order: Order | None, given: Sequence[str]) -> ExitCode:
    from holdfast.cli import daemon

    seat = _seat(session)
    stopped: dict[str, object] = {}
    if order is not None:
        try:
            pid, was_killed = daemon.stop(seat, _PATIENCE_SECONDS)
            stopped = {"stopped": pid, "was_killed": was_killed}
            if not session.as_json:
                typer.echo(f"Worker {pid} {'was killed: it did not end' if was_killed else 'has ended'}", err=True)
        except daemon.NoWorker:
            # To start anew is to start, where there is none.
            if order is Order.STOP:
                raise
    if order is Order.STOP:
        if session.as_json:
            session.write({"success": True, **stopped})
        return ExitCode.OK
    environment = dict(os.environ)
    if session.database is not None:
        # Not as an argument: everybody on the machine may see those, and it may have a password.
        environment["HOLDFAST_DATABASE_URL"] = session.database
    pid = daemon.start(seat, ["worker", "--seated", *given], environment)
    if session.as_json:
        session.write({"success": True, **stopped, "started": pid, "log": str(seat.log)})
    else:
        typer.echo(f"Worker {pid} works in the background; its log: {seat.log}", err=True)
    return ExitCode.OK


def _seat(session: Session) -> "Seat":
    """The seat of this database's worker; the database itself need not be there."""
    from holdfast.cli.daemon import Seat
    from holdfast.settings import read_settings

    settings = read_settings(database_url=session.database)
    path = settings.database_path()
    return Seat(settings.database_url if path is None else str(path.resolve()))


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
    seat = _seat(session)
    pid = seat.holder()
    if session.as_json:
        shown = [records.processor(one) for one in processors]
        background = None if pid is None else {"pid": pid, "log": str(seat.log)}
        session.write({"workers": workers, "jobs": waiting, "processors": shown, "background": background})
        return ExitCode.OK
    for row in waiting:
        typer.echo(f"{row['count']:>7,}  {row['kind']} {row['status']}")
    for name, number in owners.items():
        typer.echo(f"{name}: {text.count(number, 'job')} under way")
    if pid is not None:
        typer.echo(f"Worker {pid} works in the background; its log: {seat.log}")
    elif not waiting:
        typer.echo("Nothing waits, nobody works.")
    return ExitCode.OK
