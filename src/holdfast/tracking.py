"""The handle of a run inside the caller's own process."""

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import msgspec

from holdfast.analyzers.codec import decode_value, encode_value
from holdfast.documents import to_json
from holdfast.domain.analysis import Analysis, ErrorInfo, Status
from holdfast.domain.checks import check_metrics
from holdfast.domain.errors import AnalysisCancelled, HoldfastError, IllegalMove, InvalidInput, NoCurrentRun
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.progress import Phase
from holdfast.domain.tracking import Begun, Ending, Kept, Report, TrackRequest
from holdfast.tracker import Gauge, Tracker, clean, failure

# How a run is told to stop from outside of it.
_INTERRUPTIONS = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)

_current: ContextVar["TrackedRun"] = ContextVar("holdfast_run")


def current() -> "TrackedRun":
    """The run that the calling code is part of: of the function that ``analysis`` decorates, or of ``track``.

    Raises:
        NoCurrentRun: it is part of none, or in a thread of its own.
    """
    run = _current.get(None)
    # A block may end in another context than the one it began in (a generator that is closed elsewhere), which then
    # still names it.
    while run is not None and run.is_over:
        run = run.outer
    if run is None:
        raise NoCurrentRun
    return run


class TrackedRun:
    """One analysis that the caller's own code computes, in a ``with`` (or ``async with``) block.

    The block's end keeps it as completed, an exception as failed, an interruption (Ctrl-C, a cancelled task, a
    request from elsewhere) as cancelled; exceptions go on. Every method may be called from any thread.

    Attributes:
        result: set it to the result, JSON-able; None, which is kept as null, unless it is set. When the block
            fails, it is kept as a partial result if it was set.
        summary: one or two sentences of the result.
        findings: what was found, in order.
        metrics: figures by name.
        reused: whether a kept result answered; then ``result`` holds it, and the block's end keeps nothing.
        content: the result's JSON as it is kept; None until then.
        outer: the run that this one is a part of, if any.
    """

    def __init__(self, tracker: Tracker, wanted: TrackRequest, phases: Sequence[Phase | str] = ()) -> None:
        """Made by ``Holdfast.track``."""
        self.result: Any = None
        self.outer: TrackedRun | None = None
        self.summary = ""
        self.findings: list[Finding] = []
        self.metrics: dict[str, float] = {}
        self.reused = False
        self.content: bytes | None = None
        self._tracker = tracker
        self._wanted = wanted
        self._phases = [Phase(name=phase) if isinstance(phase, str) else phase for phase in phases]
        self._process = os.getpid()
        self._analysis: Analysis | None = None
        self._gauge: Gauge | None = None
        self._token: Token[TrackedRun] | None = None

    @property
    def analysis(self) -> Analysis:
        """The analysis: as it began, and once the block has ended as it is kept.

        Raises:
            IllegalMove: the block has not begun.
        """
        if self._analysis is None:
            raise IllegalMove("The run has not begun: use it in a `with` block")
        return self._analysis

    @property
    def analysis_id(self) -> str:
        """The analysis's id; raises IllegalMove before the block has begun."""
        return self.analysis.analysis_id

    def phase(self, name: str, total: int | None = None) -> None:
        """Enter a phase.

        Args:
            name: for people (``Loading``).
            total: how many items it will process, if known.

        Raises:
            AnalysisCancelled: the run should stop.
        """
        self.check()
        if self._gauge is not None:
            self._gauge.enter(name, total)

    def advance(self, items: int = 1, *, found: int = 0, message: str | None = None) -> None:
        """Report items done; cheap enough for every item, for it only counts.

        Args:
            items: how many more are done.
            found: how many more things were found, beside ``findings``.
            message: what is being done, for people.

        Raises:
            AnalysisCancelled: the run should stop.
        """
        self.check()
        if self._gauge is not None:
            self._gauge.count(items, found, message)

    def check(self) -> None:
        """Raise AnalysisCancelled if somebody asked the run to stop; ``phase``, ``advance`` and ``save`` do so too."""
        analysis_id = self.analysis.analysis_id
        if self._gauge is not None and self._gauge.stopping:
            raise AnalysisCancelled(analysis_id=analysis_id)

    def save(self, key: str, value: Any) -> None:
        """Keep a value durably, for this run and for the next one of the same input if this one does not complete.

        Args:
            key: its name.
            value: JSON-able, or bytes.

        Raises:
            UnknownDocument: it is neither.
            AnalysisCancelled: it is kept, but the run should stop.
        """
        if self._gauge is not None:
            data = encode_value(value, f"The value {key!r}")
            self._tracker.service.save(self._gauge.begun, key, data)
        self.check()

    def saved(self, key: str) -> Any:
        """What was saved under ``key``, by this run or an earlier one of the same input; or None."""
        self.check()
        value = None if self._gauge is None else self._tracker.service.load(self._gauge.begun, key)
        return None if value is None else decode_value(value)

    def finding(  # noqa: PLR0913 a finding's fields, all but three by keyword
        self,
        rule: str,
        severity: Severity | str,
        title: str,
        *,
        message: str = "",
        path: str | None = None,
        line: int | None = None,
        end_line: int | None = None,
        score: float | None = None,
        identity: str = "",
        data: Mapping[str, Any] | None = None,
        items: Sequence[FindingItem] = (),
    ) -> Finding:
        """Add a finding; see ``holdfast.Finding`` for the fields.

        Raises:
            InvalidInput: there is no such severity.
        """
        try:
            known = Severity(severity)
        except ValueError as error:
            raise InvalidInput(
                f"There is no severity {severity!r}; there are: {', '.join(Severity)}", field="severity"
            ) from error
        finding = Finding(
            rule=rule,
            severity=known,
            title=title,
            message=message,
            path=path,
            line=line,
            end_line=end_line,
            score=score,
            identity=identity,
            data=dict(data or {}),
            items=tuple(items),
        )
        self.findings.append(finding)
        return finding

    def metric(self, name: str, value: float) -> None:
        """Set a figure; raises InvalidInput unless it is a finite number."""
        try:
            figure = float(value)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"The metric {name!r} is no number", field="metrics") from error
        check_metrics({name: figure})
        self.metrics[name] = figure

    def __enter__(self) -> Self:
        """Begin it, or find the kept result."""
        self._enter(self._tracker.service.begin(self._ready()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep how it ended."""
        self._leave()
        self._end(error)

    async def __aenter__(self) -> Self:
        """Begin it in a thread: the event loop goes on."""
        beginning = asyncio.ensure_future(asyncio.to_thread(self._tracker.service.begin, self._ready()))
        try:
            self._enter(await asyncio.shield(beginning))
        except asyncio.CancelledError as error:
            # The thread cannot be stopped, and what it begins must not go on without us.
            with contextlib.suppress(HoldfastError):
                self._enter(await beginning)
                await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep how it ended, in a thread."""
        self._leave()
        await asyncio.shield(asyncio.to_thread(self._end, error))

    def _ready(self) -> TrackRequest:
        if self._analysis is not None:
            raise IllegalMove("A run is for one block: call `track` again", analysis_id=self._analysis.analysis_id)
        return self._wanted

    def _enter(self, answer: Begun | Kept) -> None:
        self._analysis = answer.analysis
        if isinstance(answer, Kept):
            self.reused = True
            self.content = answer.content
            self.result = msgspec.json.decode(answer.content)
            self.summary = answer.analysis.summary
        else:
            self._gauge = Gauge(answer, self._phases, lambda: len(self.findings))
            self._tracker.add(self._gauge)
        self.outer = _current.get(None)
        self._token = _current.set(self)

    @property
    def is_over(self) -> bool:
        """Whether its block has ended, or its store was closed."""
        return self._token is None or self._tracker.is_closed

    def _leave(self) -> None:
        if self._token is not None:
            # A generator's or a task's end may be in another context than its beginning.
            with contextlib.suppress(ValueError):
                _current.reset(self._token)
            self._token = None

    def _end(self, error: BaseException | None) -> None:
        # A forked child that leaves the block is not the process that runs it.
        if self._gauge is None or os.getpid() != self._process:
            return
        if error is None:
            self._analysis = self._tracker.complete(self._gauge, self._completed)
            return
        try:
            self._analysis = self._tracker.end(self._gauge, lambda report: self._stopped(report, error))
        except HoldfastError as trouble:
            error.add_note(f"Holdfast could not keep how this ended: {trouble} ({trouble.code})")

    def _completed(self, report: Report) -> Ending:
        if any(not isinstance(finding, Finding) for finding in self.findings):
            raise InvalidInput("run.findings holds something that is no holdfast.Finding", field="findings")
        to_json(self.findings, "A finding")
        check_metrics(self.metrics)
        self.content = to_json(self.result)
        return Ending(
            report=report,
            status=Status.COMPLETED,
            content=self.content,
            summary=clean(self.summary),
            findings=tuple(self.findings),
            metrics=dict(self.metrics),
        )

    def _stopped(self, report: Report, error: BaseException) -> Ending:
        ours = isinstance(error, AnalysisCancelled) and error.analysis_id in {None, self.analysis_id}
        if ours or isinstance(error, _INTERRUPTIONS):
            why = ErrorInfo(
                code=AnalysisCancelled.code,
                message=f"The analysis was cancelled ({type(error).__name__})",
                suggestions=("Run it again: what it saved with `run.save` is there",),
            )
            status = Status.CANCELLED
        else:
            why, status = failure(error), Status.FAILED
        ending = Ending(report=report, status=status, error=why)
        try:
            partial = self._completed(report)
        except Exception:  # noqa: BLE001 results are of any type, and each encodes in its own way
            # What cannot be kept whole is not worth hiding why the run failed.
            return ending
        content = None if self.result is None else partial.content
        return replace(partial, status=status, error=why, content=content)
