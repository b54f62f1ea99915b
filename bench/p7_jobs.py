"""P7: no-op jobs by one and by four worker processes, against the driver and against two job frameworks.

Jobs are enqueued beforehand and the workers wait ready for the word; the rate counts from there to the last commit.
Holdfast's jobs and the floor's write a ledger line each, in the transaction that removes the job, which shows
whether a job was lost or done twice. The frameworks' jobs write nothing, and a DBOS executor's start is not counted.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import holdfast
from bench import floors, jobs_holdfast, protocol
from bench.floors import Raw, Stores
from bench.report import Options, Report, quantile, ratio, run, spread

_ROOT = Path(__file__).parents[1]
_PEERS = _ROOT / ".venv-peers" / "bin" / "python"
_SECONDS = 300.0
_MISSING = "DBOS and procrastinate were not measured: .venv-peers is missing. Get it by `make bench-peers`."
_RATE = 50.0
_DBOS: dict[str, Any] = {"concurrency": 32, "polling": 0.05}
_PROCRASTINATE: dict[str, Any] = {"concurrency": 16, "delete": "successful"}


class _Process:
    """A script of the measurement in a process of its own, stopped before it begins."""

    def __init__(self, python: Path, module: str, wanted: dict[str, Any]) -> None:
        # A file, as nobody reads a pipe until the end.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed on exit
        self._process = subprocess.Popen(
            [str(python), "-m", module, json.dumps(wanted)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def ready(self) -> None:
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) != "ready\n":
            if not line:
                raise RuntimeError(self._complaint())

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self) -> protocol.Tally:
        out, _ = self._process.communicate(timeout=_SECONDS)
        if self._process.returncode:
            raise RuntimeError(self._complaint())
        return protocol.read(out.splitlines())

    def _complaint(self) -> str:
        self._errors.seek(0)
        return f"{self._process.args!r} failed:\n{self._errors.read()[-4000:]}"


def _together(processes: Sequence[_Process]) -> list[protocol.Tally]:
    for process in processes:
        process.ready()
    for process in processes:
        process.go()
    return [process.result() for process in processes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contender:
    """Somebody who does jobs.

    Attributes:
        name: its name.
        python: the interpreter that has it.
        module: its script.
        enqueue: the script that enqueues for it.
        number: how many jobs.
        schema: whether it needs Holdfast's.
        settings: what its script gets besides.
    """

    name: str
    python: Path
    module: str
    enqueue: str
    number: int
    schema: bool
    settings: dict[str, Any]

    def start(self, url: str, role: str, number: int, **more: Any) -> _Process:
        module = self.module if role in {"work", "serve"} else self.enqueue
        return _Process(self.python, module, {"url": url, "role": role, "number": number, **self.settings, **more})


def measure(options: Options, report: Report) -> None:
    if not _PEERS.exists():
        report.note(_MISSING)
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _contenders(options: Options, dialect: str) -> list[_Contender]:
    mine, many = Path(sys.executable), options.pick(200, 4000)
    jobs = "bench.jobs_holdfast"

    def own(name: str, module: str, number: int, batch: int) -> _Contender:
        return _Contender(
            name=name,
            python=mine,
            module=module,
            enqueue=jobs,
            number=number,
            schema=True,
            settings={"batch": batch},
        )

    found = [own("Holdfast", jobs, many, 100), own("floor", "bench.jobs_floor", many, 100)]
    if not options.small:
        found.append(own("Holdfast, one by one", jobs, many // 4, 1))
        found.append(own("floor, one by one", "bench.jobs_floor", many // 4, 1))
    peers = [("DBOS", "dbos_jobs", options.pick(40, 500), _DBOS)]
    if dialect == "postgresql":
        peers.append(("procrastinate", "procrastinate_jobs", options.pick(100, 1000), _PROCRASTINATE))
    found += [
        _Contender(
            name=name,
            python=_PEERS,
            module=f"bench.peers.{module}",
            enqueue=f"bench.peers.{module}",
            number=number,
            schema=False,
            settings=settings,
        )
        for name, module, number, settings in peers
        if _PEERS.exists()
    ]
    return found


def _measure(options: Options, report: Report, stores: Stores) -> None:
    contenders = _contenders(options, stores.dialect)
    # Processes take seconds to start: a small run sees each script once.
    for processes in (1,) if options.small else (1, 4):
        rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
        faults: Counter[str] = Counter()
        turns = [_turn(stores, contender, processes, rates, faults) for contender in contenders]
        floors.taking_turns(options.pick(1, min(options.rounds, 3)), *turns)
        _tell_rates(report, stores.dialect, processes, rates, faults)
    for contender in contenders:
        is_waiter = contender.module != "bench.jobs_floor" and contender.settings.get("batch") != 1
        if is_waiter and (contender.schema or not options.small):
            waits = _latency(options, stores, contender)
            p50, p95 = (quantile(waits, part) * 1000 for part in (0.5, 0.95))
            mine = contender.name == "Holdfast"
            name = f"{stores.dialect}: {contender.name}, enqueue to start"
            report.add("P7", f"{name} p50", p50, "ms")
            report.add(
                "P7", f"{name} p95", p95, "ms", goal="< 50 ms" if mine else "", met=p95 < 50 if mine else None
            )  # fmt: skip


def _turn(
    stores: Stores, contender: _Contender, processes: int, rates: dict[str, list[float]], faults: Counter[str]
) -> Callable[[int], None]:
    def go(_: int) -> None:
        url = stores.fresh(schema=contender.schema)
        number = contender.number
        _enqueue(contender, url, number)
        workers = [contender.start(url, "work", number) for _ in range(processes)]
        try:
            tallies = _together(workers)
        finally:
            for worker in workers:
                worker.__exit__(None, None, None)
        worked = [tally for tally in tallies if tally.done]
        spent = max(tally.ended for tally in worked) - min(tally.began for tally in worked)
        rates[contender.name].append(number / spent)
        if contender.schema:
            faults.update(_faults(url, number))
        else:
            faults["peers"] += abs(sum(tally.done for tally in tallies) - number)

    return go


def _enqueue(contender: _Contender, url: str, number: int) -> None:
    if contender.schema:
        with holdfast.open(url) as hf:
            jobs_holdfast.enqueue(hf, number)
        return
    with contender.start(url, "enqueue", number) as enqueuer:
        _together([enqueuer])


def _faults(url: str, number: int) -> dict[str, int]:
    raw = Raw(url)
    effects = raw.fetch("SELECT analysis_id, count(*) FROM ledger WHERE name = 'bench.done' GROUP BY analysis_id")
    raw.close()
    return {"lost": number - len(effects), "twice": sum(count - 1 for _, count in effects)}


def _tell_rates(
    report: Report, dialect: str, processes: int, rates: dict[str, list[float]], faults: Counter[str]
) -> None:
    label = f"{dialect}: {{}}, {processes} process{'es' if processes > 1 else ''}"
    middle = {name: sorted(found)[len(found) // 2] for name, found in rates.items()}
    for name, value in middle.items():
        against = f"floor{name.removeprefix('Holdfast')}"
        if name.startswith("Holdfast"):
            report.add(
                "P7", label.format(name), value, "/s",
                ratio=ratio(rates[name], rates[against]), against=spread(rates[name], rates[against], against),
            )  # fmt: skip
        else:
            report.add("P7", label.format(name), value, "/s")
    for peer, goal in (("DBOS", 10), ("procrastinate", 5)):
        for name in ("Holdfast", "Holdfast, one by one"):
            if peer in rates and name in rates:
                times = ratio(rates[name], rates[peer])
                report.add(
                    "P7", f"{label.format(name)}, against {peer}", middle[name], "/s",
                    ratio=times, against=spread(rates[name], rates[peer], peer), goal=f">= {goal} x", met=times >= goal,
                )  # fmt: skip
    for fault in ("lost", "twice"):
        report.add("P7", f"{label.format('jobs ' + fault)}", faults[fault], "jobs", goal="0", met=faults[fault] == 0)


def _latency(options: Options, stores: Stores, contender: _Contender) -> list[float]:
    url = stores.fresh(schema=contender.schema)
    number = options.pick(20, 200)
    if not contender.schema:
        # Makes the peer's schema and its queue.
        _enqueue(contender, url, 0)
    with (
        contender.start(url, "serve", number) as worker,
        contender.start(url, "pace", number, rate=_RATE) as pacer,
    ):
        worker.ready()
        pacer.ready()
        worker.go()
        # The worker opens what it opens; what is measured is a worker that waits.
        time.sleep(1.5)
        pacer.go()
        pacer.result()
        return worker.result().waits


if __name__ == "__main__":
    run({"p7": measure})
