"""Where parts are computed: the processes of this machine, or a Dask cluster.

Processes are spawned, not forked: a fork of a process with threads may deadlock. And spawned, not served by
a fork server: that would start a process in less time, but the fork server lives on until the last process of
the pool is gone, so the kernel's death signal (see ``lifeline``) would not reach a part that hangs.
"""

import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from concurrent.futures import CancelledError as FutureCancelled
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import Any, Protocol

from holdfast.analyzers.codec import encode_value
from holdfast.analyzers.lifeline import die_with_pool_owner
from holdfast.domain.errors import AnalyzerCrashed, AnalyzerFailed

PATIENCE_SECONDS = 0.2
DASK_PATIENCE_SECONDS = 1.0
_NOTE = 256
_log = logging.getLogger(__name__)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadSettings:
    """How ``ctx.map`` spreads its parts.

    Attributes:
        processes: how many processes on this machine; one for each core that it may use when None.
        dask_address: a Dask scheduler (``tcp://host:8786``) to use instead.
        patience_seconds: how long to compute alone before others are asked; the measured cost of their start
            when None.
    """

    processes: int | None = None
    dask_address: str | None = None
    patience_seconds: float | None = None

    @property
    def alone(self) -> bool:
        """Whether there is nobody else to compute."""
        return self.dask_address is None and self.local_processes == 1

    @property
    def local_processes(self) -> int:
        """How many processes a pool on this machine has."""
        return self.processes or cores()

    @property
    def patience(self) -> float:
        """Seconds of work that are worth the start of others."""
        if self.patience_seconds is not None:
            return self.patience_seconds
        return DASK_PATIENCE_SECONDS if self.dask_address else PATIENCE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFailure:
    """An exception of a part, in a form that always travels.

    Attributes:
        pickled: the exception, or None if it cannot be pickled and read back.
        type_name: its type.
        message: its message.
        traceback: for people.
    """

    pickled: bytes | None
    type_name: str
    message: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> "PartFailure":
        """Describe ``error``."""
        try:
            pickled: bytes | None = pickle.dumps(error) if isinstance(error, Exception) else None
            if pickled is not None:
                pickle.loads(pickled)  # noqa: S301 - our own, a moment ago
        except Exception:  # noqa: BLE001 - exceptions with arguments of their own fail in any way they like
            pickled = None
        text = "".join(traceback.format_exception(error))
        return cls(pickled=pickled, type_name=type(error).__qualname__, message=str(error), traceback=text)

    def revive(self) -> Exception:
        """The exception, with the traceback that it had where it was raised as its cause."""
        error: Exception | None = None
        if self.pickled is not None:
            try:
                error = pickle.loads(self.pickled)  # noqa: S301 - from a process that we started
            except Exception:  # noqa: BLE001 - its module may be missing on this side
                _log.debug("cannot revive %s", self.type_name, exc_info=True)
        if error is None:
            error = AnalyzerFailed(f"{self.type_name}: {self.message}", type=self.type_name)
        error.__cause__ = RemoteTraceback(self.traceback)
        return error


class RemoteTraceback(Exception):
    """The traceback of an exception in the process where it was raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What came of a chunk of parts.

    Attributes:
        values: encoded, of the parts before the one that failed.
        seconds: how long it took.
        failure: why the next part has no value.
    """

    values: list[bytes]
    seconds: float
    failure: PartFailure | None = None


def compute(function: Callable[[Any], Any], keys: Sequence[str], parts: Sequence[Any]) -> Computed:
    """Apply ``function`` to each of ``parts`` until one fails; runs in a process of a pool."""
    began = time.perf_counter()
    values: list[bytes] = []
    failure = None
    for key, part in zip(keys, parts, strict=True):
        _note(key)
        try:
            values.append(encode_value(function(part), f"The value of part {key!r}"))
        except BaseException as error:  # noqa: BLE001 - SystemExit in a part must not end the pool's process
            failure = PartFailure.of(error)
            break
    _note("")
    return Computed(values=values, seconds=time.perf_counter() - began, failure=failure)


class Handle(Protocol):
    """A chunk that was handed out."""

    def cancel(self) -> object:
        """Give it up if it has not begun."""
        ...


Done = Callable[[Computed | Exception], None]


class Pool(Protocol):
    """Computes chunks elsewhere."""

    @property
    def slots(self) -> int:
        """How many chunks it computes at once."""
        ...

    def submit(self, function: Callable[[Any], Any], keys: Sequence[str], parts: Sequence[Any], done: Done) -> Handle:
        """Hand out a chunk; ``done`` is called in any thread, with an exception if the chunk was lost.

        The first calls start processes, so they must come from a thread that lives as long as the run.
        """
        ...

    def close(self) -> None:
        """Give up what was handed out."""
        ...


class ProcessPool:
    """Processes of this machine."""

    def __init__(self, processes: int) -> None:
        """Prepare ``processes`` processes; each is started when there is a chunk for it."""
        context = get_context("spawn")
        # Each process notes which part it is at in memory that outlives it, so that a crash has a name.
        self._notes = context.RawArray("B", processes * _NOTE)
        self._processes: dict[int, Any] = {}
        self._crashed: AnalyzerCrashed | None = None
        self._examining = threading.Lock()
        self._executor = ProcessPoolExecutor(processes, context, _enter_pool, (self._notes, context.Value("i", 0)))
        self.slots = processes

    def submit(self, function: Callable[[Any], Any], keys: Sequence[str], parts: Sequence[Any], done: Done) -> Handle:
        """See Pool."""

        def finish(future: Future[Computed]) -> None:
            try:
                done(future.result())
            except FutureCancelled:
                return
            except BrokenExecutor:
                done(self._crash())
            except Exception as error:  # noqa: BLE001 - parts that cannot be pickled, mostly
                done(error)

        try:
            future = self._executor.submit(compute, function, keys, parts)
        except BrokenExecutor:
            raise self._crash() from None
        # Nothing public tells a pool's processes; without them a crash has no name, and that is all.
        self._processes.update(getattr(self._executor, "_processes", None) or {})
        future.add_done_callback(finish)
        return future

    def close(self) -> None:
        """See Pool; a part that hangs is killed with its process."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in self._processes.values():
            process.kill()

    def _crash(self) -> AnalyzerCrashed:
        with self._examining:
            if self._crashed is None:
                self._crashed = self._examine()
            return self._crashed

    def _examine(self) -> AnalyzerCrashed:
        # The executor calls this before it ends the other processes, so whoever has ended now is the one.
        # It ends the others by SIGTERM and waits for them without end, but a part may block SIGTERM.
        by_sentinel = {process.sentinel: process for process in self._processes.values()}
        ended = [by_sentinel[sentinel] for sentinel in connection.wait(by_sentinel, 0.5)]
        for process in ended:
            process.join(0.5)  # its pipe closes a moment before its exit code is known
        ended.sort(key=lambda process: process.exitcode == -signal.SIGTERM)
        for process in self._processes.values():
            process.kill()
        at = self._noted()
        keys = [at[process.pid] for process in ended if process.pid in at]
        codes = [process.exitcode for process in ended if process.exitcode is not None]
        how = ending(codes[0]) if codes else "for an unknown reason"
        if not keys:
            return AnalyzerCrashed(f"A process that computed parts ended {how}", how=how)
        return AnalyzerCrashed(f"A process ended {how} while it computed part {keys[0]!r}", keys=keys, how=how)

    def _noted(self) -> dict[int, str]:
        notes = bytes(self._notes)
        found = {}
        for start in range(0, len(notes), _NOTE):
            pid = int.from_bytes(notes[start : start + 8], "big")
            size = int.from_bytes(notes[start + 8 : start + 10], "big")
            if pid and size:
                found[pid] = notes[start + 10 : start + 10 + size].decode(errors="replace")
        return found


def ending(exit_code: int) -> str:
    """How a process ended, for a message; negative codes are signals."""
    if exit_code >= 0:
        return f"with exit code {exit_code}"
    try:
        return f"by signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"by signal {-exit_code}"


_own_note: memoryview | None = None


def _enter_pool(notes: Any, taken: Any) -> None:
    global _own_note  # noqa: PLW0603 - one process of a pool, one note
    die_with_pool_owner()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with taken.get_lock():
        place, taken.value = taken.value, taken.value + 1
    if (place + 1) * _NOTE <= len(notes):
        _own_note = memoryview(notes).cast("B")[place * _NOTE : (place + 1) * _NOTE]
        _own_note[:8] = os.getpid().to_bytes(8, "big")


def _note(key: str) -> None:
    if _own_note is None:
        return
    data = key.encode(errors="replace")[: _NOTE - 10]
    _own_note[8:10] = b"\0\0"
    _own_note[10 : 10 + len(data)] = data
    _own_note[8:10] = len(data).to_bytes(2, "big")
