"""Totals of lists, told without looking at everything."""

from collections.abc import Iterator

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Status
from holdfast.domain.context import Context
from holdfast.domain.errors import Forbidden
from holdfast.domain.findings import Severity
from holdfast.services import queries
from holdfast.services.queries import Relation, Total
from holdfast.services.results import NewResult
from holdfast.store.lists import Filter
from tests.services.samples import findings, opened

EXACT, ABOUT, AT_LEAST = Relation.EXACT, Relation.ESTIMATE, Relation.AT_LEAST
ANN = Caller(name="token:a", owner="ann")


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with opened(database) as hf:
        hf.results.store(
            [
                NewResult(
                    kind="even" if number % 2 == 0 else "odd",
                    result=number,
                    tags=["third", "all"] if number % 3 == 0 else ["all"],
                    context=Context(client_session_id="ann" if number % 4 == 0 else "bob"),
                    analysis_id=f"a{number}",
                )
                for number in range(120)
            ]
        )
        hf.analyses.delete("a0")
        yield hf


def test_small_lists_are_counted(hf: Holdfast) -> None:
    for exact in (True, False):

        def count(*, exact: bool = exact, **where: object) -> int:
            total = hf.queries.count(Filter(**where), exact=exact)  # type: ignore[arg-type]
            assert total.relation is EXACT
            return total.value

        assert count() == 119
        assert count(kind="even") == 59
        assert count(tags=("third",)) == 39
        assert count(tags=("all", "third"), client_session_id="ann") == 9
        assert count(status=(Status.COMPLETED, Status.FAILED)) == 119
        assert count(status=(Status.QUEUED,)) == 0
        assert hf.queries.count(Filter(), exact=exact, caller=ANN).value == 29
        with pytest.raises(Forbidden):
            hf.queries.count(Filter(client_session_id="bob"), exact=exact, caller=ANN)


def test_large_ones_are_counted_so_far_or_about(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_MOST_COUNTED", 50)
    monkeypatch.setattr(queries, "_MOST_COUNTED_FOR_AN_ESTIMATE", 10)
    count = hf.queries.count
    assert count(Filter()) == Total(value=50, relation=AT_LEAST)
    assert count(Filter(kind="even")) == Total(value=50, relation=AT_LEAST)
    assert count(Filter(), exact=False) == Total(value=119, relation=ABOUT)
    # So few rows that all are looked at: what is told is true.
    assert count(Filter(kind="even"), exact=False) == Total(value=59, relation=ABOUT)
    assert count(Filter(tags=("third", "all")), exact=False) == Total(value=39, relation=ABOUT)
    both = (Status.COMPLETED, Status.QUEUED)
    assert count(Filter(kind="odd", status=both), exact=False) == Total(value=60, relation=ABOUT)
    assert count(Filter(), exact=False, caller=ANN) == Total(value=29, relation=ABOUT)


def test_findings_are_counted(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = hf.results.store([NewResult(kind="k", result=1, findings=findings(7))])
    count = hf.queries.count_findings
    assert count(kept.analysis_id) == Total(value=7, relation=EXACT)
    assert count(kept.analysis_id, severities=[Severity.LOW]) == Total(value=7, relation=EXACT)
    assert count(kept.analysis_id, severities=[Severity.HIGH]) == Total(value=0, relation=EXACT)
    monkeypatch.setattr(queries, "_MOST_COUNTED", 5)
    assert count(kept.analysis_id, severities=[Severity.LOW]) == Total(value=5, relation=AT_LEAST)
