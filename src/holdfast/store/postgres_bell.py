"""A bell that PostgreSQL carries from process to process; apart, as its driver takes a while to import."""

import contextlib
import threading
import time

import psycopg
import sqlalchemy as sa

from holdfast.store.bell import LocalBell

_RING_SECONDS = 0.01
_REOPEN_SECONDS = 0.5


class PostgresBell(LocalBell):
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
                    time.sleep(_RING_SECONDS)
            if not self._closed:
                time.sleep(_REOPEN_SECONDS)

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
                    for heard in connection.notifies(timeout=_REOPEN_SECONDS, stop_after=1):
                        # Whoever waits in this process was nudged by the commit itself.
                        if heard.pid != self._own_backend:
                            self.nudge()
            if not self._closed:
                time.sleep(_REOPEN_SECONDS)
