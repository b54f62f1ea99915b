"""How many statements a list of branches costs: as many for forty as for two."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.repositories import BranchInfo, Ref, Refs
from holdfast.domain.series import Point
from holdfast.domain.sync import Strategy
from holdfast.store import prepared
from holdfast.testing import FakeClock
from tests.services.samples import opened

FEW, MANY = 2, 40


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is sent to the database: by Core, and past it."""
    statements: list[str] = []
    real = prepared.Prepared._open

    def note(_: Any, __: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    def open_(self: Any, connection: Any, values: Any) -> Any:
        found = real(self, connection, values)
        statements.append(found[0].sql)
        return found

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    with monkeypatch.context() as patch:
        patch.setattr(prepared.Prepared, "_open", open_)
        try:
            yield statements
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)


def _said(number: int, sha: str) -> list[BranchInfo]:
    return [BranchInfo(name=f"b{place:02}", commit_sha=sha) for place in range(number)]


def _filled(hf: Holdfast, clock: FakeClock, repo_id: str, number: int) -> None:
    """A repository with so many branches, analyses, findings, points, refreshes and conflicts."""
    hf.repositories.store_repository(repo_id, location=f"/src/{repo_id}")
    hf.repositories.store_branches(repo_id, _said(number, "c1"))
    for place in range(number):
        for sha in ("c1", "c2"):
            issues = [{"title": f"{sha} {one}"} for one in range(number)]
            clock.advance(1)
            hf.history.store_analysis(
                repo_id, BranchAnalysisResult(branch_name="b00", commit_sha=f"{sha}-{place}", issues=issues)
            )
        hf.refresh.schedule_refresh(repo_id, f"b{place:02}")
    hf.history.store_analysis(repo_id, BranchAnalysisResult(branch_name="b01", commit_sha="c1", issues=issues))
    points = [Point(name="score", at=clock.now(), value=1)]
    hf.history.store_historical_metric(repo_id, "b00", points)
    hf.sync.sync_multiple_branches(repo_id, _said(number, "torn"), strategy=Strategy.MANUAL)


def _lists(hf: Holdfast, repo_id: str, number: int) -> dict[str, Callable[[], Any]]:
    names = [f"b{place:02}" for place in range(number)]
    latest = hf.freshness.get_staleness_info(repo_id, "b00").analysis_id
    assert latest is not None
    return {
        "repositories": lambda: hf.repositories.list_repositories(limit=number),
        "branches": lambda: hf.repositories.get_branches(repo_id),
        "states": lambda: hf.freshness.get_staleness_infos(repo_id, names),
        "stale branches": lambda: hf.freshness.get_stale_branches(repo_id),
        "overview": lambda: hf.freshness.overview(repo_id),
        "refreshes": lambda: hf.refresh.get_scheduled_tasks(limit=number),
        "status": hf.refresh.get_status,
        "conflicts": lambda: hf.sync.get_conflicts(limit=number),
        "history": lambda: hf.history.get_analysis_history(repo_id, "b00", limit=number),
        "comparison": lambda: hf.comparison.compare_branches(repo_id, "b00", "b01"),
        "changes": lambda: hf.comparison.changes(latest, limit=number),
        "series": lambda: hf.history.get_historical_metrics(repo_id, "b00", "score"),
        "the same batch": lambda: hf.sync.sync_multiple_branches(repo_id, _said(number, "c1")),
        "a moved batch": lambda: hf.sync.sync_multiple_branches(repo_id, _said(number, f"m{number}")),
        "a torn batch": lambda: hf.sync.sync_multiple_branches(
            repo_id, _said(number, f"t{number}"), strategy=Strategy.MANUAL
        ),
        "a new batch": lambda: hf.sync.sync_multiple_branches(
            repo_id, [BranchInfo(name=f"new{place}", commit_sha="c") for place in range(number)]
        ),
    }


@pytest.mark.timeout(300)
def test_no_list_costs_a_query_per_row(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        costs: list[dict[str, list[str]]] = []
        for repo_id, number in (("few", FEW), ("many", MANY)):
            _filled(hf, clock, repo_id, number)
            clock.advance(1)
            with counted(monkeypatch) as statements:
                cost = {}
                for name, ask in _lists(hf, repo_id, number).items():
                    statements.clear()
                    ask()
                    cost[name] = list(statements)
            costs.append(cost)
        few, many = costs
        assert {name: len(sent) for name, sent in many.items()} == {name: len(sent) for name, sent in few.items()}
        assert all(many.values())


def test_a_repository_is_read_back_by_a_few_statements(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        counts = []
        for number in (FEW, MANY):
            refs = Refs(
                location=f"/src/{number}",
                name=f"r{number}",
                default_branch="b0",
                branches=tuple(
                    Ref(name=f"b{place}", commit_sha="c", committed_at=clock.now()) for place in range(number)
                ),
                failed={},
            )
            empty = Refs(location=refs.location, name=refs.name, default_branch=None, branches=(), failed={})
            for found in (refs, empty):
                monkeypatch.setattr(hf.repositories, "_read_refs", lambda _place, _told, found=found: found)
                with counted(monkeypatch) as statements:
                    hf.repositories.add_repository(refs.location)
                counts.append(len(statements))
        assert counts[:2] == counts[2:]
