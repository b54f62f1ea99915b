"""A worker as a process that outlives its terminal: started, seen and stopped by command, one a database and machine.

It holds its seat, a locked file in the user's state folder, as long as it lives. A lock goes with the process however
that ends, so what is left of one that was killed never looks like a worker.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from platformdirs import user_state_path

from holdfast.domain.errors import Conflict, HoldfastError, NotFound

_LOOK_SECONDS = 0.05
# Whoever only looks holds the lock for microseconds.
_LOOKED_AT_SECONDS = 2.0
_START_SECONDS = 120.0
_KILLED_SECONDS = 30.0
_TAIL = 2000


class WorkerRunning(Conflict):
    """A detached worker of this database runs on this machine already."""

    code = "WORKER_RUNNING"
    suggestions = ("End it with `holdfast worker stop`", "Start further ones without --detach")


class NoWorker(NotFound):
    """No detached worker of this database runs on this machine."""

    code = "NO_WORKER"
    suggestions = ("Start one with `holdfast worker --detach`",)


class WorkerNotStarted(HoldfastError):
    """The detached worker ended before it began, or does not begin."""

    code = "WORKER_NOT_STARTED"
    suggestions = ("Look into its log, or run it without --detach",)


class Seat:
    """Where the one detached worker of a database is noted.

    Attributes:
        path: the file that it holds locked; its content is its process number.
        log: where its words go.
    """

    def __init__(self, database: str) -> None:
        """The seat of the database of this name."""
        name = hashlib.sha256(database.encode()).hexdigest()[:16]
        folder = user_state_path("holdfast", appauthor=False)
        self.path = folder / f"worker-{name}.pid"
        self.log = folder / f"worker-{name}.log"

    def holder(self) -> int | None:
        """The process number of the worker that runs; None when none does."""
        until = time.monotonic() + _LOOKED_AT_SECONDS
        while True:
            try:
                file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            try:
                if _locked(file, fcntl.LOCK_SH):
                    return None
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    return int(json.loads(os.pread(file, 4096, 0))["pid"])
            finally:
                os.close(file)
            # It has sat down in this moment and not written yet.
            if time.monotonic() > until:
                return None
            time.sleep(_LOOK_SECONDS)

    @contextlib.contextmanager
    def taken(self, worker: str) -> Iterator[None]:
        """Sit there as long as the block lasts.

        Raises:
            WorkerRunning: somebody else does.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + _LOOKED_AT_SECONDS
            while not _locked(file, fcntl.LOCK_EX):
                if time.monotonic() > until:
                    raise WorkerRunning
                time.sleep(_LOOK_SECONDS)
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps({"pid": os.getpid(), "worker": worker}).encode(), 0)
            # The file stays: who has it open would lock one that nobody else sees.
            yield
            os.ftruncate(file, 0)
        finally:
            os.close(file)


def _locked(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start(seat: Seat, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start a worker that outlives this process; returns its process number once it works.

    Args:
        seat: where it is to sit.
        arguments: the command line, ``worker`` and its options, by which it takes the seat.
        environment: its variables.

    Raises:
        WorkerRunning: there is one.
        WorkerNotStarted: it has ended at once, or does not begin; the message has its last words.
    """
    if (pid := seat.holder()) is not None:
        raise WorkerRunning(f"A worker of this database runs already, process {pid}", pid=pid)
    seat.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with seat.log.open("ab") as log:
        began = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-c", "from holdfast.cli.app import main; main()", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environment),
            start_new_session=True,
        )
    until = time.monotonic() + _START_SECONDS
    while seat.holder() != process.pid:
        if process.poll() is not None:
            # Of two that were started at once, one has found the other there.
            if (pid := seat.holder()) is not None:
                raise WorkerRunning(f"A worker of this database runs already, process {pid}", pid=pid)
            raise WorkerNotStarted(_last_words(seat, began), log=str(seat.log))
        if time.monotonic() > until:
            process.kill()
            process.wait()
            raise WorkerNotStarted(f"The worker has not begun after {_START_SECONDS:.0f} s", log=str(seat.log))
        time.sleep(_LOOK_SECONDS)
    return process.pid


def _last_words(seat: Seat, began: int) -> str:
    with seat.log.open("rb") as log:
        log.seek(began)
        words = log.read().decode(errors="replace").strip()
    return f"The worker has ended at once: {words[-_TAIL:] or 'it said nothing'}"


def stop(seat: Seat, patience_seconds: float) -> tuple[int, bool]:
    """End the worker that sits there, and wait until it has; what it was doing goes back.

    Args:
        seat: where it sits.
        patience_seconds: how long it may take before it is killed.

    Returns:
        Its process number, and whether it had to be killed.

    Raises:
        NoWorker: nobody sits there.
    """
    pid = seat.holder()
    if pid is None:
        raise NoWorker("No detached worker of this database runs on this machine")
    _tell(seat, pid, signal.SIGTERM)
    if _gone(seat, pid, patience_seconds):
        return pid, False
    _tell(seat, pid, signal.SIGKILL)
    _gone(seat, pid, _KILLED_SECONDS)
    return pid, True


def _tell(seat: Seat, pid: int, number: signal.Signals) -> None:
    """Send a signal to the process that sits there, and to no other one that has got its number since."""
    with contextlib.suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            os.kill(pid, number)
            return
        process = os.pidfd_open(pid)
        try:
            if seat.holder() == pid:
                signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Somebody else's: ours is gone, and its number is in use again.
        return False
    return True


def _gone(seat: Seat, pid: int, seconds: float) -> bool:
    """Whether it has got up within so many seconds, and its process is over."""
    until = time.monotonic() + seconds
    while seat.holder() == pid or _is_alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
