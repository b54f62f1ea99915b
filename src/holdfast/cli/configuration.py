"""Commands about settings."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import json

import typer

from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Session


def show(context: typer.Context, *, database: Database = None, as_json: AsJson = False) -> ExitCode:
    """Show each setting, and where its value comes from; passwords and keys are masked."""
    session = Session(context, database, as_json=as_json)
    from holdfast.settings import read_configuration
    from holdfast.settings.model import GROUPS

    found = read_configuration(database_url=session.database)
    if session.as_json:
        settings = {
            name: {
                "value": found.shown(name),
                "source": origin.kind,
                "name": origin.name or None,
                "file": None if origin.file is None else str(origin.file),
            }
            for name, origin in found.origins.items()
        }
        session.write({"file": None if found.file is None else str(found.file), "settings": settings})
        return ExitCode.OK
    from rich.text import Text

    from holdfast.cli import views

    columns = [
        views.Column(title="setting"),
        views.Column(title="value", flexible=True),
        views.Column(title="from", flexible=True),
    ]
    for group in GROUPS:
        cells = []
        for name in group.model_fields:
            value = found.shown(name)
            words = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            cells.append((name, views.Middle(text.safe(words)), views.Middle(text.safe(str(found.origins[name])))))
        session.out.print(Text(f"[{vars(group)['section']}]", "bold"))
        session.out.print(views.table(session.out.width, columns, cells))
    return ExitCode.OK
