from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.analysis import Analysis, Change, ErrorInfo, PayloadRef, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import IllegalMove, InvalidInput
from holdfast.domain.events import EVENTS
from holdfast.domain.subjects import Subject

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
WHY = ErrorInfo(code="X", message="why")
RESULT = PayloadRef(hash="0" * 64, size=10, stored_size=5)
HOUR = timedelta(hours=1)

Move = Callable[[Analysis], Change]
MOVES: dict[str, Move] = {
    "start": lambda value: value.started(LATER, "worker:w"),
    "interrupt": lambda value: value.interrupted(LATER, "worker:w", "lost"),
    "complete": lambda value: value.completed(LATER, "worker:w", RESULT, "fine", 3),
    "fail": lambda value: value.ended(Status.FAILED, LATER, "worker:w", WHY),
    "time out": lambda value: value.ended(Status.TIMED_OUT, LATER, "worker:w", WHY),
    "be cancelled": lambda value: value.ended(Status.CANCELLED, LATER, "worker:w", WHY),
    "cancel": lambda value: value.cancel_asked(LATER, "me"),
    "resume": lambda value: value.resumed(LATER, "me", 3),
}
# What each status may do, and what becomes of it: written by hand, not taken from the code.
LEGAL: dict[tuple[Status, str], Status] = {
    (Status.QUEUED, "start"): Status.RUNNING,
    (Status.QUEUED, "fail"): Status.FAILED,
    (Status.QUEUED, "be cancelled"): Status.CANCELLED,
    (Status.QUEUED, "cancel"): Status.CANCELLED,
    (Status.RUNNING, "interrupt"): Status.QUEUED,
    (Status.RUNNING, "complete"): Status.COMPLETED,
    (Status.RUNNING, "fail"): Status.FAILED,
    (Status.RUNNING, "time out"): Status.TIMED_OUT,
    (Status.RUNNING, "be cancelled"): Status.CANCELLED,
    (Status.RUNNING, "cancel"): Status.RUNNING,
    (Status.FAILED, "resume"): Status.QUEUED,
    (Status.CANCELLED, "resume"): Status.QUEUED,
    (Status.TIMED_OUT, "resume"): Status.QUEUED,
}


def analysis(status: Status = Status.QUEUED) -> Analysis:
    return Analysis(
        analysis_id="a",
        kind="code",
        status=status,
        context=Context(client_session_id="owner"),
        subject=Subject(kind="s", key="k"),
        fingerprint="f" * 64,
        attempt=2,
        version=7,
        created_at=NOON,
        updated_at=NOON,
        started_at=NOON,
    )


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("status", list(Status))
def test_every_move_from_every_status(status: Status, move: str) -> None:
    before = analysis(status)
    untouched = replace(before)
    if (status, move) not in LEGAL:
        with pytest.raises(IllegalMove) as caught:
            MOVES[move](before)
        assert caught.value.analysis_id == "a"
        assert caught.value.details["status"] == status.value
        assert before == untouched
        return
    change = MOVES[move](before)
    after = change.value
    assert before == untouched
    assert after.status is LEGAL[status, move]
    assert after.version == before.version + 1
    assert after.updated_at == LATER
    assert (after.completed_at == LATER) == after.status.ended
    (event,) = change.events
    assert event.name in EVENTS
    assert (event.at, event.analysis_id, event.client_session_id) == (LATER, "a", "owner")
    assert [job.payload for job in change.jobs] == ([{"analysis_id": "a"}] if move == "resume" else [])
    # A request to stop does not outlive the attempt that it was meant for.
    assert after.cancel_requested == (status is Status.RUNNING and move == "cancel")
    assert (after.error is None) == (move in {"start", "interrupt", "complete", "cancel", "resume"}) or (
        status is Status.QUEUED and move == "cancel"
    )


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.COMPLETED])
def test_an_end_without_a_result_is_no_completion(status: Status) -> None:
    with pytest.raises(IllegalMove):
        analysis(Status.RUNNING).ended(status, LATER, "worker:w", WHY)


def test_cancelling_twice_is_one_change() -> None:
    once = analysis(Status.RUNNING).cancel_asked(LATER, "me").value
    again = once.cancel_asked(LATER, "me")
    assert again.value is once
    assert (again.events, again.jobs) == ((), ())


def test_interrupted_run_keeps_the_request_to_stop() -> None:
    asked = analysis(Status.RUNNING).cancel_asked(LATER, "me").value
    assert asked.interrupted(LATER, "worker:w", "lost").value.cancel_requested


def test_partial_result_stays_until_there_is_a_whole_one() -> None:
    partial = analysis(Status.RUNNING).ended(Status.TIMED_OUT, LATER, "w", WHY, RESULT).value
    assert (partial.result, partial.result_is_partial, partial.error) == (RESULT, True, WHY)
    resumed = partial.resumed(LATER, "me", 3).value
    assert (resumed.result, resumed.result_is_partial, resumed.error) == (RESULT, True, None)
    running = resumed.started(LATER, "w").value
    assert running.attempt == 3
    other = PayloadRef(hash="1" * 64, size=1, stored_size=1)
    failed = running.ended(Status.FAILED, LATER, "w", WHY).value
    assert (failed.result, failed.result_is_partial) == (RESULT, True)
    done = running.completed(LATER, "w", other, "", 0).value
    assert (done.result, done.result_is_partial, done.error) == (other, False, None)


def test_submission_queues_one_run() -> None:
    change = replace(analysis(), priority=4).submitted(max_attempts=9)
    (job,) = change.jobs
    assert (job.priority, job.max_attempts, job.analysis_id) == (4, 9, "a")
    assert job.unique_key == "analysis.run:a"
    assert [event.name for event in change.events] == ["analysis.submitted"]


def test_values_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        analysis().status = Status.RUNNING  # type: ignore[misc]


@given(
    ttl=st.none() | st.floats(0.001, 10**6),
    retrievals=st.none() | st.integers(1, 5),
    used=st.integers(0, 6),
    age=st.floats(0, 2 * 10**6),
)
def test_expiry(ttl: float | None, retrievals: int | None, used: int, age: float) -> None:
    value = replace(analysis(Status.COMPLETED), ttl_seconds=ttl, max_retrievals=retrievals, retrieval_count=used)
    now = NOON + timedelta(seconds=age)
    past = ttl is not None and timedelta(seconds=age) >= timedelta(seconds=ttl)
    assert value.is_expired(now) == (past or (retrievals is not None and used >= retrievals))


def test_which_result_answers_a_request() -> None:
    wanted = replace(analysis(), analyzer_version="2")
    kept = replace(analysis(Status.COMPLETED), analyzer_version="2", completed_at=NOON)
    assert kept.answers(wanted, NOON + HOUR, HOUR)
    assert not kept.answers(wanted, NOON + HOUR + timedelta(microseconds=1), HOUR)
    for other in (
        replace(kept, analyzer_version="1"),
        replace(kept, fingerprint="e" * 64),
        replace(kept, ttl_seconds=1.0),
        replace(kept, max_retrievals=1, retrieval_count=1),
        *(replace(kept, status=status) for status in Status if status is not Status.COMPLETED),
    ):
        assert not other.answers(wanted, NOON + HOUR, HOUR)


names = ("client_session_id", "client_ip", "thread_id", "session_id", "process_instance_id")


@pytest.mark.parametrize("name", names)
@pytest.mark.parametrize("value", ["", "x" * 257, "a\0b", "\ud800"])
def test_context_refuses_what_cannot_be_kept_as_it_is(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Context(**{name: value})
    assert caught.value.details["field"] == name


@pytest.mark.parametrize("name", names)
@pytest.mark.parametrize("value", ["x" * 256, "a\nb", "שלום", "🎧", "a%_'\"b"])
def test_context_takes_any_text(name: str, value: str) -> None:
    assert getattr(Context(**{name: value}), name) == value


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "", "key": "k"},
        {"kind": "k", "key": ""},
        {"kind": "k" * 65, "key": "k"},
        {"kind": "k", "key": "k" * 2049},
        {"kind": "k", "key": "k", "revision": "r" * 257},
        {"kind": "k", "key": "a\0b"},
        {"kind": "k", "key": "caf\udce9"},
    ],
)
def test_subject_needs_names_of_a_sensible_length(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        Subject(**wrong)  # type: ignore[arg-type]
