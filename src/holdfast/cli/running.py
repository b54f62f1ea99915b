"""Bringing an analysis to its end in front of somebody, and telling how it ended."""

# Imported only by commands that have opened the store; see session.py.

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from holdfast import records
from holdfast.cli import live, report, text, views
from holdfast.cli.errors import ExitCode, exit_code_of
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.progress import Progress

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast
    from holdfast.cli.session import Session


def finish(session: "Session", holdfast: "Holdfast", analysis: Analysis, *, cancels: bool = True) -> Analysis:
    """Run an analysis that waits, in a worker of this process, and show how it goes on."""
    if analysis.status.ended:
        return analysis
    with live.on_sigterm(), holdfast.working():
        return live.watch(session.err, holdfast, analysis.analysis_id, cancels=cancels)


def tell(
    session: "Session", holdfast: "Holdfast", analysis: Analysis, *, reused: bool = False, findings: bool = True
) -> ExitCode:
    """Print how an analysis ended and what it found, and return the exit status."""
    if session.as_json:
        progress = holdfast.queries.progress(analysis.analysis_id)[1]
        record = records.analysis(analysis, holdfast.freshness.age(analysis))
        session.write(record | records.progressed(progress) | {"reused": reused})
        return exit_code_of(analysis.status)
    out, short = session.out, text.short_ids([analysis.analysis_id])[analysis.analysis_id]
    if reused and analysis.status is Status.COMPLETED and analysis.completed_at is not None:
        old = text.age(analysis.completed_at, datetime.now(UTC))
        out.print(
            Text(f"Nothing was run: this result was kept {old} ({text.moment(analysis.completed_at)}),"), soft_wrap=True
        )
        out.print(Text("and neither the input nor the parameters have changed. --force runs it anew."))
        out.print()
    out.print(report.headline(out, analysis))
    # That it was cancelled, the headline has said.
    if analysis.error is not None and analysis.status is not Status.CANCELLED:
        views.print_why(session.err, analysis.error)
    report.print_report(out, holdfast, analysis, findings=findings)
    out.print()
    if analysis.status is Status.COMPLETED:
        out.print(Text.assemble(("Kept  ", "bold"), f"holdfast show {text.safe(short)}"))
    else:
        kept = "What was found so far is kept. " if analysis.result is not None else ""
        out.print(Text(f"{kept}Go on from the last checkpoint: holdfast resume {text.safe(short)}"))
    return exit_code_of(analysis.status)


def tell_reused(
    session: "Session", analysis: Analysis, progress: Progress | None, without_effect: Sequence[str]
) -> None:
    """Say, beside the output, what a request means that an earlier analysis answers."""
    if analysis.status is Status.RUNNING:
        heard = ""
        if progress is not None:
            silent = max((datetime.now(UTC) - progress.updated_at).total_seconds(), 0)
            heard = f" Its worker was last heard of {text.duration(silent)} ago."
        session.err.print(f"The same input is being analysed already; this shows that run.{heard}", soft_wrap=True)
    elif not analysis.status.ended:
        session.err.print("The same input waits already; this shows that run.")
    if without_effect:
        names = ", ".join(without_effect)
        known = text.safe(analysis.analysis_id)
        words = f"{known} answers this request as it is: {names} had no effect. --force runs it anew."
        session.err.print(Text(words), soft_wrap=True)


def tell_queued(session: "Session", holdfast: "Holdfast", analysis: Analysis) -> ExitCode:
    """Print that an analysis waits for a worker."""
    if session.as_json:
        session.write(records.analysis(analysis, holdfast.freshness.age(analysis)))
    else:
        short = text.safe(text.short_ids([analysis.analysis_id])[analysis.analysis_id])
        session.out.print(Text(f"{analysis.status.value.capitalize()} as {text.safe(analysis.analysis_id)}"))
        session.out.print(
            Text(f"  holdfast worker --until-idle      runs what waits\n  holdfast progress {short} --follow")
        )
    return ExitCode.OK


def tell_left(session: "Session", holdfast: "Holdfast", analysis: Analysis) -> ExitCode:
    """Print that the watching has ended, not the run."""
    short = text.safe(text.short_ids([analysis.analysis_id])[analysis.analysis_id])
    if session.as_json:
        session.write(records.analysis(analysis, holdfast.freshness.age(analysis)))
    session.err.print(Text(f"It goes on elsewhere. holdfast cancel {short} stops it."))
    return ExitCode.INTERRUPTED
