"""Many threads, one SQLite writer: transactions that arrive together are committed together.

A commit costs one wait for the disk. While it waits, other threads' work queues up; the next commit takes all of
it. There is no writer thread: the first to come leads, does everybody's work, and hands the lead to the first of
those who came meanwhile. So a lone writer pays for no switch between threads.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from holdfast.domain.errors import HoldfastError, StoreError, StoreFull, StoreReadOnly, StoreUnavailable

T = TypeVar("T")

_LARGEST_GROUP = 64


class _Request:
    """One thread's work and what became of it."""

    __slots__ = ("again", "done", "error", "leads", "result", "signal", "work")

    def __init__(self, work: Callable[[sa.Connection], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.again = False
        self.leads = False
        self.signal = threading.Lock()
        self.signal.acquire()


class GroupCommit:
    """The one writer of a process for one SQLite file."""

    def __init__(self, engine: sa.Engine, path: Path) -> None:
        """Write to the file at ``path`` through ``engine``, whose transactions begin IMMEDIATE."""
        self._engine = engine
        self._gate_path = path.with_name(path.name + "-gate")
        self._gate: int | None = None
        self._connection: sa.Connection | None = None
        self._mutex = threading.Lock()
        self._queue: deque[_Request] = deque()
        self._led = False
        self._committed = False

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in a transaction and return its result after the commit."""
        while True:
            request = _Request(work)
            try:
                with self._mutex:
                    self._queue.append(request)
                    request.leads = not self._led
                    self._led = True
                if not request.leads:
                    request.signal.acquire()
                if not request.done:
                    self._lead(request)
            except BaseException:
                # Ctrl-C while waiting: nobody may wait for this thread in turn.
                self._leave(request)
                raise
            if request.again:
                continue
            if request.error is not None:
                raise request.error
            return cast("T", request.result)

    def _lead(self, leader: _Request) -> None:
        group: list[_Request] = []
        try:
            with self._mutex:
                while self._queue and len(group) < _LARGEST_GROUP:
                    group.append(self._queue.popleft())
            self._committed = False
            self._commit(group)
        except BaseException as error:  # noqa: BLE001 handed on to whoever asked for the work
            # Those whose own work failed are told so, the others try again, unless it is committed already. If it was
            # nobody's own (Ctrl-C, a disk found full at the commit) the leader answers for it, so that every round
            # ends for somebody.
            own = isinstance(error, Exception) and any(request.error for request in group)
            for request in group:
                request.again = request.error is None and not self._committed
            if not own:
                leader.error, leader.again = error, False
        finally:
            self._release(leader, group)

    def _release(self, leader: _Request, group: list[_Request]) -> None:
        try:
            self._hand_over(leader)
            for request in group:
                request.done = True
                # Released before, if Ctrl-C came between this line and the next.
                with contextlib.suppress(RuntimeError):
                    request.signal.release()
        except BaseException:
            # Ctrl-C right here: the others would wait for ever.
            self._release(leader, group)
            raise

    def _hand_over(self, leader: _Request) -> None:
        with self._mutex:
            if not leader.leads:
                return
            if self._queue:
                following = self._queue[0]
                with contextlib.suppress(RuntimeError):
                    following.signal.release()
                following.leads = True
            else:
                self._led = False
            leader.leads = False

    def _leave(self, request: _Request) -> None:
        with self._mutex, contextlib.suppress(ValueError):
            self._queue.remove(request)
        self._hand_over(request)

    def _commit(self, group: list[_Request]) -> None:
        with self._through_gate():
            connection = self._open()
            try:
                with connection.begin() as transaction:
                    if len(group) == 1:
                        group[0].result = group[0].work(connection)
                    else:
                        for request in group:
                            self._savepoint(connection, request)
                    transaction.commit()
                    self._committed = True
            except HoldfastError:
                # The lone request's own: it is rolled back, and the connection as good as before.
                raise
            except BaseException:
                # Whatever state the connection is in, the next group gets a fresh one.
                self._connection = None
                connection.invalidate()
                connection.close()
                raise

    @staticmethod
    def _savepoint(connection: sa.Connection, request: _Request) -> None:
        connection.exec_driver_sql("SAVEPOINT work")
        try:
            request.result = request.work(connection)
        except Exception as error:  # noqa: BLE001 handed on to whoever asked for the work
            request.error = error
            # Fails in its turn when the error has ended the whole transaction, as a full disk does.
            connection.exec_driver_sql("ROLLBACK TO work")
        connection.exec_driver_sql("RELEASE work")

    def _open(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    @contextlib.contextmanager
    def _through_gate(self) -> Iterator[None]:
        # SQLite makes writers of other processes poll with growing pauses; the kernel's queue wakes them at once.
        if self._gate is None:
            self._gate = _open_gate(self._gate_path)
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the connection and the gate."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._gate is not None:
                os.close(self._gate)
                self._gate = None
        self._engine.dispose()


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[bool]:
    """Hold a file's lock, or not: False when somebody else has it, in this process or another."""
    file = _open_gate(path)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        # Its lock ends with it.
        os.close(file)


def _open_gate(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        kinds: dict[int | None, type[StoreError]] = {
            errno.EACCES: StoreReadOnly,
            errno.EPERM: StoreReadOnly,
            errno.EROFS: StoreReadOnly,
            errno.ENOSPC: StoreFull,
            errno.EDQUOT: StoreFull,
        }
        kind = kinds.get(error.errno, StoreUnavailable)
        raise kind(f"The file {path} cannot be made: {error.strerror}") from error
