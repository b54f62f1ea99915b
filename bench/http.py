"""Services to be measured, each a process or two, and the clients that ask them."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENTS = 64
_START_SECONDS = 60.0
# No result twice: the floor keeps each as a row of its own.
_seeds = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """What clients met.

    Attributes:
        rate: answers a second.
        p50: half of the answers came within so many milliseconds.
        p99: all but a hundredth did.
        wrong: answers by status that were not wanted.
    """

    rate: float
    p50: float
    p99: float
    wrong: dict[str, int]


def load(port: int, path: str, number: int, wanted: int, *, ids: Sequence[str] = ()) -> Load:
    """Ask ``number`` times: GET for ``ids``, otherwise POST a result of 4 KB."""
    given: dict[str, Any] = {"port": port, "path": path, "number": number, "clients": CLIENTS, "seed": next(_seeds)}
    if ids:
        given["ids"] = list(ids)
    command = [sys.executable, "-m", "bench.http_load", json.dumps(given)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    waits = sorted(done["waits"])
    return Load(
        rate=number / done["seconds"],
        p50=waits[len(waits) // 2] * 1000,
        p99=waits[int(len(waits) * 0.99)] * 1000,
        wrong={status: count for status, count in done["statuses"].items() if status != str(wanted)},
    )


@contextlib.contextmanager
def holdfast(url: str, workers: int) -> Iterator[int]:
    """The port of Holdfast's service."""
    port = _free_port()
    command = [str(Path(sys.executable).with_name("holdfast")), "serve", "--no-worker", "--port", str(port)]
    command += ["--workers", str(workers), "--database", url]
    with _running(command, port, {"HOLDFAST_LOG_LEVEL": "WARNING"}):
        yield port


@contextlib.contextmanager
def floor(url: str, workers: int) -> Iterator[int]:
    """The port of the floor's."""
    port = _free_port()
    command = [sys.executable, "-m", "bench.http_floor", json.dumps({"port": port, "workers": workers})]
    with _running(command, port, {"BENCH_URL": url}):
        yield port


@contextlib.contextmanager
def _running(command: Sequence[str], port: int, env: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(
        command, env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as service:
        try:
            _wait(port, service)
            yield
        finally:
            service.send_signal(signal.SIGTERM)


def _wait(port: int, service: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and service.poll() is None:
        # Connected is not yet served: the answer is.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if connection.recv(12).startswith(b"HTTP/1.1"):
                return
        time.sleep(0.1)
    raise TimeoutError(f"the service does not answer: {service.args!r}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
