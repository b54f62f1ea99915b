import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.domain.errors import StoreError, StoreFull
from holdfast.store import group_commit
from holdfast.store.engine import Engine
from tests.support.processes import wait_until

Work = Callable[[sa.Connection], Any]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(f"sqlite:///{tmp_path / 'a.db'}")
    engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (n INTEGER UNIQUE NOT NULL, blob BLOB)"))
    yield engine
    engine.close()


def insert(number: int, size: int = 0) -> Work:
    def work(connection: sa.Connection) -> int:
        connection.exec_driver_sql("INSERT INTO t VALUES (?, zeroblob(?))", (number, size))
        return number

    return work


def numbers(engine: Engine) -> list[int]:
    with engine.read() as connection:
        return list(connection.exec_driver_sql("SELECT n FROM t ORDER BY n").scalars())


def together(
    engine: Engine, first: Work, *others: Work, queued: Callable[[], None] = lambda: None
) -> list[Future[Any]]:
    """Let a leader commit ``first`` and all the others queue meanwhile, in order: they become one group."""
    inside, go = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> Any:
        inside.set()
        assert go.wait(30)
        return first(connection)

    pool = ThreadPoolExecutor(1 + len(others))
    futures = [pool.submit(engine.write, hold)]
    assert inside.wait(30)
    for count, work in enumerate(others, 1):
        futures.append(pool.submit(engine.write, work))
        wait_until(lambda: len(engine._group._queue) == count, 30, "the work to queue up")  # noqa: B023 waits here
    queued()
    go.set()
    pool.shutdown()
    return futures


def test_many_threads(engine: Engine) -> None:
    def write(thread: int) -> list[int]:
        return [engine.write(insert(thread * 100 + n)) for n in range(50)]

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(write, range(16)))
    assert results == [[thread * 100 + n for n in range(50)] for thread in range(16)]
    assert numbers(engine) == sorted(chain.from_iterable(results))


def test_those_who_wait_are_committed_together(engine: Engine) -> None:
    with contextlib.closing(sqlite3.connect(engine.url.database or "", check_same_thread=False)) as other:

        def version() -> int:
            return int(other.execute("PRAGMA data_version").fetchone()[0])

        seen: list[int] = [version()]

        def look(connection: sa.Connection) -> None:
            seen.append(version())

        together(engine, insert(0), insert(1), look, insert(2), look, insert(3))
        assert seen[1] == seen[2]
    assert numbers(engine) == [0, 1, 2, 3]


def test_an_error_is_its_own_threads(engine: Engine) -> None:
    def fails(connection: sa.Connection) -> None:
        insert(99)(connection)
        raise KeyError("mine")

    done = together(engine, insert(0), insert(1), fails, insert(1), insert(2))
    assert [done[n].result() for n in (0, 1, 4)] == [0, 1, 2]
    with pytest.raises(KeyError, match="mine"):
        done[2].result()
    with pytest.raises(StoreError):
        done[3].result()
    assert numbers(engine) == [0, 1, 2]


@pytest.mark.parametrize("interrupted", ["own", "other"])
def test_leaders_interrupt_is_the_leaders_alone(engine: Engine, interrupted: str) -> None:
    once = threading.Event()

    def interrupts(connection: sa.Connection) -> int:
        insert(1)(connection)
        if not once.is_set():
            once.set()
            # As a signal would, it comes up in whoever leads at that moment.
            raise KeyboardInterrupt
        return 1

    works = [interrupts, insert(2)] if interrupted == "own" else [insert(2), interrupts]
    leader, follower = together(engine, insert(0), *works, insert(3))[1:3]
    with pytest.raises(KeyboardInterrupt):
        leader.result()
    assert follower.result() == (2 if interrupted == "own" else 1)
    assert numbers(engine) == ([0, 2, 3] if interrupted == "own" else [0, 1, 3])


class _Interrupted(threading.Event):
    """The signal of a thread that is interrupted while it waits: when its turn comes, or when ``set``."""

    def acquire(self) -> None:
        assert self.wait(30)
        raise KeyboardInterrupt

    release = threading.Event.set


@pytest.mark.parametrize("place", [0, 1, 2])
def test_follower_that_is_interrupted_holds_nobody_up(
    engine: Engine, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = _Interrupted()

    def impatient(connection: sa.Connection) -> Any:
        return insert(99)(connection)

    class Request(group_commit._Request):
        def __init__(self, work: Work) -> None:
            super().__init__(work)
            if getattr(work, "__wrapped__", None) is impatient:
                self.signal = signal  # type: ignore[assignment]

    monkeypatch.setattr(group_commit, "_Request", Request)
    works: list[Work] = [insert(1), insert(2)]
    works.insert(place, impatient)

    def interrupt() -> None:
        if place:
            signal.set()
            wait_until(lambda: len(engine._group._queue) == 2, 30, "it to leave the queue")

    done = together(engine, insert(0), *works, queued=interrupt)
    with pytest.raises(KeyboardInterrupt):
        done.pop(1 + place).result()
    assert [future.result() for future in done] == [0, 1, 2]
    assert engine.write(insert(3)) == 3
    assert numbers(engine) == [0, 1, 2, 3]


def test_full_disk_is_the_large_writers_alone(engine: Engine) -> None:
    # As a full disk does, this ends the whole transaction, savepoints and all.
    with engine._group._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    sa.event.listen(
        engine._group._engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}"),
    )
    done = together(engine, insert(0), insert(1), insert(2, 10_000_000), insert(3), insert(4, 10_000_000))
    assert [done[n].result() for n in (0, 1, 3)] == [0, 1, 3]
    for full in (done[2], done[4]):
        with pytest.raises(StoreFull):
            full.result()
    assert engine.write(insert(5)) == 5
    assert numbers(engine) == [0, 1, 3, 5]


def test_commit_that_fails_is_told_to_everybody(engine: Engine) -> None:
    """A deferred constraint fails at the commit: each is then tried alone, and the guilty one told."""
    engine.write(lambda c: c.exec_driver_sql("CREATE TABLE child (n REFERENCES t(n) DEFERRABLE INITIALLY DEFERRED)"))

    def orphan(connection: sa.Connection) -> None:
        connection.exec_driver_sql("INSERT INTO child VALUES (12345)")

    done = together(engine, insert(0), insert(1), orphan, insert(2))
    assert done[1].exception() is None or isinstance(done[1].exception(), StoreError)
    with pytest.raises(StoreError):
        done[2].result()
    assert done[3].result() == 2


def test_work_of_an_interrupted_leader_is_not_lost(engine: Engine) -> None:
    def interrupts(connection: sa.Connection) -> None:
        raise SystemExit(3)

    done = together(engine, insert(0), interrupts, insert(1), insert(2))
    with pytest.raises(SystemExit):
        done[1].result()
    assert [done[n].result() for n in (2, 3)] == [1, 2]
    assert numbers(engine) == [0, 1, 2]
