"""Commands of likeness and relations."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli.analyses import Id
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Session, find_id

if TYPE_CHECKING:
    from holdfast.processors.graph.index import Node

_ENTITY = "An analysis by its id, anything else as KIND:KEY."

Entity = Annotated[str, typer.Argument(metavar="ENTITY", help=_ENTITY)]
Hops = Annotated[int, typer.Option(min=1, max=6, metavar="NUMBER", help="How many steps at most.")]


def similar(
    context: typer.Context,
    analysis_id: Id,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100, metavar="NUMBER", help="How many at most.")] = 10,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List the analyses nearest in meaning to one."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        hits = holdfast.similar_analyses(find_id(holdfast, analysis_id), limit=limit)
        if session.as_json:
            session.write(records.similar(hits, holdfast.freshness.age))
            return ExitCode.OK
        from rich.table import Table
        from rich.text import Text

        table = Table("Score", "Id", "Kind", "Summary", box=None, pad_edge=False)
        for hit in hits:
            value = hit.analysis
            table.add_row(*map(Text, (f"{hit.score:.3f}", value.analysis_id, value.kind, value.summary)))
        session.out.print(table if hits else Text("Nothing is like it, or it is not indexed yet."))
    return ExitCode.OK


def neighbourhood(
    context: typer.Context,
    entity: Entity,
    *,
    hops: Hops = 1,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="NUMBER", help="How many entities at most.")] = 100,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show what an analysis or another entity has to do with."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        found = holdfast.neighbourhood(entity, hops=hops, limit=limit)
        if session.as_json:
            session.write(records.neighbourhood(found))
            return ExitCode.OK
        from rich.table import Table
        from rich.text import Text

        table = Table("Hops", "Entity", "Name", box=None, pad_edge=False)
        for near in found.entities:
            table.add_row(*map(Text, (str(near.hops), _name(near.node), near.node.label)))
        session.out.print(table)
        if not found.is_whole:
            session.out.print(Text("There is more: --limit", "dim"))
    return ExitCode.OK


def path(
    context: typer.Context,
    start: Annotated[str, typer.Argument(metavar="FROM", help=_ENTITY)],
    end: Annotated[str, typer.Argument(metavar="TO", help=_ENTITY)],
    *,
    hops: Hops = 6,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show how two entities have to do with each other."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        found = holdfast.path(start, end, hops=hops)
        if session.as_json:
            session.write(records.path(found))
            return ExitCode.OK
        from rich.text import Text

        if not found.nodes:
            more = "" if found.is_certain else " that was found: there is too much to look at"
            session.out.print(Text(f"There is no way{more}."))
            return ExitCode.OK
        session.out.print(Text(_name(found.nodes[0])))
        for node, link in zip(found.nodes[1:], found.relations, strict=True):
            arrow = f"--{link.kind}-->" if link.target == node else f"<--{link.kind}--"
            session.out.print(Text(f"  {arrow} {_name(node)}"))
    return ExitCode.OK


def _name(node: "Node") -> str:
    return f"{node.place.kind}:{node.place.key}"
