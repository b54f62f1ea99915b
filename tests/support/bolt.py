"""A real Bolt server for tests: one for all workers of a test run, in a process of its own."""

import fcntl
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import wait_until

MISSING = "No Bolt server: "
_ROOT = Path(__file__).parents[2]
_PYTHON = _ROOT / ".venv-graph" / "bin" / "python"
_START_SECONDS = 120.0


@pytest.fixture(scope="session")
def bolt_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    """How to reach it: url, user, password, database. It ends with the process that runs all the tests."""
    if not _PYTHON.exists():
        pytest.skip(f"{MISSING}make .venv-graph/.locked")
    alone = worker_id == "master"
    folder = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    folder /= "bolt"
    folder.mkdir(exist_ok=True)
    made = folder / "server.json"
    with (folder / "lock").open("w") as lock:
        # Of several workers the first one starts it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _start(folder, os.getpid() if alone else os.getppid(), made)
    found: dict[str, Any] = json.loads(made.read_text())
    return found


def _start(folder: Path, parent: int, made: Path) -> None:
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(_PYTHON), str(Path(__file__).with_name("bolt_server.py")), str(folder), str(parent)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_until(lambda: made.exists() or server.poll() is not None, _START_SECONDS, "the Bolt server to start")
    if not made.exists():
        pytest.skip(f"{MISSING}{(folder / 'log').read_text(errors='replace')[-300:]}")
    # It outlives this worker, and ends by itself.
    server.returncode = 0
