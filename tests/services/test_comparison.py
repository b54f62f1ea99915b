"""Two analyses side by side, on both stores."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Status
from holdfast.domain.comparison import Change, FindingChange
from holdfast.domain.context import Context
from holdfast.domain.errors import AnalysisGone, NothingToCompare, WrongOwner
from holdfast.domain.findings import Finding, Severity
from holdfast.domain.subjects import Subject
from holdfast.testing import FakeClock
from tests.services.samples import begin, ended, opened, settle

BRANCH = Subject(kind="sample", key="it")


def store(hf: Holdfast, identities: str, owner: str = "local", **about: Any) -> str:
    found = [
        Finding(rule="r", severity=Severity.LOW, title=f"{name}{place}", identity=name)
        for place, name in enumerate(identities)
    ]
    context = Context(client_session_id=owner)
    about = {"subject": BRANCH, "context": context, "findings": found} | about
    return hf.store_analysis("sample", {"found": len(found)}, **about).analysis_id


def all_changes(hf: Holdfast, later: str, earlier: str, limit: int = 100, **how: Any) -> list[FindingChange]:
    found: list[FindingChange] = []
    place = None
    while True:
        page = hf.comparison.changes(later, earlier, after=place, limit=limit, **how)
        assert len(page.items) <= limit
        found += page.items
        place = page.next
        if place is None:
            return found


def test_what_was_added_fixed_and_left(database: str) -> None:
    with opened(database) as hf:
        before = store(hf, "abcc", metrics={"score": 70, "gone": 1})
        after = store(hf, "bcd", metrics={"score": 75.5, "new": 2})
        found = hf.comparison.compare(after, before)
        assert found.findings == {Change.ADDED: 1, Change.FIXED: 2, Change.UNCHANGED: 2}
        assert [(one.name, one.before, one.after, one.difference) for one in found.metrics] == [
            ("gone", 1, None, None),
            ("new", None, 2, None),
            ("score", 70, 75.5, 5.5),
        ]
        assert all(size is not None and size > 0 for size in found.sizes)
        shown = [(one.change.value, one.finding.title) for one in all_changes(hf, after, before)]
        # Of two alike, the one that is left is the first.
        assert shown == [("added", "d2"), ("fixed", "a0"), ("fixed", "c3")]
        same = all_changes(hf, after, before, changes=[Change.UNCHANGED])
        assert [one.finding.title for one in same] == ["b0", "c1"]
        assert hf.comparison.compare(after, after).findings[Change.UNCHANGED] == 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("abcd", max_size=12), st.text("abcd", max_size=12), st.integers(1, 7))
def test_pages_hold_each_change_once(database: str, old: str, new: str, limit: int) -> None:
    with opened(database) as hf:
        before, after = store(hf, old), store(hf, new)
        counts = hf.comparison.compare(after, before).findings
        added, fixed = Counter(new) - Counter(old), Counter(old) - Counter(new)
        assert counts[Change.ADDED] == added.total()
        assert counts[Change.FIXED] == fixed.total()
        assert counts[Change.UNCHANGED] == len(new) - added.total()
        found = all_changes(hf, after, before, limit, changes=list(Change))
        assert Counter(one.finding.identity for one in found if one.change is Change.ADDED) == added
        assert Counter(one.finding.identity for one in found if one.change is Change.FIXED) == fixed
        assert len(found) == sum(counts.values())
        assert len({(one.change, one.ordinal) for one in found}) == len(found)
        hf.delete_analysis(before, purge=True)
        hf.delete_analysis(after, purge=True)


def test_without_another_it_is_the_one_before(database: str) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        first = store(hf, "a")
        with pytest.raises(NothingToCompare):
            hf.comparison.compare(first)
        clock.advance(10)
        store(hf, "xyz", owner="somebody")
        store(hf, "xyz", subject=Subject(kind="sample", key="other"))
        clock.advance(10)
        second = store(hf, "ab")
        assert hf.comparison.compare(second).before.analysis_id == first


def test_a_chain_of_refreshes(database: str) -> None:
    with opened(database) as hf:
        ids = [hf.submit("sample", "it").analysis.analysis_id]
        for number in range(4):
            settle(hf, *begin(hf), ended(Status.COMPLETED, {"n": number}, number))
            ids.append(hf.submissions.refresh(ids[-1]).analysis.analysis_id)
        assert hf.comparison.chain(ids[-1]) == ids[::-1]
        assert hf.comparison.chain(ids[-1], limit=2) == ids[:-3:-1]
        assert hf.comparison.chain(ids[0]) == ids[:1]
        assert hf.comparison.compare(ids[3]).before.analysis_id == ids[2]
        hf.delete_analysis(ids[2])
        assert hf.comparison.chain(ids[-1]) == ids[:2:-1]
        # What it took the place of is gone: the one before it is the next best.
        assert hf.comparison.compare(ids[3]).before.analysis_id == ids[1]
        with pytest.raises(AnalysisGone):
            hf.comparison.compare(ids[3], ids[2])


def test_nobody_compares_with_what_is_anothers(database: str) -> None:
    with opened(database) as hf:
        mine, other = store(hf, "a", owner="me"), store(hf, "b", owner="somebody")
        me = Caller(name="me", owner="me")
        for pair in ((mine, other), (other, mine)):
            with pytest.raises(WrongOwner):
                hf.comparison.compare(*pair, caller=me)
            with pytest.raises(WrongOwner):
                hf.comparison.changes(*pair, caller=me)
        with pytest.raises(WrongOwner):
            hf.comparison.chain(other, caller=me)
