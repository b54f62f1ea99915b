"""How long a service takes to end by SIGTERM, with streams open, against uvicorn alone (``python -m bench stop``)."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import uvicorn

from bench.http import free_port, wait
from bench.report import Options, Report

_STREAMS = (0, 10, 100)
_MOST_SECONDS = 2.0


def measure(options: Options, report: Report) -> None:
    """Seconds from SIGTERM to the end of the process; of these, what the processor worked is ours."""
    rounds = options.pick(1, options.rounds)
    for streams in _STREAMS:
        floors, ours, away, worked = [], [], [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                serve = [
                    str(Path(sys.executable).with_name("holdfast")),
                    "serve",
                    "--database",
                    f"sqlite:///{folder}/a",
                ]
                floors.append(_stop([sys.executable, "-m", "bench.stop"], streams, "/stream")[0])
                seconds, processor = _stop(serve, streams, "/api/v1/events")
                ours.append(seconds)
                worked.append(processor)
                # A collector that does not answer must not hold anybody up.
                away.append(
                    _stop(serve, streams, "/api/v1/events", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")[0]
                )
        against = "of uvicorn alone"
        name = f"serve stops, {streams} streams open"
        goal, ratio = f"< {_MOST_SECONDS:g} s", median(ours) / median(floors)
        report.add("R", name, median(ours), "s", ratio=ratio, against=against, goal=goal, met=max(ours) < _MOST_SECONDS)
        report.add("R", f"{name}, processor", median(worked), "s")
        met = max(away) < _MOST_SECONDS
        report.add("R", f"{name}, no trace collector", median(away), "s", goal=goal, met=met)


def _stop(command: Sequence[str], streams: int, path: str, **env: str) -> tuple[float, float]:
    """Seconds that it takes to end, and seconds that the processor worked for that."""
    port = free_port()
    known = os.environ | env | {"HOLDFAST_LOG_LEVEL": "WARNING"}
    with subprocess.Popen(
        [*command, "--port", str(port)], env=known, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as service:
        try:
            wait(port, service, "/health")
            with _open(port, path, streams):
                before = psutil.Process(service.pid).cpu_times()
                began = time.monotonic()
                service.send_signal(signal.SIGTERM)
                _, _, used = os.wait4(service.pid, 0)
                seconds = time.monotonic() - began
        finally:
            service.kill()
    return seconds, used.ru_utime + used.ru_stime - before.user - before.system


@contextlib.contextmanager
def _open(port: int, path: str, number: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while b"retry:" not in one.recv(4096):
                pass
        yield


async def _floor(scope: Any, receive: Any, send: Any) -> None:
    """The least of a service: it answers, and its streams end when they are cancelled."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"retry: 1000\n\n", "more_body": True})
        await asyncio.Event().wait()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


if __name__ == "__main__":
    # As patient as the service is with what does not end.
    uvicorn.run(_floor, port=int(sys.argv[2]), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
