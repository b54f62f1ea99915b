"""The rule of freshness, searched for exceptions."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from holdfast.domain.errors import InvalidInput
from holdfast.domain.freshness import (
    NAMED,
    Changes,
    Facts,
    FreshnessRules,
    Level,
    Reason,
    Thresholds,
    Urgency,
    age_of,
    age_text,
    estimated,
    judge,
)

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
HOUR = 3600.0

NAIVE = NOW.replace(tzinfo=None)
zones = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
moments = st.datetimes(NAIVE.replace(year=2000), NAIVE.replace(year=2060), timezones=zones)
seconds = st.floats(1, 10 * 365 * 86_400, allow_nan=False)
names = st.text("abcdefgh", min_size=1, max_size=3)
manifests = st.dictionaries(names, st.sampled_from(["1", "2", "3"]), max_size=30)
revisions = st.sampled_from(["", "r1", "r2"])


@st.composite
def thresholds(draw: st.DrawFn) -> Thresholds:
    fresh, stale, very = sorted(draw(st.tuples(seconds, seconds, seconds)))
    return Thresholds(fresh_seconds=fresh, stale_seconds=stale, very_stale_seconds=very)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    analyzed = draw(st.none() | moments)
    return Facts(
        analyzed_at=analyzed,
        begun_at=None if analyzed is None else draw(st.none() | moments),
        revision=draw(revisions),
        current_revision=draw(revisions),
        analyzer_version=draw(revisions),
        current_version=draw(revisions),
        marked_at=draw(st.none() | moments),
        changes=draw(st.none() | st.builds(Changes.between, manifests, manifests)),
    )


@given(facts(), thresholds(), moments, seconds)
def test_what_is_older_is_never_fresher(known: Facts, rule: Thresholds, now: datetime, later: float) -> None:
    assume(known.analyzed_at is not None)
    first, second = judge(known, rule, now), judge(known, rule, now + timedelta(seconds=later))
    assert first.level is not None
    assert second.level is not None
    assert first.level.rank <= second.level.rank
    # A mark that a run of the future answers is no reason once that run has begun.
    assert set(first.reasons) - {Reason.MARKED} <= set(second.reasons)


@given(facts(), thresholds(), moments)
def test_all_parts_agree(known: Facts, rule: Thresholds, now: datetime) -> None:
    found = judge(known, rule, now)
    assert found.is_stale is bool(found.reasons) is found.recommendation.should_refresh
    assert (found.level is None) is (known.analyzed_at is None) is (found.stale_at is None)
    assert (Reason.NEVER_ANALYZED in found.reasons) is (known.analyzed_at is None)
    assert found.age_seconds is None or found.age_seconds >= 0
    assert (found.recommendation.urgency is Urgency.NONE) is not found.is_stale
    assert (found.recommendation.suggestion is None) is not found.is_stale
    if found.stale_at is not None:
        assert (Reason.AGE in found.reasons) is (found.stale_at <= now)
        assert age_of(known.analyzed_at, rule, now).level is found.level
        assert age_of(known.analyzed_at, rule, now).stale_at == found.stale_at


@given(facts(), thresholds(), moments)
def test_a_mark_wins(known: Facts, rule: Thresholds, now: datetime) -> None:
    begun = known.begun_at or known.analyzed_at
    assume(begun is None or begun <= now)
    marked = Facts(analyzed_at=known.analyzed_at, begun_at=known.begun_at, marked_at=now)
    found = judge(marked, rule, now)
    assert Reason.MARKED in found.reasons
    assert found.recommendation.urgency is Urgency.HIGH


def test_a_mark_is_answered_by_what_began_after_it() -> None:
    mark = NOW - timedelta(hours=2)
    before = Facts(analyzed_at=NOW - timedelta(hours=1), begun_at=NOW - timedelta(hours=3), marked_at=mark)
    after = Facts(analyzed_at=NOW - timedelta(hours=1), begun_at=NOW - timedelta(hours=1.5), marked_at=mark)
    assert judge(before, Thresholds(), NOW).reasons == (Reason.MARKED,)
    assert judge(after, Thresholds(), NOW).reasons == ()


@given(moments, thresholds(), moments)
def test_time_zones_make_no_difference(at: datetime, rule: Thresholds, now: datetime) -> None:
    here = judge(Facts(analyzed_at=at), rule, now)
    there = judge(Facts(analyzed_at=at.astimezone(UTC)), rule, now.astimezone(timezone(timedelta(hours=9))))
    assert here == there


@given(thresholds(), st.floats(0, 1e9))
def test_what_comes_from_the_future_is_new(rule: Thresholds, ahead: float) -> None:
    found = judge(Facts(analyzed_at=NOW + timedelta(seconds=ahead)), rule, NOW)
    assert (found.age_seconds, found.level, found.is_stale) == (0, Level.FRESH, False)


def test_moments_without_a_zone_are_refused() -> None:
    for name in ("analyzed_at", "begun_at", "marked_at"):
        known: dict[str, Any] = {name: NAIVE}
        with pytest.raises(InvalidInput, match=name):
            Facts(**known)
    with pytest.raises(InvalidInput, match="now"):
        judge(Facts(), Thresholds(), NAIVE)


@pytest.mark.parametrize(
    ("hours", "level"),
    [
        (0, Level.FRESH),
        (0.999, Level.FRESH),
        (1, Level.MODERATE),
        (23.999, Level.MODERATE),
        (24, Level.STALE),
        (167.999, Level.STALE),
        (168, Level.VERY_STALE),
        (10_000, Level.VERY_STALE),
    ],
)
def test_the_documented_levels(hours: float, level: Level) -> None:
    found = judge(Facts(analyzed_at=NOW - timedelta(hours=hours)), Thresholds(), NOW)
    assert found.level is level
    assert found.is_stale is (hours >= 24)


def test_thresholds_of_a_kind_and_of_a_subject() -> None:
    rules = FreshnessRules(kinds={"nightly": Thresholds().stale_after(36 * HOUR)})
    known = Facts(analyzed_at=NOW - timedelta(hours=30))
    assert judge(known, rules.of("code"), NOW).reasons == (Reason.AGE,)
    assert judge(known, rules.of("nightly"), NOW).reasons == ()
    assert judge(known, rules.of("nightly", 2 * HOUR), NOW).reasons == (Reason.AGE,)
    assert judge(known, rules.of("code", 1000 * HOUR), NOW).level is Level.MODERATE
    assert judge(known, rules.of("code", 60), NOW).threshold_seconds == 60


@given(thresholds(), seconds)
def test_an_override_keeps_the_order(rule: Thresholds, stale: float) -> None:
    found = rule.stale_after(stale)
    assert found.stale_seconds == stale
    assert found.fresh_seconds <= stale <= found.very_stale_seconds


@pytest.mark.parametrize("given", [(0, 1, 2), (2, 1, 3), (1, 3, 2), (-1, 1, 2), (1, 2, float("inf"))])
def test_thresholds_that_fall_are_refused(given: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidInput):
        Thresholds(fresh_seconds=given[0], stale_seconds=given[1], very_stale_seconds=given[2])


@given(manifests, manifests)
def test_changes_add_up(before: dict[str, str], after: dict[str, str]) -> None:
    found = Changes.between(before, after)
    assert len(before) + found.added - found.deleted == len(after)
    assert found.total == sum(before.get(name) != after.get(name) for name in before.keys() | after.keys())
    assert set(found.added_names) <= after.keys() - before.keys()
    assert set(found.deleted_names) <= before.keys() - after.keys()
    assert all(len(shown) <= NAMED for shown in (found.added_names, found.modified_names, found.deleted_names))
    back = Changes.between(after, before)
    assert (back.added, back.modified, back.deleted) == (found.deleted, found.modified, found.added)


def test_few_changes_are_told_and_many_are_a_reason() -> None:
    before = {f"track {number}": "digest" for number in range(20)}
    analyzed = NOW - timedelta(hours=2)
    # That a track was played is no part of its digest.
    assert Changes.between(before, dict(before)).total == 0
    for gone, reasons in ((10, ()), (11, (Reason.ITEMS_CHANGED,))):
        changes = Changes.between(before, dict(list(before.items())[gone:]))
        found = judge(Facts(analyzed_at=analyzed, changes=changes), Thresholds(), NOW)
        assert found.reasons == reasons
        assert found.changes == changes
    assert found.recommendation.suggestion == "11 items have changed since: refresh to include them"
    assert found.recommendation.message == "Analysis from 2 hours ago"
    assert found.recommendation.urgency is Urgency.MEDIUM


def test_reasons_come_weightiest_first() -> None:
    old = NOW - timedelta(days=30)
    known = Facts(
        analyzed_at=old,
        revision="a",
        current_revision="b",
        analyzer_version="1",
        current_version="2",
        marked_at=NOW,
    )
    found = judge(known, Thresholds(), NOW)
    assert found.reasons == (
        Reason.MARKED,
        Reason.REVISION_MOVED,
        Reason.ANALYZER_VERSION_CHANGED,
        Reason.AGE,
    )
    assert judge(Facts(), Thresholds(), NOW).reasons == (Reason.NEVER_ANALYZED,)
    assert judge(Facts(), Thresholds(), NOW).recommendation.message == "Not analyzed yet"


def test_what_is_not_known_is_no_reason() -> None:
    known = Facts(analyzed_at=NOW, revision="", current_revision="b", analyzer_version="1", current_version="")
    assert judge(known, Thresholds(), NOW).reasons == ()


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (None, "Not analyzed yet"),
        (1, "Analysis from just now"),
        (60, "Analysis from 1 minute ago"),
        (2 * HOUR, "Analysis from 2 hours ago"),
        (50 * HOUR, "Analysis from 2 days ago"),
    ],
)
def test_ages_in_words(age: float | None, words: str) -> None:
    assert age_text(age) == words


def test_estimates_are_robust_and_say_what_they_rest_on() -> None:
    found = estimated([10, 11, 900, 12, 0.01], [1])
    assert (found.seconds, found.runs, found.basis) == (11, 5, "subject")
    assert estimated([], [4, 6]).basis == "kind"
    assert estimated([], [4, 6]).seconds == 5
    assert (estimated([], []).seconds, estimated([], []).basis) == (None, "none")


@given(st.lists(st.floats(-5, 1e7), max_size=20), st.lists(st.floats(-5, 1e7), max_size=20))
def test_estimates_are_never_negative(subject: list[float], kind: list[float]) -> None:
    found = estimated(subject, kind)
    assert found.seconds is None or found.seconds >= 0
