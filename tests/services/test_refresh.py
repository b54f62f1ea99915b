"""Stale branches: told, watched, refreshed, on both stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Status
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    BranchUnknown,
    IllegalMove,
    InvalidInput,
    RefreshNotFound,
    RefreshUnderWay,
    RepositoryNotFound,
)
from holdfast.domain.freshness import Changes, Freshness, Level, Reason
from holdfast.domain.refresh import CHECK_JOB, RUN_REFRESH_JOB, TaskStatus
from holdfast.domain.repositories import Branch, Repository, branch_subject
from holdfast.services.freshness import Staleness
from holdfast.services.refresh import CheckHandler, RefreshHandler
from holdfast.store import tables
from holdfast.store.unit_of_work import UnitOfWork
from holdfast.testing import FakeClock
from tests.services.samples import Held, Sample, begin, ended, opened, settle

HOUR = 3600.0
ME = Caller(name="me", owner="local")
STRANGER = Caller(name="stranger", owner="stranger")


class Code(Sample):
    """Stands in for the analyzer of branches."""

    kind = "code"
    version = "1"

    def resolve(self, target: str, params: Any) -> Any:
        request = super().resolve(target, params)
        name = params.get("branch", "main")
        repository = Repository(
            repo_id="repo",
            client_session_id="local",
            name="repo",
            location=target,
            created_at=datetime.now(UTC),
            updated_at=datetime.now(UTC),
        )
        return type(request)(
            subject=branch_subject(repository, name, "c2"), params=dict(params) | {"branch": name}, location=target
        )


@contextmanager
def stores(url: str, clock: FakeClock, **options: Any) -> Iterator[Holdfast]:
    with opened(url, clock, **options) as hf:
        hf.registry.register(Code)
        yield hf


def add(
    hf: Holdfast,
    clock: FakeClock,
    names: list[str],
    *,
    repo_id: str = "repo",
    owner: str = "local",
    location: str = "/src/repo",
    commit: str = "c1",
    **about: Any,
) -> None:
    """A repository with branches."""
    now = clock.now()
    repository = Repository(
        repo_id=repo_id,
        client_session_id=owner,
        name=repo_id,
        location=location,
        created_at=now,
        updated_at=now,
        **about,
    )

    def work(uow: Any) -> None:
        caller = Caller(name=owner, owner=owner)
        if uow.repositories.find(repo_id, caller) is None:
            uow.repositories.insert(repository)
        stored = uow.repositories.find(repo_id, caller)
        rows = [
            (
                Branch(
                    repo_id=repo_id,
                    client_session_id=owner,
                    name=name,
                    commit_sha=commit,
                    declared_at=now,
                    declared_by=owner,
                    created_at=now,
                    updated_at=now,
                ),
                uow.subjects.ensure(branch_subject(repository, name), uow.now),
            )
            for name in names
        ]
        uow.branches.insert(stored, rows)

    hf.store.write(work)


def analyze(
    hf: Holdfast, name: str, commit: str = "c1", *, owner: str = "local", location: str = "/src/repo", **about: Any
) -> str:
    """An analysis of a branch, as somebody else made it."""
    now = datetime.now(UTC)
    repository = Repository(
        repo_id="repo", client_session_id=owner, name="repo", location=location, created_at=now, updated_at=now
    )
    about = {"analyzer_version": "1", "analysis_id": str(uuid4())} | about
    context = Context(client_session_id=owner)
    subject = branch_subject(repository, name, commit)
    return hf.store_analysis("code", {"n": 1}, subject=subject, context=context, **about).analysis_id


def check(hf: Holdfast) -> None:
    handler = hf._handlers[CHECK_JOB]
    assert isinstance(handler, CheckHandler)
    for job in hf.jobs.claim("checker", [CHECK_JOB], 1):
        handler.handle(job, Held())
        hf.jobs.settle("checker", [(job, None)])


def run_refreshes(hf: Holdfast, worker: str = "r") -> int:
    """Begin what is due, as a worker does; returns how many."""
    handler = hf._handlers[RUN_REFRESH_JOB]
    assert isinstance(handler, RefreshHandler)
    jobs = hf.jobs.claim(worker, [RUN_REFRESH_JOB], 100)
    for job in jobs:
        hf.jobs.settle(worker, [(job, handler.handle(job, Held()))])
    return len(jobs)


def reasons(hf: Holdfast, name: str = "main") -> tuple[Reason, ...]:
    return hf.freshness.get_staleness_info("repo", name).freshness.reasons


def tasks(hf: Holdfast) -> list[TaskStatus]:
    return [task.status for task in hf.refresh.get_scheduled_tasks().items]


def event_names(hf: Holdfast, beginning: tuple[str, ...] = ("branch.", "refresh.")) -> list[str]:
    found = [entry.event.name for entry in hf.queries.audit(limit=1000)][::-1]
    return [name for name in found if name.startswith(beginning)]


def test_a_branch_grows_stale_and_says_why(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main", "feature/a/b"])
        info = hf.freshness.get_staleness_info("repo", "feature/a/b")
        assert (info.exists, info.is_stale, info.freshness.reasons) == (False, True, (Reason.NEVER_ANALYZED,))
        analysis_id = analyze(hf, "main")
        at = clock.now()
        clock.advance(2 * HOUR)
        info = hf.freshness.get_staleness_info("repo", "main")
        assert (info.exists, info.is_stale, info.analysis_id) == (True, False, analysis_id)
        assert info.last_analyzed == at
        assert info.freshness.stale_at == at + timedelta(hours=24)
        assert info.freshness.level is Level.MODERATE
        assert info.checked_at == clock.now()
        assert info.freshness.recommendation.message == "Analysis from 2 hours ago"
        clock.advance(22 * HOUR)
        assert reasons(hf) == (Reason.AGE,)
        assert hf.freshness.is_branch_stale("repo", "main")
        assert hf.freshness.is_analysis_stale(analysis_id)
        analyze(hf, "main")
        assert not hf.freshness.is_branch_stale("repo", "main")
        assert hf.freshness.is_analysis_stale(analysis_id)


def test_thresholds_of_kind_repository_and_branch(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock, freshness={"code": {"stale_hours": 10}}) as hf:
        add(hf, clock, ["main"])
        add(hf, clock, ["main"], repo_id="quick", location="/src/quick", stale_after_seconds=HOUR)
        analyze(hf, "main")
        analyze(hf, "main", location="/src/quick")
        clock.advance(2 * HOUR)
        assert not hf.freshness.is_branch_stale("repo", "main")
        assert hf.freshness.is_branch_stale("quick", "main")
        hf.freshness.set_staleness_threshold("quick", "main", 3)
        assert not hf.freshness.is_branch_stale("quick", "main")
        clock.advance(9 * HOUR)
        assert hf.freshness.is_branch_stale("repo", "main")
        hf.freshness.set_staleness_threshold("repo", "main", 1000)
        assert not hf.freshness.is_branch_stale("repo", "main")
        with pytest.raises(BranchUnknown):
            hf.freshness.set_staleness_threshold("repo", "other", 1)


def test_a_mark_holds_until_an_analysis_begins_after_it(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main"])
        hf.submit("code", "/src/repo")
        job, analysis = begin(hf)
        clock.advance(10)
        hf.refresh.mark_for_refresh("repo", "main")
        clock.advance(10)
        settle(hf, job, analysis, ended(Status.COMPLETED, {}, 0))
        # What was under way does not know what the mark is about.
        assert reasons(hf) == (Reason.MARKED, Reason.REVISION_MOVED)
        clock.advance(10)
        analyze(hf, "main")
        assert reasons(hf) == ()
        assert "branch.marked" in event_names(hf)


def test_of_what_is_not_known_nothing_is_told(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main"])
        analyze(hf, "main")
        for repo_id, name, caller in (("repo", "none", ME), ("none", "main", ME), ("repo", "main", STRANGER)):
            info = hf.freshness.get_staleness_info(repo_id, name, caller=caller)
            assert (info.exists, info.freshness.reasons) == (False, (Reason.NEVER_ANALYZED,))
            with pytest.raises(BranchUnknown):
                hf.refresh.mark_for_refresh(repo_id, name, caller=caller)
            with pytest.raises(BranchUnknown):
                hf.refresh.schedule_refresh(repo_id, name, caller=caller)
        with pytest.raises(RepositoryNotFound):
            hf.freshness.get_stale_branches("repo", caller=STRANGER)
        task = hf.refresh.schedule_refresh("repo", "main", caller=ME)
        with pytest.raises(RefreshNotFound):
            hf.refresh.cancel_refresh(task.task_id, caller=STRANGER)
        assert hf.refresh.get_scheduled_tasks(caller=STRANGER).items == []
        assert hf.refresh.get_status(caller=STRANGER).refreshing_branches == ()
        assert hf.freshness.overview(caller=STRANGER).branches == 0


stale_facts = st.fixed_dictionaries(
    {
        "analyzed": st.none() | st.sampled_from([0.0, 0.5, 1.0, 23.9, 24.0, 100.0, 168.0, 500.0, -3.0]),
        "marked": st.none() | st.sampled_from([0.0, 1.0, 24.0, 600.0]),
        "override": st.none() | st.sampled_from([0.25, 2.0, 200.0]),
        "of_repository": st.none() | st.sampled_from([0.5, 300.0]),
        "commit": st.sampled_from(["", "c1", "c2"]),
        "revision": st.sampled_from(["", "c1"]),
        "seen": st.none() | st.sampled_from(["c1", "c2", "c3"]),
        "version": st.sampled_from(["", "1", "0"]),
        "kind": st.sampled_from(["code", "other"]),
    }
)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],
)
@given(st.lists(stale_facts, min_size=1, max_size=12))
def test_sql_and_the_rule_say_the_same(database: str, branches: list[dict[str, Any]]) -> None:
    clock = FakeClock()
    thresholds = {"other": {"fresh_hours": 2, "stale_hours": 50}}
    with stores(database, clock, freshness=thresholds) as hf:
        repo_id = f"repo-{uuid4()}"
        location = f"/src/{repo_id}"
        add(
            hf,
            clock,
            [],
            repo_id=repo_id,
            location=location,
            stale_after_seconds=_seconds(branches[0]["of_repository"]),
        )
        for number, known in enumerate(branches):
            name = f"b{number:02}"
            add(hf, clock, [name], repo_id=repo_id, location=location, commit=known["commit"])
            if known["analyzed"] is not None:
                analysis_id = analyze(hf, name, known["revision"], location=location, analyzer_version=known["version"])
                ago = clock.now() - timedelta(hours=known["analyzed"])
                _change(hf, tables.analyses, "analysis_id", analysis_id, created_at=ago, kind=known["kind"])
                _change(hf, tables.branches, "name", name, repo_id, last_analyzed=ago)
            _change(
                hf,
                tables.branches,
                "name",
                name,
                repo_id,
                stale_after_seconds=_seconds(known["override"]),
                marked_at=None if known["marked"] is None else clock.now() - timedelta(hours=known["marked"]),
            )
            if known["seen"] is not None:
                _see(hf, repo_id, name, known["seen"], known["revision"])
        names = [f"b{number:02}" for number in range(len(branches))]
        judged = {info.branch_name: info for info in hf.freshness.get_staleness_infos(repo_id, names)}
        assert list(judged) == names
        found: list[Staleness] = []
        after = None
        while True:
            page = hf.freshness.get_stale_branches(repo_id, limit=5, after=after)
            found += page.items
            after = page.next
            if after is None:
                break
        assert [one.branch_name for one in found] == [name for name, info in judged.items() if info.is_stale]
        # In lists one version alone is known, that of the kind of branches.
        assert found == [judged[one.branch_name] for one in found]
        overview = hf.freshness.overview(repo_id)
        assert (overview.branches, overview.stale) == (len(branches), len(found))
        assert overview.levels == {level: _count(judged, lambda f, x=level: f.level is x) for level in Level}
        assert overview.reasons == {
            reason: _count(judged, lambda f, x=reason: x in f.reasons) for reason in overview.reasons
        }


def _see(hf: Holdfast, repo_id: str, name: str, commit: str, base: str) -> None:
    def work(uow: UnitOfWork) -> bool:
        key = uow.freshness.branch(repo_id, name, ME).key
        return uow.watches.note(key, commit, base, Changes(added=1))

    hf.store.write(work)


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * HOUR


def _count(judged: dict[str, Staleness], condition: Any) -> int:
    def holds(found: Freshness) -> bool:
        return bool(condition(found))

    return sum(holds(info.freshness) for info in judged.values())


def _change(hf: Holdfast, table: sa.Table, column: str, value: str, repo_id: str = "", **values: Any) -> None:
    update = sa.update(table).where(table.c[column] == value).values(**values)
    if repo_id:
        of = sa.select(tables.repositories.c.id).where(tables.repositories.c.repo_id == repo_id).scalar_subquery()
        update = update.where(table.c.repository == of)
    hf.engine.write(lambda connection: connection.execute(update))


def test_many_states_cost_one_query(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        names = [f"b{number:03}" for number in range(300)]
        add(hf, clock, names)
        counted: list[str] = []
        asked: list[Any] = [
            lambda: hf.freshness.get_staleness_infos("repo", names),
            lambda: hf.freshness.get_stale_branches("repo", limit=300),
            lambda: hf.freshness.overview("repo"),
        ]
        hf.freshness.overview()

        def count(_: Any, __: Any, statement: str, *rest: Any) -> None:
            counted.append(statement)

        sa.event.listen(sa.Engine, "before_cursor_execute", count)
        try:
            for ask in asked:
                counted.clear()
                ask()
                # The repository, and all of its branches.
                assert len([one for one in counted if one.lstrip().startswith("SELECT")]) == 2
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", count)


def test_a_refresh_waits_for_its_time_and_ends_with_its_analysis(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main"])
        before = analyze(hf, "main")
        task = hf.refresh.schedule_refresh("repo", "main")
        assert (task.status, task.delay_minutes) == (TaskStatus.SCHEDULED, 60)
        assert task.run_at == clock.now() + timedelta(minutes=60)
        assert run_refreshes(hf) == 0
        assert hf.freshness.get_staleness_info("repo", "main").refresh == task
        clock.advance(HOUR)
        assert run_refreshes(hf) == 1
        (running,) = hf.refresh.get_scheduled_tasks().items
        assert running.status is TaskStatus.EXECUTING
        assert running.analysis_id is not None
        new = hf.get_analysis(running.analysis_id)
        assert (new.status, new.refreshed_from, new.params["branch"]) == (Status.QUEUED, before, "main")
        assert hf.refresh.get_status().refreshing_branches == (("repo", "main"),)
        with pytest.raises(RefreshUnderWay):
            hf.refresh.schedule_refresh("repo", "main", 5)
        with pytest.raises(IllegalMove):
            hf.refresh.cancel_refresh(task.task_id)
        # The result before stays the latest meanwhile.
        assert hf.freshness.get_staleness_info("repo", "main").analysis_id == before
        clock.advance(60)
        settle(hf, *begin(hf), ended(Status.COMPLETED, {}, 1))
        (done,) = hf.refresh.get_scheduled_tasks().items
        assert (done.status, done.error, done.finished_at) == (TaskStatus.COMPLETED, None, clock.now())
        info = hf.freshness.get_staleness_info("repo", "main")
        assert (info.analysis_id, info.refresh) == (running.analysis_id, None)
        assert event_names(hf) == ["refresh.scheduled", "refresh.started", "refresh.completed"]
        assert hf.refresh.cleanup_completed_tasks(0) == 0
        clock.advance(2 * HOUR)
        assert hf.refresh.cleanup_completed_tasks(1) == 1
        assert tasks(hf) == []


def test_refreshes_outlive_who_scheduled_them(database: str) -> None:
    clock = FakeClock()
    names = [f"b{number:02}" for number in range(50)]
    with stores(database, clock) as hf:
        add(hf, clock, names)
        for name in names:
            hf.refresh.schedule_refresh("repo", name)
    clock.advance(HOUR)
    with stores(database, clock) as later:
        assert run_refreshes(later) == 50


def test_a_refresh_that_waits_is_moved_or_called_off(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main"])
        first = hf.refresh.schedule_refresh("repo", "main", 60)
        again = hf.refresh.schedule_refresh("repo", "main", 10)
        assert (again.task_id, again.run_at) == (first.task_id, clock.now() + timedelta(minutes=10))
        assert hf.refresh.cancel_refresh(first.task_id).status is TaskStatus.CANCELLED
        clock.advance(HOUR)
        assert run_refreshes(hf) == 0
        other = hf.refresh.schedule_refresh("repo", "main", 0)
        assert other.task_id != first.task_id
        assert run_refreshes(hf) == 1
        for delay in (-1, float("nan"), 1e9):
            with pytest.raises(InvalidInput):
                hf.refresh.schedule_refresh("repo", "main", delay)


def test_what_misleads_most_is_refreshed_first(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock, auto_refresh=True, refresh_concurrency=1) as hf:
        add(hf, clock, ["a-never", "b-old", "c-moved", "d-marked"])
        for name, commit in (("b-old", "c1"), ("c-moved", "c0"), ("d-marked", "c1")):
            analyze(hf, name, commit)
        clock.advance(25 * HOUR)
        hf.refresh.mark_for_refresh("repo", "d-marked")
        order = []
        for _ in range(4):
            order += [task.branch_name for task in hf.refresh.check(hf.settings.freshness_rules(), {})]
            run_refreshes(hf)
            settle(hf, *begin(hf), ended(Status.COMPLETED, {}, 0))
        assert order == ["d-marked", "c-moved", "b-old", "a-never"]
        # What was refreshed by itself waits for its turn, but not when somebody asks.
        assert hf.refresh.check(hf.settings.freshness_rules(), {}) == []
        clock.advance(1)
        hf.refresh.mark_for_refresh("repo", "b-old")
        assert [task.branch_name for task in hf.refresh.check(hf.settings.freshness_rules(), {})] == ["b-old"]


def test_a_refresh_that_fails_is_told_and_backs_off(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock, auto_refresh=True) as hf:
        add(hf, clock, ["main"])
        before = analyze(hf, "main")
        pauses = []
        clock.advance(25 * HOUR)
        for failures in (1, 2, 3):
            hf.refresh.schedule_refresh("repo", "main", 0)
            run_refreshes(hf)
            settle(hf, *begin(hf), ended(Status.FAILED))
            task = hf.refresh.get_scheduled_tasks().items[0]
            assert (task.status, task.failures) == (TaskStatus.FAILED, failures)
            assert task.error is not None
            assert task.error.code == "WHY"
            assert task.retry_at is not None
            pauses.append((task.retry_at - clock.now()).total_seconds())
            # What there was stays, and the check leaves the branch alone.
            assert hf.freshness.get_staleness_info("repo", "main").analysis_id == before
            assert hf.get_result(before) == {"n": 1}
            assert hf.refresh.check(hf.settings.freshness_rules(), {}) == []
        assert pauses == sorted(pauses)
        assert pauses[-1] > 2 * pauses[0]
        assert event_names(hf).count("refresh.failed") == 3
        clock.advance(pauses[-1] + 1)
        assert len(hf.refresh.check(hf.settings.freshness_rules(), {})) == 1
        run_refreshes(hf)
        settle(hf, *begin(hf), ended(Status.COMPLETED, {}, 0))
        assert hf.refresh.schedule_refresh("repo", "main", 0).failures == 0


def test_what_cannot_begin_fails(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main"], location="nowhere")
        add(hf, clock, ["main"], repo_id="data", location="")
        hf.refresh.schedule_refresh("repo", "main", 0)
        hf.refresh.schedule_refresh("data", "main", 0)
        assert run_refreshes(hf) == 2
        errors = {task.repo_id: task.error for task in hf.refresh.get_scheduled_tasks().items}
        assert {repo: error and error.code for repo, error in errors.items()} == {
            "repo": "TARGET_NOT_FOUND",
            "data": "BRANCH_UNKNOWN",
        }


def test_an_analysis_that_goes_ends_its_refresh(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main"])
        for end in ("cancel", "delete", "purge"):
            hf.refresh.schedule_refresh("repo", "main", 0)
            run_refreshes(hf)
            analysis_id = hf.refresh.get_scheduled_tasks().items[0].analysis_id
            assert analysis_id is not None
            if end == "cancel":
                hf.cancel_analysis(analysis_id)
            else:
                hf.delete_analysis(analysis_id, purge=end == "purge")
            assert tasks(hf)[0] is TaskStatus.FAILED
            clock.advance(1)


def test_workers_refresh_what_is_stale_when_they_may(database: str) -> None:
    clock = FakeClock(datetime(2030, 1, 1, 12, tzinfo=UTC))
    with stores(database, clock, refresh_window="22:00-06:00", refresh_concurrency=2) as hf:
        hf.worker()
        status = hf.refresh.get_status()
        assert (status.running, status.auto_refresh_enabled, status.check_interval_minutes) == (True, False, 30)
        add(hf, clock, ["a", "b", "c", "new"])
        add(hf, clock, ["gone"], repo_id="data", location="")
        for name in "abc":
            analyze(hf, name)
            clock.advance(60)
        hf.refresh.mark_for_refresh("repo", "c")
        clock.advance(25 * HOUR)
        check(hf)
        assert tasks(hf) == []
        assert hf.refresh.enable_auto_refresh().auto_refresh_enabled
        check(hf)
        # At one in the afternoon others need the machine.
        assert tasks(hf) == []
        clock.advance(10 * HOUR)
        hf.jobs.fire_schedules()
        check(hf)
        # As many as may run at once: the marked one, then the oldest.
        begun = hf.refresh.get_scheduled_tasks().items
        assert sorted(task.branch_name for task in begun) == ["a", "c"]
        assert all(task.is_automatic for task in begun)
        hf.refresh.check(hf.settings.freshness_rules(), {})
        assert len(tasks(hf)) == 2
        run_refreshes(hf)
        clock.advance(5)
        settle(hf, *begin(hf), ended(Status.COMPLETED, {}, 0))
        # The end of one lets the next begin, without waiting half an hour.
        check(hf)
        assert len(tasks(hf)) == 3
        assert not hf.refresh.disable_auto_refresh().auto_refresh_enabled
    with stores(database, clock, auto_refresh=True) as hf:
        assert not hf.refresh.get_status().auto_refresh_enabled
        clock.advance(3 * HOUR)
        assert not hf.refresh.get_status().running


def test_a_changed_analyzer_makes_stale(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main"])
        analyze(hf, "main", analyzer_version="0")
        assert reasons(hf) == (Reason.ANALYZER_VERSION_CHANGED,)
        assert [one.branch_name for one in hf.freshness.get_stale_branches("repo").items] == ["main"]


def test_the_cost_is_learned_from_earlier_runs(database: str) -> None:
    clock = FakeClock()
    with stores(database, clock) as hf:
        add(hf, clock, ["main", "other"])

        def run(name: str, seconds: float) -> None:
            hf.submit("code", "/src/repo", params={"branch": name}, force=True)
            job, analysis = begin(hf)
            clock.advance(seconds)
            settle(hf, job, analysis, ended(Status.COMPLETED, {}, 0))

        assert hf.freshness.get_staleness_info("repo", "main").estimate.seconds is None
        for seconds in (10, 12, 500):
            run("main", seconds)
        found = hf.freshness.get_staleness_info("repo", "main").estimate
        assert (found.seconds, found.runs, found.basis) == (12, 3, "subject")
        found = hf.freshness.get_staleness_info("repo", "other").estimate
        assert (found.seconds, found.basis) == (12, "kind")
        # What was stored was not run, and another owner's runs are nobody's business.
        analyze(hf, "other")
        assert hf.freshness.get_staleness_info("repo", "other").estimate.basis == "kind"
