"""P1: a durable store of a 4 KB result, against the driver writing the same rows.

The floor commits once per result: payload, analysis, ledger entry and counters, into the schema that the migrations
make, with every value prepared beforehand. Holdfast's side begins with the caller's Python object: it encodes,
hashes, compresses, checks and returns the analysis.
"""

import hashlib
import itertools
import json
import random
import statistics
import threading
from collections.abc import Callable, Sequence
from typing import Any

import zstandard

import holdfast
from bench import floors
from bench.floors import Raw, Stores
from bench.report import Options, Report, ratio, run, spread, timed
from holdfast.services.results import NewResult

_THREADS = 32
_COUNT = (
    "INSERT INTO counters (name, shard, value) VALUES (?, ?, ?) "
    "ON CONFLICT (name, shard) DO UPDATE SET value = counters.value + excluded.value"
)


def result(seed: random.Random) -> dict[str, Any]:
    """A result of 4 KB that compresses to about half, as hexadecimal digits do."""
    return {"scores": [seed.random() for _ in range(20)], "hashes": [seed.randbytes(32).hex() for _ in range(54)]}


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _measure(options: Options, report: Report, stores: Stores) -> None:
    dialect, raw_name = stores.dialect, "raw sqlite3" if stores.dialect == "sqlite" else "raw psycopg"
    fsync = floors.fsync_ms(stores.directory)
    applies = fsync >= floors.FSYNC_CLAUSE_MS
    clause = "the clause on 32 threads applies" if applies else "< 1 ms: no clause on 32 threads"
    report.add("P1", f"{dialect}: fsync of 4 KB", fsync, "ms", goal=clause)
    number = options.pick(40, 400)
    seed = random.Random(1)
    with holdfast.open(stores.fresh()) as hf:
        floor = _Floor(stores.fresh(), seed)
        spent: dict[str, list[float]] = {name: [] for name in ("hf", "hf cpu", "raw", "raw cpu", "32", "32 cpu")}

        def note(name: str, times: tuple[float, float]) -> None:
            spent[name].append(times[0] / number)
            spent[f"{name} cpu"].append(times[1] / number)

        def holdfast_one(_: int) -> None:
            results = [result(seed) for _ in range(number)]
            note("hf", timed(lambda: [hf.store_analysis("bench", value) for value in results]))

        def holdfast_threads(_: int) -> None:
            results = [result(seed) for _ in range(number)]
            note("32", timed(lambda: _in_threads(results, lambda value: hf.store_analysis("bench", value))))

        def raw_one(_: int) -> None:
            rows = [floor.prepare(result(seed)) for _ in range(number)]
            note("raw", timed(lambda: floor.write_each(rows)))

        holdfast_one(0)  # fills caches and statement caches
        raw_one(0)
        holdfast_threads(0)
        for values in spent.values():
            values.clear()
        floors.taking_turns(options.rounds, holdfast_one, raw_one, holdfast_threads)
        rate = {name: 1 / statistics.median(values) for name, values in spent.items()}
        one, many = ratio(spent["raw"], spent["hf"]), ratio(spent["raw"], spent["32"])
        cpu = statistics.median(spent["hf cpu"]) * 1000
        cpu_ratio = ratio(spent["hf cpu"], spent["raw cpu"])
        report.add("P1", f"{dialect}: floor, one commit per insert", rate["raw"], "/s")
        report.add(
            "P1", f"{dialect}: store, 1 thread", rate["hf"], "/s",
            ratio=one, against=spread(spent["raw"], spent["hf"], raw_name), goal=">= 0.6 x", met=one >= 0.6,
        )  # fmt: skip
        report.add(
            "P1", f"{dialect}: store, {_THREADS} threads", rate["32"], "/s",
            ratio=many, against=spread(spent["raw"], spent["32"], f"{raw_name}, 1 thread"),
            goal=">= 2 x" if applies else ">= 2 x, only where fsync >= 1 ms", met=many >= 2 if applies else None,
        )  # fmt: skip
        report.add(
            "P1", f"{dialect}: processor time of a store", cpu, "ms",
            ratio=cpu_ratio, against=spread(spent["hf cpu"], spent["raw cpu"], raw_name),
            goal="<= 0.4 ms", met=cpu <= 0.4,
        )  # fmt: skip
        report.add("P1", f"{dialect}: processor time of the floor", statistics.median(spent["raw cpu"]) * 1000, "ms")
        report.add(
            "P1", f"{dialect}: processor time of a store, {_THREADS} threads",
            statistics.median(spent["32 cpu"]) * 1000, "ms",
        )  # fmt: skip
        _batches(options, report, stores, hf, floor)
        floor.close()


def _batches(options: Options, report: Report, stores: Stores, hf: holdfast.Holdfast, floor: "_Floor") -> None:
    number, seed = options.pick(100, 1000), random.Random(2)
    spent: dict[str, list[float]] = {"hf": [], "raw": []}

    def holdfast_batch(_: int) -> None:
        results = [NewResult(kind="bench", result=result(seed)) for _ in range(number)]
        spent["hf"].append(timed(lambda: hf.store_analyses(results))[0] / number)

    def raw_batch(_: int) -> None:
        rows = [floor.prepare(result(seed)) for _ in range(number)]
        spent["raw"].append(timed(lambda: floor.write_many(rows))[0] / number)

    floors.taking_turns(options.rounds, holdfast_batch, raw_batch)
    batch = ratio(spent["raw"], spent["hf"])
    report.add("P1", f"{stores.dialect}: floor, executemany of {number}", 1 / statistics.median(spent["raw"]), "/s")
    report.add(
        "P1", f"{stores.dialect}: store, batches of {number}", 1 / statistics.median(spent["hf"]), "/s",
        ratio=batch, against=spread(spent["raw"], spent["hf"], "raw executemany"), goal=">= 0.5 x", met=batch >= 0.5,
    )  # fmt: skip


class _Floor:
    """Writes the rows that a store writes, through the driver."""

    def __init__(self, url: str, seed: random.Random) -> None:
        # One store by Holdfast itself shows what its rows are.
        with holdfast.open(url) as hf:
            known = hf.store_analysis("bench", result(seed)).analysis_id
        self._raw = Raw(url)
        self._numbers = itertools.count()
        self._rows: dict[str, dict[str, Any]] = {}
        for table in ("payloads", "analyses", "ledger"):
            where = "analysis_id = ?" if table != "payloads" else "'' <> ?"
            row = self._raw.row(f"SELECT * FROM {table} WHERE {where}", [known])
            self._rows[table] = {name: value for name, value in row.items() if name not in {"id", "sequence"}}
        self._raw.commit()
        self._inserts = {table: floors.insert(table, row) for table, row in self._rows.items()}

    def prepare(self, value: dict[str, Any]) -> dict[str, list[Any]]:
        """Everything that the driver will be given for a result."""
        content = json.dumps(value, separators=(",", ":")).encode()
        data = zstandard.ZstdCompressor(level=3).compress(content)
        digest = hashlib.sha256(content).hexdigest()
        own = {
            "hash": digest, "result_hash": digest, "size": len(content), "result_size": len(content), "data": data,
            "stored_size": len(data), "result_stored_size": len(data),
            "analysis_id": f"bench-{next(self._numbers):09d}",
        }  # fmt: skip
        return {table: [own.get(name, old) for name, old in row.items()] for table, row in self._rows.items()}

    def write(self, rows: dict[str, list[Any]]) -> None:
        self._raw.begin()
        for table, insert in self._inserts.items():
            self._raw.run(insert, rows[table])
        self._raw.run_many(_COUNT, _counts(1, rows["payloads"][2]))
        self._raw.commit()

    def write_each(self, all_rows: Sequence[dict[str, list[Any]]]) -> None:
        for rows in all_rows:
            self.write(rows)

    def write_many(self, all_rows: Sequence[dict[str, list[Any]]]) -> None:
        self._raw.begin()
        for table, insert in self._inserts.items():
            self._raw.run_many(insert, [rows[table] for rows in all_rows])
        self._raw.run_many(_COUNT, _counts(len(all_rows), 2000 * len(all_rows)))
        self._raw.commit()

    def close(self) -> None:
        self._raw.close()


def _counts(number: int, size: int) -> list[tuple[str, int, int]]:
    return [("analyses", 0, number), ("analyses.completed", 0, number), ("result_bytes", 0, size)]


def _in_threads(values: Sequence[dict[str, Any]], store: Callable[[dict[str, Any]], object]) -> None:
    def work(own: Sequence[dict[str, Any]]) -> None:
        for value in own:
            store(value)

    threads = [threading.Thread(target=work, args=(values[start::_THREADS],)) for start in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    run({"p1": measure})
