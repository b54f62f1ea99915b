"""R7: a thousand clients hold a stream open and do nothing; others read meanwhile.

The reads without any stream, in turns with those beside the streams, are the floor. One client holds them all, so
the default limit of streams is reached as well, and who comes after it is refused. Service, readers and holders of
streams are a process each.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil

import holdfast
from bench import floors, http
from bench.floors import Stores
from bench.report import Options, Report, run, spread
from holdfast.settings import Settings

_READERS = 8
_BEYOND = 10
_GOAL_MS = 50


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


class _Seen:
    """What was measured, round by round."""

    def __init__(self) -> None:
        self.alone: list[http.Load] = []
        self.beside: list[http.Load] = []
        self.opened: dict[str, Any] = {}
        self.memory = 0
        self.processor = 0.0
        self.lost = 0


def _measure(options: Options, report: Report, stores: Stores) -> None:
    most = options.pick(50, Settings.model_fields["streams_per_caller"].default)
    number, seen, url = options.pick(200, 3000), _Seen(), stores.fresh()
    with holdfast.open(url) as hf:
        ids = [hf.store_analysis("bench", {"n": n}).analysis_id for n in range(100)]

    def read() -> http.Load:
        return http.load(port, "/api/v1/analyses/{}", number, 200, ids=ids, clients=_READERS)

    with http.holdfast(url, 1, env={"HOLDFAST_STREAMS_PER_CALLER": str(most)}) as port:
        service = _service(port)
        read()
        for turn in range(options.rounds):
            seen.alone.append(read())
            before = service.memory_info().rss
            with _streams(port, most + _BEYOND) as opened:
                if turn == 0:
                    seen.opened, seen.memory = opened, service.memory_info().rss - before
                    seen.processor = _idle(service, options.pick(1, 30))
                seen.beside.append(read())
            seen.lost += opened["lost"]
    _tell(report, f"{stores.dialect}: {most:,} idle streams", most, seen)


def _service(port: int) -> psutil.Process:
    """The service's process, which this one has started."""
    return next(child for child in psutil.Process().children() if str(port) in child.cmdline())


def _idle(service: psutil.Process, seconds: float) -> float:
    """The part of a processor that the service takes while nobody asks anything."""
    before = service.cpu_times()
    time.sleep(seconds)
    after = service.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


@contextlib.contextmanager
def _streams(port: int, number: int) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "bench.idle_streams", str(port), str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        opened: dict[str, Any] = json.loads(holder.stdout.readline())
        try:
            yield opened
        finally:
            out, _ = holder.communicate()
        opened |= json.loads(out)


def _tell(report: Report, name: str, most: int, seen: _Seen) -> None:
    answers = seen.opened["answers"]
    refused = sum(
        count for answer, count in answers.items() if answer.startswith("429 after ") and "None" not in answer
    )
    as_wanted = answers.get("200") == most and refused == _BEYOND
    report.add("R7", f"{name}: opened in", seen.opened["seconds"], "s")
    report.add("R7", f"{name}: answered {answers}", sum(answers.values()), "",
               goal=f"{most:,} x 200, {_BEYOND} x 429", met=as_wanted)  # fmt: skip
    report.add("R7", f"{name}: lost meanwhile", seen.lost, "", goal="0", met=seen.lost == 0)
    report.add("R7", f"{name}: memory of one", seen.memory / most / 1024, "KiB")
    report.add("R7", f"{name}: service's processor time, nobody asks", 100 * seen.processor, "%")
    for label in ("p50", "p95", "p99"):
        alone, beside = ([getattr(load, label) for load in loads] for loads in (seen.alone, seen.beside))
        value = statistics.median(beside)
        goal: dict[str, Any] = {"goal": f"< {_GOAL_MS} ms", "met": value < _GOAL_MS} if label == "p95" else {}
        report.add("R7", f"{name}: get by {_READERS} readers, {label}", value, "ms",
                   ratio=statistics.median(b / a for a, b in zip(alone, beside, strict=True)),
                   against=spread(beside, alone, "without streams"), **goal)  # fmt: skip
    wrong = sum(sum(load.wrong.values()) for load in seen.beside)
    report.add("R7", f"{name}: gets not answered by 200", wrong, "", goal="0", met=wrong == 0)


if __name__ == "__main__":
    run({"r7": measure})
