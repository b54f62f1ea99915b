"""From outside: a repository of many branches added by one command, and a commit that leads to a new result."""

import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.analyzers.code.gitrepo import GitRepo
from tests.cli.conftest import COMMAND, Cli
from tests.support.processes import wait_until

import holdfast
from holdfast.domain.branch_analyses import BranchAnalysisResult

PATIENCE = 120
MOVED = "feature/ünï.code/日本/v1.2"
OTHERS = [f"team-{number % 3}/töpic.{number}" for number in range(18)]
_CLEAN = "def add(a, b):\n    return a + b\n"
_TODO = f"# TODO: tidy up\n{_CLEAN}"
_CONFLICT = "x = 1\n<<<<<<< HEAD\ny = 2\n=======\ny = 3\n>>>>>>> other\n"
_QUICK = {"HOLDFAST_WATCH_SECONDS": "1", "HOLDFAST_AUTO_REFRESH_MINUTES": "0.1", "HOLDFAST_PROCESSES": "1"}


def _keep_the_others_fresh(url: str, repo_id: str) -> None:
    # Else all of them are refreshed first, since they were never analysed.
    with holdfast.open(url) as hf:
        for branch in hf.repositories.get_branches(repo_id).items:
            if branch.name != MOVED:
                found = BranchAnalysisResult(
                    branch_name=branch.name, commit_sha=branch.commit_sha, analysis_timestamp=datetime.now(UTC)
                )
                hf.history.store_analysis(repo_id, found)


@pytest.mark.timeout(480)
def test_a_commit_is_noticed_shown_and_answered(cli: Cli, environment: str, tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "app")
    first = repo.commit({"a.py": _CLEAN, "todo.py": _TODO, "old.py": _CLEAN})
    for name in (MOVED, *OTHERS):
        repo.git("branch", name)
    (read,) = cli("repo", "add", str(repo.path), "--json").json["items"]
    assert (read["total"], read["added"], read["failed"]) == (20, 20, [])
    listed = cli("branch", "list", "app", "--json").json["items"]
    assert [one["name"] for one in listed] == sorted([MOVED, "main", *OTHERS])
    assert {one["commit_sha"] for one in listed} == {first}
    before = cli("analyze", str(repo.path), "--param", f"branch={MOVED}", "--json").json["analysis_id"]
    _keep_the_others_fresh(environment, "app")
    assert cli("stale", "app", "--json").json["items"] == []

    def state() -> dict[str, object]:
        found: dict[str, object] = cli("stale", "app", MOVED, "--json").json
        return found

    with subprocess.Popen([*COMMAND, "worker"], env=os.environ | _QUICK, stderr=subprocess.DEVNULL) as worker:
        try:
            repo.git("checkout", "-q", MOVED)
            repo.git("rm", "-q", "old.py")
            commit = repo.commit({"b.py": _CONFLICT, "todo.py": _CLEAN})
            wait_until(lambda: state()["is_stale"], PATIENCE, "the commit to be noticed")
            shown = cli("stale", "app", "--json").json["items"]
            assert [(one["branch_name"], one["reasons"]) for one in shown] == [(MOVED, ["revision_moved"])]
            assert (shown[0]["commit_sha"], shown[0]["analyzed_commit_sha"]) == (commit, first)
            changes = shown[0]["changes"]
            assert [changes[f"{what}_names"] for what in ("added", "modified", "deleted")] == [
                ["b.py"],
                ["todo.py"],
                ["old.py"],
            ]
            assert "1 added, 1 modified, 1 deleted" in cli("stale", "app", MOVED).out
            assert cli("schedule", "auto", "--enable").code == 0
            wait_until(lambda: not state()["is_stale"], PATIENCE, "the refresh")
        finally:
            worker.send_signal(signal.SIGTERM)
    after = state()
    assert (after["analyzed_commit_sha"], after["level"]) == (commit, "fresh")
    found = cli("compare", str(after["analysis_id"]), "--json").json
    assert found.get("against") == before, found
    rules = {(one["change"], one["finding"]["rule"]) for one in found["items"]}
    assert {("added", "code/merge-conflict"), ("fixed", "code/todo")} <= rules
    history = cli("history", "app", MOVED, "--json").json["items"]
    assert [one["analysis_id"] for one in history] == [after["analysis_id"], before]
    (task,) = cli("schedule", "list", "--json").json["items"]
    assert (task["branch_name"], task["status"], task["is_automatic"]) == (MOVED, "completed", True)
