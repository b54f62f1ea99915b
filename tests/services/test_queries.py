from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Status
from holdfast.domain.context import Context
from holdfast.domain.errors import AnalysisNotFound, Forbidden, InvalidInput, ResultNotFound
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.subjects import Subject
from holdfast.store.lists import Filter
from holdfast.testing import FakeClock
from tests.services.samples import begin, ended, settle

if TYPE_CHECKING:
    from collections.abc import Callable


def test_pages(hf: Holdfast, clock: FakeClock) -> None:
    for number in range(7):
        hf.store_analysis("sample", number, analysis_id=f"a{number}")
        clock.advance(1)
    found: list[str] = []
    page = hf.list_analyses(limit=3)
    sizes = [len(page.items)]
    found += [value.analysis_id for value in page.items]
    while page.next is not None:
        page = hf.list_analyses(limit=3, after=page.next)
        sizes.append(len(page.items))
        found += [value.analysis_id for value in page.items]
    assert (sizes, found) == ([3, 3, 1], [f"a{number}" for number in range(6, -1, -1)])
    assert hf.list_analyses(limit=7).next is None
    assert [value.analysis_id for value in hf.list_analyses(limit=2, ascending=True).items] == ["a0", "a1"]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_limits_that_make_no_sense(hf: Holdfast, limit: int) -> None:
    with pytest.raises(InvalidInput):
        hf.list_analyses(limit=limit)


def test_no_limit_means_everything_by_accident(hf: Holdfast) -> None:
    name = hf.store_analysis("sample", 1).analysis_id
    for limit in (0, -1):
        with pytest.raises(InvalidInput):
            hf.queries.findings(name, limit=limit)
        with pytest.raises(InvalidInput):
            hf.queries.events(name, limit=limit)


def test_naive_moments_are_refused(hf: Holdfast) -> None:
    with pytest.raises(InvalidInput):
        hf.list_analyses(created_after=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point


def test_expired_is_invisible_at_once(hf: Holdfast, clock: FakeClock) -> None:
    hf.store_analysis("sample", 1, analysis_id="old", ttl_seconds=60)
    looks: list[Callable[[str], Any]] = [
        hf.get_analysis,
        hf.get_result,
        hf.get_findings,
        hf.get_metrics,
        hf.queries.progress,
        hf.queries.attempts,
    ]
    clock.advance(59.9)
    for look in looks:
        look("old")
    clock.advance(0.1)
    for look in looks:
        with pytest.raises(AnalysisNotFound):
            look("old")
    assert hf.list_analyses().items == []
    assert hf.get_latest_analysis("sample") is None


def test_expired_ones_take_no_place_on_a_page(hf: Holdfast, clock: FakeClock) -> None:
    hf.store_analysis("sample", 0, analysis_id="kept")
    for number in range(3):
        clock.advance(1)
        hf.store_analysis("sample", number, ttl_seconds=10)
    clock.advance(10)
    page = hf.list_analyses(limit=2)
    assert [value.analysis_id for value in page.items] == ["kept"]
    assert page.next is None


def test_latest(hf: Holdfast, clock: FakeClock) -> None:
    subject = Subject(kind="s", key="k")
    hf.store_analysis("sample", 1, analysis_id="kept", subject=subject)
    clock.advance(1)
    for number in range(120):
        hf.store_analysis("sample", number, subject=subject, ttl_seconds=10)
    clock.advance(1)
    hf.store_analysis("other", 1, analysis_id="other", subject=subject)
    hf.submit("sample", "k")
    assert hf.get_latest_analysis("other").analysis_id == "other"  # type: ignore[union-attr]
    clock.advance(30)
    # Those that came later have expired, or are not complete.
    latest = hf.get_latest_analysis("sample", subject=subject)
    assert latest is not None
    assert latest.analysis_id == "kept"
    assert hf.get_latest_analysis("sample", client_session_id="nobody") is None


def test_result_that_is_not_there(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    with pytest.raises(ResultNotFound):
        hf.get_result(name)
    with pytest.raises(AnalysisNotFound):
        hf.get_result("none")


def test_findings_in_pages(hf: Holdfast) -> None:
    found = [Finding(rule="r", severity=list(Severity)[number % 5], title=f"t{number}") for number in range(1200)]
    name = hf.store_analysis("sample", 1, findings=found).analysis_id
    assert hf.get_findings(name) == found
    page = hf.queries.findings(name, limit=10)
    again = hf.queries.findings(name, limit=10, after=page[-1][0])
    assert [ordinal for ordinal, _ in page + again] == list(range(20))
    bad = hf.queries.findings(name, severities=[Severity.HIGH, Severity.INFO], limit=4)
    assert [ordinal for ordinal, _ in bad] == [1, 4, 6, 9]


def test_progress_and_attempts(hf: Holdfast, clock: FakeClock) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    assert hf.get_analysis_progress(name) is None
    job, analysis = begin(hf)
    progress = hf.get_analysis_progress(name)
    assert progress is not None
    assert (progress.percentage, progress.started_at) == (0, clock.now())
    clock.advance(5)
    settle(hf, job, analysis, ended(Status.COMPLETED, 1))
    progress = hf.get_analysis_progress(name)
    assert progress is not None
    assert progress.percentage == 100
    (attempt,) = hf.queries.attempts(name)
    assert attempt.ended_at is not None
    assert (attempt.worker, (attempt.ended_at - attempt.started_at).total_seconds()) == ("w", 5)


def test_looking_writes_nothing(hf: Holdfast, database: str) -> None:
    name = hf.store_analysis("sample", 1, tags=["t"]).analysis_id
    with hf.engine.read() as connection:
        before = connection.exec_driver_sql("SELECT max(sequence) FROM ledger").scalar_one()
    count = hf.store.bell.count()
    for look in (hf.get_analysis, hf.get_result, hf.get_findings, hf.get_metrics, hf.queries.events):
        look(name)
    hf.list_analyses(tags=["t"])
    hf.queries.find(Filter(client_session_id="local"))
    hf.get_stats()
    assert hf.get_analysis(name).retrieval_count == 0
    with hf.engine.read() as connection:
        assert connection.exec_driver_sql("SELECT max(sequence) FROM ledger").scalar_one() == before
    assert hf.store.bell.count() == count


def test_stats(hf: Holdfast) -> None:
    hf.store_analyses([])
    hf.submit("sample", "here")
    one = hf.store_analysis("sample", "x" * 1000, context=Context(client_session_id="you"))
    stats = hf.get_stats()
    assert one.result is not None
    assert (stats.total_results, stats.total_sessions) == (2, 2)
    assert stats.storage_size_bytes == one.result.stored_size
    assert stats.status_counts == {"queued": 1, "completed": 1}


def test_audit(hf: Holdfast) -> None:
    for number in range(5):
        hf.store_analysis(
            "sample", number, analysis_id=f"a{number}", context=Context(client_session_id=f"o{number % 2}")
        )
    hf.delete_analysis("a0")
    everything = hf.queries.audit()
    assert [entry.event.analysis_id for entry in everything] == ["a0", "a4", "a3", "a2", "a1", "a0"]
    page = hf.queries.audit(limit=4)
    assert page + hf.queries.audit(before=page[-1].sequence) == everything
    assert [entry.event.analysis_id for entry in hf.queries.audit(owner="o1")] == ["a3", "a1"]
    (deleted,) = hf.queries.audit(names=["analysis.deleted"])
    assert (deleted.event.actor, deleted.event.data["kind"]) == ("local", "sample")
    assert hf.queries.audit(actor="local") == [deleted]
    mine = Caller(name="o1", owner="o1")
    assert hf.queries.audit(caller=mine) == hf.queries.audit(owner="o1")
    with pytest.raises(Forbidden):
        hf.queries.audit(owner="o0", caller=mine)
    for limit in (0, 1001):
        with pytest.raises(InvalidInput):
            hf.queries.audit(limit=limit)
