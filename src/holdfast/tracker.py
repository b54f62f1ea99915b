"""Speaks for what runs inside this process: keeps its leases, tells how far it is, hears who should stop."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from holdfast.analyzers import failures
from holdfast.analyzers.failures import clean
from holdfast.domain.analysis import Analysis, ErrorInfo, Status
from holdfast.domain.errors import (
    AnalysisNotFound,
    FunctionFailed,
    HoldfastError,
    ProcessLost,
    StoreError,
)
from holdfast.domain.progress import Phase, Progress
from holdfast.domain.tracking import Begun, Ending, Report

if TYPE_CHECKING:
    # Its database libraries are not needed to decorate a function, only to call it.
    from holdfast.services.tracking import TrackingService

__all__ = ["Gauge", "Tracker", "clean", "failure"]

_log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_LINGER_SECONDS = 2.0


class Gauge:
    """Counts how far a run is: in the caller's threads, cheaply, and without the store.

    Attributes:
        stopping: whether somebody asked the run to stop.
    """

    def __init__(self, begun: Begun, phases: Sequence[Phase], findings: Callable[[], int]) -> None:
        """Count for the analysis ``begun``; ``findings`` says how many it has."""
        self.begun = begun
        self.stopping = False
        self._declared = bool(phases)
        self._phases = list(phases)
        self._findings = findings
        self._counting = threading.Lock()
        now = _now()
        self._progress = Progress(total_steps=len(self._phases), started_at=now, updated_at=now)
        self._entered: list[Progress] = []
        self._items = self._found = 0
        self._message: str | None = None
        self._moved = False

    def enter(self, name: str, total: int | None) -> None:
        """A phase begins; if none were declared, each new name is one more."""
        name = clean(name)
        with self._counting:
            self._count()
            if not self._declared and name not in [phase.name for phase in self._phases]:
                self._phases.append(Phase(name=name))
            self._items = 0
            self._progress = self._progress.enter(self._phases, name, total, _now())
            self._entered.append(self._progress)
            self._moved = True

    def count(self, items: int, found: int, message: str | None) -> None:
        """Items are done, and things found beside the findings."""
        with self._counting:
            self._items += items
            self._found += found
            if message is not None:
                self._message = clean(message)
            self._moved = True

    def report(self) -> Report:
        """How far it is, and the phases that were not reported yet."""
        with self._counting:
            self._count()
            phases, self._entered = self._entered, []
            return Report(begun=self.begun, progress=self._progress, phases=phases)

    def news(self) -> Report | None:
        """The same; None when nothing has moved since the last report."""
        return self.report() if self._moved or self._found_in_all() != self._progress.groups_found else None

    def undelivered(self, report: Report) -> None:
        """A report did not arrive: what it told will be in the next one."""
        with self._counting:
            self._entered = [*report.phases, *self._entered]
            self._moved = True

    def _found_in_all(self) -> int:
        return self._found + self._findings()

    def _count(self) -> None:
        found = self._found_in_all()
        if self._moved or found != self._progress.groups_found:
            self._progress = self._progress.moved(
                self._phases, _now(), items_processed=self._items, groups_found=found, message=self._message
            )
        self._message = None
        self._moved = False


class Tracker:
    """Speaks for the runs of this process, with one thread, which is there only while something runs."""

    def __init__(self, service: "TrackingService", lease_seconds: float) -> None:
        """Speak to ``service``, which gives leases of so many seconds."""
        self.service = service
        self._every = lease_seconds / 4
        self._next_beat = 0.0
        self._closed = threading.Event()
        self._condition = threading.Condition()
        self._running: dict[int, Gauge] = {}
        self._unsettled: dict[int, Ending] = {}
        self._thread: threading.Thread | None = None
        # Held during a beat: a run's end must not overtake its last report.
        self._beating = threading.Lock()

    def add(self, gauge: Gauge) -> None:
        """Speak for a run that has begun."""
        with self._condition:
            self._running[gauge.begun.job.id] = gauge
            self._wake()

    def complete(self, gauge: Gauge, ending: Callable[[Report], Ending]) -> Analysis:
        """Keep a complete result; if that cannot be kept, the analysis has failed, and the error is raised."""
        report = self._remove(gauge)
        try:
            return self.service.end(ending(report))
        except BaseException as error:
            # Also after Ctrl-C: what does not end here would seem to run until its lease is over.
            with contextlib.suppress(HoldfastError):
                self._settle(Ending(report=report, status=Status.FAILED, error=failure(error)))
            raise

    def end(self, gauge: Gauge, ending: Callable[[Report], Ending]) -> Analysis:
        """Keep how a run ended that is not complete; if the store is away, later."""
        return self._settle(ending(self._remove(gauge)))

    @property
    def is_closed(self) -> bool:
        """Whether it has stopped speaking."""
        return self._closed.is_set()

    def close(self) -> None:
        """Stop speaking; what still runs can no longer be kept and has failed."""
        self._closed.set()
        with self._condition:
            self._condition.notify_all()
            thread, running = self._thread, list(self._running.values())
        if thread is not None:
            thread.join()
        why = ErrorInfo.of(ProcessLost("The store was closed while the analysis ran"))
        for gauge in running:
            with contextlib.suppress(HoldfastError):
                self.end(gauge, lambda report: Ending(report=report, status=Status.FAILED, error=why))

    def _remove(self, gauge: Gauge) -> Report:
        with self._beating:
            with self._condition:
                self._running.pop(gauge.begun.job.id, None)
            return gauge.report()

    def _settle(self, ending: Ending) -> Analysis:
        try:
            return self.service.end(ending)
        except AnalysisNotFound:
            raise
        except BaseException:
            # A beat renews every lease of the process, so what is not settled would seem to run for ever.
            with self._condition:
                self._unsettled[ending.report.begun.job.id] = ending
                self._wake()
            raise

    def _wake(self) -> None:
        if self._thread is None and not self._closed.is_set():
            self._next_beat = time.monotonic() + self._every
            self._thread = threading.Thread(target=self._beat, name="holdfast-tracker", daemon=True)
            self._thread.start()
        elif len(self._running) + len(self._unsettled) == 1:
            self._condition.notify_all()

    def _beat(self) -> None:
        # Asleep first: most of what is tracked is over before it needs to be spoken for.
        while self._wait_for_work() and not self._closed.wait(min(_TICK_SECONDS, self._every)):
            try:
                self._tick()
            except StoreError as error:
                _log.warning("The store does not answer, what runs here is reported later: %s", error)
            except Exception:  # noqa: BLE001 without this thread all that runs here would count as lost
                _log.exception("What runs here could not be reported")

    def _wait_for_work(self) -> bool:
        def is_ready() -> bool:
            return bool(self._running or self._unsettled) or self._closed.is_set()

        with self._condition:
            if self._condition.wait_for(is_ready, _LINGER_SECONDS):
                return True
            # Within the lock: whoever adds a run next starts another thread.
            self._thread = None
            return False

    def _tick(self) -> None:
        due = time.monotonic() >= self._next_beat
        with self._beating:
            with self._condition:
                running = list(self._running.values())
            reports = [(gauge, report) for gauge in running if (report := gauge.news()) is not None]
            if reports or due:
                self._next_beat = time.monotonic() + self._every
                try:
                    self.service.beat([report for _, report in reports])
                except StoreError:
                    self._next_beat = 0.0
                    for gauge, report in reports:
                        gauge.undelivered(report)
                    raise
            stopped = self.service.stopped([gauge.begun for gauge in running]) if running else set()
        for gauge in running:
            if gauge.begun.analysis.analysis_id in stopped:
                gauge.stopping = True
        if due:
            self._settle_later()

    def _settle_later(self) -> None:
        with self._condition:
            unsettled = list(self._unsettled.items())
        for job_id, ending in unsettled:
            with contextlib.suppress(AnalysisNotFound):
                self.service.end(ending)
            with self._condition:
                self._unsettled.pop(job_id, None)


def failure(error: BaseException) -> ErrorInfo:
    """Why a run failed, as it is kept."""
    return failures.failure(error, FunctionFailed)


def _now() -> datetime:
    return datetime.now(UTC)
