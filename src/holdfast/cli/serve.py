"""The service as a command."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Session, database_name

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast


def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; another than this machine's own needs tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="NUMBER", help="The port; 0 for a free one.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=64, metavar="NUMBER", help="How many processes answer requests.")
    ] = 1,
    *,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run analyses here as well.")] = True,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Serve HTTP, and run the analyses that are asked for.

    SIGTERM and Ctrl-C end it within two seconds; a run under way goes back and is continued by the next worker.
    """
    session = Session(context, database, as_json=as_json)
    with session.open(create=True, log_level="INFO") as holdfast:
        return run(session, holdfast, host=host, port=port, workers=workers, works=worker)


def run(
    session: Session, holdfast: "Holdfast", *, host: str, port: int, workers: int = 1, works: bool = True
) -> ExitCode:
    """Serve until it is told to stop."""
    from holdfast.api import serving

    def told(address: str) -> None:
        if session.as_json:
            session.write({"address": address})
            sys.stdout.flush()
        typer.echo(f"Holdfast on {address}, keeping things in {database_name(holdfast)}. Ctrl-C ends it.", err=True)

    serving.serve(holdfast, host=host, port=port, workers=workers, works=works, told=told)
    return ExitCode.OK
