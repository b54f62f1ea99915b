"""Commands about repositories and their branches."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import LARGEST_LIMIT, AsJson, Cursor, Database, Limit, Session, cursor_of, place_of
from holdfast.domain.context import LOCAL_OWNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from holdfast.bootstrap import Holdfast
    from holdfast.services.repositories import Told
    from holdfast.store.refs import ReadBack

_NAME = 20

RepoId = Annotated[str, typer.Argument(metavar="REPO", help="The repository's id; `holdfast repo list` has them.")]


def add(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A git repository, or a place in one.")] = ".",
    repo_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Names it; made of its folder's name when not given.")
    ] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Make a git repository known, with its branches; nothing is checked out."""
    session = Session(context, database, as_json=as_json)
    with session.open(create=True) as holdfast:
        with _progress(session) as told:
            read = holdfast.repositories.add_repository(path, repo_id=repo_id, told=told(path))
        return _told(session, [read])


def sync(
    context: typer.Context,
    repo_id: Annotated[str | None, typer.Argument(metavar="[REPO]", help="This one only; else every one.")] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Read the branches of repositories anew; those that are gone are kept as gone."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        names = _with_a_place(holdfast) if repo_id is None else [repo_id]
        with _progress(session) as told:
            read = [holdfast.repositories.sync_repository(name, told=told(name)) for name in names]
        return _told(session, read)


def _with_a_place(holdfast: "Holdfast") -> list[str]:
    """The repositories of this machine that can be read."""
    found: list[str] = []
    after = None
    while True:
        page = holdfast.repositories.list_repositories(limit=LARGEST_LIMIT, after=after)
        found += [one.repo_id for one in page.items if one.location and one.client_session_id == LOCAL_OWNER]
        after = page.next
        if after is None:
            return found


@contextmanager
def _progress(session: Session) -> "Iterator[Callable[[str], Told]]":
    """A live bar on a terminal, for people, while repositories are read and kept; one after the other."""
    if session.as_json or not session.err.is_terminal:
        yield lambda _name: lambda _read, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from holdfast.cli.views import crop

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=session.err, transient=True) as bar:
        shown = bar.add_task("", total=None)

        def of(name: str) -> "Told":
            def told(read: int, total: int) -> None:
                doing = "reading" if read < total else "keeping"
                bar.update(shown, description=f"{doing} {crop(text.safe(name), _NAME)}", completed=read, total=total)
                if read == total:
                    # What is quicker than the next picture has been shown all the same.
                    bar.refresh()

            return told

        yield of


def _told(session: Session, read: "list[ReadBack]") -> ExitCode:
    if session.as_json:
        session.write(records.page([records.read_back(one) for one in read]))
        return ExitCode.OK
    from rich.text import Text

    for one in read:
        counts = ", ".join(
            f"{number} {what}"
            for number, what in ((one.added, "new"), (one.changed, "moved"), (one.gone, "gone"))
            if number
        )
        branches = text.count(one.total, "branch", "branches")
        session.out.print(Text(f"{one.repository.repo_id}: {branches}, {counts or 'nothing new'}"))
        for name, error in sorted(one.failed.items()):
            session.err.print(Text(f"  {name}: {error}", "yellow"))
    if not read:
        session.out.print(Text("There are no repositories with a place to read from."))
    return ExitCode.OK


def list_repositories(
    context: typer.Context, limit: Limit = 20, *, database: Database = None, as_json: AsJson = False
) -> ExitCode:
    """List the repositories by id."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        page = holdfast.repositories.list_repositories(limit=limit)
    if session.as_json:
        session.write(records.page([records.repository(one) for one in page.items]))
        return ExitCode.OK
    from rich.text import Text

    from holdfast.cli import views

    columns = [
        views.Column(title="repository"),
        views.Column(title="default branch", flexible=True, since=60),
        views.Column(title="read", since=60),
        views.Column(title="place", flexible=True),
    ]
    now = datetime.now(UTC)
    cells = (
        (
            one.repo_id,
            views.Middle(one.default_branch or ""),
            "" if one.synced_at is None else text.age(one.synced_at, now),
            views.Middle(one.location),
        )
        for one in page.items
    )
    shown = views.table(session.out.width, columns, cells) if page.items else Text("There are no repositories.")
    session.out.print(shown)
    if page.next is not None:
        session.out.print(Text(f"There are more: --limit, up to {LARGEST_LIMIT}", "dim"))
    return ExitCode.OK


def list_branches(
    context: typer.Context,
    repo_id: RepoId,
    limit: Limit = 100,
    after: Annotated[str | None, typer.Option(metavar="BRANCH", help="Only those after this one.")] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List a repository's branches by name."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        page = holdfast.repositories.get_branches(repo_id, limit=limit, after=after)
    if session.as_json:
        session.write(records.page([records.branch(one) for one in page.items], page.next))
        return ExitCode.OK
    from rich.text import Text

    from holdfast.cli import views

    columns = [
        views.Column(title="branch", flexible=True),
        views.Column(title="commit"),
        views.Column(title="committed", since=60),
        views.Column(title="analyzed", since=60),
        views.Column(title=""),
    ]
    now = datetime.now(UTC)
    cells = (
        (
            views.Middle(one.name),
            one.commit_sha[:10],
            "" if one.last_commit_date is None else text.age(one.last_commit_date, now),
            "never" if one.last_analyzed is None else text.age(one.last_analyzed, now),
            "gone" if one.gone_at is not None else "default" if one.is_default else "",
        )
        for one in page.items
    )
    shown = views.table(session.out.width, columns, cells) if page.items else Text("There are no branches.")
    session.out.print(shown)
    if page.next is not None:
        session.out.print(Text(f"There are more: --after '{page.next}'", "dim"))
    return ExitCode.OK


def history(
    context: typer.Context,
    repo_id: RepoId,
    branch_name: Annotated[str, typer.Argument(metavar="BRANCH", help="The branch.")],
    limit: Limit = 20,
    cursor: Cursor = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List the analyses of a branch, newest first."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        place = None if cursor is None else place_of(cursor)
        page = holdfast.history.get_analysis_history(repo_id, branch_name, limit=limit, after=place)
    more = cursor_of(page.next)
    if session.as_json:
        session.write(records.page([records.history_item(one) for one in page.items], more))
        return ExitCode.OK
    from rich.text import Text

    from holdfast.cli import views

    columns = [
        views.Column(title="id", flexible=True),
        views.Column(title="commit"),
        views.Column(title="analyzed"),
        views.Column(title="score", right=True, since=60),
        views.Column(title="issues", right=True, since=60),
    ]
    now = datetime.now(UTC)
    short = text.short_ids([one.analysis.analysis_id for one in page.items])
    cells = (
        (
            views.Middle(short[one.analysis.analysis_id]),
            "" if one.analysis.subject is None else one.analysis.subject.revision[:10],
            text.age(one.analysis.completed_at or one.analysis.created_at, now),
            "" if one.overall_score is None else f"{one.overall_score:g}",
            f"{one.issue_count:,}",
        )
        for one in page.items
    )
    shown = views.table(session.out.width, columns, cells) if page.items else Text("No analysis of it is kept.")
    session.out.print(shown)
    if more is not None:
        session.out.print(Text(f"There are more: --cursor {more}", "dim"))
    return ExitCode.OK
