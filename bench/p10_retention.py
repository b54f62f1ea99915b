"""P10: a tenth of all results expire while 16 writers of another process write on.

Rows come from ``bench.rows``; those that expire get a result, findings and a metric of their own. The writers' times
without a sweep are the floor: what a sweep adds to them is what it costs the foreground.
"""

import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

import holdfast
from bench import floors, rows
from bench.floors import Raw, Stores
from bench.p1_store import result
from bench.report import Options, Report, quantile, run

if TYPE_CHECKING:
    from holdfast.services.retention import Sweep

_WRITERS = 16
_EVERY = 10
_SECONDS_GOAL = 60
_P99_GOAL = 100
_ORPHANS = {
    "payloads": "reference_count <= 0 OR NOT EXISTS (SELECT 1 FROM analyses a WHERE a.result_hash = payloads.hash)",
    "finding_items": "NOT EXISTS (SELECT 1 FROM findings f WHERE f.id = finding_items.finding)",
    **{
        table: f"NOT EXISTS (SELECT 1 FROM analyses a WHERE a.id = {table}.analysis)"
        for table in ("findings", "metrics", "tags", "attempts", "progress")
    },
    "checkpoints": "substr(scope, 1, 9) = 'analysis:'",
    # What the writers stored waits for a worker, which there is not.
    "jobs": "analysis_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM analyses a WHERE a.analysis_id = jobs.analysis_id)",
}


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _measure(options: Options, report: Report, stores: Stores) -> None:
    count = options.pick(2_000, options.rows)
    url = stores.fresh()
    rows.fill(url, count)
    expiring = _expire(url, stores.dialect)
    before = _before(url)
    with holdfast.open(url, ledger_days=None) as hf:
        alone = _written(url, lambda: time.sleep(options.pick(1, 10)))
        done: list[Sweep] = []
        during = _written(url, lambda: done.append(hf.sweep()))
        (swept,) = done
        name = f"{stores.dialect}: {count:,} rows"
        report.add("P10", f"{name}, {expiring:,} expire: sweep", swept.seconds, "s",
                   goal=f"<= {_SECONDS_GOAL} s",
                   met=swept.seconds <= _SECONDS_GOAL and swept.total == expiring)  # fmt: skip
        report.add("P10", f"{name}: longest transaction of the sweep", swept.longest_lock_ms, "ms")
        floor, p99 = quantile(alone, 0.99) * 1000, quantile(during, 0.99) * 1000
        report.add("P10", f"{name}: p99 of a store by {_WRITERS} writers meanwhile", p99, "ms",
                   ratio=p99 / floor, against=f"without a sweep ({floor:.3g} ms)",
                   goal=f"<= {_P99_GOAL} ms", met=p99 <= _P99_GOAL)  # fmt: skip
        report.add("P10", f"{name}: slowest store meanwhile", max(during) * 1000, "ms",
                   ratio=max(during) / max(alone), against="without a sweep")  # fmt: skip
        report.add("P10", f"{name}: stores meanwhile", len(during) / swept.seconds, "/s")
        raw = Raw(url)
        orphans = {table: raw.fetch(f"SELECT count(*) FROM {table} WHERE {of}")[0][0] for table, of in _ORPHANS.items()}
        raw.commit()
        found = ", ".join(f"{number} in {table}" for table, number in orphans.items() if number)
        report.add("P10", f"{name}: orphans {found}".rstrip(), sum(orphans.values()), "rows",
                   goal="0", met=not any(orphans.values()))  # fmt: skip
    _size(report, name, url, raw, before)
    raw.close()


def _expire(url: str, dialect: str) -> int:
    """Give a tenth of the rows something in each table, and let them be expired; returns how many."""
    raw = Raw(url)
    raw.begin()
    # Searches for duplicates have a policy of their own, by which all of these old ones would go as well.
    raw.run("UPDATE analyses SET kind = 'copies' WHERE kind = 'duplicates'")
    # What runs does not go. Written so that neither driver takes it for a placeholder.
    which = f"id / {_EVERY} * {_EVERY} = id AND status <> 'running'"
    chosen = f"FROM analyses WHERE {which}"
    content = "randomblob(2000)"
    if dialect == "postgresql":
        # As hard to compress as what stands in for it on SQLite.
        content = "(SELECT decode(string_agg(md5(n::text), ''), 'hex') FROM generate_series(1, 125) n)"
    mine = "'bench-' || analysis_id"
    raw.run(f"""INSERT INTO payloads (hash, size, stored_size, reference_count, data)
                SELECT {mine}, 6000, 2000, 1, {content} {chosen}""")
    raw.run(f"""INSERT INTO findings (analysis, ordinal, rule, severity, title, message, identity, data)
                SELECT id, 0, 'r', 'low', 'title', 'message', analysis_id, '{{}}' {chosen}""")
    raw.run("""INSERT INTO finding_items (finding, ordinal, key, data) SELECT id, 0, 'key', '{}' FROM findings""")
    raw.run(f"INSERT INTO metrics (analysis, name, value) SELECT id, 'm', 1 {chosen}")
    raw.run(f"""INSERT INTO checkpoints (scope, "key", data, saved_at)
                SELECT 'analysis:' || analysis_id, 'k', CAST('v' AS {"BLOB" if dialect == "sqlite" else "BYTEA"}), 0
                {chosen}""")
    raw.run(f"""UPDATE analyses SET result_hash = {mine}, result_size = 6000, result_stored_size = 2000,
                ttl_seconds = 1, expires_at = created_at + 1000000 WHERE {which}""")
    raw.run("""UPDATE payloads SET reference_count =
               (SELECT count(*) FROM analyses a WHERE a.result_hash = payloads.hash)""")
    raw.run("DELETE FROM payloads WHERE reference_count = 0")
    number: int = raw.fetch(f"SELECT count(*) {chosen}")[0][0]
    raw.commit()
    raw.settle()
    raw.close()
    return number


def _before(url: str) -> float:
    raw = Raw(url)
    ratio = _against_copy(url, raw)[1] if raw.dialect == "sqlite" else 1.0
    raw.close()
    return ratio


def _written(url: str, work: Callable[[], object]) -> list[float]:
    """How long each store took that other threads of another process did while ``work`` was done."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    stop = context.Event()
    process = context.Process(target=_write, args=(url, there, stop))
    process.start()
    here.recv()
    try:
        work()
    finally:
        stop.set()
    spent: list[float] = here.recv()
    process.join()
    return spent


def _write(url: str, told: Connection, stop: Event) -> None:
    spent: list[float] = []
    with holdfast.open(url) as hf:
        hf.store_analysis("bench", {})

        def write(number: int) -> None:
            seed = random.Random(number)
            while not stop.is_set():
                content = result(seed)
                before = time.perf_counter()
                hf.store_analysis("bench", content, tags=["main"])
                spent.append(time.perf_counter() - before)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(_WRITERS)]
        for thread in threads:
            thread.start()
        told.send("ready")
        for thread in threads:
            thread.join()
    told.send(spent)


def _size(report: Report, name: str, url: str, raw: Raw, before: float) -> None:
    """The file against a copy without a free byte, and against what it was so before anything went."""
    if raw.dialect == "postgresql":
        size = raw.fetch("SELECT pg_database_size(current_database())")[0][0]
        report.add("P10", f"{name}: database, which PostgreSQL fills again", size / 1e6, "MB")
        return
    free, pages = (raw.fetch(f"PRAGMA {figure}")[0][0] for figure in ("freelist_count", "page_count"))
    report.add("P10", f"{name}: free pages of the file", 100 * free / pages, "%")
    size, after = _against_copy(url, raw)
    report.add("P10", f"{name}: file", size / 1e6, "MB", ratio=after, against=f"its live data, before {before:.3g} x",
               goal="<= 1.1 x", met=after <= 1.1)  # fmt: skip


def _against_copy(url: str, raw: Raw) -> tuple[int, float]:
    """The file's bytes, and how many times those of a copy without a free byte that is."""
    path = Path(url.removeprefix("sqlite:///"))
    copy = path.with_suffix(".copy")
    raw.run(f"VACUUM INTO '{copy}'")
    size, least = path.stat().st_size, copy.stat().st_size
    copy.unlink()
    return size, size / least


if __name__ == "__main__":
    run({"p10": measure})
