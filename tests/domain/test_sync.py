import functools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.fingerprint import canonical_json
from holdfast.domain.sync import (
    COMMIT_SHA_MISMATCH,
    METADATA_MISMATCH,
    Outcome,
    Strategy,
    Version,
    merge,
    settle,
)

START = datetime(2030, 1, 1, tzinfo=UTC)


def version(content: dict[str, Any], second: float = 0, by: str = "ann") -> Version:
    return Version(content=content, declared_at=START + timedelta(seconds=second), declared_by=by)


_HEAD = ("commit_sha", "last_commit_date")
# Few names, so that versions have some in common; and any other.
_NAMES = st.sampled_from(["a", "b", "n", "a.n", "tags", *_HEAD]) | st.text(max_size=3)
_LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-1, 1) | st.sampled_from(["", "x", "y", "ß"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES | st.lists(st.sampled_from(["p", "q", "r", 1, True]), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)
_MAPS = st.dictionaries(_NAMES, _VALUES, max_size=5)
# What is said of branches has all these fields; a resolution or the result of an analysis may have any.
_BRANCHES = st.fixed_dictionaries(
    {
        "commit_sha": st.sampled_from(["", "c1", "c2", "c3"]),
        "is_default": st.booleans(),
        "last_commit_date": st.none() | st.sampled_from(["2030-01-01T00:00:00+00:00", "2030-01-02T00:00:00+00:00"]),
        "metadata": _MAPS,
    }
)
_CONTENTS = _BRANCHES | _MAPS
_COUNTERS = st.sets(st.sampled_from(["n", "a.n", "b", "metadata.n", "metadata.a.n"]))
VERSIONS = st.builds(
    version,
    _CONTENTS,
    st.integers(0, 3),
    st.sampled_from(["ann", "bob"]),
)


def merged(base: dict[str, Any] | None, one: dict[str, Any], other: dict[str, Any], *counters: str) -> Any:
    """By a later ``other``."""
    return merge(None if base is None else version(base), version(one, 1), version(other, 2), counters).content


def text(content: Any) -> str:
    return canonical_json(content).decode()


@given(VERSIONS, VERSIONS, _COUNTERS)
def test_who_changed_nothing_has_no_say(base: Version, one: Version, counters: set[str]) -> None:
    unchanged = Version(content=base.content, declared_at=START + timedelta(hours=1), declared_by="cid")
    assert text(merge(base, unchanged, one, counters).content) == text(one.content)


@given(st.none() | VERSIONS, VERSIONS, _COUNTERS)
def test_the_same_version_twice_is_that_version(base: Version | None, one: Version, counters: set[str]) -> None:
    assert merge(base, one, one, counters) == one


@given(st.none() | VERSIONS, VERSIONS, VERSIONS, _COUNTERS)
def test_merging_commutes(base: Version | None, one: Version, other: Version, counters: set[str]) -> None:
    there, back = merge(base, one, other, counters), merge(base, other, one, counters)
    assert there.rank == back.rank


@given(st.none() | VERSIONS, VERSIONS, VERSIONS, _COUNTERS)
def test_no_field_is_dropped(base: Version | None, one: Version, other: Version, counters: set[str]) -> None:
    _check_fields(
        {} if base is None else base.content, one.content, other.content, merge(base, one, other, counters).content
    )


def _check_fields(base: Any, one: Any, other: Any, result: Any) -> None:
    """A field of either is there, unless one removed what the other had left alone; maps likewise."""
    for name in one.keys() | other.keys():
        removed = name in base and any(
            name not in gone and text(kept[name]) == text(base[name])
            for gone, kept in ((one, other), (other, one))
            if name in kept
        )
        assert (name in result) is not removed
        if all(isinstance(side.get(name), dict) for side in (one, other)):
            known = base.get(name)
            _check_fields(known if isinstance(known, dict) else {}, one[name], other[name], result[name])
    assert result.keys() <= one.keys() | other.keys()


@given(VERSIONS, VERSIONS, VERSIONS)
def test_each_value_is_somebodys(base: Version, one: Version, other: Version) -> None:
    result = merge(base, one, other).content
    for name, value in result.items():
        sides = [side.content[name] for side in (one, other) if name in side.content]
        if not any(isinstance(side, dict | list) for side in sides):
            assert text(value) in {text(side) for side in sides}


@given(st.lists(VERSIONS, min_size=1, max_size=6), st.randoms())
def test_latest_wins_in_any_order(versions: list[Version], random: Any) -> None:
    def fold(ordered: Sequence[Version]) -> Version:
        return functools.reduce(lambda kept, new: settle(Strategy.LATEST_WINS, kept, new, None).version, ordered)

    other = list(versions)
    random.shuffle(other)
    assert fold(versions).rank == fold(other).rank == max(one.rank for one in versions)


@given(st.sampled_from(Strategy), st.none() | VERSIONS, VERSIONS)
def test_settling_the_same_again_changes_nothing(strategy: Strategy, base: Version | None, one: Version) -> None:
    again = settle(strategy, one, one, base, {"n"})
    assert (again.outcome, again.version.rank) == (Outcome.UNCHANGED, one.rank)


@given(st.sampled_from(Strategy), st.none() | VERSIONS, VERSIONS, VERSIONS)
def test_outcome_says_what_was_done(strategy: Strategy, base: Version | None, one: Version, other: Version) -> None:
    settled = settle(strategy, one, other, base)
    assert settled.version.says_the_same(one) is (settled.outcome is not Outcome.APPLIED)
    assert bool(settled.reason) is (settled.outcome is Outcome.CONFLICT)
    assert strategy is Strategy.MANUAL or settled.outcome is not Outcome.CONFLICT


def test_changes_of_both_are_kept() -> None:
    base = {"a": 1, "b": 1, "m": {"x": 1, "y": 1}, "gone": 1}
    one = {"a": 2, "b": 1, "m": {"x": 2, "y": 1, "z": 3}, "gone": 1}
    other = {"a": 1, "b": 3, "m": {"x": 1}, "new": [1]}
    assert merged(base, one, other) == {"a": 2, "b": 3, "m": {"x": 2, "z": 3}, "new": [1]}


def test_the_later_of_two_values_is_taken() -> None:
    assert merged({"a": 1}, {"a": 2}, {"a": 3}) == {"a": 3}
    assert merged(None, {"a": 4, "b": 1}, {"a": 3}) == {"a": 3, "b": 1}


def test_who_changed_outweighs_who_removed() -> None:
    assert merged({"a": 1}, {"a": 2}, {}) == {"a": 2}
    assert merged({"a": {"x": 1}}, {}, {"a": {"x": 2}}) == {"a": {"x": 2}}
    assert merged({"a": 1}, {"a": 1}, {}) == {}


def test_lists_without_repetitions_are_sets() -> None:
    assert merged({"t": ["b", "a", "c"]}, {"t": ["b", "a", "z"]}, {"t": ["b", "c", "d"]}) == {"t": ["b", "d", "z"]}
    assert merged({"t": [1, 1]}, {"t": [1]}, {"t": [1, 2]}) == {"t": [1, 2]}
    assert merged({"t": []}, {"t": [1]}, {"t": [True]}) == {"t": [1, True]}


def test_counters_add_up() -> None:
    base, one, other = {"m": {"n": 10}}, {"m": {"n": 13}}, {"m": {"n": 15}}
    assert merged(base, one, other, "m.n") == {"m": {"n": 18}}
    assert merged(base, one, one, "m.n") == {"m": {"n": 16}}, "two writers who each added three"
    assert merged({}, one, other, "m.n") == {"m": {"n": 28}}
    assert merged(None, one, other, "m.n") == {"m": {"n": 15}}


def test_commit_and_its_date_stay_together() -> None:
    def head(sha: str, date: str) -> dict[str, Any]:
        return {"commit_sha": sha, "last_commit_date": date}

    assert merged(head("a", "1"), head("b", "1"), head("a", "2")) == head("a", "2")
    assert merged(head("a", "1"), head("b", "2"), head("a", "1")) == head("b", "2")


def test_a_commit_that_is_a_map_drops_nothing() -> None:
    one, other = ({"commit_sha": {name: 1}, "last_commit_date": None} for name in "xy")
    assert merged({}, one, other) == {"commit_sha": {"x": 1, "y": 1}, "last_commit_date": None}


def test_who_left_a_list_alone_does_not_order_it() -> None:
    assert merged({"t": ["a", "b"]}, {"t": ["a", "b"]}, {"t": ["b", "a"]}) == {"t": ["b", "a"]}
    assert merged({"t": ["a", "b"]}, {"t": ["b", "a"]}, {"t": ["a", "b"]}) == {"t": ["b", "a"]}


def test_json_values_are_told_apart() -> None:
    assert json.dumps(merged({"a": 1}, {"a": True}, {"a": 1})) == '{"a": true}'
    assert settle(Strategy.LATEST_WINS, version({"a": 1}), version({"a": 1.0}, 1), None).outcome is Outcome.APPLIED


def test_equal_moments_are_settled_by_content() -> None:
    one, other = version({"a": 1}), version({"a": 2})
    for local, remote in ((one, other), (other, one)):
        assert settle(Strategy.LATEST_WINS, local, remote, None).version is other


def test_that_it_was_still_so_later_is_remembered() -> None:
    settled = settle(Strategy.LATEST_WINS, version({"a": 1}), version({"a": 1}, 5), None)
    assert settled.outcome is Outcome.UNCHANGED
    assert settle(Strategy.LATEST_WINS, settled.version, version({"a": 2}, 3), None).outcome is Outcome.OUTDATED


@pytest.mark.parametrize(
    ("base", "local", "remote", "outcome", "reason"),
    [
        ({"commit_sha": "a"}, {"commit_sha": "a"}, {"commit_sha": "b"}, Outcome.APPLIED, ""),
        ({"commit_sha": "a"}, {"commit_sha": "b"}, {"commit_sha": "a"}, Outcome.OUTDATED, ""),
        ({"commit_sha": "a"}, {"commit_sha": "b"}, {"commit_sha": "c"}, Outcome.CONFLICT, COMMIT_SHA_MISMATCH),
        (None, {"commit_sha": "b"}, {"commit_sha": "c"}, Outcome.CONFLICT, COMMIT_SHA_MISMATCH),
        (None, {"x": 1}, {"x": 2}, Outcome.CONFLICT, METADATA_MISMATCH),
    ],
)
def test_by_hand(
    base: dict[str, Any] | None, local: dict[str, Any], remote: dict[str, Any], outcome: Outcome, reason: str
) -> None:
    known = None if base is None else version(base)
    settled = settle(Strategy.MANUAL, version(local, 1), version(remote, 2), known)
    assert (settled.outcome, settled.reason) == (outcome, reason)
