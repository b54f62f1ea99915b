"""What every processor must keep to; a new one is added to ``CASES``."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.processing import ProcessingStatus, job_kind
from holdfast.services.results import NewResult
from holdfast.testing import FakeClock
from tests.contract.processors import CASES, Case, Tally


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def hf(database: str, case: Case) -> Iterator[Holdfast]:
    with open_holdfast(database, processors=(case.name,), processor_classes=case.classes, clock=FakeClock()) as opened:
        yield opened


def work(hf: Holdfast) -> None:
    hf.worker().run(until_idle=True)


def held(hf: Holdfast, case: Case) -> set[str]:
    """The ids of the analyses in the index that is read."""
    state = hf.store.read(lambda uow: uow.processing.index(case.name))
    assert state is not None
    with hf.engine.read() as connection:
        keys = case.held(connection, state.generation)
    rows = hf.store.read(lambda uow: uow.analyses.of_keys(sorted(keys)))
    assert {row.key for row in rows} == keys, "of analyses that are gone"
    return {row.value.analysis_id for row in rows}


def status(hf: Holdfast, analysis_id: str, case: Case) -> ProcessingStatus:
    return {one.processor: one.status for one in hf.processing.of_analysis(analysis_id)}[case.name]


def notes(hf: Holdfast, count: int, begin: str = "n") -> list[str]:
    new = [
        NewResult(kind="note", result={"text": f"number {n}"}, analysis_id=f"{begin}{n}", tags=[f"t{n % 3}"])
        for n in range(count)
    ]
    return [kept.analysis_id for kept in hf.store_analyses(new)]


def test_what_is_kept_is_indexed(hf: Holdfast, case: Case) -> None:
    ids = notes(hf, 7)
    assert status(hf, ids[0], case) is ProcessingStatus.PENDING
    work(hf)
    assert held(hf, case) == set(ids)
    assert status(hf, ids[0], case) is ProcessingStatus.COMPLETED
    more = notes(hf, 3, "m")
    work(hf)
    assert held(hf, case) == {*ids, *more}
    assert hf.jobs.counts().get((job_kind(case.name), "ready")) is None


def test_twice_is_once(hf: Holdfast, case: Case) -> None:
    ids = notes(hf, 3)
    work(hf)
    assert hf.processing.reprocess(ids) == 3
    assert status(hf, ids[0], case) is ProcessingStatus.PENDING
    work(hf)
    assert held(hf, case) == set(ids)


def test_what_is_deleted_leaves(hf: Holdfast, case: Case, clock_of: FakeClock) -> None:
    hf.store_analysis("note", 1, analysis_id="short", ttl_seconds=60)
    ids = notes(hf, 4)
    work(hf)
    hf.delete_analysis(ids[0])
    hf.delete_analysis(ids[1], purge=True)
    work(hf)
    assert held(hf, case) == {"short", *ids[2:]}
    hf.restore_analysis(ids[0])
    clock_of.advance(61)
    hf.sweep()
    work(hf)
    assert held(hf, case) == {ids[0], *ids[2:]}


@pytest.fixture
def clock_of(hf: Holdfast) -> FakeClock:
    clock = hf._clock
    assert isinstance(clock, FakeClock)
    return clock


def test_what_was_there_before_is_indexed(database: str, case: Case) -> None:
    with open_holdfast(database, processors=()) as without:
        ids = notes(without, 5)
    with open_holdfast(database, processors=(case.name,), processor_classes=case.classes) as hf:
        work(hf)
        assert held(hf, case) == set(ids)


def test_places_may_be_made_and_dropped_twice(hf: Holdfast, case: Case) -> None:
    processor = hf.processors.get(case.name)

    def change(connection: sa.Connection) -> None:
        for _ in range(2):
            processor.create(connection, 77)
        for _ in range(2):
            processor.discard(connection, 77)

    hf.engine.write(change)


def test_unknown_keys_may_be_removed(hf: Holdfast, case: Case) -> None:
    ids = notes(hf, 1)
    work(hf)
    write = hf.processors.get(case.name).remove([998, 999], [1])
    if write is not None:
        hf.engine.write(lambda connection: write(connection, 1))
    assert held(hf, case) == set(ids)
    assert hf.processors.get(case.name).health(1).is_ready


def test_a_new_version_is_built_beside(hf: Holdfast, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = notes(hf, 6)
    work(hf)
    before = hf.store.read(lambda uow: uow.processing.index(case.name))
    monkeypatch.setattr(type(hf.processors.get(case.name)), "version", "next")
    work(hf)
    after = hf.store.read(lambda uow: uow.processing.index(case.name))
    assert before is not None
    assert after is not None
    assert (after.generation, after.building, after.version) == (before.generation + 1, None, "next")
    assert held(hf, case) == set(ids)


def test_a_rebuild_loses_nothing_that_is_written_meanwhile(database: str, case: Case) -> None:
    with open_holdfast(database, processors=(case.name,), processor_classes=case.classes) as hf:
        ids = set(notes(hf, 600))
        work(hf)
        written: list[str] = []
        done = threading.Event()

        def write_on() -> None:
            for number in range(60):
                written.append(hf.store_analysis("note", {"w": number}, analysis_id=f"w{number}").analysis_id)
                if number % 7 == 0:
                    gone = f"n{number}"
                    hf.delete_analysis(gone, purge=number % 2 == 0)
                    ids.discard(gone)
            done.set()

        hf.processing.rebuild()
        writer = threading.Thread(target=write_on)
        with hf.working():
            writer.start()
            writer.join(60)
        assert done.is_set()
        work(hf)
        assert held(hf, case) == ids | set(written)
        state = hf.store.read(lambda uow: uow.processing.index(case.name))
        assert state is not None
        assert (state.building, state.generation) == (None, 2)


def test_only_what_it_has_use_for(database: str) -> None:
    with open_holdfast(database, processors=("tally",), processor_classes=(Tally,)) as hf:
        refused = hf.store_analysis("note", 1, tags=["unwanted"]).analysis_id
        work(hf)
        assert held(hf, CASES[1]) == set()
        assert status(hf, refused, CASES[1]) is ProcessingStatus.SKIPPED
