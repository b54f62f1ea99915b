"""The rules of deciding: what would go, what an old decision still says, what nobody takes for a formula."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.errors import InvalidInput
from holdfast.domain.exporting import csv_line, neutral
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.triage import (
    Action,
    Choice,
    Decision,
    Group,
    Impact,
    KeepStrategy,
    Preferences,
    Track,
    keep,
    select,
    suggest,
    times,
)

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_IDS = st.sampled_from("abcdef")
_TRACKS = st.builds(
    Track,
    track_id=_IDS,
    song=st.text(max_size=5),
    play_count=st.integers(0, 5),
    size_bytes=st.integers(0, 1000),
    itunes_match=st.sampled_from([None, "exact", "fuzzy", "none"]),
    itunes_confidence=st.floats(0, 1),
    is_canonical=st.booleans(),
)
_GROUPS = st.lists(_TRACKS, min_size=1, max_size=5, unique_by=lambda track: track.track_id).map(
    lambda tracks: Group(group_id="g", tracks=tuple(tracks))
)


def decision(action: Action, members: set[str], goes: set[str]) -> Decision:
    return Decision(
        batch_id="b",
        group_id="g",
        action=action,
        keeps=None,
        goes=tuple(sorted(goes)),
        members=tuple(sorted(members)),
        note="",
        actor="me",
        decided_at=_NOW,
    )


@given(_GROUPS, st.sampled_from(KeepStrategy), st.randoms(use_true_random=False))
def test_a_rule_keeps_one_or_touches_nothing(group: Group, strategy: KeepStrategy, chance: object) -> None:
    choice = select(group, strategy)
    gone = {track.track_id for track in choice.goes}
    if choice.keeps is None:
        assert choice.goes == ()
    else:
        assert gone | {choice.keeps.track_id} == set(group.members)
        assert choice.keeps.track_id not in gone
    assert choice.reason
    # In whatever order the tracks come, the same one stays, unless several claim to be the canonical one.
    if sum(track.is_canonical for track in group.tracks) == 1:
        turned = Group(group_id="g", tracks=group.tracks[::-1])
        other = select(turned, strategy)
        assert (other.keeps and other.keeps.track_id) == (choice.keeps and choice.keeps.track_id)


def test_rules_keep_what_they_are_named_after() -> None:
    group = Group(
        group_id="g",
        tracks=(
            Track(track_id="a", song="Song (Remastered)", play_count=1, is_canonical=True),
            Track(track_id="b", song="Song - Live", play_count=7, itunes_match="fuzzy", itunes_confidence=0.99),
            Track(track_id="c", song="Song", play_count=7, itunes_match="exact", itunes_confidence=0.9),
        ),
    )
    kept = {strategy: select(group, strategy).keeps for strategy in KeepStrategy}
    assert {strategy.value: track and track.track_id for strategy, track in kept.items()} == {
        "keep_canonical": "a",
        "keep_most_played": "b",
        "keep_itunes_version": "c",
        "keep_shortest_title": "c",
    }
    doubtful = Group(group_id="g", tracks=group.tracks, is_doubtful=True)
    assert select(doubtful, KeepStrategy.KEEP_CANONICAL).keeps is None
    assert select(doubtful, KeepStrategy.KEEP_CANONICAL, include_doubtful=True).keeps == group.tracks[0]
    with pytest.raises(InvalidInput):
        keep(group, "nobody")


def test_how_often_is_said_as_people_do() -> None:
    played = (Track(track_id="a", song="S", play_count=1, is_canonical=True), Track(track_id="b", song="S"))
    choice = select(Group(group_id="g", tracks=played), KeepStrategy.KEEP_MOST_PLAYED)
    assert choice.reason == "played most often (once)"
    assert times(1_200) == "1,200 times"


@given(_GROUPS)
def test_an_impact_is_the_sum_of_what_goes(group: Group) -> None:
    choice = keep(group, None)
    impact = Impact.of([choice, Choice(group=group, keeps=None, goes=(), reason="r")])
    assert impact.groups == 2
    assert impact.tracks == len(group.tracks) - 1
    assert impact.bytes == sum(track.size_bytes for track in choice.goes)


@given(st.sampled_from(Action), st.sets(_IDS, min_size=1), st.sets(_IDS), st.sets(_IDS, min_size=1))
def test_a_new_member_is_a_new_question(action: Action, members: set[str], goes: set[str], now: set[str]) -> None:
    holds = decision(action, members, goes & members).holds_for(sorted(now))
    if now - members:
        assert not holds
    elif action is Action.DELETED:
        assert holds is not bool(now & goes)
    else:
        assert holds


def test_snapshots_of_others_are_read_as_far_as_they_go() -> None:
    data = {"song_name": 7, "play_count": "many", "size_bytes": -1, "itunes_match_confidence": None, "location": ""}
    finding = Finding(
        rule="r", severity=Severity.LOW, title="t", message="m", identity="g", items=(FindingItem(key="a", data=data),)
    )
    (track,) = Group.of(finding).tracks
    assert track == Track(track_id="a")


@pytest.mark.parametrize(
    ("resolved", "changed", "reasons"),
    [
        (19, 10, ()),
        (20, None, ("groups_resolved",)),
        (0, 11, ("library_changed",)),
        (20, 11, ("groups_resolved", "library_changed")),
    ],
)
def test_when_to_search_anew(resolved: int, changed: int | None, reasons: tuple[str, ...]) -> None:
    found = suggest(resolved, changed, changed_items=10)
    assert (found.should_run, found.reasons) == (bool(reasons), reasons)


def test_warnings_of_changes() -> None:
    usual = Preferences()
    assert not usual.warns_of_changes(50, 1000)
    assert usual.warns_of_changes(51, 1000)
    assert usual.warns_of_changes(11, 100)
    assert not Preferences(show_change_warnings=False).warns_of_changes(100, 100)
    for wrong in ({"staleness_hours": 0.0}, {"change_percentage": 101.0}, {"change_count": -1}):
        with pytest.raises(InvalidInput):
            Preferences(**wrong)


@given(st.text())
def test_no_text_is_a_formula(text: str) -> None:
    cell = neutral(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert not cell.startswith(("\t", "\r"))
    assert cell.removeprefix("'") == text or cell == text


def test_numbers_stay_numbers() -> None:
    assert csv_line([-1, 0.5, True, None, "-1", 'a"b']) == '-1,0.5,true,,\'-1,"a""b"\r\n'
