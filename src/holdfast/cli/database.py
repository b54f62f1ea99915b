"""Commands about the database itself."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from dataclasses import asdict
from typing import Annotated

import typer

from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Session, database_name
from holdfast.domain.integrity import Checked


def upgrade(context: typer.Context, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """Make the schema, or bring an older one up to date; harmless when there is nothing to do."""
    session = Session(context, database, as_json=as_json)
    with session.open(create=True, migrate=False) as holdfast:
        from holdfast.store import schema

        before, after = schema.upgrade(holdfast.engine)
        if session.as_json:
            session.write({"database": database_name(holdfast), "before": before, "after": after})
        elif before == after:
            typer.echo(f"The schema is up to date ({after})")
        else:
            typer.echo(f"The schema went from {before or 'nothing'} to {after}")
    return ExitCode.OK


def check(
    context: typer.Context,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Set right what follows from what is there.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Check the database's files, its schema, and everything in it: results, references, figures.

    Without --repair nothing is changed; with it nothing is taken away.
    """
    session = Session(context, database, as_json=as_json)
    with session.open(migrate=False) as holdfast:
        from holdfast.store import schema

        revision = schema.revision_of(holdfast.engine)
        files = holdfast.engine.check()
        status = "missing" if revision is None else "current" if revision == schema.HEAD else "other"
        # Files that are damaged are not written to, and other schemas have other tables.
        found = holdfast.integrity.check(repair=repair and not files) if status == "current" else Checked()
        record = {
            "database": database_name(holdfast),
            "schema": revision,
            "schema_needed": schema.HEAD,
            "schema_status": status,
            "problems": files,
            "found": [asdict(problem) for problem in found.found],
            "left": [asdict(problem) for problem in found.left],
            "results_checked": found.results,
        }
        if session.as_json:
            session.write(record)
        else:
            typer.echo(f"database  {record['database']}")
            typer.echo(f"schema    {revision or 'none'} ({status}; this Holdfast has {schema.HEAD})")
            typer.echo("files     " + ("no problem found" if not files else f"{len(files)} problems:"))
            for problem in files:
                typer.echo(f"  {text.safe(problem)}")
            typer.echo(f"content   {_summary(found)}")
            left = set(found.left)
            for one in found.found:
                done = "" if one in left else "repaired: "
                hint = " (--repair sets it right)" if one in left and one.repairable and not repair else ""
                typer.echo(f"  {done}{text.safe(one.message)}{hint}")
    if files or found.left:
        return ExitCode.STORE
    return ExitCode.OK if status == "current" else ExitCode.SCHEMA


def _summary(found: Checked) -> str:
    results = text.count(found.results, "result")
    return f"no problem found, {results} checked" if not found.found else f"{len(found.found)} problems:"
