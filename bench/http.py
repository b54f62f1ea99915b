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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import quantile

CLIENTS = 64
# Long, for machines that are busy: the peers import for a minute there.
_START_SECONDS = 180.0
_END_SECONDS = 15.0
# No result twice: the floor keeps each as a row of its own.
_seeds = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """What clients met.

    Attributes:
        rate: answers a second.
        p50: half of the answers came within so many milliseconds.
        p95: all but a twentieth did.
        p99: all but a hundredth did.
        wrong: answers by status that were not wanted.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    wrong: dict[str, int]


def load(port: int, path: str, number: int, wanted: int, *, ids: Sequence[str] = (), clients: int = CLIENTS) -> Load:
    """Ask ``number`` times: GET for ``ids``, otherwise POST a result of 4 KB."""
    given: dict[str, Any] = {"port": port, "path": path, "number": number, "clients": clients, "seed": next(_seeds)}
    if ids:
        given["ids"] = list(ids)
    command = [sys.executable, "-m", "bench.http_load", json.dumps(given)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Load(
        rate=number / done["seconds"],
        p50=quantile(done["waits"], 0.5) * 1000,
        p95=quantile(done["waits"], 0.95) * 1000,
        p99=quantile(done["waits"], 0.99) * 1000,
        wrong={status: count for status, count in done["statuses"].items() if status != str(wanted)},
    )


def cycles(kind: str, given: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What 64 clients met who went through a cycle of ``bench.http_cycles`` over and over for so long."""
    asked = given | {"cycle": kind, "seconds": seconds, "clients": CLIENTS, "seed": next(_seeds)}
    command = [sys.executable, "-m", "bench.http_load", json.dumps(asked)]
    done: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return done


@contextlib.contextmanager
def holdfast(url: str, workers: int, *, log: Path | None = None, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """The port of Holdfast's service; what it warns of goes to ``log``."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("holdfast")), "serve", "--no-worker", "--port", str(port)]
    command += ["--workers", str(workers), "--database", url]
    with running(command, port, {"HOLDFAST_LOG_LEVEL": "WARNING", **(env or {})}, log=log):
        yield port


@contextlib.contextmanager
def floor(url: str, workers: int) -> Iterator[int]:
    """The port of the floor's."""
    port = free_port()
    command = [sys.executable, "-m", "bench.http_floor", json.dumps({"port": port, "workers": workers})]
    with running(command, port, {"BENCH_URL": url}):
        yield port


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    env: Mapping[str, str],
    *,
    cwd: Path | None = None,
    log: Path | None = None,
    health: str = "/health",
) -> Iterator[subprocess.Popen[bytes]]:
    """A service, from when it answers until the end, with all processes that it has started."""
    with contextlib.ExitStack() as stack:
        out = subprocess.DEVNULL if log is None else stack.enter_context(log.open("wb"))
        service = stack.enter_context(
            subprocess.Popen(
                command, env=os.environ | env, cwd=cwd, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        )
        try:
            wait(port, service, health)
            yield service
        finally:
            _end(service)


def _end(service: subprocess.Popen[bytes]) -> None:
    service.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        service.wait(_END_SECONDS)
    # Its session is its own: nobody else is in the group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(service.pid, signal.SIGKILL)


def wait(port: int, service: subprocess.Popen[bytes], health: str) -> None:
    """Return as soon as a service answers at the path ``health``.

    Raises:
        TimeoutError: it does not.
    """
    until = time.monotonic() + _START_SECONDS
    asked = f"GET {health} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    while time.monotonic() < until and service.poll() is None:
        # Connected is not yet served: the answer is.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(asked)
            if connection.recv(12).startswith(b"HTTP/1.1"):
                return
        time.sleep(0.1)
    raise TimeoutError(f"the service does not answer: {service.args!r}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
