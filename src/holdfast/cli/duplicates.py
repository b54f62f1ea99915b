"""Commands about music libraries: search them for duplicates, decide, and act on it."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.analyses import Id, named_params
from holdfast.cli.errors import ExitCode
from holdfast.cli.session import AsJson, Database, Limit, Session, find_id
from holdfast.domain.context import LOCAL_OWNER, Context
from holdfast.domain.triage import Action, Sort
from holdfast.records import duplicates as duplicate_records

if TYPE_CHECKING:
    from rich.console import RenderableType

    from holdfast.bootstrap import Holdfast


_FIRST = 10


def scan(  # noqa: PLR0913, PLR0917 each is an option of the command line
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(help="A Library.xml, CSV or Parquet file, a folder of audio files, a database's URL.")
    ],
    search_term: Annotated[
        str, typer.Option("--search", metavar="TEXT", help="Only tracks that have this in song, artist or album.")
    ] = "",
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="How alike tracks must be, 0 to 1.")
    ] = 0.0,
    itunes: Annotated[
        str | None, typer.Option(metavar="TARGET", help="Another library to look the duplicates up in.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Another parameter of the analyzer; repeatable.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long it may take; 0 for no limit.")
    ] = None,
    owner: Annotated[str, typer.Option(metavar="OWNER", help="Whose it is.")] = LOCAL_OWNER,
    limit: Annotated[int, typer.Option(min=0, max=1000, metavar="NUMBER", help="How many groups to show.")] = _FIRST,
    *,
    force: Annotated[bool, typer.Option("--force", help="Search though a fresh result is kept.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Search a music library for duplicates.

    A fresh result answers that was made of the same library with the very same parameters. Ctrl-C stops the search
    and keeps what was found so far.
    """
    session = Session(context, database, as_json=as_json)
    params: dict[str, Any] = named_params(param or [])
    params |= {"search_term": search_term, "min_confidence": min_confidence}
    if itunes is not None:
        params["itunes_library"] = itunes
    with session.open(create=True) as holdfast:
        from holdfast.cli import running
        from holdfast.cli.live import Left

        made = holdfast.duplicates.start(
            target,
            params,
            force_refresh=force,
            context=Context(client_session_id=owner),
            timeout_seconds=timeout,
        )
        try:
            analysis = running.finish(session, holdfast, made.analysis)
        except Left:
            return running.tell_left(session, holdfast, made.analysis)
        code = running.tell(session, holdfast, analysis, reused=made.reused, findings=False)
        if not session.as_json and limit and analysis.finding_count:
            from holdfast.cli import groups as views

            page = holdfast.duplicates.groups.page(analysis.analysis_id, limit=limit)
            session.out.print()
            session.out.print(views.table(session.out, page.items))
            short = text.short_ids([analysis.analysis_id])[analysis.analysis_id]
            if page.next is not None:
                session.out.print(_dim(f"{analysis.finding_count - limit:,} more: holdfast duplicates groups {short}"))
            first = page.items[0].finding.identity[: views.SHORT]
            session.out.print(_dim(f"One with its files: holdfast duplicates show {short} {first}"))
            session.out.print(_dim(f"Decide: holdfast duplicates resolve {short} --strategy keep_canonical --dry-run"))
        return code


def list_searches(
    context: typer.Context,
    owner: Annotated[str, typer.Option(metavar="OWNER", help="Whose.")] = LOCAL_OWNER,
    limit: Limit = 10,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List searches with their ages, newest first."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        found = holdfast.duplicates.get_user_analyses(owner, limit=limit)
        ages = holdfast.duplicates.ages(found)
        if session.as_json:
            items = [
                records.analysis(one, holdfast.freshness.age(one)) | {"age": duplicate_records.aged(age)}
                for one, age in zip(found, ages, strict=True)
            ]
            session.write(records.page(items))
            return ExitCode.OK
        from holdfast.cli import views

        columns = [
            views.Column(title="id", flexible=True),
            views.Column(title="status"),
            views.Column(title="library", flexible=True),
            views.Column(title="search", since=90, flexible=True),
            views.Column(title="groups", right=True),
            views.Column(title="age", since=60, flexible=True),
        ]
        short = text.short_ids([one.analysis_id for one in found])
        rows = (
            (
                views.Middle(short[one.analysis_id]),
                views.status(one.status, session.out, words=session.out.width >= 60),
                views.Middle(views.subject_of(one)),
                views.Middle(str(one.params.get("search_term") or "")),
                f"{one.finding_count:,}",
                age.freshness.recommendation.message,
            )
            for one, age in zip(found, ages, strict=True)
        )
        session.out.print(views.table(session.out.width, columns, rows) if found else _dim("No search is kept."))
    return ExitCode.OK


def show(
    context: typer.Context,
    analysis_id: Id,
    group: Annotated[str | None, typer.Argument(help="One of its groups, by the beginning of its id.")] = None,
    *,
    changes: Annotated[
        bool, typer.Option("--changes/--no-changes", help="Look at the library for what has changed since.")
    ] = True,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show a search: its figures, its age, what was decided and what that saves. Or one group, with all its tracks."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        duplicates = holdfast.duplicates
        if group is not None:
            return _show_group(session, holdfast, find_id(holdfast, analysis_id), group)
        value = duplicates.searches.get(find_id(holdfast, analysis_id))
        look = duplicates.get_refresh_recommendations if changes else duplicates.get_analysis_age_info
        aged, counts = look(value), duplicates.groups.counts(value.analysis_id)
        if session.as_json:
            session.write(
                records.analysis(value, holdfast.freshness.age(value))
                | {
                    "age": duplicate_records.aged(aged),
                    "metrics": holdfast.get_metrics(value.analysis_id),
                    "resolution": duplicate_records.resolution(counts),
                    "impact": duplicate_records.impacts(counts),
                }
            )
            return ExitCode.OK
        from holdfast.cli import report, views

        impact = duplicate_records.impacts(counts)
        before, gone, left = impact["before"], impact["decided"], impact["left"]
        advice = aged.freshness.recommendation
        found = None if aged.changes is None else aged.changes.changes
        changed = aged.why_unknown
        if found is not None:
            changed = f"{found.added:,} added, {found.modified:,} modified, {found.deleted:,} deleted"
        session.out.print(report.headline(session.out, value))
        session.out.print(
            views.facts(
                [
                    ("found", value.summary),
                    ("age", advice.message),
                    ("changes", changed),
                    ("advice", advice.suggestion),
                    ("settled", f"{counts.total.groups - left['groups']:,} of {counts.total.groups:,} groups"),
                    ("would go", f"{before['tracks']:,} tracks, {text.size(before['size_bytes'])}"),
                    ("decided", f"{gone['tracks']:,} tracks, {text.size(gone['size_bytes'])}"),
                    ("left", f"{left['tracks']:,} tracks, {text.size(left['size_bytes'])}"),
                ]
            )
        )
    return ExitCode.OK


def groups(  # noqa: PLR0913 each is an option of the command line
    context: typer.Context,
    analysis_id: Id,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="SHARE", help="Only groups at least so alike.")
    ] = None,
    action: Annotated[Action | None, typer.Option(metavar="ACTION", help="Only those with this decision.")] = None,
    sort: Annotated[
        Sort, typer.Option(metavar="ORDER", help=f"What to sort by: {', '.join(Sort)}.")
    ] = Sort.GROUP_INDEX,
    limit: Limit = 20,
    after: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Where the page before ended, as it said.")
    ] = None,
    *,
    resolved: Annotated[
        bool | None, typer.Option("--resolved/--unresolved", help="Only those that are settled, or not.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """List the groups of a search: which track to keep, which others there are, and why."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        from holdfast.store.triage import GroupFilter

        found = find_id(holdfast, analysis_id)
        where = GroupFilter(min_confidence=min_confidence, resolved=resolved, action=action)
        page = holdfast.duplicates.groups.page(found, where=where, sort=sort, after=after, limit=limit)
        if session.as_json:
            items = [duplicate_records.group(one) for one in page.items]
            session.write(records.page(items, None if page.next is None else str(page.next)))
            return ExitCode.OK
        from holdfast.cli import groups as views

        session.out.print(views.table(session.out, page.items) if page.items else _dim("No group fits."))
        if page.next is not None:
            session.out.print(_dim(f"There are more: --after {page.next}"))
    return ExitCode.OK


def _show_group(session: Session, holdfast: "Holdfast", analysis_id: str, given: str) -> ExitCode:
    found = holdfast.duplicates.groups
    one = found.get(analysis_id, found.identities(analysis_id, [given])[0])
    if session.as_json:
        session.write(duplicate_records.group(one))
        return ExitCode.OK
    from holdfast.cli import groups as views

    session.out.print(views.one(session.out, one))
    return ExitCode.OK


def _dim(words: str) -> "RenderableType":
    from rich.text import Text

    return Text(words, "dim")
