import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.errors import StoreUnavailable
from holdfast.domain.events import Event
from holdfast.domain.jobs import Job, JobStatus, NewJob
from holdfast.services import Effect, GivenBack, Lease
from holdfast.store.unit_of_work import UnitOfWork
from holdfast.worker import Worker
from tests.support.processes import wait_until

Work = Callable[[Job, Lease], Effect | None]


class Doer:
    """A handler that does what it is given, and remembers what it was told."""

    def __init__(self, kind: str, work: Work, *, is_long: bool = False, keeps_dead: bool = True) -> None:
        self.kind = kind
        self.is_long = is_long
        self.done: list[int] = []
        self.told: list[tuple[str, bool]] = []
        self._work = work
        self._keeps_dead = keeps_dead

    def handle(self, job: Job, lease: Lease) -> Effect | None:
        self.done.append(job.payload.get("n", 0))
        return self._work(job, lease)

    def has_done(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.done) == count

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        self.told.append((error.code, dead))
        return self._keeps_dead


def note(job: Job) -> Effect:
    """An effect that can be counted."""
    event = Event(name="job.retried", at=job.created_at, analysis_id=f"note{job.payload.get('n', 0)}", actor=job.kind)
    return lambda uow: uow.ledger.append([event])


def noted(hf: Holdfast, number: int = 0) -> int:
    return len(hf.queries.events(f"note{number}"))


def fails(job: Job, lease: Lease) -> None:
    raise RuntimeError("poison")


def notes(job: Job, lease: Lease) -> Effect:
    return note(job)


def with_bad_effect(job: Job, lease: Lease) -> Effect:
    def effect(uow: UnitOfWork) -> None:
        note(job)(uow)
        raise RuntimeError("bad effect")

    return effect


@contextmanager
def opened(database: str, *handlers: Doer, lease_seconds: float = 30) -> Iterator[Holdfast]:
    with open_holdfast(database, handlers=handlers, lease_seconds=lease_seconds) as hf:
        yield hf


def enqueue(hf: Holdfast, kind: str, count: int = 1, most: int = 5) -> None:
    hf.jobs.enqueue([NewJob(kind=kind, payload={"n": number}, max_attempts=most) for number in range(count)])


@contextmanager
def working(worker: Worker) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


def test_until_idle_does_all_that_is_due(database: str) -> None:
    short, long = Doer("short", notes), Doer("long", notes, is_long=True)
    with opened(database, short, long) as hf:
        enqueue(hf, "short", 250)
        enqueue(hf, "long", 3)
        hf.jobs.enqueue([NewJob(kind="unknown")])
        assert hf.worker(concurrency=2).run(until_idle=True) == 253
        assert sorted(short.done) == list(range(250))
        assert sorted(long.done) == [0, 1, 2]
        assert [noted(hf, number) for number in (0, 1, 249)] == [2, 2, 1]
        assert [job.kind for job in hf.jobs.listing()] == ["unknown"]
        assert hf.worker().run(until_idle=True) == 0


def test_poison_does_not_hold_others_up(database: str) -> None:
    poison, effect, good = Doer("poison", fails), Doer("effect", with_bad_effect), Doer("good", notes)
    with opened(database, poison, effect, good) as hf:
        for kind in ("poison", "effect", "good"):
            enqueue(hf, kind, 3, most=1)
        assert hf.worker().run(until_idle=True) == 3
        assert sorted(good.done) == [0, 1, 2]
        # Its effect is nothing at all: what it wrote before it failed is gone.
        assert [noted(hf, number) for number in range(3)] == [1, 1, 1]
        dead = hf.jobs.listing(JobStatus.DEAD)
        assert sorted(job.kind for job in dead) == ["effect"] * 3 + ["poison"] * 3
        assert {job.last_error for job in dead} == {
            "UNEXPECTED_ERROR: RuntimeError: poison",
            "UNEXPECTED_ERROR: RuntimeError: bad effect",
        }
        assert poison.told == effect.told == [("UNEXPECTED_ERROR", True)] * 3


def test_job_that_fails_is_repeated_later(database: str) -> None:
    poison = Doer("poison", fails)
    with opened(database, poison) as hf:
        enqueue(hf, "poison", most=2)
        assert hf.worker().run(until_idle=True) == 0
        (job,) = hf.jobs.listing()
        assert (job.status, job.attempt) == (JobStatus.READY, 1)
        assert poison.told == [("UNEXPECTED_ERROR", False)]
        with working(hf.worker()):
            wait_until(lambda: hf.jobs.listing(JobStatus.DEAD), 60, "its second attempt")


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("how", ["fails", "lease ends"])
def test_handler_that_fails_to_hear_of_a_loss_holds_nobody_up(database: str, is_long: bool, how: str) -> None:
    class Deaf(Doer):
        def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
            note(job)(uow)
            raise RuntimeError("deaf")

    deaf, good = Deaf("deaf", fails, is_long=is_long), Doer("good", notes)
    with opened(database, deaf, good, lease_seconds=1) as hf:
        enqueue(hf, "deaf")
        if how == "lease ends":
            hf.jobs.claim("gone", ["deaf"], 1)
        with working(hf.worker()):
            wait_until(lambda: hf.jobs.listing(JobStatus.DEAD), 60, "the job to be put aside")
            enqueue(hf, "good")
            wait_until(lambda: good.done, 60, "the other job")
            wait_until(lambda: len(hf.jobs.listing()) == 1, 60, "its end")
        (job,) = hf.jobs.listing()
        assert "deaf" in str(job.last_error)
        assert [entry.event.actor for entry in hf.queries.events("note0")] == ["good"]


def test_error_that_no_database_can_keep(database: str, caplog: pytest.LogCaptureFixture) -> None:
    # Nor can pytest's own reports hold it.
    caplog.set_level(logging.CRITICAL, "holdfast")

    def fails_strangely(job: Job, lease: Lease) -> None:
        raise RuntimeError("caf\udce9\0")

    strange = Doer("strange", fails_strangely)
    with opened(database, strange) as hf:
        enqueue(hf, "strange", most=1)
        hf.worker().run(until_idle=True)
        (job,) = hf.jobs.listing(JobStatus.DEAD)
        assert "caf" in str(job.last_error)


@pytest.mark.parametrize("is_long", [False, True])
def test_drain(database: str, is_long: bool) -> None:
    started = threading.Event()

    def works(job: Job, lease: Lease) -> Effect:
        started.set()
        while not lease.draining():
            time.sleep(0.01)
        raise GivenBack

    doer = Doer("doer", works, is_long=is_long)
    with opened(database, doer) as hf:
        enqueue(hf, "doer", 5)
        worker = hf.worker()
        with working(worker) as thread:
            assert started.wait(60)
            began = time.monotonic()
            worker.stop()
            thread.join(60)
            assert time.monotonic() - began < 2
        jobs = hf.jobs.listing(JobStatus.READY)
        assert len(jobs) == 5
        # Attempts that were given back do not count.
        assert all(job.max_attempts - job.attempt == 5 for job in jobs)
        assert {code for code, _ in doer.told} == {"WORKER_DRAINED"}


def test_idle_worker_stops_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_holdfast(database, process_interval=600) as hf:
        worker, wait = hf.worker(), hf.store.bell.wait
        since: list[float] = []

        def noted(count: int, seconds: float) -> None:
            since.append(time.monotonic())
            wait(count, seconds)
            since.clear()

        monkeypatch.setattr(hf.store.bell, "wait", noted)
        with working(worker) as thread:
            # At first it is woken by what is done at the start, and by its own first look at the database.
            wait_until(lambda: any(time.monotonic() - begun > 3 for begun in since), 60, "it to be idle")
            began = time.monotonic()
            worker.stop()
            thread.join(60)
            assert time.monotonic() - began < 2


def test_new_job_begins_at_once(database: str) -> None:
    good = Doer("good", notes)
    with opened(database, good) as hf, opened(database) as other:
        worker = hf.worker()
        # By itself it would not look within this test.
        worker.idle_seconds = 600
        with working(worker):
            wait_until(lambda: hf.jobs.counts() == {}, 60, "it to run")
            waits = []
            for count in range(1, 6):
                began = time.monotonic()
                enqueue(other, "good")
                wait_until(good.has_done(count), 60, "the job")
                waits.append(time.monotonic() - began)
            # The median: a busy machine may hold one of them up.
            assert sorted(waits)[2] < 0.5


def test_delayed_job_begins_in_time(database: str) -> None:
    good = Doer("good", notes)
    with opened(database, good) as hf, working(hf.worker()):
        hf.store.write(
            lambda uow: uow.jobs.enqueue([NewJob(kind="good", run_at=uow.now.replace(microsecond=0))], uow.now)
        )
        wait_until(lambda: good.done, 60, "the job")


def test_lost_lease_stops_the_work(database: str) -> None:
    began, seen = threading.Event(), threading.Event()

    def works(job: Job, lease: Lease) -> Effect:
        began.set()
        deadline = time.monotonic() + 60
        while not lease.lost() and time.monotonic() < deadline:
            time.sleep(0.01)
        if lease.lost():
            seen.set()
        return note(job)

    doer = Doer("doer", works, is_long=True)
    with opened(database, doer, lease_seconds=1) as hf:
        enqueue(hf, "doer")
        with working(hf.worker()):
            assert began.wait(60)
            (job,) = hf.jobs.listing()
            hf.store.write(lambda uow: uow.jobs.drop(job.id))
            assert seen.wait(60)
    with opened(database) as hf:
        assert noted(hf) == 0


def test_busy_worker_keeps_its_lease(database: str) -> None:
    go = threading.Event()

    def works(job: Job, lease: Lease) -> Effect:
        assert go.wait(30)
        return note(job)

    doer = Doer("doer", works, is_long=True)
    with opened(database, doer, lease_seconds=1) as hf, working(hf.worker()):
        enqueue(hf, "doer")
        wait_until(lambda: doer.done, 60, "it to begin")
        (first,) = hf.jobs.listing()
        assert first.lease_until is not None
        wait_until(lambda: hf.jobs.listing()[0].lease_until > first.lease_until, 60, "a heartbeat")  # type: ignore[operator]
        go.set()
        wait_until(lambda: not hf.jobs.listing(), 60, "its end")
        assert noted(hf) == 1
        assert doer.done == [0]


def test_job_that_the_worker_forgot_comes_back(database: str) -> None:
    """The answer to a claim is lost: the worker's heart must not keep the job alive."""
    go = threading.Event()

    def works(job: Job, lease: Lease) -> Effect:
        assert go.wait(30)
        return note(job)

    busy, good = Doer("busy", works, is_long=True), Doer("good", notes)
    with opened(database, busy, lease_seconds=1) as hf, opened(database, good, lease_seconds=1) as other:
        enqueue(hf, "busy")
        enqueue(hf, "good")
        worker = hf.worker()
        hf.jobs.claim(worker.name, ["good"], 1)
        with working(worker), working(other.worker()):
            wait_until(lambda: good.done, 60, "the job to come back")
            go.set()


@pytest.mark.parametrize("is_long", [False, True])
def test_store_that_is_away_for_a_while(
    database: str, is_long: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever the store fails the worker, it goes on when the store is back, and every job is done once."""
    caplog.set_level(logging.CRITICAL, "holdfast")
    doer = Doer("doer", notes, is_long=is_long)
    with opened(database, doer, lease_seconds=1) as hf:
        enqueue(hf, "doer", 4)
        away = {"settle": 2, "fail": 1, "claim": 1, "take_back": 1, "next_due": 1, "heartbeat": 1}

        def failing(name: str) -> Callable[..., object]:
            real = getattr(hf.jobs, name)

            def call(*args: object, **options: object) -> object:
                if away[name]:
                    away[name] -= 1
                    raise StoreUnavailable
                return real(*args, **options)

            return call

        for name in away:
            monkeypatch.setattr(hf.jobs, name, failing(name))
        with working(hf.worker(concurrency=2)):
            wait_until(lambda: [noted(hf, number) for number in range(4)] == [1] * 4, 30, "all the jobs")
            wait_until(lambda: not hf.jobs.listing(), 60, "their end")
        assert away["settle"] == away["claim"] == away["take_back"] == 0


def test_worker_counts_only_what_it_finished(database: str) -> None:
    def gives_back(job: Job, lease: Lease) -> None:
        raise GivenBack

    long = Doer("long", fails, is_long=True)
    with opened(database, long, Doer("effect", with_bad_effect)) as hf:
        enqueue(hf, "long", most=1)
        enqueue(hf, "effect", most=1)
        assert hf.worker().run(until_idle=True) == 0


def test_worker_sees_what_waited_for_an_end_that_it_missed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first job ends just after the worker has looked, and found no thread free for the second one."""
    may_end = threading.Event()

    def waits(job: Job, lease: Lease) -> None:
        may_end.wait(30)

    with opened(database, Doer("long", waits, is_long=True)) as hf:
        enqueue(hf, "long", 2)
        worker = hf.worker(concurrency=1)
        step = worker._step

        def ends_after(threads: list[threading.Thread]) -> bool:
            busy = step(threads)
            if not busy:
                may_end.set()
                for thread in threads:
                    thread.join(30)
            return busy

        monkeypatch.setattr(worker, "_step", ends_after)
        assert worker.run(until_idle=True) == 2
