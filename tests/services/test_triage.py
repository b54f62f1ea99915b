"""Groups looked at, decided, undone, and what is told the next search."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import LOCAL
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    AnalysisNotFound,
    DecisionNotFound,
    Forbidden,
    GroupNotFound,
    InvalidInput,
    NotASearch,
)
from holdfast.domain.triage import Action, KeepStrategy, Sort
from holdfast.services.results import NewResult
from holdfast.store.triage import GroupFilter
from holdfast.testing import FakeClock
from tests.services.duplicates import ALICE, BOB, group, groups, keep, track
from tests.services.samples import opened


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with opened(database, FakeClock()) as hf:
        yield hf


def states(hf: Holdfast, analysis_id: str) -> dict[str, str | None]:
    page = hf.duplicates.groups.page(analysis_id, limit=1000)
    return {one.finding.identity: None if one.decision is None else one.decision.action.value for one in page.items}


def events(hf: Holdfast, name: str) -> list[dict[str, Any]]:
    return [entry.event.data for entry in hf.queries.audit(names=[name])]


def test_decisions_are_kept_with_their_event(hf: Holdfast) -> None:
    analysis = keep(hf, groups(3))
    made = hf.duplicates.mark_groups_resolved(analysis.analysis_id, ["g000001"], "deleted", caller=ALICE)
    assert (made.impact.groups, made.impact.tracks, made.impact.bytes, made.impact.plays) == (1, 1, 2000, 2)
    assert states(hf, analysis.analysis_id) == {"g000000": None, "g000001": "deleted", "g000002": None}
    (event,) = events(hf, "duplicates.decided")
    assert (event["batch_id"], event["action"], event["tracks"]) == (made.batch_id, "deleted", 1)
    counts = hf.duplicates.groups.counts(analysis.analysis_id, caller=ALICE)
    assert (counts.total.groups, counts.total.tracks, counts.total.bytes) == (3, 3, 6000)
    assert counts.decided[Action.DELETED].bytes == 2000


def test_all_are_decided_or_none(hf: Holdfast) -> None:
    analysis = keep(hf, groups(3))
    triage = hf.duplicates.triage
    with pytest.raises(GroupNotFound):
        triage.resolve(analysis.analysis_id, ["g000000", "nothing"], Action.DELETED)
    with pytest.raises(InvalidInput):
        triage.resolve(analysis.analysis_id, ["g000000", "g000001"], Action.DELETED, keeps={"g000001": "0a"})
    with pytest.raises(InvalidInput):
        triage.delete_tracks(analysis.analysis_id, {"g000000": ["0a", "0b"]})
    assert set(states(hf, analysis.analysis_id).values()) == {None}
    assert events(hf, "duplicates.decided") == []


def test_a_decision_says_what_goes(hf: Holdfast) -> None:
    analysis = keep(hf, [group("g", track("a"), track("b"), track("c"))])
    triage = hf.duplicates.triage
    triage.resolve(analysis.analysis_id, ["g"], Action.DELETED, keeps={"g": "b"}, note="the better rip")
    decision = hf.duplicates.groups.get(analysis.analysis_id, "g").decision
    assert decision is not None
    assert (decision.keeps, decision.goes, decision.note) == ("b", ("a", "c"), "the better rip")
    triage.delete_tracks(analysis.analysis_id, {"g": ["c"]})
    decision = hf.duplicates.groups.get(analysis.analysis_id, "g").decision
    assert decision is not None
    assert (decision.keeps, decision.goes) == ("a", ("c",))
    triage.resolve(analysis.analysis_id, ["g"], Action.KEPT_CANONICAL)
    decision = hf.duplicates.groups.get(analysis.analysis_id, "g").decision
    assert decision is not None
    assert (decision.keeps, decision.goes) == ("a", ())


def test_undoing_lets_what_held_before_hold_again(hf: Holdfast) -> None:
    analysis = keep(hf, groups(2))
    triage = hf.duplicates.triage
    first = triage.resolve(analysis.analysis_id, ["g000000"], Action.NOT_DUPLICATE)
    second = triage.resolve(analysis.analysis_id, ["g000000", "g000001"], Action.DELETED)
    assert first.batch_id is not None
    assert second.batch_id is not None
    with pytest.raises(DecisionNotFound):
        triage.undo(first.batch_id)
    assert triage.undo(second.batch_id).groups == 2
    assert states(hf, analysis.analysis_id) == {"g000000": "not_duplicate", "g000001": None}
    with pytest.raises(DecisionNotFound):
        triage.undo(second.batch_id)
    triage.undo(first.batch_id)
    assert set(states(hf, analysis.analysis_id).values()) == {None}
    assert [data["groups"] for data in events(hf, "duplicates.undone")] == [1, 2]


def test_the_next_search_is_told(hf: Holdfast) -> None:
    pairs = [group(name, track(f"{name}1"), track(f"{name}2")) for name in ("same", "grown", "gone", "stayed")]
    first = keep(hf, pairs)
    triage = hf.duplicates.triage
    triage.resolve(first.analysis_id, ["same", "grown"], Action.NOT_DUPLICATE)
    triage.resolve(first.analysis_id, ["gone", "stayed"], Action.DELETED)
    grown = group("grown", track("grown1"), track("grown2"), track("grown3"))
    gone = group("gone", track("gone1"))
    second = keep(hf, [pairs[0], grown, gone, pairs[3]], run=2)
    # A new member is a new question; what was to go and is there again did not go.
    assert states(hf, second.analysis_id) == {
        "same": "not_duplicate",
        "grown": None,
        "gone": "deleted",
        "stayed": None,
    }
    # Neither another owner nor another library is told.
    assert set(states(hf, keep(hf, pairs, owner="bob").analysis_id).values()) == {None}
    assert set(states(hf, keep(hf, pairs, subject=None).analysis_id).values()) == {None}
    # They outlive the analysis that they were made on.
    hf.delete_analysis(first.analysis_id, purge=True)
    hf.delete_analysis(second.analysis_id, purge=True)
    third = keep(hf, pairs, run=3)
    assert states(hf, third.analysis_id)["same"] == "not_duplicate"


def test_undoing_tells_each_search_what_held_there_before(hf: Holdfast) -> None:
    pairs = [group(name, track(f"{name}1"), track(f"{name}2")) for name in ("same", "grown")]
    grown = group("grown", track("grown1"), track("grown2"), track("grown3"))
    first = keep(hf, pairs)
    triage = hf.duplicates.triage
    triage.resolve(first.analysis_id, ["same", "grown"], Action.NOT_DUPLICATE)
    second = keep(hf, [pairs[0], grown], run=2)
    later = triage.resolve(second.analysis_id, ["same", "grown"], Action.DELETED)
    assert states(hf, second.analysis_id) == {"same": "deleted", "grown": "deleted"}
    assert states(hf, first.analysis_id) == {"same": "not_duplicate", "grown": "not_duplicate"}
    assert later.batch_id is not None
    triage.undo(later.batch_id)
    # What was decided of fewer members says nothing of a group that has grown.
    assert states(hf, second.analysis_id) == {"same": "not_duplicate", "grown": None}
    assert states(hf, first.analysis_id) == {"same": "not_duplicate", "grown": "not_duplicate"}


def test_rules_say_what_would_go_before_it_does(hf: Holdfast) -> None:
    analysis = keep(
        hf,
        [
            group("played", track("p1"), track("p2", play_count=9)),
            group("matched", track("m1"), track("m2", itunes_match_type="fuzzy", itunes_match_confidence=0.9)),
            group("settled", track("s1"), track("s2", play_count=5)),
        ],
    )
    triage = hf.duplicates.triage
    triage.resolve(analysis.analysis_id, ["settled"], Action.NOT_DUPLICATE)
    shown = triage.preview(analysis.analysis_id, KeepStrategy.KEEP_MOST_PLAYED)
    assert {choice.group.group_id: [one.track_id for one in choice.goes] for choice in shown.choices} == {
        "played": ["p1"],
        "matched": ["m2"],
    }
    assert shown.batch_id is None
    assert states(hf, analysis.analysis_id)["played"] is None
    done = triage.smart_delete(analysis.analysis_id, KeepStrategy.KEEP_ITUNES_VERSION)
    assert [choice.group.group_id for choice in done.choices] == ["matched"]
    assert [choice.group.group_id for choice in done.skipped] == ["played"]
    assert states(hf, analysis.analysis_id) == {"played": None, "matched": "deleted", "settled": "not_duplicate"}


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("ascending", [True, False, None])
def test_pages_hold_each_group_once_in_order(hf: Holdfast, sort: Sort, ascending: bool | None) -> None:
    analysis = keep(hf, groups(11))
    seen: list[str] = []
    after = None
    while True:
        page = hf.duplicates.groups.page(
            analysis.analysis_id, sort=sort, ascending=ascending, after=after, limit=4, caller=ALICE
        )
        seen += [one.finding.identity for one in page.items]
        after = page.next
        if after is None:
            break
    assert sorted(seen) == [f"g{number:06}" for number in range(11)]
    rises = sort.ascends if ascending is None else ascending
    falls_by_number = sort is Sort.SONG
    if sort in {Sort.GROUP_INDEX, Sort.SONG, Sort.CONFIDENCE, Sort.PLAY_COUNT}:
        assert seen == sorted(seen, reverse=rises is falls_by_number)


def test_pages_are_filtered(hf: Holdfast) -> None:
    analysis = keep(hf, groups(10))
    triage = hf.duplicates.triage
    triage.resolve(analysis.analysis_id, ["g000001"], Action.DELETED)
    triage.resolve(analysis.analysis_id, ["g000002"], Action.MANUAL_REVIEW)

    def found(**where: Any) -> int:
        return len(hf.duplicates.groups.page(analysis.analysis_id, where=GroupFilter(**where)).items)

    assert (found(), found(resolved=True), found(resolved=False)) == (10, 1, 9)
    assert found(action=Action.MANUAL_REVIEW) == 1
    assert found(min_confidence=0.75) == 5
    assert found(min_confidence=0.75, resolved=True) == 0


def test_nobody_sees_or_changes_what_is_anothers(hf: Holdfast) -> None:
    analysis = keep(hf, groups(2))
    duplicates, triage = hf.duplicates, hf.duplicates.triage
    made = triage.resolve(analysis.analysis_id, ["g000000"], Action.DELETED, caller=ALICE)
    assert made.batch_id is not None
    attempts: list[Callable[[], object]] = [
        lambda: hf.duplicates.groups.page(analysis.analysis_id, caller=BOB),
        lambda: hf.duplicates.groups.counts(analysis.analysis_id, caller=BOB),
        lambda: triage.resolve(analysis.analysis_id, ["g000001"], Action.DELETED, caller=BOB),
        lambda: triage.preview(analysis.analysis_id, KeepStrategy.KEEP_CANONICAL, caller=BOB),
        lambda: triage.smart_delete(analysis.analysis_id, KeepStrategy.KEEP_CANONICAL, caller=BOB),
        lambda: duplicates.suggest_new_analysis(analysis.analysis_id, caller=BOB),
        lambda: duplicates.get_library_change_summary(analysis.analysis_id, caller=BOB),
        lambda: duplicates.export_analysis_results(analysis.analysis_id, caller=BOB),
        lambda: duplicates.refresh_analysis(analysis.analysis_id, caller=BOB),
    ]
    for attempt in attempts:
        with pytest.raises(AnalysisNotFound):
            attempt()
    with pytest.raises(DecisionNotFound):
        triage.undo(made.batch_id, caller=BOB)
    with pytest.raises(Forbidden):
        duplicates.get_latest_analysis("alice", caller=BOB)
    with pytest.raises(Forbidden):
        duplicates.cleanup_old_results("alice", caller=BOB)
    assert duplicates.get_latest_analysis(caller=BOB) is None
    assert states(hf, analysis.analysis_id) == {"g000000": "deleted", "g000001": None}


def test_other_analyses_are_no_searches(hf: Holdfast) -> None:
    (other,) = hf.results.store([NewResult(kind="lint", result=1, context=Context(client_session_id="alice"))])
    with pytest.raises(NotASearch):
        hf.duplicates.groups.page(other.analysis_id, caller=ALICE)


def test_preferences_are_an_owners(hf: Holdfast) -> None:
    triage = hf.duplicates.triage
    triage.set_preferences({"staleness_hours": 2.0, "auto_suggest": False}, caller=ALICE)
    triage.set_preferences({"change_count": 7}, caller=ALICE)
    mine, others = triage.preferences(caller=ALICE), triage.preferences(caller=BOB)
    assert (mine.staleness_hours, mine.auto_suggest, mine.change_count) == (2.0, False, 7)
    assert (others.staleness_hours, others.change_percentage, others.change_count) == (24.0, 10.0, 50)
    with pytest.raises(InvalidInput):
        triage.set_preferences({"change_percentage": 101.0}, caller=ALICE)


def test_two_who_decide_at_once_leave_one_decision_each(hf: Holdfast) -> None:
    first, second = keep(hf, groups(20), run=1), keep(hf, groups(20), run=2)
    failures: list[BaseException] = []

    def decide(analysis_id: str, action: Action) -> None:
        try:
            for _ in range(5):
                hf.duplicates.triage.resolve(analysis_id, [f"g{number:06}" for number in range(20)], action)
        except BaseException as error:  # noqa: BLE001 shown below
            failures.append(error)

    threads = [
        threading.Thread(target=decide, args=(one.analysis_id, action))
        for one, action in ((first, Action.DELETED), (second, Action.NOT_DUPLICATE))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    third = keep(hf, groups(20), run=3)
    assert len(events(hf, "duplicates.decided")) == 10
    assert set(states(hf, third.analysis_id).values()) <= {None, "not_duplicate"}


def test_new_results_push_old_ones_out(hf: Holdfast) -> None:
    made = [keep(hf, groups(1), run=number) for number in range(7)]
    others = keep(hf, groups(1), owner="bob")
    left = [one.analysis_id for one in hf.duplicates.get_user_analyses("alice")]
    assert left == [one.analysis_id for one in reversed(made[2:])]
    assert hf.queries.get(others.analysis_id).analysis_id == others.analysis_id
    assert [data["reason"] for data in events(hf, "analysis.expired")] == ["over_count"] * 2


def test_the_latest_is_found_by_term_and_by_parameters(hf: Holdfast) -> None:
    plain = keep(hf, groups(1), search_term="", min_confidence=0.0)
    otters = keep(hf, groups(1), search_term="otters", min_confidence=0.0)
    sure = keep(hf, groups(1), search_term="otters", min_confidence=0.9)
    find = hf.duplicates.get_latest_analysis

    def found(*given: Any) -> str | None:
        latest = find("alice", *given)
        return None if latest is None else latest.analysis_id

    assert (found(), found("otters"), found("")) == (sure.analysis_id, sure.analysis_id, plain.analysis_id)
    assert found(None, {"min_confidence": 0.0, "search_term": "otters"}) == otters.analysis_id
    assert found("nothing") is None
    assert [sorted(one.changed) for one in hf.duplicates.parameter_history("alice")] == [
        ["min_confidence"],
        ["search_term"],
        [],
    ]


def test_cleaning_up_tells_what_it_did(database: str) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        old = keep(hf, groups(1))
        clock.advance(31 * 86_400)
        assert hf.duplicates.cleanup_old_results("alice", caller=LOCAL) == {"deleted": 1, "kept": 0, "over_age": 1}
        assert hf.duplicates.load_analysis_result(old.analysis_id) is None
        told = events(hf, "duplicates.cleaned_up")[0]
        assert (told["deleted"], told["bytes"]) == (1, hf.get_stats().removed_bytes["over_age"])
        assert told["bytes"] > 0
