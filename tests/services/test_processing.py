"""Processing under trouble: back ends that fail, hang and are away, workers that are killed."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.context import Context
from holdfast.domain.errors import Forbidden, UnknownProcessor, WrongOwner
from holdfast.domain.jobs import JobStatus
from holdfast.domain.processing import REBUILD_JOB, Document, ProcessingStatus, job_kind
from holdfast.processors.contract import Write
from holdfast.services.results import NewResult
from holdfast.testing import FakeClock
from tests.contract.processors import CASES, Tally, away, hanging, poisoned
from tests.durability import actors
from tests.support.processes import wait_until

TALLY = CASES[1]
KIND = job_kind("tally")


@pytest.fixture
def hf(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    with opened(database, clock) as one:
        yield one


def opened(database: str, clock: FakeClock | None = None) -> Holdfast:
    return open_holdfast(
        database,
        processors=("tally",),
        processor_classes=(Tally,),
        clock=clock,
        lease_seconds=2.0,
        process_batch_size=20,
    )


def trouble(monkeypatch: pytest.MonkeyPatch, what: Callable[[Sequence[Document]], None]) -> None:
    monkeypatch.setattr(Tally, "trouble", staticmethod(what))


def work(hf: Holdfast) -> None:
    hf.worker().run(until_idle=True)


def held(hf: Holdfast) -> set[int]:
    state = hf.store.read(lambda uow: uow.processing.index("tally"))
    assert state is not None
    with hf.engine.read() as connection:
        return TALLY.held(connection, state.readable)


def test_storing_and_queueing_are_one(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("holdfast.store.ledger.Ledger.flush", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hf.store_analysis("note", 1)
    assert hf.get_stats().total_results == 0
    assert hf.jobs.counts() == {}
    hf.store_analyses([NewResult(kind="note", result=n) for n in range(3)])
    assert hf.jobs.counts() == {(KIND, "ready"): 3}


def test_where_nothing_is_enabled_nothing_is_queued(database: str) -> None:
    with open_holdfast(database, processors=()) as hf:
        kept = hf.store_analysis("note", 1)
        assert hf.jobs.counts() == {}
        rows = {one.processor: one.status for one in hf.processing.of_analysis(kept.analysis_id)}
        assert rows == dict.fromkeys(("fulltext", "graph", "substring", "vector"), ProcessingStatus.SKIPPED)
        with pytest.raises(UnknownProcessor):
            hf.reprocess_analysis(kept.analysis_id, ["fulltext"])


def test_one_that_is_at_fault_is_put_aside_and_the_others_are_not(
    hf: Holdfast, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(monkeypatch, poisoned)
    new = [NewResult(kind="note", result=n, analysis_id=f"n{n}", tags=["poison"] * (n == 5)) for n in range(12)]
    hf.store_analyses(new)
    work(hf)
    assert len(held(hf)) == 11
    waiting = {one.processor: one for one in hf.processing.of_analysis("n5")}["tally"]
    assert (waiting.status, waiting.attempts) == (ProcessingStatus.PENDING, 1)
    assert "poisoned" in (waiting.last_error or "")
    for _ in range(5):
        clock.advance(400)
        work(hf)
    failed = {one.processor: one for one in hf.processing.of_analysis("n5")}["tally"]
    assert (failed.status, failed.attempts) == (ProcessingStatus.FAILED, 5)
    assert "This one is poisoned" in (failed.last_error or "")
    assert [job.analysis_id for job in hf.processing.failed()] == ["n5"]
    trouble(monkeypatch, lambda documents: None)
    assert hf.processing.retry_failed() == 1
    work(hf)
    assert len(held(hf)) == 12
    assert {one.processor: one.status for one in hf.processing.of_analysis("n5")}["tally"] is ProcessingStatus.COMPLETED
    assert hf.processing.failed() == []


def test_one_that_the_database_refuses_spoils_no_batch(
    hf: Holdfast, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(hf)
    process = Tally.process

    def refused(self: Tally, documents: Sequence[Document], generations: Sequence[int]) -> Write:
        write = process(self, documents, generations)

        def spoilt(connection: sa.Connection, generation: int) -> None:
            write(connection, generation)
            if any(document.analysis.analysis_id == "n3" for document in documents):
                connection.exec_driver_sql("SELECT * FROM what_is_not_there")

        return spoilt

    monkeypatch.setattr(Tally, "process", refused)
    hf.store_analyses([NewResult(kind="note", result=n, analysis_id=f"n{n}") for n in range(9)])
    work(hf)
    assert len(held(hf)) == 8
    assert [job.attempt for job in hf.jobs.listing() if job.kind == KIND] == [1]


def test_a_back_end_that_is_away_delays_and_never_fails(
    hf: Holdfast, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(monkeypatch, away)
    kept = hf.store_analyses([NewResult(kind="note", result=n) for n in range(3)])
    for _ in range(9):
        hf.processing.status()
        handler = hf._handlers[KIND]
        handler._paused_until = 0.0  # type: ignore[attr-defined]
        work(hf)
        clock.advance(100)
    row = {one.processor: one for one in hf.processing.of_analysis(kept[0].analysis_id)}["tally"]
    assert row.status is ProcessingStatus.PENDING
    assert "PROCESSOR_UNAVAILABLE: Nobody answers at port 6333" in (row.last_error or "")
    assert hf.jobs.listing(JobStatus.DEAD) == []
    status = {one.name: one for one in hf.processing.status()}["tally"]
    assert (status.waiting, status.dead) == (3, 0)
    assert status.lag_seconds >= 900
    handler._paused_until = 0.0  # type: ignore[attr-defined]
    trouble(monkeypatch, lambda documents: None)
    work(hf)
    assert len(held(hf)) == 3


def test_a_back_end_that_fails_now_and_then(hf: Holdfast, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = random.Random(7)

    def sometimes(documents: Sequence[Document]) -> None:
        if drawn.random() < 0.2:
            raise ConnectionError("reset by peer")

    trouble(monkeypatch, sometimes)
    hf.store_analyses([NewResult(kind="note", result=n) for n in range(40)])
    for _ in range(8):
        work(hf)
        clock.advance(400)
    hf.processing.retry_failed()
    work(hf)
    assert len(held(hf)) >= 39


def test_a_back_end_that_hangs_keeps_neither_other_work_nor_the_end(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    trouble(monkeypatch, hanging(release))
    names = ("tally", "fulltext")
    with open_holdfast(database, processors=names, processor_classes=(Tally,)) as hf:
        kept = hf.store_analysis("note", {"t": "needle"})
        worker = hf.worker()
        thread = threading.Thread(target=worker.run)
        thread.start()

        def status(name: str) -> ProcessingStatus:
            return {one.processor: one.status for one in hf.processing.of_analysis(kept.analysis_id)}[name]

        wait_until(lambda: status("fulltext") is ProcessingStatus.COMPLETED, 30, "the index that works")
        wait_until(lambda: status("tally") is ProcessingStatus.RUNNING, 30, "the one that hangs")
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()
        assert status("tally") is ProcessingStatus.PENDING
        release.set()
        trouble(monkeypatch, lambda documents: None)
        work(hf)
        assert status("tally") is ProcessingStatus.COMPLETED


def test_what_changes_while_it_is_read_is_read_again(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    # First of all the index, or building it would read the analysis too.
    work(hf)
    kept = hf.store_analysis("note", 1)
    seen: list[int] = []

    def delete_meanwhile(documents: Sequence[Document]) -> None:
        seen.extend(document.analysis.version for document in documents)
        if len(seen) == 1:
            hf.delete_analysis(kept.analysis_id)

    trouble(monkeypatch, delete_meanwhile)
    work(hf)
    assert seen == [1]
    assert held(hf) == set()


def test_a_number_that_is_used_again_is_indexed_anew(hf: Holdfast) -> None:
    first = hf.store_analysis("note", 1)
    work(hf)
    hf.delete_analysis(first.analysis_id, purge=True)
    hf.store_analysis("note", 2)
    work(hf)
    assert len(held(hf)) == 1


def test_without_a_worker(hf: Holdfast) -> None:
    kept = hf.store_analyses([NewResult(kind="note", result=n) for n in range(5)])
    assert hf.process_pending_analyses(limit=2) == 2
    assert hf.process_pending_analyses("tally", limit=10) == 3
    assert hf.process_pending_analyses() == 0
    assert hf.reprocess_analysis(kept[0].analysis_id, processors=["tally"])
    assert hf.process_pending_analyses() == 1


def test_others_work_is_left_to_them(hf: Holdfast) -> None:
    hf.store_analysis("note", 1)
    hf.processing.rebuild()
    hf.worker(without=["tally"]).run(until_idle=True)
    assert hf.jobs.counts() == {(KIND, "ready"): 1, (REBUILD_JOB, "ready"): 1}


def test_only_owners_and_administrators(hf: Holdfast) -> None:
    kept = hf.store_analysis("note", 1, context=Context(client_session_id="alice"))
    bob = Caller(name="bob", owner="bob", role=Role.WRITER)
    with pytest.raises(WrongOwner):
        hf.processing.of_analysis(kept.analysis_id, caller=bob)
    with pytest.raises(WrongOwner):
        hf.processing.reprocess([kept.analysis_id], caller=bob)
    for ask in (hf.processing.rebuild, hf.processing.retry_failed, hf.processing.failed):
        with pytest.raises(Forbidden):
            ask(caller=bob)


def index_until_killed(url: str) -> None:
    with opened(url) as hf:
        hf.worker().run()


def test_killed_workers_leave_nothing_out(database: str) -> None:
    drawn = random.Random(3)
    with opened(database) as hf:
        work(hf)
        workers = [actors.start(index_until_killed, database) for _ in range(2)]
        for n in range(8):
            hf.store_analyses([NewResult(kind="note", result=[n, m]) for m in range(40)])
            if n % 2:
                victim = workers.pop(drawn.randrange(len(workers)))
                victim.kill()
                victim.join()
                workers.append(actors.start(index_until_killed, database))
        try:
            wait_until(lambda: not hf.jobs.counts(), 60, "the end of all that waits")
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
        assert len(held(hf)) == 320
        state = hf.store.read(lambda uow: uow.processing.index("tally"))
        assert state is not None
        with hf.engine.read() as connection:
            numbers = connection.exec_driver_sql(f"SELECT DISTINCT number FROM tally_{state.generation}").scalars()
            assert set(numbers) == {1}
