"""P11, its second half: how 100 k branches stand, told by one statement; and 100 k findings compared with as many.

Rows go straight into the store's tables. A tenth of the branches is stale, each by one of the reasons there are.
"""

import statistics
import time
from collections.abc import Callable

import holdfast
from bench import floors
from bench.floors import Raw, Stores
from bench.report import Options, Report, run
from holdfast.domain.repositories import BranchInfo

_SECONDS_GOAL = 1.0
_REPEATS = 5


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            _branches(options, report, stores)
            _findings(options, report, stores)


def _branches(options: Options, report: Report, stores: Stores) -> None:
    count = options.pick(2_000, 100_000)
    url = stores.fresh()
    _fill(url, count)
    with holdfast.open(url) as hf:
        name = f"{stores.dialect}: {count:,} branches"
        stale = hf.freshness.overview("repo").stale
        for what, ask in (
            ("all of them, counted by reason and age", lambda: hf.freshness.overview("repo")),
            ("a page of 100 stale ones", lambda: hf.freshness.get_stale_branches("repo", limit=100)),
            ("the last page", lambda: hf.freshness.get_stale_branches("repo", limit=100, after=f"b{count - 100:06}")),
            ("1,000 states by name", lambda: hf.freshness.get_staleness_infos("repo", _names(1000))),
        ):
            seconds = _median(ask)
            report.add("P11", f"{name}, {stale:,} stale: {what}", seconds * 1000, "ms",
                       goal=f"< {_SECONDS_GOAL:g} s", met=seconds < _SECONDS_GOAL)  # fmt: skip


def _names(count: int) -> list[str]:
    return [f"b{number:06}" for number in range(count)]


def _fill(url: str, count: int) -> None:
    """Branches in one repository, each with an analysis; of every ten one is stale."""
    with holdfast.open(url) as hf:
        repository = hf.repositories.store_repository("repo", name="repo", location="/src/repo")
        hf.repositories.store_branches("repo", [BranchInfo(name="template", commit_sha="c1")])
        subject = holdfast.Subject(kind="git-branch", key=f"{repository.location}#template", revision="c1")
        hf.store_analysis("code", {"n": 1}, subject=subject)
    raw = Raw(url)
    templates = {table: raw.row(f"SELECT * FROM {table}") for table in ("subjects", "analyses", "branches")}
    first = {table: template.pop("id") + 1 for table, template in templates.items()}
    for table, row_of in (
        ("subjects", lambda n: {"key": f"/src/repo#b{n:06}"}),
        ("analyses", lambda n: {"analysis_id": f"bench-{n}", "subject": first["subjects"] + n}),
        ("branches", lambda n: _branch(n, first, templates["branches"])),
    ):
        rows = [(first[table] + n, *(templates[table] | row_of(n)).values()) for n in range(count)]
        raw.load(table, ["id", *templates[table]], rows)
    raw.settle()
    raw.close()


def _branch(number: int, first: dict[str, int], template: dict[str, int]) -> dict[str, object]:
    changed: dict[str, object] = {}
    if number % 40 == 0:
        changed = {"commit_sha": "c2"}
    elif number % 40 == 10:
        changed = {"last_analyzed": template["last_analyzed"] - 3 * 86_400_000_000}
    elif number % 40 == 20:
        changed = {"marked_at": template["last_analyzed"] + 1_000_000}
    elif number % 40 == 30:
        changed = {"last_analyzed": None, "last_analysis": None, "analyzed_commit_sha": None}
    known = {
        "name": f"b{number:06}",
        "subject": first["subjects"] + number,
        "last_analysis": first["analyses"] + number,
    }
    return known | changed


def _findings(options: Options, report: Report, stores: Stores) -> None:
    count = options.pick(2_000, 100_000)
    url = stores.fresh()
    with holdfast.open(url) as hf:
        ids = [
            hf.store_analysis("code", {"n": 1}, findings=_found(range(begin, begin + count))).analysis_id
            for begin in (0, count // 10)
        ]
        name = f"{stores.dialect}: {count:,} findings with as many, a tenth new"
        before, after = ids
        for what, ask in (
            ("compared", lambda: hf.comparison.compare(after, before)),
            ("a page of 100", lambda: hf.comparison.changes(after, before, limit=100)),
        ):
            report.add("P11", f"{name}: {what}", _median(ask) * 1000, "ms")


def _found(numbers: range) -> list[holdfast.Finding]:
    low = holdfast.Severity.LOW
    return [holdfast.Finding(rule="r", severity=low, title=f"Finding {number}") for number in numbers]


def _median(ask: Callable[[], object]) -> float:
    taken = []
    for _ in range(_REPEATS):
        before = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken)


if __name__ == "__main__":
    run({"p11": measure})
