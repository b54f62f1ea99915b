"""What a run asks of its keeper, and how it ends."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.findings import Finding
from holdfast.domain.progress import Progress

TAIL_BYTES = 64 * 1024
_LOGGED_BYTES = 1024 * 1024
_LINE_BYTES = 8 * 1024
_log = logging.getLogger("holdfast.analyzers.output")


class RunKeeper(Protocol):
    """Where a run's checkpoints and progress go; called by the thread that drives the run.

    An exception kills the run's process and goes on to the caller of ``run_in_child``.
    """

    def load(self, scope: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The checkpoints that are there, by key."""
        ...

    def save(self, scope: str, items: Mapping[str, bytes]) -> None:
        """Keep checkpoints, durably once this returns."""
        ...

    def progressed(self, progress: Progress) -> None:
        """The run came this far; told ten times a second at most, and of each phase."""
        ...

    def stop_asked(self) -> bool:
        """Whether somebody wants the run to stop; asked about ten times a second."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A result, whole or partial.

    Attributes:
        payload: its JSON, with sorted keys.
        summary: one or two sentences.
        findings: what was found, in order.
        metrics: finite figures by name.
    """

    payload: bytes
    summary: str = ""
    findings: list[Finding] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended.

    Attributes:
        status: COMPLETED, FAILED, CANCELLED or TIMED_OUT.
        report: the result when it completed, else the last partial one, if any.
        error: why it did not complete.
    """

    status: Status
    report: RunReport | None = None
    error: ErrorInfo | None = None


class Output:
    """What the run prints: to the log, and its tail kept."""

    def __init__(self) -> None:
        self._tail: deque[bytes] = deque()
        self._size = 0
        self._line = b""
        self._logged = 0

    def take(self, data: bytes) -> None:
        """Take what was printed."""
        self._tail.append(data)
        self._size += len(data)
        while self._size - len(self._tail[0]) >= TAIL_BYTES:
            self._size -= len(self._tail.popleft())
        if self._logged > _LOGGED_BYTES or not _log.isEnabledFor(logging.INFO):
            return
        self._logged += len(data)
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > _LINE_BYTES:
            lines, self._line = [*lines, self._line], b""
        for line in lines:
            _log.info("%s", line.decode(errors="replace"))
        if self._logged > _LOGGED_BYTES:
            _log.warning("The analyzer prints too much; the rest of its output is not logged")

    def tail(self) -> str:
        """The end of what was printed."""
        return b"".join(self._tail)[-TAIL_BYTES:].decode(errors="replace")
