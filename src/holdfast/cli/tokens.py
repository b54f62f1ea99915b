"""Commands about tokens."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from datetime import UTC, datetime
from typing import Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Limit, Session
from holdfast.domain.access import Role
from holdfast.domain.tokens import Token


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    role: Annotated[Role, typer.Option(metavar="ROLE", help="What it allows: reader, writer or admin.")] = Role.WRITER,
    owner: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose things it opens; when not given, an owner of the token's name."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long it is good for: 90s, 15m, 12h, 30d, 8w.")
    ] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Make a token, and show its secret, this once."""
    seconds = None if expires is None else text.seconds_of(expires)
    session = Session(context, database, as_json=as_json)
    with session.open(create=True) as holdfast:
        made = holdfast.accounts.create_token(name, owner=owner, role=role, expires_in_seconds=seconds)
    if session.as_json:
        session.write({**records.token(made.token), "secret": made.secret})
        return ExitCode.OK
    from holdfast.cli import views

    rows: list[tuple[str, views.Cell | None]] = [
        ("token", made.token.token_id),
        ("name", made.token.name),
        ("owner", made.token.owner),
        ("role", made.token.role.value),
        ("expires", None if made.token.expires_at is None else text.moment(made.token.expires_at)),
    ]
    session.err.print(views.facts(rows))
    session.err.print("Its secret, which cannot be shown again:")
    # Alone on standard output, whole: it is there to be copied or piped.
    typer.echo(made.secret)
    return ExitCode.OK


def list_tokens(
    context: typer.Context,
    limit: Limit = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Only those after this one.")] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List tokens, newest first; secrets are not kept."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        page = holdfast.accounts.list_tokens(after=after, limit=limit)
    if session.as_json:
        session.write(records.page([records.token(token) for token in page.items], page.next))
        return ExitCode.OK
    from rich.text import Text

    from holdfast.cli import views

    columns = [
        views.Column(title="token"),
        views.Column(title="name", flexible=True),
        views.Column(title="owner", flexible=True, since=60),
        views.Column(title="role"),
        views.Column(title="state"),
        views.Column(title="used", since=80),
        views.Column(title="made", since=100),
        views.Column(title="by", flexible=True, since=120),
    ]
    now = datetime.now(UTC)
    cells = (
        (
            token.token_id,
            views.Middle(token.name),
            views.Middle(token.owner),
            token.role.value,
            _state(token, now),
            "never" if token.last_used_at is None else text.age(token.last_used_at, now),
            text.age(token.created_at, now),
            views.Middle(token.created_by),
        )
        for token in page.items
    )
    session.out.print(views.table(session.out.width, columns, cells) if page.items else Text("No tokens."))
    if page.next is not None:
        session.out.print(Text(f"There are more: --after {page.next}", "dim"))
    return ExitCode.OK


def revoke(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id.")],
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Revoke a token: it opens nothing any more, within five seconds everywhere."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        token = holdfast.accounts.revoke_token(token_id)
    if session.as_json:
        session.write(records.token(token))
    else:
        typer.echo(f"The token {text.safe(token.name)} ({token.token_id}) is revoked")
    return ExitCode.OK


def _state(token: Token, now: datetime) -> str:
    problem = token.problem(now)
    if problem is not None or token.expires_at is None:
        return problem or "good"
    return f"good, ends {text.age(token.expires_at, now)}"
