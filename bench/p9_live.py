"""P9: hundreds watch one run over HTTP while a worker in another process reports its progress.

Each report is a progress row and a ledger line in one commit, four a second as from a real run. The time counts from
when the worker's commit returned until a watcher has the bytes; all clocks are this machine's. Watchers, service,
worker and database share the machine: what the watchers themselves need is in the figures.
"""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from tests.support.streams import StreamClosed, chunk, get, request

import holdfast
from bench import floors, protocol
from bench.floors import Stores
from bench.report import Options, Report, quantile, run
from holdfast.domain.analysis import Analysis, Change, Status

_ROOT = Path(__file__).parents[1]
_RATE = 4.0
_GOAL_MS = 300.0
_START_SECONDS = 60.0
_EVENT = re.compile(rb'"data":\{"n":(\d+)\}')
_PROGRESS = re.compile(rb'"items_processed":(\d+)')
_RUN = "watched"


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _measure(options: Options, report: Report, stores: Stores) -> None:
    url = stores.fresh()
    _begin(url)
    watchers, number = options.pick(50, 500), options.pick(12, 120)
    with _service(url) as (port, process):
        watched = asyncio.run(_watch(url, port, process, watchers, number))
    _tell(report, stores.dialect, f"{stores.dialect}: {watchers} watchers", watched)


class _Watched:
    """What was measured."""

    def __init__(self) -> None:
        self.committed: list[float] = []
        self.events: list[list[tuple[int, float]]] = []
        self.progress: list[list[tuple[int, float]]] = []
        self.figures: dict[str, int] = {}
        self.cpu = 0.0
        self.seconds = 0.0
        self.resident = 0


def _begin(url: str) -> None:
    """A run that nobody runs but the measurement."""
    with holdfast.open(url) as hf:
        now = hf._clock.now()
        value = Analysis(
            analysis_id=_RUN, kind="bench", status=Status.RUNNING, fingerprint="f", created_at=now, updated_at=now
        )
        hf.store.write(lambda uow: uow.add([Change(value=value)]))


@contextmanager
def _service(url: str) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    service = subprocess.Popen([sys.executable, "-m", "bench.live_service", url, str(port)], cwd=_ROOT)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if service.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service does not answer")
            time.sleep(0.05)
        yield port, psutil.Process(service.pid)
    finally:
        service.terminate()
        service.wait(30)


async def _watch(url: str, port: int, process: psutil.Process, watchers: int, number: int) -> _Watched:
    watched = _Watched()
    joined = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(_one(port, watched, joined)) for _ in range(watchers)]
    for _ in range(watchers):
        await joined.acquire()
    # All have caught up by now, or soon.
    await asyncio.sleep(1)
    wanted = {"url": url, "analysis_id": _RUN, "number": number, "rate": _RATE}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.live_worker", json.dumps(wanted),
        cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    assert worker.stdout is not None
    while (line := await worker.stdout.readline()) != b"ready\n":
        if not line:
            raise RuntimeError("the worker has ended")
    before, times, began = await _figures(port), process.cpu_times(), time.perf_counter()
    out, _ = await worker.communicate(b"go\n")
    # The last ones are on their way.
    await asyncio.sleep(1)
    watched.seconds = time.perf_counter() - began
    spent, after = process.cpu_times(), await _figures(port)
    watched.cpu = spent.user + spent.system - times.user - times.system
    watched.resident = process.memory_info().rss
    watched.figures = {name: after[name] - before[name] for name in after}
    watched.committed = protocol.read(out.decode().splitlines()).waits
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return watched


async def _one(port: int, watched: _Watched, joined: asyncio.Semaphore) -> None:
    events: list[tuple[int, float]] = []
    progress: list[tuple[int, float]] = []
    watched.events.append(events)
    watched.progress.append(progress)
    accept = {"Accept": "text/event-stream"}
    async with request(port, f"/api/v1/analyses/{_RUN}/events", accept) as (_, _, body):
        with suppress(StreamClosed):
            await chunk(body)
            joined.release()
            while True:
                data = await chunk(body)
                now = time.time()
                events += [(int(n), now) for n in _EVENT.findall(data)]
                progress += [(int(n), now) for n in _PROGRESS.findall(data)]


async def _figures(port: int) -> dict[str, int]:
    _, _, body = await get(port, "/figures")
    figures: dict[str, int] = json.loads(body)
    return figures


def _tell(report: Report, dialect: str, label: str, watched: _Watched) -> None:
    for what, received in (("event", watched.events), ("progress", watched.progress)):
        late = [(at - watched.committed[n]) * 1000 for found in received for n, at in found]
        for part, name in ((0.5, "p50"), (0.95, "p95")):
            value = quantile(late, part)
            goal = {"goal": f"< {_GOAL_MS:.0f} ms", "met": value < _GOAL_MS} if part == 0.95 else {}
            report.add("P9", f"{label}, commit to {what} {name}", value, "ms", **goal)  # type: ignore[arg-type]
    whole = list(range(len(watched.committed)))
    faults = sum([n for n, _ in found] != whole for found in watched.events)
    report.add("P9", f"{label}, who lacked an event or got it twice", faults, "", goal="0", met=not faults)
    queries = watched.figures["of_ticks"] / watched.figures["ticks"]
    # PostgreSQL is asked first which transactions are complete.
    least = 2 if dialect == "sqlite" else 3
    # A tick may have begun before, or not have ended.
    report.add(
        "P9", f"{label}, queries a tick", queries, "", goal=f"{least}, however many", met=abs(queries - least) < 0.2
    )
    report.add("P9", f"{label}, other queries", watched.figures["all"] - watched.figures["of_ticks"], "")
    report.add("P9", f"{label}, ticks", watched.figures["ticks"] / watched.seconds, "/s")
    report.add("P9", f"{label}, service's processor time", 100 * watched.cpu / watched.seconds, "%")
    report.add("P9", f"{label}, service's memory", watched.resident / 2**20, "MB")


if __name__ == "__main__":
    run({"p9": measure})
