"""P2, on end: 64 clients store results of 4 KB with two service processes, beside MLflow and Prefect.

After the clients have left, every result that was acknowledged is looked for in the store, with its content. The
floor, a bare FastAPI handler that does the raw insert, is measured before and after. A peer's figure is whole lives of
runs, three requests each that keep the same 4 KB; one request does that here, and the peers' requests are told as well.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import floors, http, http_peers
from bench.floors import Raw, Stores
from bench.report import Options, Report, quantile, run

_PROCESSES = 2
_PEER_GOAL = 10
_FLOOR_GOAL = 0.5
_CHUNK = 500
# What the two databases say when somebody waited for a lock in vain.
_LOCKED = re.compile(r"is locked|deadlock detected|could not serialize|lock timeout", re.IGNORECASE)
_KEPT = (
    "SELECT a.analysis_id FROM analyses a JOIN payloads p ON p.hash = a.result_hash "
    "WHERE p.reference_count > 0 AND a.analysis_id IN ({})"
)


@dataclass(frozen=True, slots=True)
class _Met:
    """What clients met.

    Attributes:
        rate: cycles a second.
        requests: answers a second.
        spent: seconds of each cycle.
        wrong: answers of the server's own fault, and connections that it cut.
        acknowledged: ids of what was said to be kept.
        complaints: the unwanted answers' beginnings.
    """

    rate: float
    requests: float
    spent: list[float]
    wrong: int
    acknowledged: list[str]
    complaints: dict[str, int]


def measure(options: Options, report: Report) -> None:
    if not http_peers.are_installed():
        report.note(http_peers.MISSING)
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _measure(options: Options, report: Report, stores: Stores) -> None:
    url, log = stores.fresh(), stores.directory / "service.log"
    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(http.floor(stores.fresh(), _PROCESSES))
        mine = stack.enter_context(http.holdfast(url, _PROCESSES, log=log))
        # Fills caches on both sides.
        for kind, port in (("floor", theirs), ("holdfast", mine)):
            _met(kind, {"port": port}, min(options.seconds / 10, 2))
        before = _met("floor", {"port": theirs}, options.seconds / 4)
        own = _met("holdfast", {"port": mine}, options.seconds)
        after = _met("floor", {"port": theirs}, options.seconds / 4)
    name = f"{stores.dialect}: {_PROCESSES} processes, {http.CLIENTS} clients, {options.seconds:g} s"
    bare = (before.rate + after.rate) / 2
    report.add("P2", f"{name}: floor", bare, "/s")
    report.add(
        "P2", f"{name}: store", own.rate, "/s",
        ratio=own.rate / bare, goal=f">= {_FLOOR_GOAL} x", met=own.rate >= _FLOOR_GOAL * bare,
        against=f"bare FastAPI ({own.rate / max(before.rate, after.rate):.2g}-"
        f"{own.rate / min(before.rate, after.rate):.2g})",
    )  # fmt: skip
    _tell_waits(report, name, own.spent)
    _tell_faults(report, name, own, lost=_lost(url, own.acknowledged), log=log)
    if http_peers.are_installed():
        for peer, kind, start in (
            ("MLflow", "mlflow", http_peers.mlflow),
            ("Prefect", "prefect", http_peers.prefect),
        ):
            _beside(options, report, stores, own, peer, kind, start)


def _beside(
    options: Options,
    report: Report,
    stores: Stores,
    own: _Met,
    peer: str,
    kind: str,
    start: Callable[[Stores], AbstractContextManager[dict[str, Any]]],
) -> None:
    name = f"{stores.dialect}: {peer}, {http.CLIENTS} clients"
    with contextlib.ExitStack() as stack:
        try:
            given = stack.enter_context(start(stores))
        except TimeoutError as error:
            # Prefect wants pg_trgm, which the PostgreSQL that comes with the tests does not have.
            report.note(f"{name} was not measured: {error}")
            return
        met = _met(kind, given, max(options.seconds / 2, 2))
    report.add("P2", f"{name}: lives of runs", met.rate, "/s")
    report.add("P2", f"{name}: requests", met.requests, "/s")
    if met.spent:
        _tell_waits(report, f"{name}: a life", met.spent)
    report.add("P2", f"{name}: answers 5xx, connections cut", met.wrong, "")
    for complaint, count in met.complaints.items():
        report.note(f"{name}: {count} x {complaint}")
    # A peer that finished none has done less than one in all the time.
    times = own.rate / max(met.rate, 1 / options.seconds)
    report.add(
        "P2", f"{stores.dialect}: store, against {peer}", own.rate, "/s",
        ratio=times, against=peer, goal=f">= {_PEER_GOAL} x", met=times >= _PEER_GOAL,
    )  # fmt: skip


def _met(kind: str, given: dict[str, Any], seconds: float) -> _Met:
    done = http.cycles(kind, given, seconds)
    wrong = sum(count for status, count in done["statuses"].items() if status == "0" or status >= "500")
    return _Met(
        rate=len(done["cycles"]) / done["seconds"],
        requests=sum(done["statuses"].values()) / done["seconds"],
        spent=done["cycles"],
        wrong=wrong,
        acknowledged=done["acknowledged"],
        complaints=done["complaints"],
    )


def _tell_waits(report: Report, name: str, spent: Sequence[float]) -> None:
    for label, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        report.add("P2", f"{name}: {label}", quantile(spent, part) * 1000, "ms")


def _tell_faults(report: Report, name: str, own: _Met, *, lost: int, log: Path) -> None:
    told = log.read_text(errors="replace").splitlines()
    locked = sum(_LOCKED.search(line) is not None for line in told)
    locked += sum(count for said, count in own.complaints.items() if _LOCKED.search(said))
    faults = {
        "answers 5xx, connections cut": own.wrong,
        "other answers than 201": sum(own.complaints.values()),
        f"lost of {len(own.acknowledged):,} acknowledged": lost,
        "lock errors, in answers and log": locked,
    }
    for fault, count in faults.items():
        report.add("P2", f"{name}: {fault}", count, "", goal="0", met=count == 0)
    for complaint, count in own.complaints.items():
        report.note(f"{name}: {count} x {complaint}")


def _lost(url: str, acknowledged: Sequence[str]) -> int:
    """How many of them are not in the store, or there without content."""
    raw = Raw(url)
    kept: set[str] = set()
    for start in range(0, len(acknowledged), _CHUNK):
        chunk = acknowledged[start : start + _CHUNK]
        kept.update(name for (name,) in raw.fetch(_KEPT.format(", ".join("?" * len(chunk))), chunk))
    raw.commit()
    raw.close()
    return len(set(acknowledged) - kept) + len(acknowledged) - len(set(acknowledged))


if __name__ == "__main__":
    run({"p2-long": measure})
