from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import Status
from holdfast.domain.context import Context
from holdfast.domain.errors import AnalysisGone, HoldfastError, IdempotencyConflict, InvalidInput, TargetNotFound
from holdfast.services.results import NewResult
from holdfast.store import tables
from holdfast.testing import FakeClock
from tests.services.samples import Sample, begin, ended, settle, together

DAY = 86_400.0


def counted(hf: Holdfast, table: sa.Table) -> int:
    with hf.engine.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def kept(hf: Holdfast) -> list[int]:
    return [counted(hf, table) for table in (tables.analyses, tables.jobs, tables.ledger, tables.payloads)]


def results(*numbers: int, owner: str = "ann") -> list[NewResult]:
    context = Context(client_session_id=owner)
    return [NewResult(kind="sample", result={"n": number}, context=context, tags=["a"]) for number in numbers]


def test_same_request_again_makes_nothing(hf: Holdfast) -> None:
    first = hf.submit("sample", "here", params={"a": 1, "b": 2}, force=True, idempotency_key="k")
    before = kept(hf)
    again = hf.submit("sample", "here", params={"b": 2, "a": 1}, force=True, idempotency_key="k")
    assert (first.reused, again.reused, again.analysis) == (False, True, first.analysis)
    assert kept(hf) == before


def test_answer_is_the_analysis_as_it_is_by_then(hf: Holdfast) -> None:
    first = hf.submit("sample", "here", force=True, idempotency_key="k").analysis.analysis_id
    settle(hf, *begin(hf), ended(Status.COMPLETED, "x"))
    again = hf.submit("sample", "here", force=True, idempotency_key="k").analysis
    assert (again.analysis_id, again.status) == (first, Status.COMPLETED)
    # Without the key, or with another, it is a new request.
    assert hf.submit("sample", "here", force=True).analysis.analysis_id != first


def test_repeated_though_the_target_is_gone(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hf.submit("sample", "here", idempotency_key="k")

    def nothing(self: Sample, target: str, params: object) -> None:
        raise TargetNotFound

    monkeypatch.setattr(Sample, "resolve", nothing)
    assert hf.submit("sample", "here", idempotency_key="k").analysis == first.analysis
    with pytest.raises(TargetNotFound):
        hf.submit("sample", "here", idempotency_key="other")


@pytest.mark.parametrize(
    "other",
    [
        {"target": "there"},
        {"params": {"x": 1}},
        {"tags": ["b"]},
        {"force": True},
        {"analysis_id": "mine"},
        {"priority": 1},
        {"timeout_seconds": 5},
        {"ttl_seconds": 5},
        {"max_retrievals": 5},
        {"refreshed_from": "x"},
        {"context": Context(thread_id="t")},
    ],
    ids=str,
)
def test_key_of_another_request(hf: Holdfast, other: dict[str, Any]) -> None:
    hf.submit("sample", "here", idempotency_key="k")
    before = kept(hf)
    with pytest.raises(IdempotencyConflict) as caught:
        hf.submit("sample", **{"target": "here", "idempotency_key": "k", **other})
    assert caught.value.code == "IDEMPOTENCY_CONFLICT"
    assert kept(hf) == before


def test_whoever_tries_again_may_have_moved(hf: Holdfast) -> None:
    here, there = (Context(client_session_id="ann", client_ip=ip) for ip in ("1.1.1.1", "2.2.2.2"))
    first = hf.submit("sample", "here", context=here, idempotency_key="k")
    assert hf.submit("sample", "here", context=there, idempotency_key="k").analysis == first.analysis


def test_keys_are_an_owners_own(hf: Holdfast) -> None:
    ids = {
        hf.submit("sample", "here", context=Context(client_session_id=owner), idempotency_key="k").analysis.analysis_id
        for owner in ("ann", "bob", "ann")
    }
    assert len(ids) == 2


def test_store_again(hf: Holdfast) -> None:
    first = hf.results.store(results(3, 1, 2), idempotency_key="k")
    before = kept(hf)
    assert hf.results.store(results(3, 1, 2), idempotency_key="k") == first
    assert kept(hf) == before
    assert [hf.get_result(analysis.analysis_id)["n"] for analysis in first] == [3, 1, 2]
    for other in (results(1, 2, 3), results(3, 1), results(3, 1, 4)):
        with pytest.raises(IdempotencyConflict):
            hf.results.store(other, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        hf.submit("sample", "here", context=Context(client_session_id="ann"), idempotency_key="k")
    assert kept(hf) == before


def test_many_results_at_once(hf: Holdfast) -> None:
    first = hf.results.store(results(*range(1200)), idempotency_key="k")
    assert hf.results.store(results(*range(1200)), idempotency_key="k") == first


def test_what_failed_is_not_remembered(hf: Holdfast) -> None:
    hf.store_analysis("sample", 1, analysis_id="taken")
    wrong = NewResult(kind="sample", result=2, analysis_id="taken")
    with pytest.raises(HoldfastError):
        hf.results.store([wrong], idempotency_key="k")
    with pytest.raises(TargetNotFound):
        hf.submit("sample", "nowhere", idempotency_key="k")
    assert counted(hf, tables.idempotency_keys) == 0
    assert not hf.submit("sample", "here", idempotency_key="k").reused


def test_what_it_led_to_was_deleted(hf: Holdfast) -> None:
    hf.delete_analysis(hf.submit("sample", "here", idempotency_key="k").analysis.analysis_id)
    with pytest.raises(AnalysisGone):
        hf.submit("sample", "here", idempotency_key="k")


@pytest.mark.parametrize("key", ["", "x" * 257, "a\0", "\ud800"])
def test_keys_that_cannot_be_kept(hf: Holdfast, key: str) -> None:
    for use in (
        lambda: hf.submit("sample", "here", idempotency_key=key),
        lambda: hf.results.store(results(1), idempotency_key=key),
    ):
        with pytest.raises(InvalidInput):
            use()


def test_results_of_several_owners_have_no_key(hf: Holdfast) -> None:
    with pytest.raises(InvalidInput):
        hf.results.store(results(1) + results(2, owner="bob"), idempotency_key="k")
    assert hf.results.store([], idempotency_key="k") == []


def test_keys_are_forgotten_after_a_day(hf: Holdfast, clock: FakeClock) -> None:
    first = hf.submit("sample", "here", force=True, idempotency_key="k").analysis.analysis_id
    settle(hf, *begin(hf), ended(Status.COMPLETED, "x"))
    for number in range(30):
        hf.submit("sample", f"other{number}", idempotency_key=f"k{number}")
    clock.advance(DAY)
    again = hf.submit("sample", "there", idempotency_key="k")
    assert (again.reused, again.analysis.analysis_id == first) == (False, False)
    hf.submit("sample", "anywhere", idempotency_key="new")
    assert counted(hf, tables.idempotency_keys) == 2


def test_equal_requests_at_once_make_one_analysis(hf: Holdfast) -> None:
    for number in range(5):
        key = f"k{number}"
        submitted = together([partial(hf.submit, "sample", key, force=True, idempotency_key=key)] * 8)
        assert len({one.analysis.analysis_id for one in submitted}) == 1
        assert [one.reused for one in submitted].count(False) == 1
    assert hf.get_stats().total_results == len(hf.jobs.listing()) == 5


def test_equal_stores_at_once_keep_one_result(hf: Holdfast) -> None:
    for number in range(5):
        given = results(number, number + 100)
        stored = together([partial(hf.results.store, given, idempotency_key=f"k{number}")] * 8)
        assert len({tuple(analysis.analysis_id for analysis in one) for one in stored}) == 1
    assert hf.get_stats().total_results == 10


def test_different_requests_of_one_key_at_once(hf: Holdfast) -> None:
    done = together([partial(hf.submit, "sample", f"here{number}", idempotency_key="k") for number in range(8)])
    assert [type(one) for one in done].count(IdempotencyConflict) == 7
    assert hf.get_stats().total_results == 1
