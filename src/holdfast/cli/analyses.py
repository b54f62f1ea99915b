"""Commands that begin, follow, stop, continue and delete analyses."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast import records
from holdfast.cli import text
from holdfast.cli.errors import ExitCode, UsageFailed, exit_code
from holdfast.cli.session import AsJson, Database, Session, find_id
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.context import LOCAL_OWNER, Context
from holdfast.domain.errors import HoldfastError, InvalidInput

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast
    from holdfast.services.submissions import Submission

Id = Annotated[str, typer.Argument(metavar="ID", help="The analysis: its id, or enough of its beginning.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Analyses: their ids, or enough of the beginnings.")]


def analyze(  # noqa: PLR0913 each is an option of the command line
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="What to analyse; for code: a path in a git repository.")],
    kind: Annotated[str, typer.Option(metavar="KIND", help="The kind of analysis; see `holdfast kinds`.")] = "code",
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="A branch; the one that is checked out by default.")
    ] = None,
    commit: Annotated[
        str | None, typer.Option(metavar="NAME", help="A commit or tag; the branch's newest by default.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter, VALUE in JSON or as it is; repeated, a list."),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A label to find it by; repeatable.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Run even though a fresh result is kept.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Queue it for a worker, and return.")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long an attempt may take; 0 for no limit.")
    ] = None,
    priority: Annotated[int, typer.Option(metavar="NUMBER", help="Higher runs first.")] = 0,
    analysis_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="An id of your own.")] = None,
    owner: Annotated[str, typer.Option(metavar="OWNER", help="Whose it is.")] = LOCAL_OWNER,
    thread_id: Annotated[str | None, typer.Option(metavar="ID", help="A chain of analyses that it belongs to.")] = None,
    session_id: Annotated[str | None, typer.Option(metavar="ID", help="A working session that it belongs to.")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Analyse something, and keep the result.

    It runs here and now, or is answered by a result that is kept, if that is fresh and the input is the same.
    Ctrl-C stops it and keeps what was found so far.
    """
    session = Session(context, database, as_json=as_json)
    params = named_params(param or [])
    params |= {name: value for name, value in (("branch", branch), ("commit", commit)) if value is not None}
    with session.open(create=True) as holdfast:
        from holdfast.cli import running
        from holdfast.cli.live import Left

        submission: Submission = holdfast.submit(
            kind,
            path,
            params=params,
            context=Context(client_session_id=owner, thread_id=thread_id, session_id=session_id),
            tags=tag or (),
            force=force,
            analysis_id=analysis_id,
            priority=priority,
            timeout_seconds=timeout,
        )
        analysis = submission.analysis
        if submission.reused:
            running.tell_reused(
                session,
                analysis,
                holdfast.queries.progress(analysis.analysis_id)[1],
                _without_effect(analysis, analysis_id=analysis_id, tags=tag, priority=priority, timeout=timeout),
            )
        if no_wait and not analysis.status.ended:
            return running.tell_queued(session, holdfast, analysis)
        try:
            # A run that others asked for too is not ours to cancel.
            analysis = running.finish(session, holdfast, analysis, cancels=not submission.reused)
        except Left:
            return running.tell_left(session, holdfast, analysis)
        return running.tell(session, holdfast, analysis, reused=submission.reused)


def _without_effect(
    analysis: Analysis, *, analysis_id: str | None, tags: Sequence[str] | None, priority: int, timeout: float | None
) -> list[str]:
    """The options that another analysis, which answers this request, does not have."""
    differs = {
        "--id": analysis_id is not None and analysis_id != analysis.analysis_id,
        "--tag": not set(tags or ()) <= set(analysis.tags),
        "--priority": priority not in {0, analysis.priority},
        "--timeout": timeout is not None and (timeout or None) != analysis.timeout_seconds,
    }
    return [name for name, different in differs.items() if different]


def named_params(given: Sequence[str]) -> dict[str, Any]:
    """The parameters that are given as NAME=VALUE, values in JSON or as text; one given twice is a list."""
    params: dict[str, Any] = {}
    for item in given:
        name, equals, written = item.partition("=")
        if not name or not equals:
            raise UsageFailed(f"--param wants NAME=VALUE, not {item!r}")
        try:
            value = json.loads(written)
        except ValueError:
            value = written
        if name in params:
            before = params[name]
            value = [*(before if isinstance(before, list) else [before]), value]
        params[name] = value
    return params


def resume(
    context: typer.Context,
    analysis_id: Id,
    *,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Queue it for a worker, and return.")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long an attempt may take from now on; 0 for no limit.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Go on with an analysis that did not complete.

    One that failed, timed out or was cancelled continues from its last checkpoint, and so does one whose process was
    killed, as soon as its lease has ended.
    """
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        from holdfast.cli import running
        from holdfast.cli.live import Left

        found = find_id(holdfast, analysis_id)
        analysis = holdfast.get_analysis(found)
        # One that waits already only needs somebody to run it, and so does one whose worker was killed.
        if analysis.status.ended:
            analysis = holdfast.analyses.resume(found, timeout_seconds=timeout)
        elif timeout is not None:
            session.err.print(f"It is {analysis.status.value} already: --timeout has no effect.")
        if no_wait:
            return running.tell_queued(session, holdfast, analysis)
        runs = analysis.status is Status.RUNNING
        if runs:
            session.err.print(
                "It runs already; if its worker was lost, this goes on with it as soon as its lease has ended.",
                soft_wrap=True,
            )
        try:
            return running.tell(session, holdfast, running.finish(session, holdfast, analysis, cancels=not runs))
        except Left:
            return running.tell_left(session, holdfast, holdfast.get_analysis(found))


def progress(
    context: typer.Context,
    analysis_id: Id,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Until it has ended; the exit status is then its outcome.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show how far an analysis has come."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        from holdfast.cli import live, report, running
        from holdfast.cli.errors import exit_code_of
        from holdfast.cli.views import facts

        analysis, at = holdfast.queries.progress(find_id(holdfast, analysis_id))
        if follow and not analysis.status.ended:
            try:
                live.watch(session.err, holdfast, analysis.analysis_id, cancels=False)
            except live.Left:
                return running.tell_left(session, holdfast, analysis)
            analysis, at = holdfast.queries.progress(analysis.analysis_id)
        if session.as_json:
            session.write(records.analysis(analysis, holdfast.freshness.age(analysis)) | records.progressed(at))
        else:
            session.out.print(report.headline(session.out, analysis))
            if at is not None:
                items = f"{at.items_processed:,}" + ("" if at.total_items is None else f" of {at.total_items:,}")
                left = at.estimated_remaining_seconds
                rows = [
                    ("phase", f"{at.phase or 'starting'} ({at.current_step}/{at.total_steps})"),
                    ("done", f"{at.percentage:.0f} %"),
                    ("items", items),
                    ("time left", text.duration(left) if left and not analysis.status.ended else None),
                    ("findings", f"{analysis.finding_count if analysis.status.ended else at.groups_found:,}"),
                    ("message", at.current_message or None),
                ]
                session.out.print(facts(rows))
        return exit_code_of(analysis.status) if follow else ExitCode.OK


def cancel(
    context: typer.Context, analysis_ids: Ids, *, database: Database = None, as_json: AsJson = False
) -> ExitCode:
    """Stop analyses; what they have found so far is kept."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:

        def told(analysis: Analysis) -> str:
            return "Cancelled" if analysis.status.ended else "Stops within a second:"

        return each(session, holdfast, analysis_ids, holdfast.cancel_analysis, told)


def delete(
    context: typer.Context,
    analysis_ids: Ids,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="For good, with everything that is kept of them; also from the trash.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Put analyses into the trash; `holdfast restore` takes them out again, for a day."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        # What can be undone needs no question.
        for_good = purge or not holdfast.settings.trash_hours
        if for_good and not yes:
            if not sys.stdin.isatty():
                raise UsageFailed("There is nobody to ask whether to delete for good: give --yes")
            named = text.count(len(analysis_ids), "analysis", "analyses")
            typer.confirm(f"Delete {named} for good?", abort=True, err=True)
        return each(
            session,
            holdfast,
            analysis_ids,
            lambda analysis_id: holdfast.delete_analysis(analysis_id, purge=purge),
            lambda _: "Deleted for good" if for_good else "Put into the trash:",
        )


def each(
    session: Session,
    holdfast: "Holdfast",
    given: Sequence[str],
    change: Callable[[str], Analysis],
    told: Callable[[Analysis], str],
) -> ExitCode:
    """Change one by one: what cannot be changed keeps the others from nothing.

    Args:
        session: the command's run.
        holdfast: the store.
        given: the ids as they were given.
        change: changes the analysis of an id.
        told: says what became of it.
    """
    from rich.text import Text

    from holdfast.cli.views import print_error

    changed: list[records.Record] = []
    failed: list[HoldfastError] = []
    for one in dict.fromkeys(given):
        try:
            analysis = change(find_id(holdfast, one))
        except InvalidInput as error:
            failed.append(error)
        except HoldfastError as error:
            if error.analysis_id is None:
                raise
            failed.append(error)
        else:
            changed.append(records.analysis(analysis, holdfast.freshness.age(analysis)))
            if not session.as_json:
                session.out.print(Text(f"{told(analysis)} {text.safe(analysis.analysis_id)}"))
    if session.as_json:
        session.write(records.outcomes(changed, [records.error_body(failure) for failure in failed]))
    else:
        for failure in failed:
            print_error(session.err, failure)
    return exit_code(failed[0]) if failed else ExitCode.OK
