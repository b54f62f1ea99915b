"""Commands about what is stale, about refreshing it, and about what branches have differently."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.analyzers.code.gitrepo import GitRepo
from tests.cli.conftest import Cli, Done

import holdfast
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.repositories import BranchInfo


@pytest.fixture
def branches(environment: str) -> str:
    """A repository: ``main`` and ``fix/a.b`` analysed, ``new`` not."""
    with holdfast.open(environment) as hf:
        hf.repositories.store_repository("app", location="/src/app")
        hf.repositories.store_branches("app", [BranchInfo(name=name, commit_sha="c1") for name in ("main", "new")])
        for branch, titles, score, hours in (("main", "abc", 70, 30), ("fix/a.b", "bcd", 75.5, 1)):
            issues = [{"title": f"finding {title}", "severity": "high"} for title in titles]
            at = datetime.now(UTC) - timedelta(hours=hours)
            found = BranchAnalysisResult(
                branch_name=branch,
                commit_sha="c1",
                analysis_timestamp=at,
                issues=issues,
                metrics={"overall_score": score},
            )
            hf.history.store_analysis("app", found)
    return "app"


def test_what_is_stale_and_why(cli: Cli, branches: str) -> None:
    listed = cli("stale", branches, "--json").json
    assert [(one["branch_name"], one["reasons"]) for one in listed["items"]] == [
        ("main", ["age"]),
        ("new", ["never_analyzed"]),
    ]
    shown = cli("stale", branches).out
    assert "never analyzed" in shown
    assert "main" in shown
    assert "fix/a.b" not in shown
    first = cli("stale", branches, "--limit", "1", "--json").json
    rest = cli("stale", branches, "--limit", "1", "--after", first["next_cursor"], "--json").json
    assert first["items"][0]["branch_name"] == "main"
    assert [one["branch_name"] for one in rest["items"]] == ["new"]
    assert "--after main" in cli("stale", branches, "--limit", "1").out
    one = cli("stale", branches, "fix/a.b", "--json").json
    assert (one["is_stale"], one["level"], one["analyzed_commit_sha"]) == (False, "moderate", "c1")
    assert "not stale" in cli("stale", branches, "fix/a.b").out
    overview = cli("stale", "--json").json
    assert (overview["branches"], overview["stale"], overview["reasons"]["never_analyzed"]) == (3, 2, 1)
    assert "3" in cli("stale").out
    assert cli("stale", "none").code == 3
    assert not cli("stale", "none", "main", "--json").json["exists"]


def test_refreshes_are_scheduled_moved_and_called_off(cli: Cli, branches: str) -> None:
    made = cli("refresh", branches, "new", "--in", "2h", "--json")
    assert (made.code, made.json["status"], made.json["delay_minutes"]) == (0, "scheduled", 120)
    task_id = made.json["task_id"]
    assert cli("refresh", branches, "new", "--in", "1h", "--json").json["task_id"] == task_id
    assert f"Scheduled as {task_id}" in cli("refresh", branches, "new", "--in", "30m").out
    other = cli("refresh", branches, "main", "--json").json["task_id"]
    items = cli("schedule", "list", "--json").json["items"]
    assert [one["task_id"] for one in items] == [other, task_id]
    first = cli("schedule", "list", "--limit", "1", "--json").json
    rest = cli("schedule", "list", "--limit", "1", "--cursor", first["next_cursor"], "--json").json
    assert first["items"] + rest["items"] == items
    assert "fix/a.b" not in cli("schedule", "list").out
    assert "scheduled" in cli("schedule", "list").out
    assert task_id in cli("schedule", "cancel", task_id).out
    assert cli("schedule", "cancel", task_id).code == 4
    assert cli("schedule", "cancel", other, "--json").json["status"] == "cancelled"
    assert cli("schedule", "cancel", "none").code == 3
    assert len(cli("schedule", "list", "--status", "cancelled", "--json").json["items"]) == 2
    assert "No refresh" in cli("schedule", "list", "--status", "scheduled").out
    assert cli("schedule", "list", "--status", "none").code == 2
    assert cli("schedule", "list", "--cursor", "x").code == 5


def test_marks(cli: Cli, branches: str) -> None:
    assert cli("refresh", branches, "main", "--mark", "--json").json["marked_at"]
    assert "Marked" in cli("refresh", branches, "main", "--mark").out
    assert cli("stale", branches, "main", "--json").json["reasons"] == ["marked", "age"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["none", "main"], 3),
        (["app", "none"], 3),
        (["app", "main", "--mark", "--in", "1h"], 2),
        (["app", "--mark"], 2),
        (["app", "main", "more"], 2),
        (["app", "main", "--in", "soon"], 2),
        (["none"], 3),
    ],
)
def test_what_cannot_be_refreshed(cli: Cli, branches: str, arguments: list[str], code: int) -> None:
    done = cli("refresh", *arguments, "--json")
    assert done.code == code, done
    assert code == 2 or done.json["error"]["code"]


def test_refreshing_by_itself(cli: Cli, environment: str) -> None:
    with holdfast.open(environment):
        pass
    assert not cli("schedule", "auto", "--json").json["auto_refresh_enabled"]
    assert "enabled" in cli("schedule", "auto", "--enable").out
    assert cli("schedule", "auto", "--json").json["auto_refresh_enabled"]
    assert not cli("schedule", "auto", "--disable", "--json").json["auto_refresh_enabled"]


def test_two_branches_are_compared(cli: Cli, branches: str) -> None:
    found = cli("compare", branches, "main", "fix/a.b", "--json").json
    assert found["findings"] == {"added": 1, "fixed": 1, "unchanged": 2}
    assert [(one["change"], one["finding"]["title"]) for one in found["items"]] == [
        ("added", "finding d"),
        ("fixed", "finding a"),
    ]
    assert {"name": "overall_score", "before": 70, "after": 75.5, "difference": 5.5} in found["metrics"]
    shown = cli("compare", branches, "main", "fix/a.b").out
    for words in ("1 added, 1 fixed, 2 unchanged", "finding d", "finding a", "+5.5"):
        assert words in shown
    same = cli("compare", branches, "main", "fix/a.b", "--change", "unchanged", "--limit", "1", "--json").json
    assert ([one["finding"]["title"] for one in same["items"]], same["is_complete"]) == (["finding b"], False)
    by_id = cli("compare", found["against"], found["analysis_id"], "--json").json
    assert by_id == found
    assert cli("compare", branches, "main", "new").code == 3
    assert cli("compare", branches, "main", "none", "--json").json["error"]["code"] == "BRANCH_UNKNOWN"
    assert cli("compare", "none", "main", "new").code == 3
    assert cli("compare", "a", "b", "c", "d").code == 2


def test_reading_a_repository_shows_how_far_it_is(
    terminal: Callable[..., Done], process: Cli, repository: GitRepo
) -> None:
    shown = terminal("repo", "add", str(repository.path))
    assert shown.code == 0
    assert "1/1" in shown.out
    assert "app: 1 branch, 1 new" in shown.out
    repository.git("branch", "fix/x")
    assert "2/2" in terminal("repo", "sync").out
    # Programs and pipes get what was done, and nothing else.
    assert "/" not in process("repo", "sync").err
    piped = process("repo", "sync", "app", "--json")
    assert (piped.json["items"][0]["total"], piped.err) == (2, "")
    assert "━" not in terminal("repo", "sync", "--json").out
    assert process("repo", "sync", "none").code == 3
