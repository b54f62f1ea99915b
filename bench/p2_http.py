"""P2: durable stores of 4 KB results over HTTP by 64 clients, against a bare FastAPI handler that does the raw insert.

Both sides parse JSON, hash, compress and commit the same rows; services and clients are processes of their own.
"""

import statistics

from bench import floors, http
from bench.floors import Stores
from bench.report import Options, Report, run, spread


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            for workers in (1, 2):
                _measure(options, report, stores, workers)


def _measure(options: Options, report: Report, stores: Stores, workers: int) -> None:
    number = options.pick(200, 3000)
    own: list[http.Load] = []
    bare: list[http.Load] = []
    with http.holdfast(stores.fresh(), workers) as mine, http.floor(stores.fresh(), workers) as theirs:

        def holdfast(_: int) -> None:
            own.append(http.load(mine, "/api/v1/analyses", number, 201))

        def floor(_: int) -> None:
            bare.append(http.load(theirs, "/store", number, 201))

        floors.taking_turns(1, holdfast, floor)
        own.clear()
        bare.clear()
        floors.taking_turns(options.rounds, holdfast, floor)
    name = f"{stores.dialect}: {workers} process{'es' if workers > 1 else ''}, {http.CLIENTS} clients"
    rates, base = [one.rate for one in own], [one.rate for one in bare]
    ratio = statistics.median(a / b for a, b in zip(rates, base, strict=True))
    report.add("P2", f"{name}: floor", statistics.median(base), "/s")
    report.add(
        "P2", f"{name}: store", statistics.median(rates), "/s",
        ratio=ratio, against=spread(rates, base, "bare FastAPI"), goal=">= 0.5 x", met=ratio >= 0.5,
    )  # fmt: skip
    report.add("P2", f"{name}: p50", statistics.median(one.p50 for one in own), "ms")
    report.add("P2", f"{name}: p99", statistics.median(one.p99 for one in own), "ms")
    wrong = sum(sum(one.wrong.values()) for one in own)
    report.add("P2", f"{name}: other answers than 201", wrong, "", goal="0", met=wrong == 0)


if __name__ == "__main__":
    run({"p2": measure})
