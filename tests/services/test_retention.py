"""What goes by itself, and what is only in the trash."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.analysis import Status
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    AnalysisGone,
    AnalysisNotFound,
    ContentConflict,
    Forbidden,
    IllegalMove,
    InvalidInput,
    ResultNotFound,
    WrongOwner,
)
from holdfast.domain.jobs import NewJob
from holdfast.domain.retention import SWEEP_JOB
from holdfast.domain.subjects import Subject
from holdfast.services.results import NewResult
from holdfast.settings import read_settings
from holdfast.store import tables
from holdfast.store.payloads import unpack
from holdfast.testing import FakeClock
from tests.services.samples import Held, begin, ended, findings, opened, settle
from tests.support.processes import spawn_python

DAY = 86_400
CLIENT = Caller(name="client", owner="client", is_anonymous=True, ip="10.0.0.1")
EMPTY = ("payloads", "findings", "finding_items", "metrics", "tags", "attempts", "progress", "checkpoints", "subjects")


def rich(hf: Holdfast, number: int, **about: Any) -> str:
    """An analysis with something in every table."""
    about = {"context": Context(client_session_id="ann"), "tags": ["t"], "metrics": {"m": 1.0}, **about}
    subject = about.pop("subject", Subject(kind="k", key=f"s{number}"))
    stored = hf.store_analysis("sample", {"n": number}, subject=subject, findings=findings(3), **about)
    return stored.analysis_id


def counted(hf: Holdfast, *names: str) -> dict[str, int]:
    with hf.engine.read() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(tables.metadata.tables[name])).scalar_one()
            for name in names
        }


def told(hf: Holdfast, name: str) -> list[str]:
    return [entry.event.name for entry in hf.queries.events(name)]


# The trash.


def test_deleted_is_invisible_and_can_be_restored(hf: Holdfast, clock: FakeClock) -> None:
    name = rich(hf, 1)
    before = hf.get_stats()
    assert hf.delete_analysis(name).deleted_at == clock.now()
    for look in (hf.get_analysis, hf.get_result, hf.delete_analysis, hf.resume_analysis, hf.pin_analysis):
        with pytest.raises(AnalysisGone):
            look(name)
    assert hf.list_analyses().items == []
    assert hf.queries.available(name) == "expired"
    assert (hf.get_stats().total_results, hf.get_stats().storage_size_bytes, hf.get_stats().status_counts) == (0, 0, {})
    clock.advance(DAY - 1)
    assert hf.sweep().total == 0
    assert hf.restore_analysis(name).deleted_at is None
    assert hf.get_result(name) == {"n": 1}
    assert [finding.title for finding in hf.get_findings(name)] == [finding.title for finding in findings(3)]
    assert hf.get_stats().status_counts == before.status_counts
    assert hf.get_stats().storage_size_bytes == before.storage_size_bytes
    assert told(hf, name)[-2:] == ["analysis.deleted", "analysis.restored"]
    with pytest.raises(IllegalMove):
        hf.restore_analysis(name)


def test_the_trash_is_emptied(hf: Holdfast, clock: FakeClock) -> None:
    name = rich(hf, 1)
    hf.pin_analysis(name)
    hf.delete_analysis(name)
    clock.advance(DAY)
    with pytest.raises(AnalysisGone):
        hf.restore_analysis(name)
    assert hf.queries.trash().items == []
    assert hf.sweep().counts == {"trash_emptied": 1}
    assert set(counted(hf, *EMPTY, "analyses").values()) == {0}
    assert told(hf, name)[-1] == "analysis.purged"
    with pytest.raises(AnalysisNotFound):
        hf.restore_analysis(name)


def test_purge(hf: Holdfast) -> None:
    kept, trashed = rich(hf, 1), rich(hf, 2)
    hf.delete_analysis(trashed)
    for name in (kept, trashed):
        hf.delete_analysis(name, purge=True)
        with pytest.raises(AnalysisNotFound):
            hf.delete_analysis(name, purge=True)
    assert set(counted(hf, *EMPTY, "analyses").values()) == {0}
    assert hf.get_stats().total_results == 0


def test_without_a_trash(database: str) -> None:
    with opened(database, trash_hours=0) as hf:
        name = rich(hf, 1)
        hf.delete_analysis(name)
        assert told(hf, name)[-1] == "analysis.purged"
        assert set(counted(hf, *EMPTY, "analyses").values()) == {0}


def test_a_deleted_run_that_waits_is_cancelled(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    assert hf.delete_analysis(name).status is Status.CANCELLED
    assert hf.jobs.listing() == []
    assert not hf.submit("sample", "here").reused
    hf.restore_analysis(name)
    with pytest.raises(IllegalMove):
        hf.resume_analysis(name)


def test_a_deleted_run_under_way_stops(hf: Holdfast) -> None:
    name = hf.submit("sample", "here").analysis.analysis_id
    job, begun = begin(hf)
    hf.delete_analysis(name)
    assert hf.store.read(lambda uow: uow.analyses.stop_asked(name))
    other = hf.submit("sample", "here")
    assert not other.reused
    assert hf.sweep().total == 0
    settle(hf, job, begun, ended(Status.CANCELLED, "half", 1))
    assert hf.get_stats().status_counts == {"queued": 1}
    assert hf.restore_analysis(name).status is Status.CANCELLED
    assert hf.get_result(name) == "half"
    assert hf.get_stats().status_counts == {"queued": 1, "cancelled": 1}


def test_what_is_in_the_trash_answers_nobody(hf: Holdfast) -> None:
    hf.submit("sample", "here")
    settle(hf, *begin(hf), ended(Status.COMPLETED, 1))
    older = hf.list_analyses().items[0].analysis_id
    newer = hf.submit("sample", "here", force=True).analysis.analysis_id
    settle(hf, *begin(hf), ended(Status.COMPLETED, 2))
    hf.delete_analysis(newer)
    assert hf.submit("sample", "here").analysis.analysis_id == older
    hf.delete_analysis(older)
    assert not hf.submit("sample", "here").reused


def test_an_id_that_nobody_sees_any_more_is_free(hf: Holdfast, clock: FakeClock) -> None:
    hf.store_analysis("sample", 1, analysis_id="mine")
    hf.delete_analysis("mine")
    assert hf.store_analysis("sample", 2, analysis_id="mine", ttl_seconds=5).deleted_at is None
    clock.advance(5)
    assert not hf.submit("sample", "here", analysis_id="mine").reused
    hf.delete_analysis("mine")
    assert hf.store_analysis("sample", 3, analysis_id="mine").status is Status.COMPLETED
    assert hf.get_result("mine") == 3
    assert counted(hf, "analyses", "payloads") == {"analyses": 1, "payloads": 1}
    assert hf.get_stats().status_counts == {"completed": 1}
    with pytest.raises(ContentConflict):
        hf.store_analysis("sample", 4, analysis_id="mine")


def test_the_list_of_the_trash(hf: Holdfast, clock: FakeClock) -> None:
    names = [rich(hf, number, context=Context(client_session_id="ann" if number % 2 else "bob")) for number in range(7)]
    for name in names:
        hf.delete_analysis(name)
        clock.advance(1)
    ann = Caller(name="ann", owner="ann")
    seen: list[str] = []
    place = None
    while True:
        page = hf.queries.trash(limit=2, after=place)
        seen += [item.analysis_id for item in page.items]
        place = page.next
        if place is None:
            break
    assert seen == names[::-1]
    assert [item.analysis_id for item in hf.queries.trash(caller=ann).items] == names[1::2][::-1]
    with pytest.raises(Forbidden):
        hf.queries.trash(client_session_id="bob", caller=ann)


def test_others_cannot_touch_it(hf: Holdfast) -> None:
    name = rich(hf, 1)
    bob = Caller(name="bob", owner="bob")
    for act in (hf.analyses.delete, hf.analyses.pin, hf.analyses.unpin, hf.analyses.restore, hf.results.retrieve):
        with pytest.raises(WrongOwner):
            act(name, caller=bob)
    with pytest.raises(WrongOwner):
        hf.analyses.delete(name, purge=True, caller=bob)
    assert hf.queries.available(name, caller=bob) == "unauthorized"
    assert hf.queries.available("nothing", caller=bob) == "not_found"
    assert hf.queries.available(name) == "completed"


# Retrievals.


def test_retrieval_gives_the_kept_bytes_and_counts(hf: Holdfast, clock: FakeClock) -> None:
    name = rich(hf, 1, max_retrievals=2, ttl_seconds=100)
    analysis, data = hf.results.retrieve(name)
    assert analysis.result is not None
    assert (unpack(analysis.result.hash, data), analysis.retrieval_count) == (b'{"n":1}', 1)
    assert hf.get_analysis(name).retrieval_count == 1
    hf.get_result(name)
    assert hf.results.retrieve(name)[0].retrieval_count == 2
    with pytest.raises(AnalysisGone):
        hf.results.retrieve(name)
    assert hf.queries.available(name) == "expired"
    assert hf.list_analyses().items == []
    assert hf.sweep().counts == {"used_up": 1}
    expiring = rich(hf, 2, ttl_seconds=100)
    clock.advance(100)
    with pytest.raises(AnalysisGone):
        hf.results.retrieve(expiring)
    waiting = hf.submit("sample", "here", max_retrievals=1).analysis.analysis_id
    with pytest.raises(ResultNotFound):
        hf.results.retrieve(waiting)
    assert hf.get_analysis(waiting).retrieval_count == 0


def test_no_more_get_it_than_may(hf: Holdfast) -> None:
    name = rich(hf, 1, max_retrievals=10)

    def once(_: int) -> int:
        try:
            return hf.results.retrieve(name)[0].retrieval_count
        except AnalysisGone:
            return 0

    with ThreadPoolExecutor(40) as pool:
        counts = Counter(pool.map(once, range(40)))
    assert counts == Counter({0: 30, **dict.fromkeys(range(1, 11), 1)})


_RETRIEVER = """
import sys, holdfast
from concurrent.futures import ThreadPoolExecutor
with holdfast.open(sys.argv[1]) as hf:
    def once(_):
        try:
            hf.results.retrieve("it")
            return 1
        except holdfast.errors.AnalysisGone:
            return 0
    print("ready")
    sys.stdin.readline()
    with ThreadPoolExecutor(10) as pool:
        print(sum(pool.map(once, range(10))))
"""


def test_no_more_processes_get_it_than_may(hf: Holdfast, database: str) -> None:
    hf.store_analysis("sample", 1, analysis_id="it", max_retrievals=10)
    others = [spawn_python(_RETRIEVER, database) for _ in range(4)]
    try:
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        for other in others:
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()
        assert sum(int(other.communicate(timeout=60)[0]) for other in others) == 10
    finally:
        for other in others:
            other.kill()
            other.wait()
    with pytest.raises(AnalysisGone):
        hf.get_analysis("it")


# Pins.


def test_a_pin_keeps_what_would_go(database: str, clock: FakeClock) -> None:
    with opened(database, clock, retention={"*": {"max_age_seconds": 100, "keep_last": 1}}) as hf:
        name = rich(hf, 1, max_retrievals=1, ttl_seconds=50)
        assert hf.pin_analysis(name).is_pinned
        hf.pin_analysis(name)
        for number in (1, 2, 3):
            assert hf.results.retrieve(name)[0].retrieval_count == number
        rich(hf, 2)
        clock.advance(DAY)
        assert hf.sweep().counts == {"over_age": 1}
        assert hf.get_result(name) == {"n": 1}
        assert not hf.unpin_analysis(name).is_pinned
        assert hf.queries.available(name) == "expired"
        assert hf.sweep().total == 1
        assert told(hf, name)[1:] == ["analysis.pinned", "analysis.unpinned", "analysis.expired"]


# Policies.


def test_policies_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "HOLDFAST_RETENTION", '{"*": {"keep_last": 5}, "code": {"thinning": [{"after_days": 7, "every_days": 1}]}}'
    )
    rules = read_settings().rules()
    assert rules.policy("other").keep_last == 5
    assert rules.policy("code").keep_last is None
    assert [step.every_seconds for step in rules.policy("code").thinning] == [DAY]
    for wrong in ('{"*": {"keep": 5}}', '{"A B": {}}', '{"*": {"keep_last": 0}}'):
        monkeypatch.setenv("HOLDFAST_RETENTION", wrong)
        with pytest.raises(InvalidInput):
            read_settings()


def test_policies_are_kept(database: str, clock: FakeClock) -> None:
    policies = {
        "sample": {"keep_last": 2, "per_subject": True},
        "old": {"max_age_seconds": 3600},
        "thin": {"thinning": [{"after_days": 0, "every_days": 1}]},
        "short": {"ttl_seconds": 60},
    }
    with opened(database, clock, retention=policies) as hf:
        subject = Subject(kind="k", key="same")
        for number in range(5):
            rich(hf, number, subject=subject)
            rich(hf, number, subject=subject, context=Context(client_session_id="bob"))
            rich(hf, number)
            for kind in ("old", "thin", "short", "other"):
                hf.store_analysis(kind, number)
            clock.advance(1800)
        plan = hf.retention.plan()
        swept = hf.sweep()
        assert plan.counts == swept.counts == {"expired": 5, "over_count": 6, "over_age": 4, "thinned": 4}
        assert (plan.bytes, plan.total) == (swept.bytes, swept.total)
        left = Counter(item.kind for item in hf.list_analyses().items)
        assert left == {"sample": 9, "old": 1, "thin": 1, "other": 5}
        assert hf.sweep().total == hf.retention.plan().total == 0


def test_a_plan_names_what_a_sweep_removes(database: str, clock: FakeClock) -> None:
    with opened(database, clock, retention={"*": {"keep_last": 3}}, anonymous_storage_mb=0.0001) as hf:
        for number in range(8):
            rich(hf, number, ttl_seconds=5 if number % 3 == 0 else None, max_retrievals=1)
            hf.results.store([NewResult(kind="sample", result="x" * 30, analysis_id=f"pool{number}")], caller=CLIENT)
            clock.advance(1)
        hf.results.retrieve("pool7", caller=CLIENT)
        clock.advance(1)
        plan = hf.retention.plan()
        assert hf.retention.plan(2).items == plan.items[:2]
        names = {going.candidate.analysis_id: going.reason.value for going in plan.items}
        before = {item.analysis_id for item in hf.list_analyses().items}
        swept = hf.sweep()
        assert len(plan.items) == len(names) == swept.total
        assert Counter(names.values()) == swept.counts
        stats = hf.get_stats()
        assert stats.removed_counts == swept.counts
        assert sum(stats.removed_bytes.values()) == swept.bytes > 0
        assert before - {item.analysis_id for item in hf.list_analyses().items} <= names.keys()
        for name, reason in names.items():
            assert hf.queries.events(name)[-1].event.data["reason"] == reason


# Anonymous clients.


def test_what_anonymous_clients_store_is_kept_for_a_while(hf: Holdfast, clock: FakeClock) -> None:
    stored, shorter = hf.results.store(
        [
            NewResult(kind="sample", result=1),
            NewResult(kind="sample", result=2, ttl_seconds=5, max_retrievals=99),
        ],
        caller=CLIENT,
    )
    submitted = hf.submissions.submit("sample", "here", caller=CLIENT).analysis
    for analysis in (stored, submitted):
        assert (analysis.is_anonymous, analysis.ttl_seconds, analysis.max_retrievals) == (True, 3600, 10)
        assert (analysis.context.client_session_id, analysis.context.client_ip) == ("client", "10.0.0.1")
    assert (shorter.ttl_seconds, shorter.max_retrievals) == (5, 10)
    assert hf.get_analysis(stored.analysis_id) == stored
    with pytest.raises(Forbidden):
        hf.submissions.submit("sample", "here", context=Context(client_session_id="bob"), caller=CLIENT)
    known = Caller(name="known", owner="known", role=Role.WRITER)
    assert hf.results.store([NewResult(kind="sample", result=1)], caller=known)[0].ttl_seconds is None
    clock.advance(3600)
    assert hf.sweep().counts == {"expired": 3}


def test_a_full_pool_makes_room(database: str, clock: FakeClock) -> None:
    with opened(database, clock, anonymous_storage_mb=0.001) as hf:
        hf.store_analysis("sample", "not in the pool" * 100, analysis_id="mine")
        names: list[str] = []
        while not hf.jobs.listing():
            name = f"pool{len(names)}"
            hf.results.store([NewResult(kind="sample", result=f"{len(names)}" * 90, analysis_id=name)], caller=CLIENT)
            names.append(name)
            clock.advance(1)
        assert [job.kind for job in hf.jobs.listing()] == [SWEEP_JOB]
        assert hf.get_stats().anonymous_size_bytes > 1000
        hf.analyses.pin(names[0], caller=CLIENT)
        with hf.working() as worker:
            worker_done(hf)
        assert worker.name
        left = [name for name in names if hf.queries.available(name) == "completed"]
        assert left == [names[0], *names[-len(left) + 1 :]]
        assert hf.get_stats().anonymous_size_bytes <= 800
        assert hf.get_result("mine")


def worker_done(hf: Holdfast) -> None:
    count = hf.store.bell.count()
    while hf.jobs.listing():
        hf.store.bell.wait(count, 1.0)
        count = hf.store.bell.count()


# Sweeps.


def test_a_sweep_leaves_nothing_behind(hf: Holdfast, clock: FakeClock) -> None:
    for number in range(130):
        rich(hf, number % 60, ttl_seconds=60)
    kept = rich(hf, 0)
    failed = hf.submit("sample", "here", ttl_seconds=60).analysis.analysis_id
    job, begun = begin(hf)
    hf.store.write(lambda uow: uow.runs.save_checkpoints(f"analysis:{failed}", {"k": b"v"}, uow.now))
    settle(hf, job, begun, ended(Status.FAILED, 1, 2))
    hf.submit("sample", "there", ttl_seconds=60)
    clock.advance(60)
    swept = hf.sweep()
    assert (swept.counts, swept.is_complete) == ({"expired": 132}, True)
    assert counted(hf, "analyses", "subjects", "jobs", "payloads", "checkpoints", "findings", "attempts") == {
        "analyses": 1, "subjects": 1, "jobs": 0, "payloads": 1, "checkpoints": 0, "findings": 3, "attempts": 0,
    }  # fmt: skip
    with hf.engine.read() as connection:
        assert connection.execute(sa.select(tables.payloads.c.reference_count)).scalars().all() == [1]
    stats = hf.get_stats()
    assert (stats.total_results, stats.status_counts) == (1, {"completed": 1})
    assert stats.last_cleanup == clock.now()
    assert stats.storage_limit_mb == 500
    assert hf.get_result(kept) == {"n": 0}
    assert hf.engine.check() == []


def test_other_things_are_forgotten(database: str, clock: FakeClock) -> None:
    with opened(database, clock, ledger_days=60, dead_job_days=20) as hf:
        soon, now = clock.now() + timedelta(days=90), clock.now()

        def fill(uow: Any) -> None:
            run = uow.retention._connection.execute
            run(
                sa.insert(tables.idempotency_keys),
                [
                    {"owner": "o", "key": f"k{n}", "request_hash": "", "resource_id": "", "created_at": now}
                    for n in range(70)
                ],
            )
            run(
                sa.insert(tables.rate_limits),
                [{"key": f"k{n}", "count": 1, "earlier": 0, "expires_at": now if n else soon} for n in range(3)],
            )
            for scope in ("track:a", "kind:b/1", "analysis:gone"):
                uow.runs.save_checkpoints(scope, {"k1": b"v", "k2": b"v"}, now)
            uow.jobs.enqueue([NewJob(kind="test.dies", max_attempts=1)], now)

        hf.store.write(fill)
        (job,) = hf.jobs.claim("w", ["test.dies"], 1)
        hf.jobs.fail(job, ValueError("why"))
        name = rich(hf, 1)
        assert hf.sweep().forgotten == {}
        clock.advance(2 * DAY)
        assert hf.sweep().forgotten == {"idempotency_keys": 70, "rate_limits": 2}
        clock.advance(20 * DAY)
        # What is loaded is in use.
        assert hf.store.load_checkpoints("track:a", ["k1", "none"]) == {"k1": b"v"}
        assert hf.sweep().forgotten == {"jobs": 1}
        clock.advance(10 * DAY)
        assert hf.sweep().forgotten == {"checkpoints": 3}
        assert set(hf.store.load_checkpoints("track:a", ["k1", "k2"])) == {"k1"}
        assert told(hf, name) == ["analysis.completed"]
        clock.advance(30 * DAY)
        assert hf.sweep().forgotten["ledger"] == 2
        assert told(hf, name) == []


def test_a_worker_sweeps(database: str, clock: FakeClock) -> None:
    with opened(database, clock, sweep_seconds=60) as hf:
        rich(hf, 1, ttl_seconds=30)
        assert hf.jobs.schedules() == []
        hf.worker().run(until_idle=True)
        (schedule,) = [one for one in hf.jobs.schedules() if one.name == SWEEP_JOB]
        assert (schedule.kind, schedule.every_seconds) == (SWEEP_JOB, 60)
        clock.advance(61)
        assert hf.worker().run(until_idle=True) == 1
        assert counted(hf, "analyses") == {"analyses": 0}
        assert hf.get_stats().last_cleanup == clock.now()
    with opened(database, clock, sweep_seconds=0) as hf:
        hf.worker()
        assert SWEEP_JOB not in {one.name for one in hf.jobs.schedules()}


def test_one_sweeps_at_a_time(hf: Holdfast, database: str, clock: FakeClock) -> None:
    rich(hf, 1, ttl_seconds=30)
    clock.advance(30)
    with opened(database, clock) as other:
        with other.engine.alone() as is_alone:
            assert is_alone
            skipped = hf.sweep()
            assert (skipped.total, skipped.is_complete) == (0, False)
        assert hf.get_stats().last_cleanup is None
        assert hf.sweep().total == 1


def test_a_sweep_that_is_stopped_is_taken_up_again(hf: Holdfast, clock: FakeClock) -> None:
    for number in range(120):
        rich(hf, number, ttl_seconds=30)
    clock.advance(30)
    swept = hf.retention.sweep(stop=lambda: Held(draining=True).draining())
    assert 0 < swept.total < 120
    assert not swept.is_complete
    assert hf.get_stats().last_cleanup is None
    assert hf.sweep().total == 120 - swept.total


def test_what_changed_since_it_was_looked_at_stays(hf: Holdfast, clock: FakeClock) -> None:
    pinned, restored, goes = (rich(hf, number, ttl_seconds=None if number == 2 else 30) for number in (1, 2, 3))
    hf.delete_analysis(restored)
    clock.advance(DAY)
    chunks = [chunk for chunk in hf.retention._going(None) if chunk]
    hf.store.write(lambda uow: uow.retention._connection.execute(
        sa.update(tables.analyses).where(tables.analyses.c.analysis_id == pinned).values(is_pinned=True)
    ))  # fmt: skip
    hf.store.write(lambda uow: uow.retention._connection.execute(
        sa.update(tables.analyses).where(tables.analyses.c.analysis_id == restored).values(deleted_at=None)
    ))  # fmt: skip
    hf.retention._going = lambda counted: iter(chunks)  # type: ignore[method-assign]
    assert hf.sweep().counts == {"expired": 1}
    assert {item.analysis_id for item in hf.list_analyses().items} == {pinned, restored}
    with pytest.raises(AnalysisNotFound):
        hf.get_analysis(goes)


def test_room_is_given_back(hf: Holdfast, database: str, clock: FakeClock) -> None:
    if hf.engine.dialect == "postgresql":
        pytest.skip("PostgreSQL keeps its files and fills them again")
    with hf.engine.read() as connection:
        empty = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    content = [f"{number}:{hash(str(number))}" for number in range(2000)]
    for start in range(0, 400, 40):
        hf.store_analyses(
            [
                NewResult(kind="sample", result=[n, *content[n % 7 :: 2]], ttl_seconds=60)
                for n in range(start, start + 40)
            ]
        )
    kept = rich(hf, 1)
    path = Path(database.removeprefix("sqlite:///"))
    clock.advance(60)
    assert hf.sweep().total == 400
    with hf.engine.read() as connection:
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        assert connection.exec_driver_sql("PRAGMA auto_vacuum").scalar_one() == 2
    assert free <= 256
    assert pages < empty + 256 + 65  # what is spare, and the ledger of it all
    hf.engine.close()
    assert path.stat().st_size == pages * 4096
    with opened(database, clock) as again:
        assert again.get_result(kept) == {"n": 1}
        assert again.engine.check() == []


def test_the_log_is_trimmed(hf: Holdfast, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rich(hf, 1)
    log = Path(database.removeprefix("sqlite:///") + "-wal")
    hf.engine.trim_log()
    if hf.engine.dialect == "sqlite":
        assert log.stat().st_size > 0
        monkeypatch.setattr("holdfast.store.engine._LARGE_LOG", 0)
        hf.engine.trim_log()
        assert log.stat().st_size == 0
    hf.engine.optimize()
    rich(hf, 2)


def test_the_log_is_copied_apart_from_commits(hf: Holdfast, database: str) -> None:
    if hf.engine.dialect == "postgresql":
        hf.engine.copy_log()
        return
    path = Path(database.removeprefix("sqlite:///"))

    def write() -> None:
        # Far more pages than a commit leaves in the log.
        hf.store_analysis("sample", os.urandom(5_000_000).hex())

    with hf.engine.copying_apart():
        write()
        before = path.stat().st_size
        write()
        assert path.stat().st_size == before
        hf.engine.copy_log()
        assert path.stat().st_size > before + 5_000_000
    before = path.stat().st_size
    write()
    assert path.stat().st_size > before
    assert hf.engine.check() == []


def test_writers_and_sweeps_get_along(database: str, clock: FakeClock) -> None:
    """On PostgreSQL a subject may be forgotten while somebody stores something about it."""
    with opened(database, clock) as hf, ThreadPoolExecutor(5) as pool:

        def write(thread: int) -> None:
            for number in range(25):
                rich(hf, number % 3, ttl_seconds=0.5, analysis_id=f"w{thread}-{number}")
                clock.advance(0.1)

        writers = [pool.submit(write, thread) for thread in range(4)]
        while not all(writer.done() for writer in writers):
            hf.sweep()
        for writer in writers:
            writer.result()
        clock.advance(60)
        hf.sweep()
        assert set(counted(hf, *EMPTY, "analyses").values()) == {0}
        assert hf.get_stats().total_results == 0
