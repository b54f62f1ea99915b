from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.jobs import Schedule, backoff
from tests.domain.strategies import moments

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
jitters = st.floats(0, 1, exclude_max=True)
intervals = st.floats(1, 10**7) | st.integers(1, 10**6)


@given(st.integers(1, 10**6), jitters, st.floats(0.001, 10), st.floats(10, 10**5))
def test_backoff_stays_between_half_and_whole(attempt: int, jitter: float, base: float, cap: float) -> None:
    waited = backoff(attempt, jitter, base=base, cap=cap).total_seconds()
    whole = min(cap, base * 2.0 ** (min(attempt, 60) - 1))
    assert whole / 2 - 1e-6 <= waited <= whole + 1e-6


@given(jitters)
def test_backoff_grows_until_its_cap(jitter: float) -> None:
    waits = [backoff(attempt, jitter) for attempt in range(1, 20)]
    assert all(before <= after for before, after in pairwise(waits))
    assert waits[0] <= timedelta(seconds=1)
    assert timedelta(seconds=150) <= waits[-1] <= timedelta(seconds=300)


def schedule(every: float, next_at: datetime = NOON) -> Schedule:
    return Schedule(name="s", kind="k", payload={}, every_seconds=every, next_at=next_at)


@given(intervals, moments, moments)
def test_next_moment_is_the_first_one_of_the_grid_to_come(every: float, next_at: datetime, now: datetime) -> None:
    after = schedule(every, next_at).after(now)
    step = timedelta(seconds=every)
    assert after > now
    assert after >= next_at
    # On the grid, however many were missed; and none that is still to come is left out.
    assert (after - next_at) % step == timedelta()
    assert after == next_at or after - step <= now


@given(intervals, st.lists(st.floats(0, 10**6), min_size=1, max_size=20))
def test_schedule_never_drifts(every: float, delays: list[float]) -> None:
    at, moments_fired = NOON, []
    for delay in delays:
        fired_at = at + timedelta(seconds=delay)
        moments_fired.append(at)
        at = schedule(every, at).after(fired_at)
        assert at > fired_at
    assert all((moment - NOON) % timedelta(seconds=every) == timedelta() for moment in [*moments_fired, at])


def test_clock_that_went_back_does_not_skip_a_moment() -> None:
    assert schedule(60).after(NOON - timedelta(hours=1)) == NOON
