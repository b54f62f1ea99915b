"""R8: everything out of one store and into the other, equal by its hash; killed on the way, and gone on.

The move itself compares what has arrived with what was sent, by a SHA-256 over every row.
"""

import multiprocessing
import time
from collections.abc import Iterator

import sqlalchemy as sa

import holdfast
from bench import floors
from bench.report import Options, Report, run
from holdfast.domain.findings import Finding, Severity
from holdfast.formats.bundle import Footer
from holdfast.services.results import NewResult
from holdfast.services.transfer.bundles import footer_of
from holdfast.store import tables

_AT_ONCE = 500
_KILLED_AT = 0.3


def _results(count: int) -> Iterator[NewResult]:
    for number in range(count):
        yield NewResult(
            kind="note",
            analysis_id=f"n{number:07}",
            result={"number": number, "text": f"what was found in {number % 97} " * 10},
            findings=[Finding(rule="r", severity=Severity.LOW, title=f"f{number}")],
            metrics={"number": float(number)},
            tags=[f"t{number % 50}"],
        )


def _fill(url: str, count: int) -> Footer:
    with holdfast.open(url, processors=()) as hf:
        new: list[NewResult] = []
        for one in _results(count):
            new.append(one)
            if len(new) == _AT_ONCE:
                hf.store_analyses(new)
                new.clear()
        if new:
            hf.store_analyses(new)
        return _footer(hf)


def _footer(hf: holdfast.Holdfast) -> Footer:
    return footer_of(hf.store, secrets=True, told=lambda *_: None)


def move(url: str, target: str) -> None:
    """What is killed, and goes on."""
    with holdfast.open(url) as here, holdfast.open(target) as there:
        here.transfer.move_to(there.store)


def measure(options: Options, report: Report) -> None:
    """Move there and back."""
    with floors.stores(options, report) as found:
        for source, target in zip(found, [*found[1:], *found[:1]], strict=True):
            _measure(options, report, source, target)


def _measure(options: Options, report: Report, source: floors.Stores, target: floors.Stores) -> None:
    count = options.pick(1_000, options.rows)
    here, there = source.fresh(), target.fresh()
    sent = _fill(here, count)
    place = f"{source.dialect} to {target.dialect}: {count:,} analyses"
    _kill_on_the_way(here, there, count)
    before = time.perf_counter()
    move(here, there)
    seconds = time.perf_counter() - before
    with holdfast.open(there) as hf:
        arrived = _footer(hf)
    report.add("R8", f"{place}, {sent.rows:,} rows, after a kill", seconds, "s", goal="equal", met=arrived == sent)


def _kill_on_the_way(here: str, there: str, count: int) -> None:
    process = multiprocessing.get_context("spawn").Process(target=move, args=(here, there))
    process.start()
    with holdfast.open(there) as hf:
        while process.is_alive() and _arrived(hf) < count * _KILLED_AT:
            time.sleep(0.02)
    process.kill()
    process.join()


def _arrived(hf: holdfast.Holdfast) -> int:
    with hf.engine.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(tables.analyses)).scalar_one())


if __name__ == "__main__":
    run({"r8-transfer": measure})
