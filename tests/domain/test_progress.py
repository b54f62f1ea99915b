from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.progress import Phase, Progress

START = datetime(2030, 1, 1, tzinfo=UTC)
phase_lists = st.lists(
    st.builds(
        Phase,
        name=st.sampled_from(["Reading", "Comparing", "Grouping", "Writing"]),
        weight=st.floats(0, 100),
    ),
    max_size=4,
    unique_by=lambda phase: phase.name,
)
enters = st.tuples(
    st.just("enter"),
    st.sampled_from(["Reading", "Comparing", "Grouping", "Writing", "Undeclared"]),
    st.none() | st.integers(-1, 1000),
)
moves = st.tuples(st.just("move"), st.none() | st.integers(-1, 2000), st.none() | st.integers(0, 50))
steps = st.lists(st.tuples(enters | moves, st.floats(0, 1000)), max_size=30)


def played(phases: Sequence[Phase], reports: Sequence[tuple[tuple[str, object, object], float]]) -> list[Progress]:
    at = START
    told = [Progress(started_at=at, updated_at=at)]
    for (what, first, second), seconds in reports:
        at += timedelta(seconds=seconds)
        if what == "enter":
            told.append(told[-1].enter(phases, str(first), second, at))  # type: ignore[arg-type]
        else:
            told.append(
                told[-1].moved(phases, at, items_processed=first, groups_found=second)  # type: ignore[arg-type]
            )
    return told


@given(phase_lists, steps)
def test_percentage_never_goes_back_and_stays_within_bounds(
    phases: list[Phase], reports: list[tuple[tuple[str, object, object], float]]
) -> None:
    told = played(phases, reports)
    for before, after in pairwise(told):
        assert 0 <= before.percentage <= after.percentage <= 99.9
        assert before.updated_at <= after.updated_at
        assert after.started_at == START
        assert 0 <= after.current_step <= max(after.total_steps, 1)
    done = told[-1].finished(told[-1].updated_at)
    assert (done.percentage, done.estimated_remaining_seconds) == (100, 0)


@given(phase_lists, steps)
def test_estimate_is_sane(phases: list[Phase], reports: list[tuple[tuple[str, object, object], float]]) -> None:
    for told in played(phases, reports):
        elapsed = (told.updated_at - told.started_at).total_seconds()
        left = told.estimated_remaining_seconds
        if told.percentage < 1 or elapsed < 1:
            assert left is None
        else:
            assert left is not None
            assert 0 <= left <= elapsed * 99 * 1.001


def test_estimate_of_a_steady_run_is_right() -> None:
    phases = [Phase(name="Reading"), Phase(name="Comparing", weight=3)]
    progress = Progress(started_at=START, updated_at=START).enter(phases, "Comparing", 300, START)
    assert progress.percentage == 25
    progress = progress.moved(phases, START + timedelta(seconds=50), items_processed=100)
    assert (progress.percentage, progress.estimated_remaining_seconds) == (50, 50)
    assert (progress.current_step, progress.total_steps) == (2, 2)


def test_more_items_than_said() -> None:
    phases = [Phase(name="Reading")]
    progress = Progress(started_at=START, updated_at=START).enter(phases, "Reading", 10, START)
    progress = progress.moved(phases, START, items_processed=30, message="m")
    assert (progress.items_processed, progress.total_items, progress.percentage) == (30, 30, 99.9)
    assert progress.current_message == "m"
    assert progress.enter(phases, "Reading", None, START).current_message == ""
