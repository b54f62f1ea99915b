"""From a commit to a refreshed result, over a real repository; and many processes that look at once."""

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

import holdfast
from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import Status
from holdfast.domain.comparison import Change
from holdfast.domain.freshness import Reason
from holdfast.domain.refresh import TaskStatus
from holdfast.domain.repositories import BranchInfo
from holdfast.store import tables
from tests.analyzers.code.gitrepo import GitRepo
from tests.durability import actors
from tests.support.processes import wait_until

PATIENCE = 60
_CLEAN = "def add(a, b):\n    return a + b\n"
_TODO = "# TODO: tidy up\ndef add(a, b):\n    return a + b\n"
_CONFLICT = "x = 1\n<<<<<<< HEAD\ny = 2\n=======\ny = 3\n>>>>>>> other\n"


def _names(hf: Holdfast) -> Counter[str]:
    with hf.engine.read() as connection:
        return Counter(connection.execute(sa.select(tables.ledger.c.name)).scalars())


@pytest.mark.timeout(240)
def test_a_commit_is_noticed_and_leads_to_a_new_result(database: str, tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "work")
    repo.commit({"a.py": _CLEAN, "todo.py": _TODO, "old.py": _CLEAN})
    with holdfast.open(database, watch_seconds=1, auto_refresh_minutes=0.1, processes=1) as hf:
        repo_id = hf.repositories.add_repository(str(repo.path), repo_id="repo").repository.repo_id
        first = hf.analyze("code", str(repo.path))
        assert first.status is Status.COMPLETED, first.error
        assert hf.watcher.look() == 0
        assert not hf.freshness.is_branch_stale(repo_id, "main")
        commit = repo.commit({"b.py": _CONFLICT, "todo.py": _CLEAN})
        repo.git("rm", "-q", "old.py")
        commit = repo.commit({})
        assert hf.watcher.look() == 1
        assert hf.watcher.look() == 0
        info = hf.freshness.get_staleness_info(repo_id, "main")
        assert info.freshness.reasons == (Reason.REVISION_MOVED,)
        assert (info.commit_sha, info.analysis_id) == (commit, first.analysis_id)
        changes = info.freshness.changes
        assert changes is not None
        assert (changes.added_names, changes.modified_names, changes.deleted_names) == (
            ("b.py",),
            ("todo.py",),
            ("old.py",),
        )
        told = [entry.event for entry in hf.queries.audit(names=["branch.became_stale"])]
        assert [event.data["reason"] for event in told] == ["revision_moved"]
        assert told[0].data["changes"]["added"] == 1
        hf.refresh.enable_auto_refresh()
        with hf.working():
            wait_until(lambda: _names(hf)["refresh.completed"], PATIENCE, "the refresh")
        assert not hf.freshness.is_branch_stale(repo_id, "main")
        latest = hf.freshness.get_staleness_info(repo_id, "main").analysis_id
        assert latest is not None
        compared = hf.comparison.compare(latest)
        assert compared.before.analysis_id == first.analysis_id
        found = hf.comparison.changes(latest).items
        rules = {(one.change, one.finding.rule) for one in found}
        assert (Change.ADDED, "code/merge-conflict") in rules
        assert (Change.FIXED, "code/todo") in rules
        assert hf.comparison.chain(latest) == [latest, first.analysis_id]
        # The earlier result is as it was.
        assert hf.get_analysis(first.analysis_id).status is Status.COMPLETED


def test_a_commit_is_refreshed_without_waiting_for_the_next_check(database: str, tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "work")
    repo.commit({"a.py": _CLEAN})
    with holdfast.open(database, watch_seconds=1, auto_refresh_minutes=60, processes=1, auto_refresh=True) as hf:
        hf.repositories.add_repository(str(repo.path), repo_id="repo")
        assert hf.analyze("code", str(repo.path)).status is Status.COMPLETED
        with hf.working():
            repo.commit({"a.py": _TODO})
            wait_until(lambda: _names(hf)["refresh.completed"], PATIENCE, "the refresh")
        assert not hf.freshness.is_branch_stale("repo", "main")


def test_what_cannot_be_looked_at_is_left_as_it_is(database: str, tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "work")
    repo.commit({"a.py": _CLEAN})
    repo.git("branch", "feature/a.b/c")
    with holdfast.open(database) as hf:
        hf.repositories.add_repository(str(repo.path), repo_id="repo")
        hf.repositories.store_repository("away", name="away", location="/not/here")
        hf.repositories.store_repository("remote", name="remote", location="https://example.org/repo.git")
        first = hf.analyze("code", str(repo.path), params={"branch": "feature/a.b/c"})
        # What was analysed is gone with a force push and its objects.
        commit = repo.commit({"a.py": _TODO})
        repo.git("branch", "-f", "feature/a.b/c")
        gone = repo.object_path(first.subject.revision) if first.subject is not None else None
        assert gone is not None
        gone.unlink()
        assert hf.watcher.look() == 2
        info = hf.freshness.get_staleness_info("repo", "feature/a.b/c")
        assert (info.commit_sha, info.freshness.changes) == (commit, None)
        assert info.freshness.reasons == (Reason.REVISION_MOVED,)
        assert info.analysis_id == first.analysis_id


def _work(url: str) -> None:
    with holdfast.open(url, lease_seconds=1, auto_refresh_minutes=0.1, refresh_concurrency=8, processes=1) as hf:
        hf.worker().run()


@pytest.mark.timeout(300)
def test_workers_of_two_processes_refresh_nothing_twice(database: str, tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "work")
    repo.commit({"a.py": _CLEAN})
    names = [f"feature/{number}" for number in range(6)]
    for name in names:
        repo.git("branch", name)
    with holdfast.open(database) as hf:
        hf.repositories.add_repository(str(repo.path), repo_id="repo")
        hf.refresh.enable_auto_refresh()
        waits = hf.refresh.schedule_refresh("repo", "main", 60)
        workers = [actors.start(_work, database) for _ in range(2)]
        try:
            wait_until(lambda: _names(hf)["refresh.started"] >= 2, PATIENCE, "refreshes under way")
            workers[0].kill()
            workers.append(actors.start(_work, database))
            wait_until(lambda: _names(hf)["refresh.completed"] >= len(names), 2 * PATIENCE, "all refreshes")
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
        kept = hf.refresh.get_scheduled_tasks().items
        # A kill loses none, and the one that waits still does.
        assert Counter(task.branch_name for task in kept) == Counter([*names, "main"])
        assert {task.branch_name: task.status for task in kept}["main"] is TaskStatus.SCHEDULED
        assert hf.refresh.cancel_refresh(waits.task_id).status is TaskStatus.CANCELLED
        analyses = [task.analysis_id for task in kept if task.analysis_id is not None]
        assert len(set(analyses)) == len(names)
        assert len(hf.list_analyses(kind="code").items) == len(names)


def _schedule(url: str, count: int) -> None:
    with holdfast.open(url) as hf:
        for _ in range(count):
            hf.refresh.schedule_refresh("repo", "main", 30)


def test_many_who_schedule_at_once_make_one(database: str) -> None:
    with holdfast.open(database) as hf:
        hf.repositories.store_repository("repo", name="repo", location="/src/repo")
        hf.repositories.store_branches("repo", [BranchInfo(name="main")])
        processes = [actors.start(_schedule, database, 10) for _ in range(3)]
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert len(hf.refresh.get_scheduled_tasks().items) == 1
        assert hf.jobs.counts() == {("refresh.run", "ready"): 1}
