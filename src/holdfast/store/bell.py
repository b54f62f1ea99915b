"""How a waiting worker or watcher learns that something was committed, without asking again and again.

A ring may be lost (a process dies right after its commit), so nobody waits without a limit.
"""

import contextlib
import sqlite3
import threading
import time
from pathlib import Path
from typing import Protocol

import psycopg
import sqlalchemy as sa

_SQLITE_LOOK_SECONDS = 0.01
_POSTGRES_RING_SECONDS = 0.01
_POSTGRES_REOPEN_SECONDS = 0.5


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


class _LocalBell:
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


class SqliteBell(_LocalBell):
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


class PostgresBell(_LocalBell):
    """Hears other processes by LISTEN.

    NOTIFY inside a transaction would make all commits of the database queue for one lock, so a thread rings for
    all commits of some milliseconds at once, after they happened.
    """

    def __init__(self, url: sa.URL) -> None:
        super().__init__()
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._start = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._due = threading.Event()
        self._own_backend = 0

    def ring(self) -> None:
        self.nudge()
        self._ensure("ringer", self._notify)
        self._due.set()

    def wait(self, count: int, timeout: float) -> None:
        self._ensure("listener", self._listen)
        deadline = time.monotonic() + timeout
        with self._condition:
            while not self._closed and self._count == count and (left := deadline - time.monotonic()) > 0:
                self._condition.wait(left)

    def close(self) -> None:
        super().close()
        self._due.set()
        for thread in self._threads:
            thread.join(timeout=2)

    def _ensure(self, name: str, target: "object") -> None:
        if any(thread.name == f"holdfast-{name}" for thread in self._threads):
            return
        with self._start:
            if self._closed or any(thread.name == f"holdfast-{name}" for thread in self._threads):
                return
            thread = threading.Thread(target=target, name=f"holdfast-{name}", daemon=True)  # type: ignore[arg-type]
            thread.start()
            self._threads.append(thread)

    def _notify(self) -> None:
        while not self._closed:
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self._dsn, autocommit=True) as connection,
            ):
                self._own_backend = connection.info.backend_pid
                # A ring may be lost, so its commit need not wait for the disk.
                connection.execute("SET synchronous_commit TO off")
                while not self._closed:
                    self._due.wait()
                    self._due.clear()
                    connection.execute("NOTIFY holdfast")
                    time.sleep(_POSTGRES_RING_SECONDS)
            if not self._closed:
                time.sleep(_POSTGRES_REOPEN_SECONDS)

    def _listen(self) -> None:
        while not self._closed:
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self._dsn, autocommit=True) as connection,
            ):
                connection.execute("LISTEN holdfast")
                # What was committed while nobody listened.
                self.nudge()
                while not self._closed:
                    for heard in connection.notifies(timeout=_POSTGRES_REOPEN_SECONDS, stop_after=1):
                        # Whoever waits in this process was nudged by the commit itself.
                        if heard.pid != self._own_backend:
                            self.nudge()
            if not self._closed:
                time.sleep(_POSTGRES_REOPEN_SECONDS)
