"""How a waiting worker or watcher learns that something was committed, without asking again and again.

A ring may be lost (a process dies right after its commit), so nobody waits without a limit.
"""

import sqlite3
import threading
import time
from pathlib import Path
from typing import Protocol

_SQLITE_LOOK_SECONDS = 0.01


class Bell(Protocol):
    """Tells when something was committed, by any process."""

    def ring(self) -> None:
        """Something was committed here."""
        ...

    def nudge(self) -> None:
        """Wake whoever waits in this process, without telling others."""
        ...

    def count(self) -> int:
        """A number that changes with every ring; take it before looking, then wait for it to change."""
        ...

    def wait(self, count: int, timeout: float) -> None:
        """Return when something was committed since ``count`` was taken, or after ``timeout`` seconds."""
        ...

    def close(self) -> None:
        """Release what it holds; everybody waiting returns."""
        ...


class LocalBell:
    """Rings within the process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._closed = False

    def nudge(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def count(self) -> int:
        return self._count

    def close(self) -> None:
        self._closed = True
        self.nudge()


class SqliteBell(LocalBell):
    """Hears other processes by ``PRAGMA data_version``, which changes when another connection commits."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen = 0
        self._look = threading.Lock()

    def ring(self) -> None:
        self.nudge()

    def wait(self, count: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._closed and (left := deadline - time.monotonic()) > 0:
            with self._condition:
                if self._count != count:
                    return
                self._condition.wait(min(left, _SQLITE_LOOK_SECONDS))
            # One of the waiting threads looks for all.
            if self._look.acquire(blocking=False):
                try:
                    if self._changed_elsewhere():
                        self.nudge()
                finally:
                    self._look.release()

    def _changed_elsewhere(self) -> bool:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            # Whoever waits looks for himself after his timeout, and meets the error where it can be told.
            return False
        changed, self._seen = version != self._seen, version
        return changed

    def close(self) -> None:
        super().close()
        with self._look:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
