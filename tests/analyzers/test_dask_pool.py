"""``ctx.map`` over a Dask cluster: a scheduler and two workers, each a process of its own, on loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from holdfast.analyzers.pools import SpreadSettings
from holdfast.domain.analysis import Status
from tests.analyzers.keepers import ALONE, MemoryKeeper, lines, run, wait_until


class Cluster:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        port = self.address.rsplit(":", 1)[1]
        self._start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        for _ in range(2):
            self.add_worker()
        wait_until(lambda: self._workers() == 2, 60)

    def add_worker(self) -> None:
        self._start(
            "distributed.cli.dask_worker", self.address, "--host", "127.0.0.1", "--nthreads", "1",
            "--no-nanny", "--no-dashboard", "--local-directory", str(self._folder), "--death-timeout", "20",
        )  # fmt: skip

    def _start(self, module: str, *arguments: str) -> None:
        path = os.pathsep.join(filter(None, sys.path))
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", module, *arguments],
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.processes.append(process)

    def _workers(self) -> int:
        return (self._folder / "log").read_text().count("Registered to:")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


def test_the_outcome_is_that_of_this_machine(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "executed"
    there = SpreadSettings(dask_address=cluster.address, patience_seconds=0)
    keeper, local = MemoryKeeper(), MemoryKeeper()
    end = run("Map", keeper, there, count=400, longest=0.004, log=str(log))
    assert end == run("Map", local, ALONE, count=400, longest=0.004, log="")
    assert end.status is Status.COMPLETED
    assert keeper.kept == local.kept
    assert len(lines(log)) == 400
    bad = [run("BadPart", spread=spread, what="raise").error for spread in (there, ALONE)]
    assert bad[0] is not None
    assert bad[1] is not None
    assert (bad[0].code, bad[0].message) == (bad[1].code, bad[1].message)


def test_a_lost_worker_costs_no_result(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "executed"

    def kill_a_worker(keeper: MemoryKeeper) -> bool:
        if len(lines(log)) > 50 and cluster.processes[-1].poll() is None:
            cluster.processes[-1].kill()
        return False

    there = SpreadSettings(dask_address=cluster.address, patience_seconds=0)
    end = run("Map", MemoryKeeper(kill_a_worker), there, count=400, longest=0.01, log=str(log))
    assert cluster.processes[-1].poll() is not None
    assert end == run("Map", spread=ALONE, count=400, longest=0.0, log="")


def test_cancel_and_the_loss_of_the_scheduler(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "pids"
    there = SpreadSettings(dask_address=cluster.address, patience_seconds=0)
    keeper = MemoryKeeper(lambda keeper: len(lines(log)) > 50)
    end = run("Map", keeper, there, count=10_000, longest=0.01, log=str(log))
    assert keeper.asked_at is not None
    assert time.monotonic() - keeper.asked_at < 1
    assert end.status is Status.CANCELLED
    # Nobody waits for what was handed out any more: the workers come to rest.
    executed: list[int] = []

    def at_rest() -> bool:
        executed.append(len(lines(log)))
        return len(executed) > 30 and executed[-1] == executed[-30]

    wait_until(at_rest)
    assert executed[-1] < 5000

    def kill_the_scheduler(keeper: MemoryKeeper) -> bool:
        if len(lines(log)) > executed[-1] + 20:
            cluster.processes[0].kill()
        return False

    began = time.monotonic()
    end = run("Map", MemoryKeeper(kill_the_scheduler), there, count=10_000, longest=0.01, log=str(log))
    assert end.error is not None
    assert end.error.code == "CLUSTER_UNAVAILABLE"
    assert time.monotonic() - began < 25


def test_a_scheduler_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    end = run("Map", spread=SpreadSettings(dask_address=address, patience_seconds=0), count=10)
    assert time.monotonic() - began < 15
    assert end.status is Status.FAILED
    assert end.error is not None
    assert end.error.code == "CLUSTER_UNAVAILABLE"
    assert address in end.error.message


def test_dask_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('not here')")
    monkeypatch.syspath_prepend(tmp_path)
    end = run("Map", spread=SpreadSettings(dask_address="tcp://x:1", patience_seconds=0), count=10)
    assert end.error is not None
    assert end.error.code == "MISSING_EXTRA"
    assert "pip install" in end.error.message
