import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import RUN_JOB, ErrorInfo, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    AnalysisNotFound,
    ContentConflict,
    HoldfastError,
    IllegalMove,
    InvalidId,
    InvalidInput,
    InvalidParams,
    TargetNotFound,
    UnknownKind,
)
from holdfast.domain.findings import Finding, FindingItem, Severity
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult
from holdfast.store.analyses import Analyses
from holdfast.testing import FakeClock
from tests.services.samples import Sample, begin, claim, ended, findings, opened, settle, together

REUSE = 3600.0


@pytest.fixture
def hf(database: str, clock: FakeClock) -> Iterator[Holdfast]:
    with opened(database, clock, reuse_hours=REUSE / 3600) as hf:
        yield hf


def everything(hf: Holdfast) -> tuple[Any, ...]:
    """What is kept, to see whether something changed."""
    ids = [analysis.analysis_id for analysis in hf.list_analyses(limit=1000).items]
    with hf.engine.read() as connection:
        payloads = connection.exec_driver_sql("SELECT hash, reference_count FROM payloads ORDER BY 1").all()
        counted = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            for table in ("findings", "finding_items", "metrics", "tags", "ledger", "jobs")
        ]
    return ids, payloads, counted, hf.get_stats()


# Results that were found elsewhere.


def new_result(analysis_id: str | None = "a", **fields: Any) -> NewResult:
    return NewResult(
        **{
            "kind": "sample",
            "result": {"n": [1, 2.5, None, "ü\0"]},
            "analysis_id": analysis_id,
            "subject": Subject(kind="s", key="k", revision="r"),
            "params": {"b": 1, "a": [1, 2]},
            "summary": "All well",
            "findings": findings(3),
            "metrics": {"found": 3},
            "tags": ["b", "a"],
        }
        | fields
    )


def test_what_was_stored_is_there(hf: Holdfast) -> None:
    (stored,) = hf.store_analyses([new_result()])
    assert hf.get_analysis("a") == hf.get_analysis_by_id("a") == stored
    assert hf.get_result("a") == {"n": [1, 2.5, None, "ü\0"]}
    assert hf.get_findings("a") == findings(3)
    assert hf.get_metrics("a") == {"found": 3}
    assert stored.tags == ("a", "b")
    assert [entry.event.name for entry in hf.queries.events("a")] == ["analysis.completed"]
    assert hf.get_latest_analysis("sample", subject=Subject(kind="s", key="k")) == stored


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"summary": "a\0b", "result": "🎧"},
        {"summary": "\udce9t\udce9", "analyzer_version": "\0", "code_hash": "caf\udce9"},
        {
            "findings": [
                Finding(
                    rule="r\0",
                    severity=Severity.HIGH,
                    title="\udce9\0",
                    message="\0",
                    path="caf\udce9",
                    identity="\0",
                    score=0.1,
                    data={"t": (1, (2,)), "f": 1.0},
                    items=(FindingItem(key="\0", data={"t": (1,)}), FindingItem(key="k")),
                )
            ]
        },
        {"status": Status.FAILED, "result": None, "error": ErrorInfo(code="C", message="m", details={"t": (1,)})},
        {"status": Status.CANCELLED, "error": ErrorInfo(code="C", message="\0")},
        {"metrics": {"one": True, "two": 2, "large": 2**60}},
        {"params": {"t": (1, 2)}, "tags": ["x", "x", "café", "%"]},
        {"context": Context(client_session_id="שלום", thread_id="t")},
    ],
)
def test_storing_the_same_again_is_harmless(hf: Holdfast, clock: FakeClock, fields: dict[str, Any]) -> None:
    hf.store_analyses([new_result(**fields)])
    before = everything(hf), hf.get_analysis("a")
    clock.advance(60)
    (again,) = hf.store_analyses([new_result(**fields)])
    assert (everything(hf), again) == before


OTHER: list[dict[str, Any]] = [
    {"kind": "other"},
    {"result": {"n": [1, 2.5, None, "ü"]}},
    {"subject": None},
    {"params": {"b": 2}},
    {"status": Status.FAILED},
    {"error": ErrorInfo(code="C", message="m")},
    {"summary": "Other"},
    {"findings": findings(2)},
    {"findings": [*findings(2), Finding(rule="r", severity=Severity.LOW, title="t")]},
    {"metrics": {"found": 4}},
    {"metrics": {}},
    {"tags": ["a"]},
    {"context": Context(client_session_id="you")},
    {"context": Context(thread_id="t")},
    {"code_hash": "other"},
]


@pytest.mark.parametrize("other", OTHER)
@pytest.mark.parametrize("place", [0, 2])
def test_other_content_is_refused_with_its_whole_batch(hf: Holdfast, other: dict[str, Any], place: int) -> None:
    hf.store_analyses([new_result()])
    before = everything(hf)
    batch = [new_result("b", result="new", tags=["new"]), new_result("c", context=Context(client_session_id="new"))]
    batch.insert(place, new_result(**other))
    with pytest.raises(ContentConflict) as caught:
        hf.store_analyses(batch)
    assert caught.value.analysis_id == "a"
    assert everything(hf) == before


WRONG: list[dict[str, Any]] = [
    {"analysis_id": "../a"},
    {"kind": "No Kind"},
    {"kind": ""},
    {"result": None},
    {"result": {"a": float("nan")}},
    {"result": object()},
    {"params": {"a": float("inf")}},
    {"params": {"a": "\ud800"}},
    {"status": Status.RUNNING},
    {"metrics": {"a": float("nan")}},
    {"metrics": {"a": 10**400}},
    {"metrics": {"a": "1"}},
    {"metrics": {"a\0": 1}},
    {"metrics": {"": 1}},
    {"tags": "word"},
    {"tags": [""]},
    {"tags": ["x" * 129]},
    {"tags": ["a\0"]},
    {"tags": ["\ud800"]},
    {"ttl_seconds": 0},
    {"ttl_seconds": float("nan")},
    {"ttl_seconds": float("inf")},
    {"ttl_seconds": 1e300},
    {"ttl_seconds": 1e12},
    {"max_retrievals": 0},
    {"max_retrievals": 2**40},
    {"findings": [Finding(rule="r", severity=Severity.LOW, title="t", data={"a": float("nan")})]},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_kept_is_refused_before_anything_is(hf: Holdfast, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        hf.store_analyses([new_result("fine"), new_result(**wrong)])
    assert hf.get_stats().total_results == 0
    assert everything(hf)[2] == [0] * 6


def test_two_of_one_id_in_a_batch(hf: Holdfast) -> None:
    with pytest.raises(InvalidInput):
        hf.store_analyses([new_result(), new_result()])


def test_large_batch(hf: Holdfast) -> None:
    batch = [new_result(f"a{number}", result=number % 7, findings=()) for number in range(600)]
    assert [value.analysis_id for value in hf.store_analyses(batch)] == [f"a{number}" for number in range(600)]
    assert hf.get_result("a599") == 599 % 7
    assert sum(count for _, count in everything(hf)[1]) == 600
    assert len({value.analysis_id for value in hf.store_analyses(batch)}) == 600


def test_one_id_stored_by_many_at_once(hf: Holdfast) -> None:
    for number in range(5):
        done = together([partial(hf.store_analyses, [new_result(f"a{number}")])] * 6)
        assert {value.analysis_id for (value,) in done} == {f"a{number}"}
    assert everything(hf)[2] == [15, 15, 5, 10, 5, 0]
    contents = together([partial(hf.store_analyses, [new_result("x", result=content)]) for content in range(6)])
    assert [type(value) for value in contents].count(list) == 1
    assert [type(value) for value in contents].count(ContentConflict) == 5
    assert len(everything(hf)[1]) == 2


def test_batches_in_opposite_orders_at_once(hf: Holdfast) -> None:
    batch = [new_result(f"a{number}", result=number) for number in range(50)]
    for value in together([lambda: hf.store_analyses(batch), lambda: hf.store_analyses(batch[::-1])] * 2):
        assert len(value) == 50
    assert {count for _, count in everything(hf)[1]} == {1}


# Requests.


def test_submission_is_queued(hf: Holdfast) -> None:
    submission = hf.submit("sample", "here", params={"p": 1}, tags=["t"], priority=3, timeout_seconds=9)
    value = submission.analysis
    assert not submission.reused
    assert hf.get_analysis(value.analysis_id) == value
    assert (value.status, value.location, value.params) == (Status.QUEUED, "here", {"p": 1})
    assert (value.priority, value.timeout_seconds, value.tags) == (3, 9, ("t",))
    (job,) = hf.jobs.listing()
    assert (job.kind, job.analysis_id, job.priority) == (RUN_JOB, value.analysis_id, 3)


def test_requests_that_cannot_be_met(hf: Holdfast) -> None:
    wrong: list[tuple[type[HoldfastError], tuple[str, str], dict[str, Any]]] = [
        (UnknownKind, ("none", "here"), {}),
        (TargetNotFound, ("sample", "nowhere"), {}),
        (InvalidId, ("sample", "here"), {"analysis_id": "a/b"}),
        (InvalidId, ("sample", "here"), {"refreshed_from": "a\0"}),
        (InvalidParams, ("sample", "here"), {"params": {"a": math.nan}}),
        (InvalidParams, ("sample", "here"), {"ttl_seconds": -1}),
        (InvalidParams, ("sample", "here"), {"ttl_seconds": math.inf}),
        (InvalidParams, ("sample", "here"), {"timeout_seconds": math.nan}),
        (InvalidParams, ("sample", "here"), {"timeout_seconds": -1}),
        (InvalidInput, ("sample", "here"), {"tags": [""]}),
        (InvalidInput, ("sample", "here"), {"priority": 2**31}),
        (InvalidInput, ("sample", "here"), {"priority": -(2**31)}),
    ]
    for kind, given, options in wrong:
        with pytest.raises(kind):
            hf.submit(*given, **options)
    assert everything(hf)[2] == [0] * 6


def completed(hf: Holdfast, **options: Any) -> str:
    submission = hf.submit("sample", "here", **options)
    settle(hf, *begin(hf), ended(Status.COMPLETED, "result", 1))
    return submission.analysis.analysis_id


def test_fresh_result_answers(hf: Holdfast, clock: FakeClock) -> None:
    first = completed(hf)
    clock.advance(REUSE)
    again = hf.submit("sample", "here")
    assert again.reused
    assert again.analysis == hf.get_analysis(first)
    assert [entry.event.name for entry in hf.queries.events(first)][-1] == "analysis.reused"
    assert hf.jobs.listing() == []


def test_what_does_not_answer(hf: Holdfast, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    first = completed(hf)
    for options in (
        {"force": True},
        {"params": {"other": 1}},
        {"context": Context(client_session_id="you")},
    ):
        submission = hf.submit("sample", "here", **options)
        assert not submission.reused
        hf.delete_analysis(submission.analysis.analysis_id)
    assert not hf.submit("sample", "there").reused
    monkeypatch.setattr(Sample, "version", "2")
    other_version = hf.submit("sample", "here")
    assert not other_version.reused
    hf.delete_analysis(other_version.analysis.analysis_id)
    monkeypatch.undo()
    assert hf.submit("sample", "here").analysis.analysis_id == first
    clock.advance(REUSE + 1)
    assert not hf.submit("sample", "here").reused


def test_expired_result_does_not_answer(hf: Holdfast, clock: FakeClock) -> None:
    first = completed(hf, ttl_seconds=100)
    clock.advance(99)
    assert hf.submit("sample", "here").analysis.analysis_id == first
    clock.advance(1)
    assert not hf.submit("sample", "here").reused


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.TIMED_OUT])
def test_run_that_did_not_complete_does_not_answer(hf: Holdfast, status: Status) -> None:
    hf.submit("sample", "here")
    settle(hf, *begin(hf), ended(status, "partial", 1))
    assert not hf.submit("sample", "here").reused


@pytest.mark.parametrize("force", [False, True])
def test_run_under_way_answers(hf: Holdfast, force: bool) -> None:
    first = hf.submit("sample", "here").analysis.analysis_id
    assert hf.submit("sample", "here", force=force).analysis.analysis_id == first
    begin(hf)
    joined = hf.submit("sample", "here", force=force)
    assert (joined.reused, joined.analysis.analysis_id, joined.analysis.status) == (True, first, Status.RUNNING)


def test_own_ids(hf: Holdfast) -> None:
    first = hf.submit("sample", "here", analysis_id="mine")
    again = hf.submit("sample", "here", analysis_id="mine", force=True)
    assert (first.reused, again.reused, again.analysis) == (False, True, first.analysis)
    for options in ({"params": {"x": 1}}, {"context": Context(client_session_id="you")}):
        with pytest.raises(ContentConflict):
            hf.submit("sample", "here", analysis_id="mine", **options)
    with pytest.raises(ContentConflict):
        hf.store_analysis("sample", 1, analysis_id="mine")


def test_one_input_asked_for_by_many_at_once(hf: Holdfast) -> None:
    for number in range(4):
        submissions = together([partial(hf.submit, "sample", f"here{number}")] * 16)
        assert len({submission.analysis.analysis_id for submission in submissions}) == 1
        assert [submission.reused for submission in submissions].count(False) == 1
    assert hf.get_stats().total_results == len(hf.jobs.listing()) == 4


def test_run_that_ends_while_another_request_finds_it(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL the run that stands in the way of an insert may be gone by the next statement."""
    if hf.engine.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    in_the_way = hf.submit("sample", "here").analysis.analysis_id
    looked: list[str] = []
    find_active = Analyses.find_active

    def find(self: Analyses, active_key: str) -> Any:
        looked.append(active_key)
        if len(looked) == 1:
            return None
        if len(looked) == 2:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(hf.delete_analysis, in_the_way).result(60)
        return find_active(self, active_key)

    monkeypatch.setattr(Analyses, "find_active", find)
    submission = hf.submit("sample", "here")
    assert not submission.reused
    assert hf.get_analysis(submission.analysis.analysis_id).status is Status.QUEUED


# Cancelled, resumed, deleted.


def test_cancel_before_it_runs(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    assert hf.cancel_analysis(name).status is Status.CANCELLED
    assert hf.jobs.listing() == []
    with pytest.raises(IllegalMove):
        hf.cancel_analysis(name)
    assert not hf.submit("sample", "here").reused


def test_cancel_while_it_runs(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    job, analysis = begin(hf)
    assert hf.cancel_analysis(name).cancel_requested
    assert hf.cancel_analysis(name).status is Status.RUNNING
    settle(hf, job, analysis, ended(Status.CANCELLED, "partial", 2))
    value = hf.get_analysis(name)
    assert (value.status, value.result_is_partial, value.cancel_requested) == (Status.CANCELLED, True, False)
    assert hf.get_result(name) == "partial"
    assert len(hf.get_findings(name)) == 2


def test_cancel_that_comes_when_the_result_is_there(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    job, analysis = begin(hf)
    hf.cancel_analysis(name)
    settle(hf, job, analysis, ended(Status.COMPLETED, "whole"))
    assert hf.get_analysis(name).status is Status.COMPLETED


def test_resume(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    settle(hf, *begin(hf), ended(Status.TIMED_OUT, "partial", 3))
    resumed = hf.resume_analysis(name)
    assert (resumed.status, resumed.error, resumed.completed_at) == (Status.QUEUED, None, None)
    # What there was stays readable until there is better.
    assert hf.get_result(name) == "partial"
    settle(hf, *begin(hf), ended(Status.COMPLETED, "whole", 1))
    assert (hf.get_result(name), len(hf.get_findings(name))) == ("whole", 1)
    assert [attempt.status for attempt in hf.queries.attempts(name)] == [Status.TIMED_OUT, Status.COMPLETED]
    assert everything(hf)[1][0][1] == 1


def test_only_what_ended_early_is_resumed(hf: Holdfast) -> None:
    queued = hf.submit("sample", "here").analysis.analysis_id
    with pytest.raises(IllegalMove):
        hf.resume_analysis(queued)
    job, analysis = begin(hf)
    with pytest.raises(IllegalMove):
        hf.resume_analysis(queued)
    assert hf.get_analysis(queued).status is Status.RUNNING
    settle(hf, job, analysis, ended(Status.COMPLETED, 1))
    with pytest.raises(IllegalMove):
        hf.resume_analysis(queued)
    stored = hf.store_analysis("sample", None, status=Status.FAILED, error=ErrorInfo(code="C", message="m")).analysis_id
    with pytest.raises(IllegalMove):
        hf.resume_analysis(stored)
    with pytest.raises(AnalysisNotFound):
        hf.resume_analysis("none")
    assert hf.jobs.listing() == []


def test_resume_while_the_same_input_runs(hf: Holdfast) -> None:
    failed = hf.submit("sample", "here").analysis.analysis_id
    settle(hf, *begin(hf), ended(Status.FAILED))
    running = hf.submit("sample", "here").analysis.analysis_id
    with pytest.raises(IllegalMove):
        hf.resume_analysis(failed)
    assert hf.get_analysis(failed).status is Status.FAILED
    assert [job.analysis_id for job in hf.jobs.listing()] == [running]


def test_many_of_one_input_resumed_at_once(hf: Holdfast) -> None:
    for number in range(4):
        names = []
        for _ in range(6):
            names.append(hf.submit("sample", f"here{number}").analysis.analysis_id)
            settle(hf, *begin(hf), ended(Status.FAILED))
        done = together([partial(hf.resume_analysis, name) for name in names])
        assert [type(value) for value in done].count(IllegalMove) == 5
        settle(hf, *begin(hf), ended(Status.COMPLETED, number))


def test_submit_and_resume_of_one_input_at_once(hf: Holdfast) -> None:
    for number in range(6):
        failed = hf.submit("sample", f"here{number}").analysis.analysis_id
        settle(hf, *begin(hf), ended(Status.FAILED))
        submitted, resumed = together(
            [
                partial(hf.submit, "sample", f"here{number}"),
                partial(hf.resume_analysis, failed),
            ]
        )
        assert isinstance(resumed, IllegalMove) or submitted.analysis.analysis_id == failed
        claim(hf)


def test_delete(hf: Holdfast) -> None:
    name = completed(hf)
    deleted = hf.delete_analysis(name, purge=True)
    assert deleted.analysis_id == name
    for look in (hf.get_analysis, hf.get_result, hf.get_findings, hf.delete_analysis, hf.cancel_analysis):
        with pytest.raises(AnalysisNotFound):
            look(name)
    assert [entry.event.name for entry in hf.queries.events(name)][-1] == "analysis.purged"
    assert everything(hf)[1] == []
    assert hf.get_stats().total_results == hf.get_stats().storage_size_bytes == 0


def test_delete_while_it_runs(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    job, analysis = begin(hf)
    hf.delete_analysis(name, purge=True)
    assert hf.store.read(lambda uow: uow.analyses.stop_asked(name))
    settle(hf, job, analysis, ended(Status.COMPLETED, "too late", 2))
    assert hf.jobs.listing() == []
    assert everything(hf)[1] == []
    # The name is free.
    assert not hf.submit("sample", "here", analysis_id=name).reused


def test_delete_by_many_at_once(hf: Holdfast) -> None:
    for _ in range(5):
        name = completed(hf)
        done = together([partial(hf.delete_analysis, name, purge=True)] * 4)
        assert [type(value) for value in done].count(AnalysisNotFound) == 3
    assert everything(hf)[1] == []
    assert hf.get_stats().total_results == 0


def test_everything_at_once(hf: Holdfast) -> None:
    """Complete, cancel, delete and store of the same few, against each other: the figures stay true."""
    for number in range(6):
        name = hf.submit("sample", f"here{number}").analysis.analysis_id
        job, analysis = begin(hf)
        together(
            [
                partial(settle, hf, job, analysis, ended(Status.COMPLETED, "x", 2)),
                partial(hf.cancel_analysis, name),
                partial(hf.delete_analysis, name, purge=True),
                lambda: hf.store_analysis("sample", "x", analysis_id="same"),
            ]
        )
    ids, payloads, counted, stats = everything(hf)
    assert ids == ["same"]
    assert [count for _, count in payloads] == [1]
    assert counted[-1] == 0
    assert stats.total_results == 1
    assert stats.status_counts == {"completed": 1}


def test_ids_are_checked_on_every_way_in(hf: Holdfast) -> None:
    for use in (
        hf.get_analysis,
        hf.get_result,
        hf.get_findings,
        hf.get_metrics,
        hf.get_analysis_progress,
        hf.cancel_analysis,
        hf.resume_analysis,
        hf.delete_analysis,
        hf.queries.attempts,
        hf.queries.events,
    ):
        with pytest.raises(InvalidId):
            use("../../etc/passwd")


def test_run_that_is_being_cancelled_answers_nobody(database: str) -> None:
    with opened(database) as hf:
        first = hf.submit("sample", "it").analysis.analysis_id
        begin(hf)
        assert hf.submit("sample", "it", force=True).reused
        hf.cancel_analysis(first)
        second = hf.submit("sample", "it")
        assert not second.reused
        assert hf.submit("sample", "it").analysis.analysis_id == second.analysis.analysis_id


def test_run_that_nobody_will_see_answers_nobody(database: str) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        first = hf.submit("sample", "it", ttl_seconds=10).analysis.analysis_id
        clock.advance(11)
        second = hf.submit("sample", "it")
        assert not second.reused
        assert second.analysis.analysis_id != first


def test_id_that_is_drawn_twice_is_an_error_and_no_endless_search(database: str) -> None:
    with opened(database) as hf:
        hf.submit("sample", "it")
    # The same clock and ids again.
    with opened(database) as hf, pytest.raises(ContentConflict):
        hf.submit("sample", "other")


def test_no_limit_of_time(database: str) -> None:
    with opened(database, analysis_timeout_seconds=7) as hf:
        assert hf.submit("sample", "default").analysis.timeout_seconds == 7
        unlimited = hf.submit("sample", "it", timeout_seconds=0).analysis
        assert unlimited.timeout_seconds is None
        hf.cancel_analysis(unlimited.analysis_id)
        assert hf.analyses.resume(unlimited.analysis_id, timeout_seconds=5).timeout_seconds == 5
        hf.cancel_analysis(unlimited.analysis_id)
        assert hf.analyses.resume(unlimited.analysis_id).timeout_seconds == 5
