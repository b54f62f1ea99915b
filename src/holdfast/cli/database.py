"""Commands about the database itself."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import typer

from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Session, database_name


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


def check(context: typer.Context, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """Check the database's files and its schema; nothing is changed."""
    session = Session(context, database, as_json=as_json)
    with session.open(migrate=False) as holdfast:
        from holdfast.store import schema

        revision = schema.revision_of(holdfast.engine)
        problems = holdfast.engine.check()
        status = "missing" if revision is None else "current" if revision == schema.HEAD else "other"
        record = {
            "database": database_name(holdfast),
            "schema": revision,
            "schema_needed": schema.HEAD,
            "schema_status": status,
            "problems": problems,
        }
        if session.as_json:
            session.write(record)
        else:
            typer.echo(f"database  {record['database']}")
            typer.echo(f"schema    {revision or 'none'} ({status}; this Holdfast has {schema.HEAD})")
            typer.echo("files     " + ("no problem found" if not problems else f"{len(problems)} problems:"))
            for problem in problems:
                typer.echo(f"  {problem}")
    if problems:
        return ExitCode.STORE
    return ExitCode.OK if status == "current" else ExitCode.SCHEMA
