from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.errors import AnalysisNotFound, BranchUnknown, InvalidInput, RepositoryNotFound
from holdfast.domain.repositories import branch_subject
from holdfast.domain.series import Point
from holdfast.services.results import NewResult
from holdfast.store.payloads import unpack
from tests.services.samples import opened
from tests.store.samples import START, minutes, rows


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with opened(database) as hf:
        hf.repositories.store_repository("r", location="/code/r")
        yield hf


def result(sha: str = "c1", minute: float | None = 0, branch: str = "feature/x", **fields: Any) -> BranchAnalysisResult:
    values: dict[str, Any] = {
        "file_tree": {"type": "directory"},
        "technologies": ["Python", "C"],
        "metrics": {"files": 3, "language": "Python"},
        "issues": [{"title": "Long", "severity": "high", "file": "a.py", "line": 3}, "and so on"],
        "ai_summary": "Good",
        "detailed_scores": {"overall_score": 85.5},
    }
    values["analysis_timestamp"] = None if minute is None else minutes(minute)
    return BranchAnalysisResult(branch_name=branch, commit_sha=sha, **values | fields)


def test_stored_and_found_again(hf: Holdfast) -> None:
    kept = hf.history.store_analysis("r", result())
    found, frame = hf.history.get_latest_analysis("r", "feature/x")
    assert found == kept
    assert frame is not None
    assert kept.result is not None
    assert hf.get_result(kept.analysis_id) == result().content()
    assert unpack(kept.result.hash, frame)
    branch = hf.repositories.get_branch("r", "feature/x")
    assert (branch.commit_sha, branch.last_analyzed, branch.analyzed_commit_sha) == ("c1", START, "c1")
    findings = hf.get_findings(kept.analysis_id)
    assert [(one.title, one.severity, one.path, one.line) for one in findings] == [
        ("Long", "high", "a.py", 3),
        ("and so on", "medium", None, None),
    ]
    assert hf.get_metrics(kept.analysis_id) == {"files": 3, "issue_count": 2, "overall_score": 85.5}


@pytest.mark.parametrize("minute", [0, None])
def test_the_same_again_is_no_second_analysis(hf: Holdfast, minute: float | None) -> None:
    first = hf.history.store_analysis("r", result(minute=minute))
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda _: hf.history.store_analysis("r", result(minute=minute)), range(8)))
    assert {one.analysis_id for one in again} == {first.analysis_id}
    assert rows(hf.store, "SELECT count(*) FROM analyses") == [(1,)]
    assert rows(hf.store, "SELECT reference_count FROM payloads") == [(1,)]
    hf.history.store_analysis("r", result(minute=minute, ai_summary="Better"))
    assert rows(hf.store, "SELECT count(*) FROM analyses") == [(2,)]


def test_what_was_deleted_can_be_stored_again(hf: Holdfast) -> None:
    kept = hf.history.store_analysis("r", result())
    hf.delete_analysis(kept.analysis_id)
    assert hf.history.store_analysis("r", result()).deleted_at is None
    assert hf.history.get_latest_analysis("r", "feature/x")[0].analysis_id == kept.analysis_id


def test_latest_by_commit(hf: Holdfast) -> None:
    for minute, sha in enumerate(["c1", "c2", "c1"]):
        hf.history.store_analysis("r", result(sha, minute, ai_summary=str(minute)))
    hf.history.store_analysis("r", result("c9", 9, branch="other"))
    assert hf.history.get_latest_analysis("r", "feature/x")[0].summary == "2"
    assert hf.history.get_latest_analysis("r", "feature/x", commit_sha="c2")[0].summary == "1"
    unknown: list[tuple[str, str | None]] = [("feature/x", "c9"), ("feature", None), ("x", None)]
    for branch, commit in unknown:
        with pytest.raises(AnalysisNotFound):
            hf.history.get_latest_analysis("r", branch, commit_sha=commit)


def test_analyses_of_an_analyzer_are_in_the_history(hf: Holdfast) -> None:
    hf.history.store_analysis("r", result())
    about = branch_subject(hf.repositories.get_repository("r"), "feature/x", "c2")
    made = hf.results.store([NewResult(kind="code", result={"a": 1}, subject=about, metrics={"overall_score": 7})])[0]
    history = hf.history.get_analysis_history("r", "feature/x").items
    assert {one.analysis.analysis_id for one in history} >= {made.analysis_id}
    assert {one.overall_score for one in history} == {7, 85.5}


def test_history_by_page(hf: Holdfast) -> None:
    for minute in range(5):
        hf.history.store_analysis("r", result(f"c{minute}", minute, issues=["i"] * minute))
    first = hf.history.get_analysis_history("r", "feature/x", limit=3)
    rest = hf.history.get_analysis_history("r", "feature/x", limit=3, after=first.next)
    found = [*first.items, *rest.items]
    assert [one.analysis.subject and one.analysis.subject.revision for one in found] == ["c4", "c3", "c2", "c1", "c0"]
    assert [one.issue_count for one in found] == [4, 3, 2, 1, 0]
    assert found[0].technologies == ("C", "Python")
    assert rest.next is None


def test_history_goes_along_its_index(hf: Holdfast) -> None:
    if hf.engine.dialect != "sqlite":
        pytest.skip("reads SQLite's plan")
    subject = "(SELECT id FROM subjects WHERE kind = 'git-branch' AND key = 'x')"
    for revision in ("", "AND revision = 'c'"):
        plan = rows(
            hf.store,
            f"EXPLAIN QUERY PLAN SELECT * FROM analyses WHERE subject = {subject} AND client_session_id = 'a' "
            f"AND status = 'completed' {revision} ORDER BY created_at DESC, id DESC LIMIT 10",
        )
        text = " ".join(str(line[-1]) for line in plan)
        assert "subject=? AND client_session_id=?" in text
        assert "TEMP B-TREE" not in text


def test_others_see_nothing_of_it(hf: Holdfast) -> None:
    hf.history.store_analysis("r", result())
    bob = Caller(name="bob", owner="bob")
    with pytest.raises(RepositoryNotFound):
        hf.history.get_latest_analysis("r", "feature/x", caller=bob)
    hf.repositories.store_repository("r", location="/code/r", caller=bob)
    with pytest.raises(AnalysisNotFound):
        hf.history.get_latest_analysis("r", "feature/x", caller=bob)
    assert hf.history.get_analysis_history("r", "feature/x", caller=bob).items == []


def points(count: int) -> list[Point]:
    return [Point(name="score", at=START - timedelta(hours=hour), value=hour) for hour in range(count)]


def test_figures_over_time(hf: Holdfast) -> None:
    hf.history.store_analysis("r", result())
    hf.history.store_historical_metric("r", "feature/x", points(48))
    hf.history.store_historical_metric("r", "feature/x", [*points(1), Point(name="files", at=START, value=1)])
    assert hf.history.metric_names("r", "feature/x") == ["files", "score"]
    series = hf.history.get_historical_metrics("r", "feature/x", "score")
    assert [one.value for one in series] == list(range(47, -1, -1))
    since = START - timedelta(hours=3)
    some = hf.history.get_historical_metrics("r", "feature/x", "score", since=since, until=START)
    assert [one.value for one in some] == [3, 2, 1]
    days = hf.history.sample_historical_metrics(
        "r", "feature/x", "score", every=timedelta(days=1), since=START - timedelta(hours=47), until=START
    )
    assert [(one.least, one.greatest, one.count, one.mean) for one in days] == [(24, 47, 24, 35.5), (1, 23, 23, 12)]
    assert [one.at for one in days] == [START - timedelta(hours=47), START - timedelta(hours=23)]


def test_invalid_figures_are_refused(hf: Holdfast) -> None:
    with pytest.raises(InvalidInput):
        Point(name="score", at=START.replace(tzinfo=None), value=1)
    for value in (float("nan"), 10**400, True):
        with pytest.raises(InvalidInput):
            Point(name="score", at=START, value=value)
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    with pytest.raises(InvalidInput):
        Point(name="score", at=first, value=1)
    with pytest.raises(InvalidInput):
        result(analysis_timestamp=first)
    assert result(metrics={"n": 10**400}).figures().keys() == {"overall_score", "issue_count"}
    with pytest.raises(BranchUnknown):
        hf.history.store_historical_metric("r", "none", points(1))
    hf.history.store_analysis("r", result())
    with pytest.raises(InvalidInput):
        hf.history.sample_historical_metrics("r", "feature/x", "score", every=timedelta(seconds=1))
    with pytest.raises(InvalidInput):
        hf.history.get_historical_metrics("r", "feature/x", "score", since=minutes(5), until=START)
    with pytest.raises(InvalidInput):
        hf.history.get_historical_metrics("r", "feature/x", "score", until=datetime(1, 1, 2, tzinfo=UTC))
