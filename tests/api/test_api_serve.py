"""``holdfast serve`` as people run it: a process, curl, signals."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

import holdfast
from holdfast.domain.access import Role
from holdfast.domain.jobs import JobStatus
from tests.analyzers.code.gitrepo import GitRepo
from tests.cli.conftest import COMMAND
from tests.support.processes import held_back, pressure, wait_until


@contextmanager
def serving(url: str, *options: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service as a process, and its address."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    process = subprocess.Popen(
        [*COMMAND, "serve", "--json", "--port", "0", "--database", url, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=known | env,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.wait()
            told += line
        yield process, json.loads(told)["address"]
    finally:
        with process:
            process.send_signal(signal.SIGTERM)


# What is promised to whoever sends SIGTERM. Beside it stands what nothing may take, however busy the machine is.
PROMISED, LIMIT = 2.0, 18.0


def ends_as_promised(process: subprocess.Popen[str]) -> bool:
    """Whether it ends by SIGTERM in time, not counting what the machine made it wait for a processor or the disk.

    Where no kernel tells of that, whatever a busy machine takes is in time.
    """
    before, waited, began = pressure(), held_back(process.pid), time.monotonic()
    process.send_signal(signal.SIGTERM)
    # It is left in the list of processes, where what it waited for still stands.
    over = os.WEXITED | os.WNOWAIT | os.WNOHANG
    wait_until(lambda: os.waitid(os.P_PID, process.pid, over), 60, "the end of the service")
    seconds, after = time.monotonic() - began, pressure()
    waited = held_back(process.pid) - waited
    assert process.wait() == 0
    assert seconds < LIMIT
    return before is None or after is None or seconds - max(after - before, waited) < PROMISED


CURL = shutil.which("curl")


@pytest.mark.skipif(CURL is None, reason="no curl here")
def test_the_documents_lines_work_as_printed(database: str) -> None:
    with serving(database, "--no-worker") as (_, address):
        lines = (
            "curl http://localhost:8000/api/v1/persistence/stats",
            "curl http://localhost:8000/api/v1/persistence/analyses/CLIENT_SESSION_ID",
        )
        answers = []
        for line in lines:
            # As printed, but for the port, which other tests may have.
            words = line.replace("http://localhost:8000", address.replace("127.0.0.1", "localhost")).split()
            done = subprocess.run([*words, "--silent", "--fail"], capture_output=True, text=True, check=True)
            answers.append(json.loads(done.stdout))
        assert answers[0]["success"]
        assert answers[0]["stats"]["total_results"] == 0
        assert answers[1]["client_id"] == "CLIENT_SESSION_ID"
        assert answers[1]["analyses"] == []


def test_an_analysis_is_run_beside_the_answers(database: str, tmp_path: Path) -> None:
    made = GitRepo(tmp_path / "app")
    made.commit({"app.py": "def f(a):\n    return a\n"})
    with serving(database) as (process, address), httpx.Client(base_url=address, timeout=30) as http:
        place = http.post("/api/v1/analyses", json={"kind": "code", "target": str(made.path)}).headers["location"]
        wait_until(lambda: http.get(place).json()["status"] == "completed", 60, "the analysis")
        assert http.get(f"{place}/result").status_code == 200
        assert ends_as_promised(process)


def test_indexes_are_left_to_others_where_that_is_wanted(database: str, tmp_path: Path) -> None:
    made = GitRepo(tmp_path / "app")
    made.commit({"app.py": "def f(a):\n    return a\n"})
    with holdfast.open(database, processors=("fulltext",)) as hf:
        hf.store_analysis("note", 1)
        with (
            serving(database, AUTO_PROCESS_ANALYSES="false") as (process, address),
            httpx.Client(base_url=address, timeout=30) as http,
        ):
            place = http.post("/api/v1/analyses", json={"kind": "code", "target": str(made.path)}).headers["location"]
            wait_until(lambda: http.get(place).json()["status"] == "completed", 60, "the analysis")
            assert {kind for kind, _ in hf.jobs.counts()} == {"process.fulltext", "processing.rebuild"}
            assert hf.jobs.counts()["process.fulltext", JobStatus.READY] == 2
            assert ends_as_promised(process)


def test_several_processes_answer(database: str) -> None:
    with serving(database, "--workers", "2") as (process, address), httpx.Client(base_url=address, timeout=60) as http:
        made = http.post("/api/v1/analyses", json={"kind": "lint", "result": 1})
        assert made.status_code == 201
        for _ in range(10):
            with httpx.Client(base_url=address, timeout=60) as another:
                assert another.get(made.headers["location"]).json() == made.json()
        text = http.get("/metrics").text
        counted = re.search(r'requests_total\{[^}]*route="/api/v1/analyses/\{analysis_id\}"[^}]*\} (\S+)', text)
        assert counted is not None
        assert float(counted[1]) == 10
        assert ends_as_promised(process)


def processes(service: subprocess.Popen[str], number: int) -> list[psutil.Process]:
    """Those that answer; beside them Python runs one that watches over what they share."""
    found: list[psutil.Process] = []

    def are_there() -> bool:
        found.clear()
        for child in psutil.Process(service.pid).children():
            # One that has died is there until it is replaced.
            with contextlib.suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return len(found) == number

    wait_until(are_there, 60, "the processes")
    return found


def test_several_processes_end_at_once_with_open_streams(database: str) -> None:
    with serving(database, "--no-worker", "--workers", "2") as (process, address), contextlib.ExitStack() as stack:
        for _ in range(20):
            http = stack.enter_context(httpx.Client(base_url=address, timeout=60))
            stream = stack.enter_context(http.stream("GET", "/api/v1/events"))
            assert next(stream.iter_raw()) == b"retry: 1000\n\n"
        children = processes(process, 2)
        assert ends_as_promised(process)
        assert not any(child.is_running() for child in children)


def test_another_process_takes_the_place_of_one_that_died(database: str) -> None:
    with serving(database, "--no-worker", "--workers", "2") as (process, address):
        assert httpx.get(f"{address}/ready", timeout=60).status_code == 200
        first = processes(process, 2)
        first[0].kill()
        wait_until(lambda: first[0] not in processes(process, 2), 60, "another process")
        for _ in range(5):
            assert httpx.get(f"{address}/ready", timeout=60).status_code == 200
        assert ends_as_promised(process)


def test_nobody_goes_on_without_the_first_process(database: str) -> None:
    with serving(database, "--no-worker", "--workers", "2") as (process, address):
        assert httpx.get(f"{address}/ready", timeout=60).status_code == 200
        children = processes(process, 2)
        process.kill()
        wait_until(lambda: not any(child.is_running() for child in children), 60, "the others' end")


def test_it_ends_with_bodies_under_way(database: str) -> None:
    with serving(database) as (process, address), httpx.Client(base_url=address, timeout=60) as http:
        assert http.get("/ready").status_code == 200
        url = httpx.URL(address)

        with socket.create_connection((url.host, url.port or 0)) as slow:
            slow.sendall(b"POST /api/v1/analyses HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            assert http.get("/ready").status_code == 200
            assert ends_as_promised(process)


def test_others_are_refused_until_there_are_tokens(database: str) -> None:
    command = [*COMMAND, "serve", "--json", "--host", "0.0.0.0", "--port", "0", "--database", database]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    error = json.loads(refused.stdout)["error"]
    assert error["code"] == "NOT_AUTHENTICATED"
    assert any("holdfast token create" in one for one in error["suggestions"])
    with holdfast.open(database) as hf:
        secret = hf.accounts.create_token("me", role=Role.ADMIN).secret
    with serving(database, "--host", "0.0.0.0", "--no-worker") as (_, address):
        there = address.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{there}/api/v1/stats", timeout=30).status_code == 401
        given = {"authorization": f"Bearer {secret}", "host": "holdfast.example.org"}
        assert httpx.get(f"{there}/api/v1/stats", headers=given, timeout=30).status_code == 200


def test_a_taken_port_is_told(database: str) -> None:
    with serving(database, "--no-worker") as (_, address):
        port = address.rpartition(":")[2]
        command = [*COMMAND, "serve", "--json", "--port", port, "--database", database]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert json.loads(done.stdout)["error"]["code"] == "ADDRESS_TAKEN"


def test_the_demo_ends_without_a_terminal(tmp_path: Path) -> None:
    made = GitRepo(tmp_path / "app")
    made.commit({"app.py": "def f(a):\n    return a\n"})
    done = subprocess.run(
        [*COMMAND, "demo", str(made.path), "--serve", "--database", f"sqlite:///{tmp_path / 'demo.db'}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert "holdfast serve" in done.stdout
