"""A run as it happens, from the store: a live line on a terminal, a few plain lines anywhere else."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from holdfast.cli import text
from holdfast.cli.errors import ExitCode, Terminated
from holdfast.cli.report import bar
from holdfast.cli.views import crop, subject_of
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.errors import IllegalMove
from holdfast.domain.events import LedgerEntry
from holdfast.domain.progress import Progress

if TYPE_CHECKING:
    from holdfast.bootstrap import Holdfast

_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.05
_STEP = 10
_LEAST_BAR = 10
_MOST_BAR = 40
_BEGINNINGS = {"analysis.started", "analysis.resumed"}


class Left(Exception):
    """The watcher went away; what was watched goes on."""


class _Display(Protocol):
    def show(self, analysis: Analysis, progress: Progress | None) -> None: ...

    def note(self, words: str) -> None: ...


def watch(console: Console, holdfast: "Holdfast", analysis_id: str, *, cancels: bool) -> Analysis:
    """Show how a run goes on, and return the analysis when it has ended.

    Args:
        console: where to show it.
        holdfast: the store.
        analysis_id: the analysis.
        cancels: whether Ctrl-C cancels the run; otherwise it only ends the watching.

    Raises:
        Left: by Ctrl-C.
        Terminated: by SIGTERM.
    """
    with _display(console, holdfast, analysis_id) as display, _interrupts(console) as pressed:
        asked = False
        while True:
            rung = holdfast.store.bell.count()
            analysis, progress = holdfast.queries.progress(analysis_id)
            display.show(analysis, progress)
            if analysis.status.ended:
                return analysis
            if pressed() and not asked:
                asked = True
                if not cancels:
                    raise Left
                display.note("Cancelling, what was found so far is kept. Ctrl-C again leaves at once.")
                try:
                    holdfast.cancel_analysis(analysis_id)
                except IllegalMove:
                    # It ended in this very moment.
                    continue
            holdfast.store.bell.wait(rung, _LOOK_SECONDS)
            # Other writers may ring all the time.
            time.sleep(_PAUSE_SECONDS)


@contextmanager
def _interrupts(console: Console) -> Iterator[Callable[[], bool]]:
    """Count Ctrl-C instead of failing anywhere; the second one leaves at once, whatever is going on."""
    count = 0

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            # Straight to the terminal: the console's lock may be held where this came in between.
            if console.is_terminal:
                os.write(2, b"\x1b[?25h\n")
            os._exit(ExitCode.INTERRUPTED)

    with handling(signal.SIGINT, interrupt), on_sigterm():
        yield lambda: count > 0


@contextmanager
def on_sigterm() -> Iterator[None]:
    """End by SIGTERM as by an exception, so that a worker in this process gives its jobs back."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    with handling(signal.SIGTERM, stop):
        yield


@contextmanager
def handling(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle a signal for as long as the block lasts."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def _display(console: Console, holdfast: "Holdfast", analysis_id: str) -> Iterator[_Display]:
    if not console.is_terminal:
        yield _Lines(console, lambda after: holdfast.queries.events(analysis_id, after=after))
        return
    line = _Line(console)
    live = Live(line, console=console, refresh_per_second=10, transient=True, redirect_stdout=False)
    # Rich puts itself before standard error, so that what is logged appears above the line.
    with live, _logging_above():
        yield line


@contextmanager
def _logging_above() -> Iterator[None]:
    moved = [
        (handler, handler.setStream(sys.stderr))
        for handler in logging.getLogger("holdfast").handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    try:
        yield
    finally:
        for handler, stream in moved:
            if stream is not None:
                handler.setStream(stream)


class _Line:
    """Phase, bar, percentage, items, time left, findings; below, what is being done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("line" if console.options.ascii_only else "dots", style="cyan")
        self._analysis: Analysis | None = None
        self._progress: Progress | None = None

    def show(self, analysis: Analysis, progress: Progress | None) -> None:
        self._analysis, self._progress = analysis, progress

    def note(self, words: str) -> None:
        self._console.print(Text(words, "yellow"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        analysis, progress = self._analysis, self._progress
        # The last cell stays free: a terminal that wraps there would break the cursor's way back.
        width = options.max_width - 1
        turning = self._spinner.render(console.get_time())
        spinner = turning if isinstance(turning, Text) else Text("*")
        if analysis is None or analysis.status is Status.QUEUED or progress is None or not progress.phase:
            what = "Waiting for a worker" if analysis is None or analysis.status is Status.QUEUED else "Starting"
            name = "" if analysis is None else text.safe(subject_of(analysis))
            yield Text.assemble(spinner, " ", crop(f"{what}: {name}", width - 2), no_wrap=True)
            return
        step = f"  {progress.current_step}/{progress.total_steps}" if progress.total_steps else ""
        head = crop(text.safe(progress.phase), max(width - len(step) - 8, 8))
        percent = f"{progress.percentage:4.0f}%"
        used = 2 + len(head) + len(step) + 2 + len(percent)
        tail = ""
        for part in _parts(progress):
            if used + len(tail) + 2 + len(part) + _LEAST_BAR <= width:
                tail += f"  {part}"
        cells = min(width - used - len(tail), _MOST_BAR)
        drawn = bar(console, progress.percentage / 100, cells, "cyan") if cells >= 4 else Text()
        yield Text.assemble(spinner, " ", (head, "bold"), (step, "dim"), "  ", drawn, percent, (tail, ""), no_wrap=True)
        yield Text(crop(f"  {text.safe(progress.current_message)}", width), "dim", no_wrap=True)


def _parts(progress: Progress) -> Iterator[str]:
    """The figures, the most wanted first; each as wide as it will ever be, so that the bar holds still."""
    left = progress.estimated_remaining_seconds
    if left is not None:
        left -= (datetime.now(UTC) - progress.updated_at).total_seconds()
        yield f"{_clock(max(left, 0))} left"
    if progress.total_items:
        total = f"{progress.total_items:,}"
        yield f"{progress.items_processed:{len(total)},}/{total}"
    elif progress.items_processed:
        yield f"{progress.items_processed:,}"
    if progress.groups_found:
        yield text.count(progress.groups_found, "finding")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Lines:
    """A line for each phase, and for each tenth of the whole."""

    def __init__(self, console: Console, events_after: Callable[[int], list[LedgerEntry]]) -> None:
        self._console = console
        self._events_after = events_after
        self._sequence = 0
        self._told = 0
        # What earlier attempts did was told when they did it.
        self._entered: list[LedgerEntry] = []

    def show(self, analysis: Analysis, progress: Progress | None) -> None:
        # From the ledger: a short phase is over before anybody looks at the progress.
        while happened := self._events_after(self._sequence):
            for entry in happened:
                if entry.event.name in _BEGINNINGS:
                    self._entered.clear()
                elif entry.event.name == "analysis.entered_phase":
                    self._entered.append(entry)
            self._sequence = happened[-1].sequence
        for entry in self._entered:
            data = entry.event.data
            self.note(f"{data.get('phase')} ({data.get('step')}/{data.get('steps')})")
        self._entered.clear()
        tenth = 0 if progress is None else int(progress.percentage // _STEP)
        # Not the last one: that the run has ended is told in full.
        if progress is not None and tenth > self._told and not analysis.status.ended:
            self._told = tenth
            parts = ", ".join(_parts(progress))
            self.note(f"{progress.percentage:.0f} %: {progress.phase}{', ' if parts else ''}{parts}")

    def note(self, words: str) -> None:
        self._console.print(Text(text.safe(words)))
