"""Analyses that run inside the caller's own process: ``hf.track``."""

import contextvars
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

import holdfast
from holdfast import Finding, Holdfast, Severity, Status, Subject
from holdfast.domain.errors import (
    AnalysisCancelled,
    AnalysisNotFound,
    IllegalMove,
    InvalidInput,
    InvalidParams,
    NoCurrentRun,
    StoreUnavailable,
    UnknownDocument,
)
from tests.support.processes import spawn_python, wait_until


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with holdfast.open(database, lease_seconds=1) as opened:
        yield opened


def events_of(hf: Holdfast, analysis_id: str) -> list[str]:
    return [entry.event.name for entry in hf.queries.events(analysis_id)]


def test_everything_is_kept(hf: Holdfast) -> None:
    subject = Subject(kind="shop", key="berlin", revision="7")
    with hf.track("nightly-report", subject=subject, params={"day": 1}, tags=["b", "a"]) as run:
        assert hf.get_analysis(run.analysis_id).status is Status.RUNNING
        run.phase("Loading", total=2)
        run.advance(message="first")
        run.advance(found=2)
        run.finding("shop/empty", "high", "Nothing sold", data={"till": 3})
        run.findings.append(Finding(rule="shop/late", severity=Severity.LOW, title="Late"))
        run.metric("rows", 12)
        run.summary = "Twelve rows."
        run.result = {"rows": [1, 2], "none": None}
    analysis = hf.get_analysis(run.analysis_id)
    assert analysis == run.analysis
    assert analysis.status is Status.COMPLETED
    assert (analysis.subject, analysis.params, analysis.tags) == (subject, {"day": 1}, ("a", "b"))
    assert (analysis.summary, analysis.finding_count, analysis.attempt) == ("Twelve rows.", 2, 1)
    assert hf.get_result(run.analysis_id) == {"rows": [1, 2], "none": None}
    assert [finding.rule for finding in hf.get_findings(run.analysis_id)] == ["shop/empty", "shop/late"]
    assert hf.get_metrics(run.analysis_id) == {"rows": 12.0}
    progress = hf.get_analysis_progress(run.analysis_id)
    assert progress is not None
    assert (progress.percentage, progress.items_processed, progress.groups_found) == (100.0, 2, 4)
    assert events_of(hf, run.analysis_id) == ["analysis.started", "analysis.entered_phase", "analysis.completed"]
    assert [attempt.status for attempt in hf.queries.attempts(run.analysis_id)] == [Status.COMPLETED]
    assert hf.jobs.listing() == []
    assert hf.get_stats().status_counts == {"completed": 1}


def test_no_result_is_kept_as_null(hf: Holdfast) -> None:
    with hf.track("quiet") as run:
        pass
    assert run.analysis.status is Status.COMPLETED
    assert hf.get_result(run.analysis_id) is None


def test_declared_phases_make_one_percentage(hf: Holdfast) -> None:
    with hf.track("phased", phases=["First", holdfast.Phase(name="Second", weight=3)]) as run:
        run.phase("First", total=2)
        run.advance(2)
        run.phase("Second", total=3)
        run.advance()
        seen = (progress for _, progress in hf.watch(run.analysis_id, timeout=30) if progress is not None)
        progress = next(progress for progress in seen if progress.items_processed == 1)
        assert (progress.phase, progress.current_step, progress.total_steps) == ("Second", 2, 2)
        assert progress.percentage == pytest.approx(50)


def test_a_failure_is_kept_with_its_traceback_and_its_partial_result(hf: Holdfast) -> None:
    with pytest.raises(ZeroDivisionError), hf.track("failing") as run:
        run.result = {"half": True}
        run.metric("rows", 1)
        1 / 0  # noqa: B018 that is what fails
    analysis = hf.get_analysis(run.analysis_id)
    assert analysis.status is Status.FAILED
    assert analysis.error is not None
    assert analysis.error.code == "FUNCTION_FAILED"
    assert analysis.error.message == "ZeroDivisionError: division by zero"
    assert analysis.error.details["type"] == "ZeroDivisionError"
    assert "1 / 0" in analysis.error.details["traceback"]
    assert analysis.result_is_partial
    assert hf.get_result(run.analysis_id) == {"half": True}
    assert hf.get_metrics(run.analysis_id) == {"rows": 1.0}
    assert hf.jobs.listing() == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AnalysisNotFound("gone", analysis_id="x", what=object()), Status.FAILED, "ANALYSIS_NOT_FOUND"),
        (SystemExit(3), Status.FAILED, "FUNCTION_FAILED"),
        (OSError("caf\udce9"), Status.FAILED, "FUNCTION_FAILED"),
        (AnalysisCancelled(analysis_id="of-another-run"), Status.FAILED, "ANALYSIS_CANCELLED"),
        (AnalysisCancelled(), Status.CANCELLED, "ANALYSIS_CANCELLED"),
        (KeyboardInterrupt(), Status.CANCELLED, "ANALYSIS_CANCELLED"),
    ],
    ids=repr,
)
def test_how_errors_are_kept(hf: Holdfast, error: BaseException, status: Status, code: str) -> None:
    with pytest.raises(type(error)) as raised, hf.track("failing") as run:
        raise error
    assert raised.value is error
    assert not hasattr(error, "__notes__")
    assert run.analysis.status is status
    assert run.analysis.error is not None
    assert run.analysis.error.code == code


def test_a_result_that_is_not_json_fails_visibly(hf: Holdfast) -> None:
    with pytest.raises(UnknownDocument, match=r"nan"), hf.track("nan") as run:
        run.result = [float("nan")]
    analysis = hf.get_analysis(run.analysis_id)
    assert (analysis.status, analysis.error and analysis.error.code) == (Status.FAILED, "NOT_JSON")
    assert hf.jobs.listing() == []


def test_cancelled_from_elsewhere(hf: Holdfast) -> None:
    with pytest.raises(AnalysisCancelled), hf.track("endless") as run:
        hf.cancel_analysis(run.analysis_id)
        for _ in range(3000):
            run.advance()
            time.sleep(0.01)
    assert run.analysis.status is Status.CANCELLED
    assert hf.get_analysis(run.analysis_id).status is Status.CANCELLED


def test_a_deleted_run_stops(hf: Holdfast) -> None:
    with pytest.raises(AnalysisCancelled) as raised, hf.track("endless") as run:
        hf.delete_analysis(run.analysis_id, purge=True)
        for _ in range(3000):
            run.check()
            time.sleep(0.01)
    assert "no longer" in str(raised.value.__notes__) or "deleted" in str(raised.value.__notes__)
    assert hf.jobs.listing() == []


def test_a_run_in_the_trash_stops_and_can_be_restored(hf: Holdfast) -> None:
    with pytest.raises(AnalysisCancelled), hf.track("endless") as run:
        run.save("part", 1)
        hf.delete_analysis(run.analysis_id)
        for _ in range(3000):
            run.check()
            time.sleep(0.01)
    assert hf.restore_analysis(run.analysis_id).status is Status.CANCELLED
    assert hf.jobs.listing() == []


def test_deletion_drops_the_checkpoints(hf: Holdfast) -> None:
    for purge in (False, True):
        with pytest.raises(ValueError, match="it"), hf.track("stops") as run:
            run.save("part", 1)
            raise ValueError("it")
        hf.delete_analysis(run.analysis_id, purge=purge)
        with hf.track("stops") as run:
            assert run.saved("part") is None
            run.result = 1


def test_reuse_in_a_block(hf: Holdfast) -> None:
    def once() -> tuple[bool, Any]:
        with hf.track("square", params={"n": 3}, reuse=True) as run:
            if not run.reused:
                run.result = 9
        return run.reused, run.result

    assert [once(), once()] == [(False, 9), (True, 9)]
    with hf.track("square", params={"n": 3}, reuse=True, version="2") as run:
        assert not run.reused
    other = holdfast.Context(client_session_id="somebody-else")
    with hf.track("square", params={"n": 3}, reuse=True, context=other) as run:
        assert not run.reused
    with hf.track("square", params={"n": 3}) as run:
        assert not run.reused


def test_checkpoints_are_there_for_the_next_run_until_one_completes(hf: Holdfast) -> None:
    with pytest.raises(RuntimeError), hf.track("steps", params={"n": 1}) as run:
        assert run.saved("half") is None
        run.save("half", {"rows": [1, 2]})
        run.save("raw", b"\0\xff")
        raise RuntimeError
    with hf.track("steps", params={"n": 2}) as run:
        assert run.saved("half") is None
    with hf.track("steps", params={"n": 1}, context=holdfast.Context(client_session_id="x")) as run:
        assert run.saved("half") is None
    with hf.track("steps", params={"n": 1}) as run:
        assert (run.saved("half"), run.saved("raw")) == ({"rows": [1, 2]}, b"\0\xff")
    with hf.track("steps", params={"n": 1}) as run:
        assert run.saved("half") is None


def test_a_block_that_ended_in_another_context_is_nobodys_current_run(hf: Holdfast) -> None:
    with hf.track("outer") as outer:
        run = hf.track("inner")
        run.__enter__()
        assert holdfast.current() is run
        contextvars.copy_context().run(run.__exit__, None, None, None)
        assert holdfast.current() is outer
    with pytest.raises(NoCurrentRun):
        holdfast.current()


def test_misuse_is_told(hf: Holdfast) -> None:
    with pytest.raises(NoCurrentRun):
        holdfast.current()
    with pytest.raises(InvalidInput, match="no kind"), hf.track("No Kind"):
        pass
    with pytest.raises(InvalidParams), hf.track("bad", params={"x": object()}):
        pass
    run = hf.track("once")
    for call in (run.check, run.advance, lambda: run.analysis, lambda: run.save("k", 1), lambda: run.saved("k")):
        with pytest.raises(IllegalMove):
            call()
    with run:
        assert holdfast.current() is run
        with pytest.raises(InvalidInput):
            run.metric("rows", float("inf"))
        with pytest.raises(InvalidInput):
            run.finding("r", "dreadful", "t")
        with hf.track("inner") as inner:
            assert holdfast.current() is inner
        assert holdfast.current() is run
    with pytest.raises(IllegalMove), run:
        pass


def test_threads_report_on_one_run(hf: Holdfast) -> None:
    with hf.track("threads") as run:
        run.phase("Counting", total=800)

        def count() -> None:
            for _ in range(100):
                run.advance()

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    progress = hf.get_analysis_progress(run.analysis_id)
    assert progress is not None
    assert progress.items_processed == 800


def test_the_lease_is_renewed_and_the_thread_ends(hf: Holdfast) -> None:
    def leased_until() -> datetime:
        (job,) = hf.jobs.listing()
        assert job.lease_until is not None
        return job.lease_until

    with hf.track("long") as run:
        first = leased_until()
        wait_until(lambda: leased_until() > first + timedelta(seconds=2), 60, "a lease that outlives the first one")
    assert run.analysis.status is Status.COMPLETED

    def is_speaking() -> bool:
        return any(thread.name == "holdfast-tracker" for thread in threading.enumerate())

    wait_until(lambda: not is_speaking(), 60, "the end of the tracker's thread")
    with hf.track("again"):
        assert is_speaking()


def test_a_result_is_kept_though_the_lease_was_lost(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a laptop that slept: nobody heard of the process, and a worker told its end.
    monkeypatch.setattr(hf.tracker.service, "beat", lambda reports: None)
    with hf.track("slept", params={"n": 1}, tags=["t"]) as run:
        run.finding("r", "low", "t")
        begun = run.analysis_id
        wait_until(hf.jobs.take_back, 30, "the end of the lease")
        lost = hf.get_analysis(begun)
        assert (lost.status, lost.error and lost.error.code) == (Status.FAILED, "PROCESS_LOST")
        run.result = "worth an hour"
    assert run.analysis_id != begun
    kept = hf.get_analysis(run.analysis_id)
    assert (kept.status, kept.refreshed_from, kept.tags) == (Status.COMPLETED, begun, ("t",))
    assert kept.fingerprint == lost.fingerprint
    assert hf.get_result(run.analysis_id) == "worth an hour"
    assert len(hf.get_findings(run.analysis_id)) == 1
    assert hf.get_analysis(begun).status is Status.FAILED
    assert hf.jobs.listing() == []


def test_when_the_store_is_away_the_end_is_told_later(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    service = hf.tracker.service

    def away(*args: Any) -> Any:
        raise StoreUnavailable

    with pytest.raises(ValueError, match="mine") as raised, hf.track("unlucky") as run:
        monkeypatch.setattr(service, "end", away)
        raise ValueError("mine")
    assert "STORE_UNAVAILABLE" in raised.value.__notes__[0]
    with pytest.raises(StoreUnavailable), hf.track("unlucky-too") as other:
        monkeypatch.setattr(service, "end", away)
    monkeypatch.undo()
    for analysis_id in (run.analysis_id, other.analysis_id):
        wait_until(lambda name=analysis_id: hf.get_analysis(name).status is Status.FAILED, 60, "its end")  # type: ignore[misc]
    assert hf.jobs.listing() == []


def test_closing_ends_what_still_runs(database: str) -> None:
    with holdfast.open(database) as hf:
        run = hf.track("abandoned")
        # In a context of its own, where it may stay the current one.
        contextvars.copy_context().run(run.__enter__)
    with holdfast.open(database) as hf:
        analysis = hf.get_analysis(run.analysis_id)
    assert (analysis.status, analysis.error and analysis.error.code) == (Status.FAILED, "PROCESS_LOST")


_ELSEWHERE = """
import sys, time, holdfast
with holdfast.open(sys.argv[1], lease_seconds=1) as hf:
    with hf.track("elsewhere", params={"n": 1}) as run:
        run.save("half", [1, 2])
        run.phase("Counting", total=1000)
        run.advance(250, message="a quarter")
        print(run.analysis_id, flush=True)
        time.sleep(600)
"""


def test_progress_is_seen_elsewhere_and_a_killed_process_is_noticed(hf: Holdfast, database: str) -> None:
    process = spawn_python(_ELSEWHERE, database)
    try:
        assert process.stdout is not None
        analysis_id = process.stdout.readline().strip()
        for analysis, progress in hf.watch(analysis_id, timeout=30):
            if progress is not None and progress.items_processed:
                assert analysis.status is Status.RUNNING
                assert (progress.phase, progress.percentage, progress.current_message) == ("Counting", 25, "a quarter")
                break
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    finally:
        process.kill()
        process.communicate()
    with hf.working():
        lost = hf.wait(analysis_id, timeout=30)
    assert (lost.status, lost.error and lost.error.code) == (Status.FAILED, "PROCESS_LOST")
    assert hf.jobs.listing() == []
    with hf.track("elsewhere", params={"n": 1}) as run:
        assert run.saved("half") == [1, 2]


def test_without_a_worker_the_next_run_notices(hf: Holdfast, database: str) -> None:
    process = spawn_python(_ELSEWHERE, database)
    try:
        assert process.stdout is not None
        analysis_id = process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()
    time.sleep(1.1)
    with hf.track("something-else"):
        assert hf.get_analysis(analysis_id).status is Status.FAILED


def test_a_lost_run_that_was_cancelled_counts_as_cancelled(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf.tracker.service, "beat", lambda reports: None)
    with hf.track("slept") as run:
        hf.cancel_analysis(run.analysis_id)
        wait_until(hf.jobs.take_back, 30, "the end of the lease")
        assert hf.get_analysis(run.analysis_id).status is Status.CANCELLED


def test_watch_ends_with_the_analysis(hf: Holdfast) -> None:
    with hf.track("watched") as run:
        with pytest.raises(TimeoutError):
            list(hf.watch(run.analysis_id, timeout=0.1))
        seen: list[Any] = []
        watcher = threading.Thread(target=lambda: seen.extend(hf.watch(run.analysis_id)))
        watcher.start()
        run.phase("One", total=2)
        wait_until(lambda: any(progress.phase == "One" for _, progress in seen), 60, "the phase")
    watcher.join(60)
    assert [analysis.status for analysis, _ in seen][-1] is Status.COMPLETED
    assert seen[-1][1].percentage == 100
    with pytest.raises(AnalysisNotFound):
        next(hf.watch("nothing"))
