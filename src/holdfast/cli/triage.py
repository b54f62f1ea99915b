"""Commands that decide about duplicates, and act on it."""

# Imports in functions: see session.py.
# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import text
from holdfast.cli.analyses import Id
from holdfast.cli.errors import ExitCode, UsageFailed
from holdfast.cli.session import AsJson, Database, Session, find_id
from holdfast.domain.exporting import Format
from holdfast.domain.triage import Action, KeepStrategy
from holdfast.records import duplicates as duplicate_records

if TYPE_CHECKING:
    from holdfast.services.triage import Decided

_FIRST = 10
_SHORT_GROUP = 8


def resolve(  # noqa: PLR0913 each is an option of the command line
    context: typer.Context,
    analysis_id: Id,
    group: Annotated[list[str] | None, typer.Argument(help="Groups, by the beginning of their ids.")] = None,
    action: Annotated[
        Action | None, typer.Option(metavar="ACTION", help=f"What is decided: {', '.join(Action)}.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="TRACK", help="The track that stays, where it is not the proposed one.")
    ] = None,
    strategy: Annotated[
        KeepStrategy | None,
        typer.Option(metavar="RULE", help=f"Decide by a rule which tracks go: {', '.join(KeepStrategy)}."),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="SHARE", help="With a rule: only groups at least so alike.")
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="For whoever looks at it later.")] = "",
    *,
    include_doubtful: Annotated[
        bool, typer.Option("--include-doubtful", help="With a rule: also groups that somebody should look at.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Decide about groups: some by name, or by a rule all that are not settled.

    Nothing is changed in the library; `holdfast duplicates undo` takes it back.
    """
    if (action is None) is (strategy is None) or (strategy is None and not group) or (dry_run and strategy is None):
        raise UsageFailed("Give groups and --action, or --strategy, with which --dry-run goes")
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        from holdfast.store.triage import GroupFilter

        triage, found = holdfast.duplicates.triage, find_id(holdfast, analysis_id)
        named = holdfast.duplicates.groups.identities(found, group) if group else None
        if strategy is not None:
            where = GroupFilter(resolved=False, min_confidence=min_confidence)
            chosen: dict[str, Any] = {"group_ids": named, "where": where, "include_doubtful": include_doubtful}
            if dry_run:
                done = triage.preview(found, strategy, **chosen)
            else:
                done = triage.smart_delete(found, strategy, note=note, **chosen)
        else:
            assert action is not None
            assert named is not None
            keeps = {} if keep is None else dict.fromkeys(named, keep)
            done = triage.resolve(found, named, action, keeps=keeps, note=note)
        if session.as_json:
            session.write(duplicate_records.decided(done))
        else:
            _tell_decided(session, done, dry_run=dry_run)
    return ExitCode.OK


def undo(
    context: typer.Context,
    batch_id: Annotated[str, typer.Argument(help="What `resolve` gave.")],
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Undo what one `resolve` decided; what held before holds again."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        done = holdfast.duplicates.triage.undo(batch_id)
        if session.as_json:
            session.write({"success": True, "batch_id": done.batch_id, "groups": done.groups})
        else:
            session.out.print(f"Undone: {done.groups:,} groups are as they were before.")
    return ExitCode.OK


def export(
    context: typer.Context,
    analysis_id: Id,
    form: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help=f"As what: {', '.join(Format)}.")
    ] = Format.CSV,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; standard output when left out.")
    ] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Write a search, or what was decided about it, for spreadsheets, programs and players.

    With --json, which needs --output, it is told what was written.
    """
    session = Session(context, database, as_json=as_json)
    if session.as_json and output is None:
        raise UsageFailed("Standard output is one thing or the other: give --output with --json")
    with session.open() as holdfast:
        from holdfast.cli.session import write_bytes

        pieces = holdfast.duplicates.exports.stream(find_id(holdfast, analysis_id), form)
        if output is None:
            for piece in pieces:
                write_bytes(piece)
            return ExitCode.OK
        # Never half a file under the name that was asked for.
        beside = output.with_name(f".{output.name}.part")
        try:
            with beside.open("wb") as file:
                size = sum(file.write(piece) for piece in pieces)
            beside.replace(output)
        finally:
            beside.unlink(missing_ok=True)
        if session.as_json:
            session.write({"success": True, "path": str(output), "format": form.value, "size_bytes": size})
        else:
            session.err.print(f"{text.safe(output)}: {text.size(size)}", soft_wrap=True)
    return ExitCode.OK


def apply(
    context: typer.Context,
    analysis_id: Id,
    trash: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the files go; beside the library when left out.")
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Move them; otherwise it is only said what would be moved.")
    ] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Move the files that were decided to go out of a library that is a folder; none is deleted."""
    session = Session(context, database, as_json=as_json)
    with session.open() as holdfast:
        duplicates, found = holdfast.duplicates, find_id(holdfast, analysis_id)
        moves = (duplicates.apply_moves if yes else duplicates.plan_moves)(found, trash)
        stay = [move for move in moves if move.problem is not None]
        code = ExitCode.FAILED if yes and stay else ExitCode.OK
        if session.as_json:
            items = [
                {
                    "track_id": move.track_id,
                    "source": str(move.source),
                    "destination": str(move.destination),
                    "problem": move.problem,
                }
                for move in moves
            ]
            session.write({"success": code is ExitCode.OK, "dry_run": not yes, "items": items})
            return code
        from holdfast.cli import views

        columns = [
            views.Column(title="file", flexible=True),
            views.Column(title="goes to", flexible=True),
            views.Column(title="stays because"),
        ]
        rows = (
            (
                views.Middle(move.track_id),
                views.Middle("" if move.problem else move.destination),
                move.problem or "",
            )
            for move in moves
        )
        if moves:
            session.out.print(views.table(session.out.width, columns, rows))
        verb = "Moved" if yes else "Would move"
        again = "" if yes or not moves else "; --yes does it"
        session.out.print(f"{verb} {len(moves) - len(stay):,} files, {len(stay):,} stay{again}.")
        return code


def _tell_decided(session: Session, done: "Decided", *, dry_run: bool) -> None:
    impact = done.impact
    verb = "Would go" if dry_run else "Decided"
    session.out.print(
        f"{verb}: {impact.groups:,} groups, {impact.tracks:,} tracks, {text.size(impact.bytes)}, "
        f"{impact.plays:,} plays."
    )
    for reason in dict.fromkeys(choice.reason for choice in done.skipped):
        session.out.print(f"Left out: {done.skipped_count:,} groups in all; {reason}.", soft_wrap=True)
    for choice in done.choices[:_FIRST] if dry_run else ():
        kept = choice.keeps
        session.out.print(
            f"  {choice.group.group_id[:_SHORT_GROUP]}  keep {text.safe('-' if kept is None else kept.track_id)}: "
            f"{choice.reason}",
            soft_wrap=True,
        )
    if done.batch_id is not None:
        from rich.text import Text

        session.out.print(Text(f"holdfast duplicates undo {done.batch_id}", "dim"))
