"""A worker that outlives its terminal: started, seen, stopped, killed, and two at once."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Cli, Done
from tests.support.processes import wait_until

import holdfast
from holdfast.cli.daemon import Seat


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(environment: str, state: Path) -> Iterator[Cli]:
    """Run a command line as a process; what works in the background ends with the test."""

    def call(*arguments: str) -> Done:
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=240, check=False)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    yield call
    call("worker", "stop")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Nobody may have waited for it yet.
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc/self").exists() else True


@pytest.mark.long
@pytest.mark.timeout(600)
def test_it_works_until_it_is_stopped(run: Cli, environment: str) -> None:
    assert run("worker", "stop").code == 3
    started = run("worker", "--detach", "--interval", "0.2", "--json")
    assert started.code == 0, started.err
    pid = started.json["started"]
    status = run("worker", "--status", "--json").json
    assert status["background"] == {"pid": pid, "log": started.json["log"]}
    assert run("analyze", "x", "--kind", "sample", "--id", "a", "--no-wait").code == 0
    with holdfast.open(environment) as hf:
        wait_until(lambda: hf.get_analysis("a").status is holdfast.Status.COMPLETED, 120, "the background worker")
    again = run("worker", "--detach")
    assert (again.code, f"process {pid}" in again.err) == (4, True)
    stopped = run("worker", "stop", "--json")
    assert stopped.json == {"success": True, "stopped": pid, "was_killed": False}
    assert not is_alive(pid)
    assert run("worker", "stop").code == 3
    assert "Ctrl-C" in Path(started.json["log"]).read_text()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_one_that_was_killed_is_not_taken_for_alive(run: Cli) -> None:
    pid = run("worker", "--detach", "--json").json["started"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), 60, "the worker to be gone")
    gone = run("worker", "stop", "--json")
    assert (gone.code, gone.json["error"]["code"]) == (3, "NO_WORKER")
    assert run("worker", "--status", "--json").json["background"] is None
    # To start anew is to start.
    restarted = run("worker", "restart", "--json")
    assert restarted.code == 0, restarted.err
    other = run("worker", "restart", "--json").json
    assert other["stopped"] == restarted.json["started"] != other["started"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_of_two_that_start_at_once_one_works(run: Cli) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = [one.result() for one in [pool.submit(run, "worker", "--detach", "--json") for _ in range(2)]]
    assert sorted(one.code for one in done) == [0, 4], [one.err for one in done]
    (pid,) = [one.json["started"] for one in done if one.code == 0]
    assert is_alive(pid)
    assert run("worker", "--status", "--json").json["background"]["pid"] == pid


@pytest.mark.long
@pytest.mark.timeout(600)
def test_why_it_does_not_start_is_told(run: Cli) -> None:
    failed = run("worker", "--detach", "--enable", "nothing")
    assert failed.code == 1
    assert "nothing" in failed.err
    assert run("worker", "stop", "--once").code == 2
    assert run("worker", "--detach", "--status").code == 2


def test_a_number_that_is_someone_elses_now_is_left_alone(state: Path) -> None:
    seat = Seat("sqlite:///a.db")
    seat.path.parent.mkdir(parents=True)
    # What a worker leaves that was killed: its number, and no lock.
    seat.path.write_text(json.dumps({"pid": os.getpid()}))
    assert seat.holder() is None
    with seat.taken("me"):
        assert seat.holder() == os.getpid()
    assert seat.holder() is None


def test_indexes_on_and_off(cli: Cli, environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PROCESSORS", "fulltext,graph")

    def waiting() -> set[str]:
        with holdfast.open(environment) as hf:
            return {kind for kind, _ in hf.jobs.counts() if kind.startswith("process.")}

    with holdfast.open(environment) as hf:
        hf.store_analysis("note", "words")
    assert waiting() == {"process.fulltext", "process.graph"}
    assert cli("worker", "--once", "--enable", "nonsense").code == 5
    assert cli("worker", "--once", "--disable", "nonsense").code == 5
    assert cli("worker", "--once", "--disable", "fulltext", "--no-graph-db").code == 0
    assert waiting() == {"process.fulltext", "process.graph"}
    assert cli("worker", "--once", "--enable", "fulltext").code == 0
    assert waiting() == {"process.graph"}
    assert cli("worker", "--once", "--batch-size", "5", "--interval", "0.5", "--verbose").code == 0
    assert waiting() == set()


def test_the_folder_of_the_database(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    assert cli("worker", "--once", "--storage-dir", str(folder)).code == 0
    assert (folder / "holdfast.db").exists()
    assert cli("worker", "--once", "--storage-dir", str(folder), "--database", "sqlite:///x.db").code == 2
