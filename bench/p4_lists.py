"""P4: pages of 100 from lists of 10 k analyses and many more: every filter, both orders, first and deep page.

A deep page begins where nine tenths of the store lie behind. Rows come from ``bench.rows``; the two sizes take turns,
and their ratio tells whether a page costs the same however many analyses there are. A busy machine spoils single p95s
by a factor of two; where it is in doubt, the ratio of the medians tells more.
"""

import contextlib
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import holdfast
from bench import floors, rows
from bench.floors import Stores
from bench.report import Options, Report, quantile, run
from holdfast.domain.analysis import Status
from holdfast.store.lists import Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GOAL = 1.5
_LONGER = 1.25
_FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "owner, large": {"client_session_id": "owner-0"},
    "owner, rare": {"client_session_id": "owner-rare"},
    "kind, common": {"kind": "code"},
    "kind, rare": {"kind": "rare"},
    "status, common": {"status": Status.COMPLETED},
    "status, rare": {"status": Status.RUNNING},
    "status, two": {"status": (Status.RUNNING, Status.FAILED)},
    "subject": {"subject": ("repository", "subject-0")},
    "tag, common": {"tags": ["main"]},
    "tag, rare": {"tags": ["rare"]},
    "two tags, common": {"tags": ["main", "nightly"]},
    "two tags, rare first": {"tags": ["rare", "nightly"]},
    "two tags, rare last": {"tags": ["nightly", "rare"]},
    "thread": {"thread_id": "thread-rare"},
    "session": {"session_id": "session-rare"},
    "process": {"process_instance_id": "process-rare"},
    "owner + kind": {"client_session_id": "owner-0", "kind": "duplicates"},
    "owner + status": {"client_session_id": "owner-0", "status": Status.FAILED},
    "owner + tag": {"client_session_id": "owner-0", "tags": ["main"]},
    "owner + rare tag": {"client_session_id": "owner-0", "tags": ["rare"]},
    "owner + kind + status": {"client_session_id": "owner-0", "kind": "code", "status": Status.FAILED},
    "kind + status, common": {"kind": "code", "status": Status.COMPLETED},
    "kind + status, 1 % each": {"kind": "coverage", "status": Status.TIMED_OUT},
    "kind rare + status common": {"kind": "rare", "status": Status.COMPLETED},
    "kind + tag, 1 % each": {"kind": "coverage", "tags": ["audit"]},
    "status + tag, 1 % each": {"status": Status.TIMED_OUT, "tags": ["audit"]},
    "tag common + kind rare": {"kind": "rare", "tags": ["nightly"]},
    "thread + status": {"thread_id": "thread-rare", "status": Status.COMPLETED},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Combination:
    name: str
    where: dict[str, Any]
    ascending: bool
    deep: bool

    def place(self, count: int) -> Place | None:
        if not self.deep:
            return None
        part = 0.9 if self.ascending else 0.1
        at = _EPOCH + timedelta(microseconds=rows.BEGINNING + int(count * part) * rows.BETWEEN)
        return Place(created_at=at, key=0)


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _measure(options, report, stores)


def _measure(options: Options, report: Report, stores: Stores) -> None:
    sizes = (options.pick(500, 10_000), options.pick(2_000, options.rows))
    with contextlib.ExitStack() as stack:
        opened = []
        for size in sizes:
            url = stores.fresh()
            before = time.perf_counter()
            rows.fill(url, size)
            report.add("P4", f"{stores.dialect}: {size:,} rows made in", time.perf_counter() - before, "s")
            opened.append(stack.enter_context(holdfast.open(url)))
        combinations = [
            _Combination(name, where, ascending, deep)
            for name, where in _FILTERS.items()
            for ascending in (False, True)
            for deep in (False, True)
        ]
        found = []
        for combination in combinations:
            pages = _compare(options, combination, sizes, opened)
            # A longer page may take longer; a shorter one may not.
            comparable = pages.large_rows <= _LONGER * pages.small_rows
            name = (
                f"{combination.name}, {'oldest' if combination.ascending else 'newest'} first"
                f"{', deep' if combination.deep else ''}"
            )
            medians = f"<= {_GOAL} x (medians {pages.medians:.2f} x)"
            other = f"{pages.small_rows} rows against {pages.large_rows}: not comparable"
            report.add(
                "P4", f"{stores.dialect}: {name}: p95", pages.large, "ms",
                ratio=pages.large / pages.small, against=f"{sizes[0]:,} rows ({pages.small:.2g} ms)",
                goal=medians if comparable else other, met=pages.large <= _GOAL * pages.small if comparable else None,
            )  # fmt: skip
            if comparable:
                found.append((pages.large / pages.small, pages.medians, pages.large, name))
        by_p95, by_median = max(found), max(found, key=lambda figures: figures[1])
        over = sum(p95 > _GOAL for p95, _, _, _ in found), sum(median > _GOAL for _, median, _, _ in found)
        report.add(
            "P4", f"{stores.dialect}: worst of {len(found)} by p95s: {by_p95[3]}", by_p95[2], "ms",
            ratio=by_p95[0], against=f"{sizes[0]:,} rows", goal=f"{over[0]} over {_GOAL} x", met=over[0] == 0,
        )  # fmt: skip
        report.add(
            "P4", f"{stores.dialect}: worst of {len(found)} by medians: {by_median[3]}", by_median[2], "ms",
            ratio=by_median[1], against=f"{sizes[0]:,} rows", goal=f"{over[1]} over {_GOAL} x",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pages:
    """A page of the small and of the large list: p95 in ms, the ratio of the medians, and how many rows they had."""

    small: float
    large: float
    medians: float
    small_rows: int
    large_rows: int


def _compare(
    options: Options, combination: _Combination, sizes: tuple[int, int], opened: list[holdfast.Holdfast]
) -> _Pages:
    places = [combination.place(size) for size in sizes]
    spent: list[list[float]] = [[], []]
    lengths = [0, 0]

    def side(which: int) -> None:
        before = time.perf_counter()
        page = opened[which].list_analyses(
            limit=100, after=places[which], ascending=combination.ascending, **combination.where
        )
        spent[which].append((time.perf_counter() - before) * 1000)
        lengths[which] = len(page.items)

    # The first look-ups prepare statements and fill caches.
    floors.taking_turns(options.pick(0, 2), lambda _: side(0), lambda _: side(1))
    spent[:] = [[], []]
    floors.taking_turns(options.pick(1, 40), lambda _: side(0), lambda _: side(1))
    return _Pages(
        small=quantile(spent[0], 0.95),
        large=quantile(spent[1], 0.95),
        medians=statistics.median(spent[1]) / statistics.median(spent[0]),
        small_rows=lengths[0],
        large_rows=lengths[1],
    )


if __name__ == "__main__":
    run({"p4": measure})
