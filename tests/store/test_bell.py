import statistics
import threading
import time
from collections.abc import Iterator

import pytest

from holdfast.store.bell import Bell
from holdfast.store.engine import Engine
from tests.support.processes import spawn_python

_COMMIT = """
import sys, time
from holdfast.store.engine import Engine
engine = Engine(sys.argv[1])
print("ready")
for line in sys.stdin:
    engine.write(lambda c: c.exec_driver_sql(f"INSERT INTO owners VALUES ('{line.strip()}', 0)"))
    print(time.monotonic())
engine.close()
"""


@pytest.fixture
def bell(database: str) -> Iterator[Bell]:
    engine = Engine(database)
    yield engine.bell
    engine.close()


def test_commit_in_another_process_wakes(bell: Bell, database: str) -> None:
    bell.wait(bell.count(), 1.0)
    with spawn_python(_COMMIT, database) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        late = []
        for number in range(8):
            count = bell.count()
            other.stdin.write(f"{number}\n")
            other.stdin.flush()
            bell.wait(count, 20)
            woken = time.monotonic()
            assert bell.count() != count
            late.append(woken - float(other.stdout.readline()))
        other.stdin.close()
    # The median: a busy machine may hold one of them up.
    assert statistics.median(late) < 0.1


def test_commit_in_this_process_wakes_everybody(bell: Bell) -> None:
    count = bell.count()
    threads = [threading.Thread(target=bell.wait, args=(count, 600)) for _ in range(5)]
    for thread in threads:
        thread.start()
    bell.ring()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_ring_before_the_wait_is_not_missed(bell: Bell) -> None:
    count = bell.count()
    bell.ring()
    began = time.monotonic()
    bell.wait(count, 60)
    assert time.monotonic() - began < 1


def test_nobody_waits_longer_than_said(bell: Bell) -> None:
    # To hear what was committed before.
    bell.wait(bell.count(), 1.0)
    bell.wait(bell.count(), 1.0)
    began = time.monotonic()
    bell.wait(bell.count(), 0.3)
    assert 0.29 <= time.monotonic() - began < 0.8
    began = time.monotonic()
    bell.wait(bell.count(), 0)
    bell.wait(bell.count(), -1)
    assert time.monotonic() - began < 0.2


def test_close_wakes_everybody(database: str) -> None:
    engine = Engine(database)
    count = engine.bell.count()
    thread = threading.Thread(target=engine.bell.wait, args=(count, 600))
    thread.start()
    engine.close()
    thread.join(60)
    assert not thread.is_alive()
    engine.bell.wait(engine.bell.count(), 60)


def test_bell_of_a_database_that_is_away() -> None:
    engine = Engine("postgresql://nobody@/none?host=/nowhere")
    began = time.monotonic()
    engine.bell.ring()
    engine.bell.wait(engine.bell.count(), 0.2)
    assert 0.19 <= time.monotonic() - began < 2
    engine.close()
