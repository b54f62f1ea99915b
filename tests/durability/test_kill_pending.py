"""kill -9 of every process at once: library, service and worker; what was pending is pending afterwards."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import holdfast
from holdfast.analyzers.registry import Registry
from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.conflicts import Resolution
from holdfast.domain.freshness import Reason
from holdfast.domain.ports import Outcome, Request, RunContext
from holdfast.domain.refresh import TaskStatus
from holdfast.domain.repositories import BRANCH_SUBJECT
from holdfast.domain.subjects import Subject
from tests.analyzers.sample_analyzers import Sample, note
from tests.api.test_api_serve import serving
from tests.durability import actors
from tests.support.processes import kill_tree, spawn_python, wait_until

PATIENCE = 60

_LIBRARY = """
import json, sys
import holdfast
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy

hf = holdfast.open(sys.argv[1])
hf.repositories.store_repository("r", location=sys.argv[2])
names = ("torn", "later", "wanted", "now")
hf.repositories.store_branches("r", [BranchInfo(name=name, commit_sha="c1") for name in names])
torn = hf.sync.sync_branch_metadata("r", BranchInfo(name="torn", commit_sha="c2"), strategy=Strategy.MANUAL)
later = hf.refresh.schedule_refresh("r", "later", 60)
hf.refresh.mark_for_refresh("r", "wanted")
now = hf.refresh.schedule_refresh("r", "now", 0)
print(json.dumps({"conflict": torn.conflict.conflict_id, "later": later.task_id, "now": now.task_id}), flush=True)
sys.stdin.read()
"""


class Patient(Sample):
    """Stands in for the analyzer of branches; it ends when a file is there."""

    kind = "code"

    def resolve(self, target: str, params: Any) -> Request:
        name = params["branch"]
        subject = Subject(kind=BRANCH_SUBJECT, key=f"{target}#{name}", revision="c1")
        return Request(subject=subject, params=dict(params), location=target)

    def run(self, ctx: RunContext) -> Outcome:
        folder = Path(ctx.request.location)
        note(str(folder / "begun"), "begun")
        while not (folder / "go").exists():
            time.sleep(0.05)
        return Outcome(result={"done": True})


def _opened(url: str) -> Holdfast:
    registry = Registry([])
    registry.register(Patient)
    return open_holdfast(url, registry=registry, lease_seconds=1, processes=1)


def _work(url: str) -> None:
    with _opened(url) as hf:
        hf.worker().run()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_what_is_pending_outlives_every_process(database: str, tmp_path: Path) -> None:
    library = spawn_python(_LIBRARY, database, str(tmp_path))
    assert library.stdout is not None
    made = json.loads(library.stdout.readline())
    worker = actors.start(_work, database)
    with serving(database, "--no-worker") as (service, address):
        wait_until((tmp_path / "begun").exists, PATIENCE, "the refresh under way")
        tasks = httpx.get(f"{address}/api/v1/refresh/scheduled-tasks", timeout=PATIENCE).json()["tasks"]
        before = {task["task_id"]: task["status"] for task in tasks}
        assert before == {made["later"]: "scheduled", made["now"]: "executing"}
        for pid in (library.pid, service.pid, worker.pid):
            assert pid is not None
            kill_tree(psutil.Process(pid))
    library.communicate()
    worker.join()
    with _opened(database) as hf:
        (conflict,) = hf.sync.get_conflicts().items
        assert conflict.conflict_id == made["conflict"]
        assert (conflict.local["commit_sha"], conflict.remote["commit_sha"]) == ("c1", "c2")
        pending = {task.task_id: task for task in hf.refresh.get_scheduled_tasks().items}
        assert {task_id: task.status.value for task_id, task in pending.items()} == before
        assert pending[made["later"]].delay_minutes == 60
        assert Reason.MARKED in hf.freshness.get_staleness_info("r", "wanted").freshness.reasons
        # And it goes on: the run under way is taken over and ends, what waits can be moved, the conflict resolved.
        (tmp_path / "go").touch()
        with hf.working():
            wait_until(lambda: _status(hf, made["now"]) is TaskStatus.COMPLETED, PATIENCE, "the refresh")
        analysis_id = hf.freshness.get_staleness_info("r", "now").analysis_id
        assert analysis_id is not None
        assert hf.get_analysis(analysis_id).status is holdfast.Status.COMPLETED
        assert hf.refresh.schedule_refresh("r", "later", 5).task_id == made["later"]
        assert hf.refresh.cancel_refresh(made["later"]).status is TaskStatus.CANCELLED
        hf.sync.resolve_conflict(made["conflict"], Resolution.REMOTE)
        assert hf.repositories.get_branch("r", "torn").commit_sha == "c2"


def _status(hf: Holdfast, task_id: str) -> TaskStatus:
    return next(task.status for task in hf.refresh.get_scheduled_tasks().items if task.task_id == task_id)
