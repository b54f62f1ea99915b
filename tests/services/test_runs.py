import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from holdfast.analyzers.runs import RunEnd, RunKeeper
from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.errors import AnalyzerCrashed, HoldfastError, LeaseLost, StoreUnavailable
from holdfast.domain.jobs import JobStatus
from holdfast.domain.progress import Progress
from holdfast.services import GivenBack, runs
from holdfast.system import SystemClock
from holdfast.testing import FakeClock
from tests.services.samples import Held, begin, claim, ended, opened, run_handler
from tests.support.processes import wait_until

Play = Callable[[RunKeeper], RunEnd]


@pytest.fixture
def hf(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    with opened(database, clock, run_attempts=2) as hf:
        yield hf


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Play], None]:
    """Put something in the place of the process of a run."""

    def put(what: Play) -> None:
        monkeypatch.setattr(runs, "run_in_child", lambda *_, keeper, **__: what(keeper))

    return put


def crashed(keeper: RunKeeper) -> RunEnd:
    return RunEnd(status=Status.FAILED, error=ErrorInfo(code=AnalyzerCrashed.code, message="signal 9"))


def submit(hf: Holdfast) -> str:
    return hf.submit("sample", "here").analysis.analysis_id


def work(hf: Holdfast, lease: Held | None = None) -> None:
    """One job, from its claim to its end, as a worker does it."""
    job = claim(hf)
    try:
        effect = run_handler(hf).handle(job, lease or Held())
    except GivenBack:
        hf.jobs.give_back(job)
    except HoldfastError as error:
        hf.jobs.fail(job, error)
    else:
        hf.jobs.settle("w", [(job, effect)])


def events(hf: Holdfast, name: str) -> list[str]:
    return [entry.event.name.removeprefix("analysis.") for entry in hf.queries.events(name)]


def test_run_that_completes(hf: Holdfast, play: Callable[[Play], None]) -> None:
    name = submit(hf)

    def run(keeper: RunKeeper) -> RunEnd:
        keeper.save(f"analysis:{name}", {"k": b"v"})
        assert hf.get_analysis(name).status is Status.RUNNING
        return ended(Status.COMPLETED, [1, 2], 3)

    play(run)
    work(hf)
    assert (hf.get_result(name), len(hf.get_findings(name)), hf.get_metrics(name)) == ([1, 2], 3, {"found": 3})
    assert events(hf, name) == ["submitted", "started", "completed"]
    assert hf.store.read(lambda uow: uow.runs.load_checkpoints(f"analysis:{name}", ["k"])) == {}
    assert hf.jobs.listing() == []


def test_crash_is_repeated_and_then_told(hf: Holdfast, clock: FakeClock, play: Callable[[Play], None]) -> None:
    name = submit(hf)
    play(crashed)
    work(hf)
    assert hf.get_analysis(name).status is Status.QUEUED
    clock.advance(2)
    work(hf)
    value = hf.get_analysis(name)
    assert value.error is not None
    assert (value.status, value.error.code, value.attempt) == (Status.FAILED, "ANALYZER_CRASHED", 2)
    assert events(hf, name) == ["submitted", "started", "interrupted", "started", "failed"]
    assert hf.jobs.listing() == []
    assert [attempt.status for attempt in hf.queries.attempts(name)] == [Status.QUEUED, Status.FAILED]


def test_drained_run_is_given_back(hf: Holdfast, play: Callable[[Play], None]) -> None:
    name = submit(hf)
    for _ in range(4):
        play(lambda keeper: ended(Status.CANCELLED, "partial") if keeper.stop_asked() else crashed(keeper))
        work(hf, Held(draining=True))
        assert hf.get_analysis(name).status is Status.QUEUED
    play(lambda keeper: ended(Status.COMPLETED, 1))
    work(hf)
    assert hf.get_analysis(name).status is Status.COMPLETED


def test_run_that_gives_up_by_itself_has_ended(hf: Holdfast, play: Callable[[Play], None]) -> None:
    """Nobody asked it to stop: to give it back would run it again and again."""
    name = submit(hf)
    play(lambda keeper: ended(Status.CANCELLED, "partial"))
    work(hf)
    assert hf.get_analysis(name).status is Status.CANCELLED
    assert hf.jobs.listing() == []


def test_cancelled_run_hears_of_it(hf: Holdfast, play: Callable[[Play], None]) -> None:
    name = submit(hf)

    def run(keeper: RunKeeper) -> RunEnd:
        assert not keeper.stop_asked()
        hf.cancel_analysis(name)
        wait_until(keeper.stop_asked, 60, "the run to hear of it")
        return ended(Status.CANCELLED, "partial", 2)

    play(run)
    work(hf)
    assert (hf.get_analysis(name).status, hf.get_result(name)) == (Status.CANCELLED, "partial")


@pytest.mark.parametrize("then", ["resumed", "lost", "drained", "crashed"])
def test_request_to_stop_is_met_once(hf: Holdfast, clock: FakeClock, play: Callable[[Play], None], then: str) -> None:
    """Whatever becomes of the run that should stop, it does not begin again by itself."""
    name = submit(hf)
    job, _ = begin(hf)
    hf.cancel_analysis(name)
    if then == "lost":
        clock.advance(1000)
        hf.jobs.take_back()
    elif then == "drained":
        hf.jobs.give_back(job)
    else:
        hf.jobs.fail(job, AnalyzerCrashed())
    assert hf.get_analysis(name).status is Status.CANCELLED
    assert hf.jobs.listing() == []
    if then == "resumed":
        hf.resume_analysis(name)
        play(lambda keeper: ended(Status.CANCELLED if keeper.stop_asked() else Status.COMPLETED, 1))
        work(hf)
        assert hf.get_analysis(name).status is Status.COMPLETED


def test_deleted_run_stops(hf: Holdfast, play: Callable[[Play], None]) -> None:
    name = submit(hf)

    def run(keeper: RunKeeper) -> RunEnd:
        keeper.save(f"analysis:{name}", {"before": b"v"})
        hf.delete_analysis(name, purge=True)
        assert keeper.stop_asked()
        with pytest.raises(LeaseLost):
            keeper.save(f"analysis:{name}", {"k": b"v"})
        with pytest.raises(LeaseLost):
            keeper.progressed(Progress(phase="p", started_at=hf._clock.now(), updated_at=hf._clock.now()))
        return ended(Status.COMPLETED, "late", 1)

    play(run)
    work(hf)
    assert hf.get_stats().total_results == 0
    assert hf.jobs.listing() == []
    with hf.engine.read() as connection:
        for table in ("payloads", "findings", "checkpoints", "progress", "attempts"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0


def test_run_whose_lease_is_lost_leaves_no_trace(hf: Holdfast, clock: FakeClock, play: Callable[[Play], None]) -> None:
    name = submit(hf)
    lease = Held()

    def run(keeper: RunKeeper) -> RunEnd:
        clock.advance(1000)
        hf.jobs.take_back()
        job, _ = begin(hf, "other")
        assert job.attempt == 2
        with pytest.raises(LeaseLost):
            keeper.save(f"analysis:{name}", {"k": b"mine"})
        lease.is_lost = True
        with pytest.raises(LeaseLost):
            keeper.stop_asked()
        return ended(Status.COMPLETED, "mine")

    play(run)
    job = claim(hf)
    effect = run_handler(hf).handle(job, lease)
    hf.jobs.settle("w", [(job, effect)])
    assert hf.get_analysis(name).status is Status.RUNNING
    assert [job.lease_owner for job in hf.jobs.listing()] == ["other"]


def test_job_without_its_analysis_is_dropped(hf: Holdfast, play: Callable[[Play], None]) -> None:
    name = submit(hf)
    with hf.engine.read():
        pass
    hf.engine.write(lambda c: c.exec_driver_sql("DELETE FROM analyses").close())
    play(crashed)
    work(hf)
    assert hf.jobs.listing() == []
    assert events(hf, name) == ["submitted"]


@pytest.mark.parametrize("error", [AnalyzerCrashed(path={1, 2}, text="caf\udce9"), HoldfastError("caf\udce9\0")])
def test_errors_that_json_cannot_say(
    hf: Holdfast, clock: FakeClock, error: HoldfastError, play: Callable[[Play], None]
) -> None:
    name = submit(hf)

    def run(keeper: RunKeeper) -> RunEnd:
        raise error

    play(run)
    for _ in range(2):
        if hf.jobs.listing(JobStatus.READY):
            work(hf)
            clock.advance(1000)
    value = hf.get_analysis(name)
    assert value.error is not None
    assert (value.status, value.error.code) == (Status.FAILED, error.code)
    assert hf.jobs.listing() == []


# In processes of their own, with a worker.


@contextmanager
def real(database: str, **options: Any) -> Iterator[Holdfast]:
    with opened(database, SystemClock(), **options) as hf:
        yield hf


def test_analyze(database: str) -> None:
    with real(database) as hf:
        analysis = hf.analyze("sample", "here", params={"a": [1]})
        assert (analysis.status, analysis.summary) == (Status.COMPLETED, "Looked at here")
        assert hf.get_result(analysis.analysis_id) == {"a": [1]}
        assert events(hf, analysis.analysis_id) == ["submitted", "started", "entered_phase", "completed"]
        assert hf.submit("sample", "here", params={"a": [1]}).reused


def test_store_that_is_away_for_a_moment_does_not_end_the_run(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with real(database) as hf:
        left = {"write": 3, "read": 3}
        running = threading.Event()

        def failing(name: str) -> Callable[..., object]:
            actual = getattr(hf.store, name)

            def call(work: Callable[..., object]) -> object:
                if running.is_set() and left[name] and threading.current_thread().name.startswith("holdfast-job"):
                    left[name] -= 1
                    raise StoreUnavailable
                return actual(work)

            return call

        handler = run_handler(hf)
        start = handler._run

        def run(*args: Any) -> RunEnd:
            running.set()
            return start(*args)

        monkeypatch.setattr(handler, "_run", run)
        for name in left:
            monkeypatch.setattr(hf.store, name, failing(name))
        analysis = hf.analyze("sample", "here")
        assert (analysis.status, analysis.attempt) == (Status.COMPLETED, 1)


def test_wait(database: str) -> None:
    with real(database) as hf:
        name = submit(hf)
        with pytest.raises(TimeoutError):
            hf.wait(name, timeout=0.1)
        hf.cancel_analysis(name)
        assert hf.wait(name, timeout=0.1).status is Status.CANCELLED
