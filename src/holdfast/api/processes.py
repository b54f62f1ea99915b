"""Several processes that answer on one socket: started, watched, started again, stopped together."""

import contextlib
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from prometheus_client import multiprocess as figures

_log = logging.getLogger(__name__)

# What ends at its very start must not fill the log.
_PAUSE_SECONDS = 1.0
# Far longer than each takes to end by itself, on a busy machine too.
_PATIENCE_SECONDS = 30.0

_spawn = multiprocessing.get_context("spawn")
# Sockets are given to the processes by their descriptors.
multiprocessing.allow_connection_pickling()

Handler = Callable[[int, FrameType | None], None]


class Processes:
    """As many processes as were asked for, until it is told to stop."""

    def __init__(self, target: Callable[[], None], number: int, stopping: Callable[[], None]) -> None:
        """Prepare to run them.

        Args:
            target: what each does, until SIGTERM; it can be pickled.
            number: how many there are.
            stopping: is told, in a signal handler, that the end has begun.
        """
        self._target = target
        self._number = number
        self._stopping = stopping
        self._is_ending = False
        self._processes: list[SpawnProcess] = []

    def run(self) -> None:
        """Run them until SIGTERM or SIGINT; a second one kills them."""
        told, tell = os.pipe()

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._stopping()
            if self._is_ending:
                self._signal(signal.SIGKILL)
            self._is_ending = True
            # Wakes the wait below, which Python resumes after a signal.
            os.write(tell, b".")

        try:
            with handling(stop, (signal.SIGINT, signal.SIGTERM)):
                self._processes = [self._started() for _ in range(self._number)]
                while not self._is_ending:
                    wait([told, *(process.sentinel for process in self._processes)])
                    self._replace()
                self._end()
        finally:
            os.close(told)
            os.close(tell)

    def _started(self) -> SpawnProcess:
        process = _spawn.Process(target=self._target, name="holdfast-serve")
        process.start()
        return process

    def _replace(self) -> None:
        for place, process in enumerate(self._processes):
            if self._is_ending or process.is_alive():
                continue
            _log.error(
                "The service process %d has ended by itself (%s); another one begins", process.pid, process.exitcode
            )
            figures.mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
            time.sleep(_PAUSE_SECONDS)
            self._processes[place] = self._started()

    def _end(self) -> None:
        self._signal(signal.SIGTERM)
        until = time.monotonic() + _PATIENCE_SECONDS
        for process in self._processes:
            process.join(max(until - time.monotonic(), 0))
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.join()

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            # Its number is its own until it is joined.
            if process.pid is not None and process.exitcode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)


@contextlib.contextmanager
def handling(handler: Handler, signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Let ``handler`` have these signals as long as the block lasts."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
