"""P3: reading one analysis and its result by id, against the driver selecting the same row.

The library gives an ``Analysis``, or the decoded result after checking its hash; the driver gives a tuple, or bytes.
Over HTTP the floor is a bare FastAPI handler that returns as many bytes from its memory; the result's bytes
come as they are kept.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence

import holdfast
from bench import floors, http, rows
from bench.floors import Raw, Stores
from bench.p1_store import result
from bench.report import Options, Report, quantile, run, spread, timed
from holdfast.services.results import NewResult

_ROW = "SELECT a.*, s.kind, s.key, s.title, s.attributes FROM analyses a LEFT JOIN subjects s ON s.id = a.subject"
_BY_ID = f"{_ROW} WHERE a.analysis_id = ?"
_RESULT = "SELECT p.data FROM analyses a JOIN payloads p ON p.hash = a.result_hash WHERE a.analysis_id = ?"


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _measure(options: Options, report: Report, stores: Stores) -> None:
    url = stores.fresh()
    rows.fill(url, options.pick(500, 50_000))
    number, seed = options.pick(50, 500), random.Random(3)
    with holdfast.open(url) as hf:
        kept = hf.store_analyses([NewResult(kind="bench", result=result(seed)) for _ in range(number)])
        ids = [analysis.analysis_id for analysis in kept]
        raw = Raw(url)

        def raw_row(key: str) -> None:
            raw.fetch(_BY_ID, [key])
            raw.commit()

        def raw_result(key: str) -> None:
            raw.fetch(_RESULT, [key])
            raw.commit()

        _compare(options, report, f"{stores.dialect}: get by id", ids, hf.get_analysis, raw_row, goal=0.15)
        _compare(options, report, f"{stores.dialect}: get_result, 4 KB", ids, hf.get_result, raw_result, goal=None)
        raw.close()
    _over_http(options, report, stores, url, ids)


def _over_http(options: Options, report: Report, stores: Stores, url: str, ids: Sequence[str]) -> None:
    number = options.pick(300, 5000)
    paths = {"get by id": "/api/v1/analyses/{}", "result, 4 KB, as it is kept": "/api/v1/analyses/{}/result"}
    for workers in (1, 2):
        with http.holdfast(url, workers) as mine, http.floor(stores.fresh(), workers) as theirs:
            for name, path in paths.items():
                loads: dict[str, list[http.Load]] = {"hf": [], "raw": []}

                def holdfast(_: int, path: str = path, loads: dict[str, list[http.Load]] = loads) -> None:
                    loads["hf"].append(http.load(mine, path, number, 200, ids=ids))

                def floor(_: int, loads: dict[str, list[http.Load]] = loads) -> None:
                    loads["raw"].append(http.load(theirs, "/same/{}", number, 200, ids=ids))

                floors.taking_turns(1, holdfast, floor)
                loads["hf"].clear()
                loads["raw"].clear()
                floors.taking_turns(options.rounds, holdfast, floor)
                own, bare = ([one.rate for one in loads[side]] for side in ("hf", "raw"))
                many = f"{stores.dialect}: HTTP, {workers} process{'es' if workers > 1 else ''}: {name}"
                against = statistics.median(a / b for a, b in zip(own, bare, strict=True))
                report.add("P3", f"{many}: floor", statistics.median(bare), "/s")
                report.add(
                    "P3", many, statistics.median(own), "/s",
                    ratio=against, against=spread(own, bare, "bare FastAPI"), goal=">= 0.6 x", met=against >= 0.6,
                )  # fmt: skip


def _compare(
    options: Options,
    report: Report,
    name: str,
    ids: Sequence[str],
    read: Callable[[str], object],
    read_raw: Callable[[str], object],
    *,
    goal: float | None,
) -> None:
    spent: dict[str, list[list[float]]] = {"hf": [], "raw": []}
    cpu: dict[str, list[float]] = {"hf": [], "raw": []}

    def side(side_name: str, work: Callable[[str], object]) -> Callable[[int], None]:
        def go(_: int) -> None:
            times: list[float] = []

            def each() -> None:
                for key in ids:
                    before = time.perf_counter()
                    work(key)
                    times.append((time.perf_counter() - before) * 1000)

            cpu[side_name].append(timed(each)[1] / len(ids) * 1000)
            spent[side_name].append(times)

        return go

    mine, floor = side("hf", read), side("raw", read_raw)
    floors.taking_turns(1, mine, floor)
    spent["hf"], spent["raw"], cpu["hf"], cpu["raw"] = [], [], [], []
    floors.taking_turns(options.rounds * 2, mine, floor)
    for part, label in ((0.5, "p50"), (0.95, "p95")):
        figure = {side: statistics.median(quantile(times, part) for times in values) for side, values in spent.items()}
        against = statistics.median(
            quantile(a, part) / quantile(b, part) for a, b in zip(spent["hf"], spent["raw"], strict=True)
        )
        asked = goal is not None and label == "p50"
        report.add("P3", f"{name}: floor {label}", figure["raw"], "ms")
        report.add(
            "P3", f"{name}: {label}", figure["hf"], "ms", ratio=against, against="raw",
            goal=f"<= {goal} ms" if asked else "", met=figure["hf"] <= goal if goal is not None and asked else None,
        )  # fmt: skip
    report.add(
        "P3", f"{name}: processor time", statistics.median(cpu["hf"]), "ms",
        ratio=statistics.median(a / b for a, b in zip(cpu["hf"], cpu["raw"], strict=True)), against="raw",
    )  # fmt: skip


if __name__ == "__main__":
    run({"p3": measure})
