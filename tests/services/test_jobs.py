import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import InvalidInput, JobNotFound, StoreUnavailable
from holdfast.domain.events import Event
from holdfast.domain.jobs import Job, JobStatus, NewJob
from holdfast.services import Effect
from holdfast.store.unit_of_work import UnitOfWork
from holdfast.testing import FakeClock

LEASE = 30.0
WHY = RuntimeError("why")


class Deed:
    """A handler that only hears of losses."""

    kind = "deed"
    is_long = False

    def __init__(self) -> None:
        self.told: list[tuple[int, str, bool]] = []

    def handle(self, job: Job, lease: object) -> Effect | None:
        raise AssertionError("nobody works here")

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        self.told.append((job.attempt, error.code, dead))
        return True


@pytest.fixture
def deed() -> Deed:
    return Deed()


@pytest.fixture
def hf(database: str, clock: FakeClock, deed: Deed) -> Iterator[Holdfast]:
    with open_holdfast(database, clock=clock, handlers=[deed], lease_seconds=LEASE) as hf:
        yield hf


def enqueue(hf: Holdfast, count: int = 1, **fields: Any) -> None:
    hf.jobs.enqueue([NewJob(**{"kind": "deed", "payload": {"n": number}} | fields) for number in range(count)])


def claim(hf: Holdfast, worker: str = "w", limit: int = 1, *kinds: str) -> list[Job]:
    return hf.jobs.claim(worker, kinds or ["deed"], limit)


def numbers(jobs: list[Job]) -> list[int]:
    return [job.payload["n"] for job in jobs]


def effect(name: str) -> Effect:
    return lambda uow: uow.ledger.append([Event(name="job.retried", at=uow.now, analysis_id=name)])


def effects(hf: Holdfast, name: str) -> int:
    return len(hf.queries.events(name, limit=1000))


def test_order_of_claims(hf: Holdfast, clock: FakeClock) -> None:
    now = clock.now()
    ask = [(0, 0), (1, -10), (0, -20), (5, 0), (-1, -99), (1, -30), (0, 0)]
    hf.jobs.enqueue(
        [
            NewJob(kind="deed", payload={"n": number}, priority=priority, run_at=now + timedelta(seconds=due))
            for number, (priority, due) in enumerate(ask)
        ]
    )
    assert numbers(claim(hf, limit=3)) == [3, 5, 1]
    assert numbers(claim(hf, limit=9)) == [2, 0, 6, 4]


def test_order_of_claims_over_kinds(hf: Holdfast) -> None:
    for number in range(6):
        hf.jobs.enqueue([NewJob(kind=f"k{number % 3}", payload={"n": number}, priority=number % 2)])
    assert numbers(claim(hf, "w", 4, "k0", "k1", "k2")) == [1, 3, 5, 0]
    assert numbers(claim(hf, "w", 4, "k1")) == [4]
    assert claim(hf, "w", 4, "k2", "none") != []
    assert hf.jobs.claim("w", [], 5) == hf.jobs.claim("w", ["deed"], 0) == []


def test_claimed_job(hf: Holdfast, clock: FakeClock) -> None:
    enqueue(hf, priority=7)
    (job,) = claim(hf, "me")
    assert (job.status, job.lease_owner, job.attempt, job.priority) == (JobStatus.LEASED, "me", 1, 7)
    assert job.lease_until == clock.now() + timedelta(seconds=LEASE)
    assert hf.jobs.listing() == [job]


def test_delayed_job(hf: Holdfast, clock: FakeClock) -> None:
    enqueue(hf, run_at=clock.now() + timedelta(seconds=10))
    assert claim(hf) == []
    assert hf.jobs.next_due(["deed"]) == 10
    assert hf.jobs.next_due(["other"]) is None
    clock.advance(9.999999)
    assert claim(hf) == []
    clock.advance(0.000001)
    assert numbers(claim(hf)) == [0]


def test_unique_key(hf: Holdfast) -> None:
    enqueue(hf, 3, unique_key="k")
    enqueue(hf, unique_key="other")
    assert len(hf.jobs.listing()) == 2
    jobs = claim(hf, limit=2)
    enqueue(hf, unique_key="k")
    assert len(hf.jobs.listing()) == 2
    hf.jobs.settle("w", [(jobs[0], None)])
    enqueue(hf, unique_key="k")
    assert len(hf.jobs.listing()) == 2


def test_dead_job_does_not_stand_in_the_way(hf: Holdfast) -> None:
    enqueue(hf, unique_key="k", max_attempts=1)
    hf.jobs.fail(claim(hf)[0], WHY)
    enqueue(hf, unique_key="k")
    assert {job.status for job in hf.jobs.listing()} == {JobStatus.DEAD, JobStatus.READY}


def test_failure_waits_longer_each_time_and_ends(hf: Holdfast, clock: FakeClock, deed: Deed) -> None:
    enqueue(hf, max_attempts=4)
    for attempt in (1, 2, 3):
        (job,) = claim(hf)
        assert job.attempt == attempt
        hf.jobs.fail(job, WHY)
        (job,) = hf.jobs.listing()
        wait = (job.run_at - clock.now()).total_seconds()
        assert 2 ** (attempt - 1) / 2 <= wait <= 2 ** (attempt - 1)
        assert job.last_error == "UNEXPECTED_ERROR: RuntimeError: why"
        assert claim(hf) == []
        clock.advance(wait)
    hf.jobs.fail(claim(hf)[0], WHY)
    assert claim(hf) == []
    (job,) = hf.jobs.listing(JobStatus.DEAD)
    assert (job.lease_owner, job.lease_until) == (None, None)
    assert [dead for _, _, dead in deed.told] == [False, False, False, True]
    assert hf.jobs.counts() == {("deed", "dead"): 1}


def test_what_does_not_count_makes_no_wait_longer(hf: Holdfast, clock: FakeClock) -> None:
    enqueue(hf)
    for _ in range(8):
        hf.jobs.postpone(claim(hf), WHY, 1.0)
        clock.advance(1.0)
    for attempt in (1, 2, 3, 4):
        hf.jobs.fail(claim(hf)[0], WHY)
        (job,) = hf.jobs.listing()
        wait = (job.run_at - clock.now()).total_seconds()
        assert 2 ** (attempt - 1) / 2 <= wait <= 2 ** (attempt - 1)
        clock.advance(wait)
    hf.jobs.fail(claim(hf)[0], WHY)
    (dead,) = hf.jobs.listing(JobStatus.DEAD)
    hf.jobs.retry(dead.id)
    hf.jobs.fail(claim(hf)[0], WHY)
    (job,) = hf.jobs.listing()
    assert (job.run_at - clock.now()).total_seconds() <= 1


def test_retry_of_a_dead_job(hf: Holdfast, clock: FakeClock) -> None:
    enqueue(hf, max_attempts=1)
    (job,) = claim(hf)
    with pytest.raises(JobNotFound):
        hf.jobs.retry(job.id)
    hf.jobs.fail(job, WHY)
    revived = hf.jobs.retry(job.id)
    assert (revived.status, revived.run_at) == (JobStatus.READY, clock.now())
    (again,) = claim(hf)
    assert again.id == job.id
    hf.jobs.settle("w", [(again, effect("e"))])
    assert effects(hf, "e") == 1
    with pytest.raises(JobNotFound):
        hf.jobs.retry(job.id)


def test_lease_that_ends(hf: Holdfast, clock: FakeClock, deed: Deed) -> None:
    enqueue(hf)
    claim(hf, "old")
    clock.advance(LEASE)
    assert hf.jobs.take_back() == 0
    clock.advance(0.001)
    assert hf.jobs.take_back() == 1
    assert hf.jobs.take_back() == 0
    assert deed.told == [(1, "WORKER_LOST", False)]
    (job,) = claim(hf, "new")
    assert (job.attempt, job.lease_owner) == (2, "new")
    assert "old" in str(job.last_error)


def test_living_worker_keeps_its_jobs_though_the_clock_jumps(hf: Holdfast, clock: FakeClock, deed: Deed) -> None:
    enqueue(hf)
    (job,) = claim(hf, "alive")
    clock.advance(3600)
    assert hf.jobs.take_back(worker="alive") == 0
    assert hf.jobs.take_back(["something.else"]) == 0
    assert hf.jobs.heartbeat("alive", {job.id}) == {job.id}
    assert hf.jobs.take_back() == 0
    assert deed.told == []


def test_last_lease_that_ends(hf: Holdfast, clock: FakeClock, deed: Deed) -> None:
    enqueue(hf, max_attempts=1)
    claim(hf)
    clock.advance(LEASE + 1)
    hf.jobs.take_back()
    assert hf.jobs.counts() == {("deed", "dead"): 1}
    assert deed.told == [(1, "WORKER_LOST", True)]


@pytest.mark.parametrize("new_worker", ["new", "old"])
def test_old_owner_can_do_nothing(hf: Holdfast, clock: FakeClock, deed: Deed, new_worker: str) -> None:
    """Fenced by its name, and where that is the same by its attempt."""
    enqueue(hf)
    (old,) = claim(hf, "old")
    clock.advance(LEASE + 1)
    hf.jobs.take_back()
    (new,) = claim(hf, new_worker)
    deed.told.clear()
    hf.jobs.settle("old", [(old, effect("old"))])
    hf.jobs.fail(old, WHY)
    hf.jobs.give_back(old)
    assert not hf.store.read(lambda uow: uow.jobs.holds(old))
    assert hf.jobs.heartbeat("old", [old.id]) == ({new.id} if new_worker == "old" else set())
    assert deed.told == []
    (kept,) = hf.jobs.listing()
    assert (kept.attempt, kept.lease_owner, kept.status) == (2, new_worker, JobStatus.LEASED)
    hf.jobs.settle(new_worker, [(new, effect("new"))])
    assert (effects(hf, "old"), effects(hf, "new")) == (0, 1)
    assert hf.jobs.listing() == []


def test_heartbeat(hf: Holdfast, clock: FakeClock) -> None:
    enqueue(hf, 3)
    mine, forgotten = claim(hf, "me", 2)
    (theirs,) = claim(hf, "you")
    clock.advance(LEASE - 1)
    assert hf.jobs.heartbeat("me", [mine.id, theirs.id]) == {mine.id}
    clock.advance(2)
    assert hf.jobs.take_back() == 2
    assert {job.id for job in hf.jobs.listing(JobStatus.READY)} == {forgotten.id, theirs.id}


def test_give_back_does_not_count(hf: Holdfast, deed: Deed) -> None:
    enqueue(hf, max_attempts=2)
    for _ in range(5):
        (job,) = claim(hf)
        hf.jobs.give_back(job)
    assert {dead for _, _, dead in deed.told} == {False}

    def release(job: Job) -> None:
        hf.store.write(lambda uow: uow.jobs.release(job, run_at=uow.now, error=None, counted=True))

    for _ in range(2):
        (job,) = hf.jobs.listing(JobStatus.READY)
        release(job)
        (job,) = hf.store.write(
            lambda uow: uow.jobs.claim("w", ["deed"], 1, uow.now + timedelta(days=1), timedelta(seconds=LEASE))
        )
        hf.jobs.fail(job, WHY)
    assert [dead for _, _, dead in deed.told[-2:]] == [False, True]


def test_settle_many(hf: Holdfast) -> None:
    enqueue(hf, 4)
    jobs = claim(hf, limit=4)
    hf.store.write(lambda uow: uow.jobs.drop(jobs[1].id))
    hf.jobs.settle("w", [(job, effect(f"e{job.payload['n']}")) for job in jobs[:3]] + [(jobs[3], None)])
    assert [effects(hf, f"e{number}") for number in range(4)] == [1, 0, 1, 0]
    assert hf.jobs.listing() == []
    hf.jobs.settle("w", [])


def test_bad_effect_settles_nothing(hf: Holdfast) -> None:
    def bad(uow: UnitOfWork) -> None:
        effect("bad")(uow)
        raise WHY

    enqueue(hf, 2)
    good, spoilt = claim(hf, limit=2)
    with pytest.raises(RuntimeError):
        hf.jobs.settle("w", [(good, effect("good")), (spoilt, bad)])
    assert (effects(hf, "good"), effects(hf, "bad"), len(hf.jobs.listing(JobStatus.LEASED))) == (0, 0, 2)


def test_listing(hf: Holdfast) -> None:
    enqueue(hf, 5)
    claim(hf, limit=2)
    first = hf.jobs.listing(limit=3)
    rest = hf.jobs.listing(after=first[-1].id)
    assert numbers(first + rest) == [0, 1, 2, 3, 4]
    assert numbers(hf.jobs.listing(JobStatus.LEASED)) == [0, 1]
    for limit in (0, -1):
        with pytest.raises(InvalidInput):
            hf.jobs.listing(limit=limit)


def test_jobs_that_cannot_be_kept(hf: Holdfast, clock: FakeClock) -> None:
    wrong: list[dict[str, Any]] = [
        {"run_at": clock.now().replace(tzinfo=None)},
        {"payload": {"a": object()}},
        {"payload": {"a": float("nan")}},
    ]
    for fields in wrong:
        with pytest.raises(InvalidInput):
            enqueue(hf, 2, **fields)
    assert hf.jobs.listing() == []


def test_every_job_is_claimed_once(hf: Holdfast) -> None:
    enqueue(hf, 120)

    def work(worker: str) -> list[int]:
        done: list[int] = []
        choice = random.Random(worker)
        while jobs := claim(hf, worker, choice.randint(1, 7)):
            hf.jobs.settle(worker, [(job, effect(f"e{job.payload['n']}")) for job in jobs])
            done += numbers(jobs)
        return done

    with ThreadPoolExecutor(6) as pool:
        done = list(chain.from_iterable(pool.map(work, [f"w{number}" for number in range(6)])))
    # Who finds nothing, as others hold what is left, goes home: but nothing is left in the end.
    done += work("last")
    assert sorted(done) == list(range(120))
    assert [effects(hf, f"e{number}") for number in range(120)] == [1] * 120


def test_lost_jobs_are_taken_back_once(hf: Holdfast, clock: FakeClock, deed: Deed) -> None:
    enqueue(hf, 30)
    claim(hf, limit=30)
    clock.advance(LEASE + 1)
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda _: hf.jobs.take_back(), range(6)))
    assert sum(taken) == 30
    assert len(deed.told) >= 30
    assert {job.max_attempts - job.attempt for job in hf.jobs.listing(JobStatus.READY)} == {4}


def test_trouble_of_the_store_is_no_fault_of_the_job(
    hf: Holdfast, clock: FakeClock, deed: Deed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> bool:
        raise StoreUnavailable

    enqueue(hf)
    (job,) = claim(hf)
    clock.advance(LEASE + 1)
    monkeypatch.setattr(deed, "lost", away)
    for use in (hf.jobs.take_back, lambda: hf.jobs.fail(job, WHY), lambda: hf.jobs.give_back(job)):
        with pytest.raises(StoreUnavailable):
            use()
    assert hf.jobs.listing() == [job]


# Schedules.


def test_schedule(hf: Holdfast, clock: FakeClock) -> None:
    hf.jobs.schedule("s", "deed", 60, {"n": 1})
    assert hf.jobs.next_due(["deed"]) == 60
    assert hf.jobs.fire_schedules() == 0
    clock.advance(60)
    assert hf.jobs.fire_schedules() == 1
    assert hf.jobs.fire_schedules() == 0
    assert numbers(claim(hf)) == [1]
    # Three were missed: one is made up for, on the old grid.
    clock.advance(190)
    assert hf.jobs.fire_schedules() == 1
    (schedule,) = hf.jobs.schedules()
    assert schedule.next_at == clock.now() + timedelta(seconds=50)


def test_schedule_does_not_pile_up(hf: Holdfast, clock: FakeClock) -> None:
    hf.jobs.schedule("s", "deed", 60)
    for _ in range(3):
        clock.advance(60)
        hf.jobs.fire_schedules()
    assert len(hf.jobs.listing()) == 1


def test_schedule_that_is_put_again(hf: Holdfast, clock: FakeClock) -> None:
    """As at every start of a service: that must not put it off, and another interval counts from now on."""
    hf.jobs.schedule("s", "deed", 3600)
    clock.advance(3000)
    hf.jobs.schedule("s", "deed", 3600, {"n": 2})
    (schedule,) = hf.jobs.schedules()
    assert schedule.next_at == clock.now() + timedelta(seconds=600)
    assert schedule.payload == {"n": 2}
    hf.jobs.schedule("s", "deed", 60)
    assert hf.jobs.next_due(["deed"]) == 60
    hf.jobs.schedule("s", "deed", 7200)
    assert hf.jobs.next_due(["deed"]) == 60


def test_schedule_that_is_removed(hf: Holdfast, clock: FakeClock) -> None:
    hf.jobs.schedule("s", "deed", 60)
    assert hf.jobs.unschedule("s")
    assert not hf.jobs.unschedule("s")
    clock.advance(100)
    assert hf.jobs.fire_schedules() == 0


@pytest.mark.parametrize("every", [0, 0.5, -1, float("nan"), float("inf"), 1e300])
def test_intervals_that_make_no_sense(hf: Holdfast, every: float) -> None:
    with pytest.raises(InvalidInput):
        hf.jobs.schedule("s", "deed", every)


def test_schedules_fire_once_however_many_look(database: str, clock: FakeClock) -> None:
    stores = [open_holdfast(database, clock=clock) for _ in range(2)]
    try:
        for number in range(5):
            stores[0].jobs.schedule(f"s{number}", f"k{number}", 60 + number)
        for _ in range(4):
            clock.advance(65)
            barrier = threading.Barrier(4)

            def tick(number: int, barrier: threading.Barrier = barrier) -> int:
                barrier.wait()
                return stores[number % 2].jobs.fire_schedules()

            with ThreadPoolExecutor(4) as pool:
                assert sum(pool.map(tick, range(4))) == 5
            jobs = stores[0].jobs.claim("w", [f"k{number}" for number in range(5)], 100)
            assert len(jobs) == 5
            stores[0].jobs.settle("w", [(job, None) for job in jobs])
    finally:
        for store in stores:
            store.close()
