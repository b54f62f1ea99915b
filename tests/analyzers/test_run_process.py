"""The life of a run, with real processes."""

import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from holdfast.analyzers.pools import SpreadSettings
from holdfast.domain.analysis import Status
from holdfast.domain.errors import LeaseLost
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.progress import Progress
from tests.analyzers.keepers import ALONE, AT_ONCE, MemoryKeeper, alive, lines, run, wait_until
from tests.support.processes import is_alive


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_a_run_completes_with_its_progress_in_order() -> None:
    keeper = MemoryKeeper()
    end = run("Steps", keeper)
    assert end.status is Status.COMPLETED
    assert end.error is None
    assert end.report is not None
    assert end.report.payload == '{"a":"ü","b":[1,null]}'.encode()
    assert (end.report.summary, end.report.metrics) == ("done", {"m": 1.0})
    assert end.report.findings == [
        Finding(rule="r", severity=Severity.LOW, title=f"t{n}", score=n / 3) for n in range(1234)
    ]
    seen = keeper.progress
    assert [progress.percentage for progress in seen] == sorted(progress.percentage for progress in seen)
    assert [progress.current_step for progress in seen] == sorted(progress.current_step for progress in seen)
    assert {progress.phase for progress in seen} == {"First", "Second"}
    assert (seen[-1].percentage, seen[-1].groups_found, seen[-1].items_processed) == (100.0, 100, 50)
    # 100 steps of 5 ms each are told of every 0.1 s, not one by one.
    assert 4 <= len(seen) <= 20


@pytest.mark.parametrize("fails", [False, True])
def test_the_last_counts_of_a_phase_and_of_a_failed_run_are_told(fails: bool) -> None:
    keeper = MemoryKeeper()
    end = run("Quick", keeper, fails=fails)
    assert end.status is (Status.FAILED if fails else Status.COMPLETED)
    last = {progress.phase: progress for progress in keeper.progress if progress.percentage < 100}
    first, second = last["First"], last["Second"]
    assert (first.items_processed, first.groups_found, first.current_message) == (2, 1, "both")
    assert (second.items_processed, second.current_message) == (3, "three of five")


def test_a_result_is_taken_however_long_the_keeper_took_before_it() -> None:
    others = set(children())  # this process may have some of its own: multiprocessing's resource tracker

    class Waiting(MemoryKeeper):
        """Its store is away: the process has long ended when its messages are read, one by one."""

        def progressed(self, progress: Progress) -> None:
            super().progressed(progress)
            wait_until(lambda: not any(map(is_alive, set(children()) - others)), 60)
            time.sleep(0.35)  # longer than the end of a killed process's stream is waited for

    keeper = Waiting()
    assert run("Quick", keeper, fails=False).status is Status.COMPLETED
    assert len(keeper.progress) > 1


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("raise", "ANALYZER_FAILED", r"RuntimeError: no \\udcff good"),
        ("holdfast error", "TARGET_NOT_FOUND", "nothing at /there"),
        ("sys.exit", "ANALYZER_FAILED", "SystemExit: 3"),
        ("exit", "ANALYZER_CRASHED", "with exit code 3"),
        ("segfault", "ANALYZER_CRASHED", "by signal SIGSEGV"),
        ("not json", "NOT_JSON", "type object"),
        ("nan", "NOT_JSON", r"nan at \$.x\[1\].y"),
        ("nan metric", "INVALID_INPUT", "'m' is no finite number"),
        ("speechless", "ANALYZER_FAILED", "SpeechlessError"),
        ("nan finding", "NOT_JSON", "A finding"),
        ("surrogate", "NOT_JSON", "surrogates"),
        ("no outcome", "ANALYZER_FAILED", "dict where an Outcome"),
        ("lambda", "ANALYZER_NOT_IMPORTABLE", "top level"),
        ("key", "INVALID_PARAMS", "must be a string"),
    ],
)
def test_an_analyzer_that_fails_is_told_of_with_what_there_was(what: str, code: str, message: str) -> None:
    end = run("Misbehave", what=what)
    assert end.status is Status.FAILED
    assert end.error is not None
    assert end.error.code == code
    assert re.search(message, end.error.message)
    json.dumps(end.error.details)
    assert end.report is not None
    assert end.report.payload == b'{"so":"far"}'
    assert end.report.metrics == {"x": 1.5}


def test_the_last_words_of_a_crash_are_kept() -> None:
    end = run("Misbehave", what="exit")
    assert end.error is not None
    assert end.error.details["output"] == "last line\n"
    assert end.error.details["exit_code"] == 3
    end = run("Misbehave", what="segfault")
    assert end.error is not None
    assert "Fatal Python error: Segmentation fault" in end.error.details["output"]
    assert "sample_analyzers.py" in end.error.details["output"]


def test_an_analyzer_that_cannot_be_imported_is_told_of() -> None:
    end = run("NoSuchAnalyzer")
    assert end.status is Status.FAILED
    assert end.error is not None
    assert end.error.code == "ANALYZER_NOT_IMPORTABLE"


def test_much_output_neither_blocks_nor_is_mixed_with_the_protocol(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "holdfast.analyzers.output"):
        end = run("Misbehave", what="print")
    assert end.status is Status.COMPLETED
    assert caplog.messages[0] == f"{0:099d}"
    assert "not logged" in caplog.messages[-1]
    assert sum(map(len, caplog.messages)) < 2_000_000


def test_a_large_result_passes_in_linear_time() -> None:
    began = time.process_time()
    end = run("Misbehave", what="large", size=200_000)
    assert end.report is not None
    assert len(end.report.payload) == 200_000 * 1003 + 1
    assert time.process_time() - began < 20


def test_neither_the_store_nor_sqlalchemy_is_imported() -> None:
    end = run("Misbehave", what="modules")
    assert end.report is not None
    modules = set(json.loads(end.report.payload))
    assert not {
        name
        for name in modules
        if name.startswith(("sqlalchemy", "holdfast.store", "holdfast.services", "distributed"))
    }


def stops_after_the_partial(seconds: float) -> MemoryKeeper:
    began: list[float] = []

    def stop(keeper: MemoryKeeper) -> bool:
        if keeper.progress and not began:
            began.append(time.monotonic())
        return bool(began) and time.monotonic() - began[0] > seconds

    return MemoryKeeper(stop)


@pytest.mark.parametrize("what", ["cooperative", "busy", "busy in C", "deaf"])
def test_a_run_stops_within_a_second_of_being_asked(what: str, tmp_path: Path) -> None:
    log = tmp_path / "pids"
    keeper = stops_after_the_partial(0.5)
    end = run("Misbehave", keeper, what=what, log=str(log))
    assert keeper.asked_at is not None
    assert time.monotonic() - keeper.asked_at < 1
    assert end.status is Status.CANCELLED
    assert end.error is not None
    assert end.error.code == "ANALYSIS_CANCELLED"
    assert end.report is not None
    assert end.report.summary == "partial"
    wait_until(lambda: not alive([int(pid) for pid in lines(log)]))
    if what == "cooperative":
        kept = len(keeper.kept["analysis:a1"])
        assert kept > 50
        assert f"step{kept - 1}" in keeper.kept["analysis:a1"]


def test_a_stopping_run_may_have_last_words() -> None:
    end = run("Misbehave", stops_after_the_partial(0.0), what="last words")
    assert end.status is Status.CANCELLED
    assert end.report is not None
    assert end.report.payload == b'"last words"'


@pytest.mark.parametrize("what", ["sleep", "deaf"])
def test_a_part_that_hangs_in_the_pool_is_stopped(what: str, tmp_path: Path) -> None:
    log = tmp_path / "pids"
    keeper = MemoryKeeper(lambda keeper: bool(lines(log)))
    end = run("BadPart", keeper, AT_ONCE, what=what, log=str(log))
    assert keeper.asked_at is not None
    assert time.monotonic() - keeper.asked_at < 1
    assert end.status is Status.CANCELLED
    assert end.report is not None
    assert end.report.payload == b'"so far"'
    wait_until(lambda: not alive([int(pid) for pid in lines(log)]))


@pytest.mark.parametrize("what", ["cooperative", "busy"])
def test_a_run_that_takes_too_long_times_out(what: str) -> None:
    limit = 0.8
    # On a busy machine it may have found nothing by then.
    while True:
        began = time.monotonic()
        end = run("Misbehave", what=what, timeout_seconds=limit)
        took = time.monotonic() - began
        if end.report is not None or limit > 30:
            break
        limit *= 2
    assert limit <= took < limit + 1
    assert end.status is Status.TIMED_OUT
    assert end.error is not None
    assert end.error.message == f"The analysis took longer than {limit:g} seconds"
    assert end.report is not None
    assert end.report.summary == "partial"


class LosesItsLease(MemoryKeeper):
    def save(self, scope: str, items: Mapping[str, bytes]) -> None:
        raise LeaseLost


def test_a_keeper_that_raises_ends_the_run(tmp_path: Path) -> None:
    log = tmp_path / "pids"
    with pytest.raises(LeaseLost):
        run("Misbehave", LosesItsLease(), what="cooperative", log=str(log))
    assert len(lines(log)) == 1
    wait_until(lambda: not alive([int(pid) for pid in lines(log)]))


WORKER = """
import sys
sys.path[:0] = {path!r}
from tests.analyzers.keepers import AT_ONCE, run
run("Misbehave", spread=AT_ONCE, what={what!r}, log={log!r})
"""


@pytest.mark.parametrize(("what", "count"), [("children", 4), ("busy", 1), ("busy in C", 1), ("deaf", 1)])
def test_nothing_outlives_a_worker_that_was_killed(what: str, count: int, tmp_path: Path) -> None:
    log = tmp_path / "pids"
    script = WORKER.format(path=sys.path, what=what, log=str(log))
    with subprocess.Popen([sys.executable, "-c", script]) as worker:
        wait_until(lambda: len(lines(log)) >= count)
        family = [process.pid for process in psutil.Process(worker.pid).children(recursive=True)]
        assert set(map(int, lines(log))) <= set(family)
        assert len(family) > count  # the guard and the resource tracker, too
        worker.kill()
    wait_until(lambda: not alive(family), 5)


def test_nothing_outlives_a_guard_that_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "pids"

    def kill_the_guard(keeper: MemoryKeeper) -> bool:
        if len(lines(log)) >= 4:
            family.extend(process.pid for process in psutil.Process().children(recursive=True))
            psutil.Process(int(lines(log)[0])).parent().kill()  # type: ignore[union-attr]
        return False

    family: list[int] = []
    end = run("Misbehave", MemoryKeeper(kill_the_guard), AT_ONCE, what="children", log=str(log))
    assert end.error is not None
    assert end.error.code == "ANALYZER_CRASHED"
    assert set(map(int, lines(log))) <= set(family)
    wait_until(lambda: not alive(list(map(int, lines(log)))), 5)


def test_a_run_that_kills_itself_resumes_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "executed"
    keeper = MemoryKeeper()
    for spread in (AT_ONCE, ALONE):
        log.unlink(missing_ok=True)
        keeper.kept.clear()
        first = run("Resume", keeper, spread, count=600, log=str(log))
        assert first.status is Status.FAILED
        assert first.error is not None
        assert "SIGKILL" in first.error.message
        assert 0 < len(keeper.kept["analysis:a1"]) < 601
        second = run("Resume", keeper, spread, count=600, log=str(log))
        assert second.report is not None
        assert second.report.payload == b'{"times":1,"total":%d}' % (600 * 599)
        executed = lines(log)
        assert set(executed) == {str(n) for n in range(600)}
        # A quarter of a second of parts of 2 ms, by two processes, and what they had at hand.
        assert len(executed) - 600 <= 256 + 150


def test_settings_reach_the_run() -> None:
    end = run("Slow", spread=SpreadSettings(processes=1), count=4, seconds=0.2)
    assert end.report is not None
    assert end.report.metrics["seconds"] >= 0.8
