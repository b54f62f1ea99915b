import json
from pathlib import Path

import pytest
from tests.analyzers.code.gitrepo import GitRepo
from tests.cli.conftest import Cli

import holdfast
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy


def test_repository_is_added_listed_and_read_again(cli: Cli, repository: GitRepo) -> None:
    added = cli("repo", "add", str(repository.path), "--json")
    assert added.code == 0
    (read,) = added.json["items"]
    assert (read["repository"]["repo_id"], read["added"]) == ("app", read["total"])
    assert "app" in cli("repo", "list").out
    assert [one["repo_id"] for one in cli("repo", "list", "--json").json["items"]] == ["app"]
    assert "nothing new" in cli("repo", "sync").out
    assert "nothing new" in cli("repo", "sync", "app").out
    branches = cli("branch", "list", "app", "--json").json["items"]
    assert len(branches) == read["total"]
    assert branches[0]["commit_sha"][:10] in cli("branch", "list", "app").out
    assert cli("branch", "list", "none").code == 3


def test_what_is_not_there_is_said(cli: Cli, tmp_path: Path) -> None:
    assert cli("repo", "add", str(tmp_path / "none")).code == 5
    assert "no repositories" in cli("repo", "list").out
    assert cli("history", "none", "main").code == 3
    assert "no open conflicts" in cli("conflicts", "list").out
    assert cli("conflicts", "show", "none").code == 3


def test_history_of_a_branch(cli: Cli, environment: str) -> None:
    with holdfast.open(environment) as hf:
        hf.repositories.store_repository("r")
        for number in range(3):
            found = BranchAnalysisResult(
                branch_name="feature/x", commit_sha=f"c{number}", metrics={"overall_score": number}
            )
            hf.history.store_analysis("r", found)
    items = cli("history", "r", "feature/x", "--json").json["items"]
    assert {one["commit_sha"] for one in items} == {"c0", "c1", "c2"}
    first = cli("history", "r", "feature/x", "--limit", "2", "--json").json
    rest = cli("history", "r", "feature/x", "--limit", "2", "--cursor", first["next_cursor"], "--json").json
    assert first["items"] + rest["items"] == items
    assert "c1" in cli("history", "r", "feature/x").out
    assert "No analysis" in cli("history", "r", "other").out


@pytest.mark.parametrize(
    ("chosen", "sha"),
    [
        (["--take", "local"], "c1"),
        (["--take", "remote"], "c2"),
        (["--merged", json.dumps({"commit_sha": "c3"})], "c3"),
    ],
)
def test_conflicts_are_listed_shown_and_resolved(cli: Cli, environment: str, chosen: list[str], sha: str) -> None:
    with holdfast.open(environment) as hf:
        hf.repositories.store_repository("r")
        hf.sync.sync_branch_metadata("r", BranchInfo(name="main", commit_sha="c1"))
        hf.sync.sync_branch_metadata("r", BranchInfo(name="main", commit_sha="c2"), strategy=Strategy.MANUAL)
    (conflict,) = cli("conflicts", "list", "--json").json["items"]
    wanted = conflict["conflict_id"]
    assert wanted in cli("conflicts", "list").out
    shown = cli("conflicts", "show", wanted).out
    assert "c1" in shown
    assert "c2" in shown
    assert cli("conflicts", "resolve", wanted).code == 5
    assert cli("conflicts", "resolve", wanted, "--merged", "{").code == 5
    assert cli("conflicts", "resolve", wanted, *chosen, "--json").json["resolved_at"]
    assert cli("conflicts", "resolve", wanted, *chosen).code == 4
    assert cli("branch", "list", "r", "--json").json["items"][0]["commit_sha"] == sha
