"""What goes and what stays."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.analysis import Status
from holdfast.domain.retention import Candidate, Going, Policy, Reason, Rules, Thinning, decide

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)
DAY, HOUR = 86_400, 3600
KINDS, OWNERS, LINES = ("code", "copies"), ("ann", "bob"), ("one", "two")


def candidate(key: int, age: float, **about: object) -> Candidate:
    known: dict[str, object] = {"kind": "code", "owner": "ann", "line": "one", "status": Status.COMPLETED}
    known |= about
    return Candidate(key=key, analysis_id=f"a{key}", created_at=NOW - timedelta(seconds=age), **known)  # type: ignore[arg-type]


ages = st.floats(0, 120 * DAY)
policies = st.builds(
    Policy,
    max_age_seconds=st.none() | st.floats(1, 100 * DAY),
    keep_last=st.none() | st.integers(1, 4),
    per_subject=st.booleans(),
    thinning=st.lists(
        st.builds(
            Thinning,
            after_seconds=st.sampled_from([0.0, DAY, 7 * DAY]),
            every_seconds=st.sampled_from([HOUR, DAY, 7 * DAY]),
        ),
        max_size=3,
    ).map(tuple),
)
rules = st.builds(
    Rules,
    policies=st.dictionaries(st.sampled_from(["code", "copies", "*"]), policies),
    trash_seconds=st.sampled_from([0.0, HOUR, DAY]),
    anonymous_bytes=st.integers(1, 3000),
)


@st.composite
def analyses(draw: st.DrawFn) -> list[Candidate]:
    found = []
    for key in range(draw(st.integers(0, 25))):
        age = draw(ages)
        found.append(
            candidate(
                key,
                age,
                kind=draw(st.sampled_from(KINDS)),
                owner=draw(st.sampled_from(OWNERS)),
                line=draw(st.sampled_from(LINES)),
                status=draw(st.sampled_from(Status)),
                expires_at=draw(
                    st.none() | ages.map(lambda until, age=age: NOW + timedelta(seconds=until - age))  # type: ignore[misc]
                ),
                retrieval_count=draw(st.integers(0, 2)),
                max_retrievals=draw(st.none() | st.integers(1, 3)),
                is_anonymous=draw(st.booleans()),
                is_pinned=draw(st.integers(0, 4)) == 0,
                deleted_at=draw(
                    st.none() | st.none() | st.floats(0, age).map(lambda ago: NOW - timedelta(seconds=ago))
                ),
                stored_size=draw(st.integers(0, 1000)),
            )
        )
    return found


def left(candidates: list[Candidate], going: list[Going]) -> list[Candidate]:
    gone = {one.candidate.key for one in going}
    return [one for one in candidates if one.key not in gone]


@given(analyses(), rules)
def test_each_goes_once_and_a_second_look_finds_nothing(candidates: list[Candidate], rules: Rules) -> None:
    going = decide(candidates, rules, NOW)
    assert len({one.candidate.key for one in going}) == len(going)
    assert decide(left(candidates, going), rules, NOW) == []


@given(analyses(), rules)
def test_pinned_and_running_stay(candidates: list[Candidate], rules: Rules) -> None:
    for going in decide(candidates, rules, NOW):
        assert going.candidate.status is not Status.RUNNING
        if going.candidate.is_pinned:
            assert going.candidate.deleted_at is not None


@given(analyses(), rules)
def test_no_more_than_are_kept_remain(candidates: list[Candidate], rules: Rules) -> None:
    remaining = [one for one in left(candidates, decide(candidates, rules, NOW)) if one.is_history]
    counts = Counter((one.owner, one.kind, one.line if rules.policy(one.kind).per_subject else "") for one in remaining)
    for (_, kind, _), count in counts.items():
        most = rules.policy(kind).keep_last
        assert most is None or count <= most


@given(analyses(), rules)
def test_what_is_over_the_count_has_enough_newer_ones(candidates: list[Candidate], rules: Rules) -> None:
    going = decide(candidates, rules, NOW)
    remaining = [one for one in left(candidates, going) if one.is_history]
    for one in going:
        gone = one.candidate
        if one.reason is not Reason.OVER_COUNT:
            continue
        policy = rules.policy(gone.kind)
        same = [
            other
            for other in [*remaining, *(more.candidate for more in going if more.reason is Reason.OVER_CAP)]
            if other.is_history
            and (other.owner, other.kind) == (gone.owner, gone.kind)
            and (not policy.per_subject or other.line == gone.line)
        ]
        newer = [other for other in same if (other.created_at, other.key) > (gone.created_at, gone.key)]
        assert policy.keep_last is not None
        # All places are taken by newer ones, or all but that of the newest complete one.
        assert len(newer) >= policy.keep_last - 1
        assert len(newer) == policy.keep_last or any(other.status is Status.COMPLETED for other in same)


@given(st.lists(ages, max_size=30), st.sampled_from([HOUR, DAY, 7 * DAY]), st.sampled_from([0.0, DAY]))
def test_thinning_keeps_the_newest_of_each_span(found: list[float], every: float, after: float) -> None:
    policy = Policy(thinning=(Thinning(after_seconds=after, every_seconds=every),))
    candidates = [candidate(key, age) for key, age in enumerate(found)]
    going = decide(candidates, Rules(policies={"*": policy}), NOW)
    remaining = left(candidates, going)

    def span(one: Candidate) -> int:
        return int((one.created_at.timestamp() - 4 * DAY) // every)

    old = [one for one in candidates if (NOW - one.created_at).total_seconds() >= after]
    newest = {}
    for one in sorted(old, key=lambda one: (one.created_at, one.key)):
        newest[span(one)] = one
    assert {one.key for one in remaining} == {one.key for one in [*newest.values(), *(set(candidates) - set(old))]}
    assert {one.reason for one in going} <= {Reason.THINNED}


@given(analyses(), rules)
def test_a_full_pool_is_emptied_to_four_fifths(candidates: list[Candidate], rules: Rules) -> None:
    going = decide(candidates, rules, NOW)
    over = [one for one in going if one.reason is Reason.OVER_CAP]
    pool = [one for one in left(candidates, going) if one.is_anonymous]
    used = sum(one.stored_size for one in pool)
    guarded = all(one.is_pinned or not one.may_go for one in pool if one.stored_size)
    if over:
        assert used <= rules.anonymous_bytes * 0.8 or guarded
        # The oldest, and not one too many.
        assert used + over[-1].candidate.stored_size > rules.anonymous_bytes * 0.8
        youngest = max((one.candidate.created_at, one.candidate.key) for one in over)
        assert all(
            (one.created_at, one.key) > youngest or one.is_pinned or not one.may_go or not one.stored_size
            for one in pool
        )
    else:
        assert used <= rules.anonymous_bytes or guarded


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"expires_at": NOW + timedelta(seconds=1)}, None),
        ({"retrieval_count": 3, "max_retrievals": 3}, Reason.USED_UP),
        ({"retrieval_count": 2, "max_retrievals": 3}, None),
        ({"deleted_at": NOW - timedelta(hours=2)}, Reason.TRASH_EMPTIED),
        ({"deleted_at": NOW - timedelta(minutes=2)}, None),
        ({"deleted_at": NOW - timedelta(hours=2), "is_pinned": True}, Reason.TRASH_EMPTIED),
        ({"expires_at": NOW, "is_pinned": True}, None),
        ({"expires_at": NOW, "status": Status.RUNNING}, None),
        ({"expires_at": NOW, "status": Status.QUEUED}, Reason.EXPIRED),
        ({"kind": "old"}, Reason.OVER_AGE),
        ({"kind": "old", "status": Status.QUEUED}, None),
    ],
)
def test_each_reason(about: dict[str, object], reason: Reason | None) -> None:
    rules = Rules(policies={"old": Policy(max_age_seconds=60)}, trash_seconds=HOUR)
    going = decide([candidate(1, 60, **about)], rules, NOW)
    assert [one.reason for one in going] == ([] if reason is None else [reason])


def test_failures_do_not_push_out_the_last_result() -> None:
    rules = Rules(policies={"*": Policy(keep_last=2)})
    failed = [candidate(key, 60 - key, status=Status.FAILED) for key in range(2, 7)]
    going = decide([candidate(1, 100), *failed], rules, NOW)
    assert {one.candidate.key for one in going} == {2, 3, 4, 5}
    # Without any result the failures have all places.
    assert {one.candidate.key for one in decide(failed, rules, NOW)} == {2, 3, 4}


def test_a_ladder_of_steps() -> None:
    steps = (Thinning(after_seconds=DAY, every_seconds=DAY), Thinning(after_seconds=14 * DAY, every_seconds=7 * DAY))
    rules = Rules(policies={"*": Policy(thinning=steps)})
    hourly = [candidate(hour, hour * HOUR) for hour in range(24 * 60)]
    ages_left = [(NOW - one.created_at).total_seconds() / DAY for one in left(hourly, decide(hourly, rules, NOW))]
    assert sum(age < 1 for age in ages_left) == 24
    assert 13 <= sum(1 <= age < 14 for age in ages_left) <= 14
    assert 6 <= sum(age >= 14 for age in ages_left) <= 8


def test_limits_of_new_ones() -> None:
    rules = Rules(policies={"*": Policy(ttl_seconds=50), "code": Policy(ttl_seconds=9000)})
    assert rules.ttl("other", None, is_anonymous=False) == 50
    assert rules.ttl("other", 7, is_anonymous=False) == 7
    assert rules.ttl("code", None, is_anonymous=True) == 3600
    assert rules.ttl("code", 5, is_anonymous=True) == 5
    assert Rules().ttl("code", None, is_anonymous=False) is None
    assert Rules().ttl("code", None, is_anonymous=True) == 3600
    assert rules.retrievals(None, is_anonymous=True) == 10
    assert rules.retrievals(99, is_anonymous=True) == 10
    assert rules.retrievals(None, is_anonymous=False) is None
