import json
from pathlib import Path
from typing import Any

import pytest
from tests.analyzers.code.gitrepo import GitRepo, analyse, by_path, reasons

from holdfast.analyzers.code import CodeAnalyzer
from holdfast.domain.errors import AnalysisCancelled
from holdfast.domain.findings import Finding, Severity
from holdfast.testing import LocalRunContext

BRANCHY = "def branchy(a):\n" + "".join(f"    if a == {number}:\n        return {number}\n" for number in range(20))
AWS = "AKIA" + "Q3EGRZ7TBWX5KLMN"


def of_rule(findings: Any, rule: str) -> list[Finding]:
    return [finding for finding in findings if finding.rule == rule]


def test_the_whole_result(repo: GitRepo) -> None:
    repo.commit(
        {
            "src/app.py": "# An application.\nimport os\n\n\ndef f(a, b):\n    return a if b else 0\n",
            "src/branchy.py": BRANCHY,
            "tests/test_app.py": "def test_f():\n    assert True\n",
            "pyproject.toml": '[project]\nname = "x"\ndependencies = ["Flask>=3", "SQLAlchemy"]\n',
            "web/package.json": '{"dependencies": {"react": "19"}}',
            "Dockerfile": "FROM scratch\n",
            "README.md": "# Read me\n",
        }
    )
    repo.commit({"src/app.py": "# An application.\n\n\ndef f(a, b):\n    return a if b else 1\n"}, author="Grace")
    outcome, context = analyse(repo.path)
    result = outcome.result
    assert list(result) == [
        "file_tree",
        "technologies",
        "metrics",
        "issues",
        "ai_summary",
        "detailed_scores",
        "files",
        "functions",
        "history",
        "skipped",
        "limits",
    ]
    json.dumps(result, allow_nan=False)
    assert result["metrics"] == outcome.metrics
    metrics = {
        name: outcome.metrics[name] for name in ("files", "code_lines", "test_code_lines", "functions", "commits")
    }
    assert metrics == {"files": 7, "code_lines": 46, "test_code_lines": 2, "functions": 3, "commits": 2}
    assert (outcome.metrics["max_complexity"], outcome.metrics["mean_complexity"]) == (21, 8)
    assert [name for name in outcome.metrics if name.endswith("_score")] == list(result["detailed_scores"])
    assert len(result["detailed_scores"]) == 7
    assert {name for name in outcome.metrics if name.startswith("issues_")} == {f"issues_{s}" for s in Severity}

    assert result["technologies"]["names"] == [
        "Python",
        "Dockerfile",
        "Flask",
        "React",
        "SQLAlchemy",
        "Docker",
        "npm",
        "pyproject",
    ]
    python = result["technologies"]["languages"][0]
    assert python == {"name": "Python", "files": 3, "lines": 48, "code_lines": 45, "share": 97.83}

    assert by_path(outcome)["src/app.py"] == {
        "path": "src/app.py",
        "language": "Python",
        "bytes": 58,
        "lines": 5,
        "code_lines": 2,
        "comment_lines": 1,
        "functions": 1,
        "max_complexity": 2,
        "mean_complexity": 2.0,
        "duplicated_share": 0.0,
        "commits": 2,
        "added": 7,
        "deleted": 2,
        "authors": 2,
        "main_owner": "Ada",
        "main_owner_share": 0.5,
    }
    tree = result["file_tree"]
    assert (tree["type"], tree["files"]) == ("directory", 7)
    assert [child["name"] for child in tree["children"]] == [
        "src",
        "tests",
        "web",
        "Dockerfile",
        "README.md",
        "pyproject.toml",
    ]
    assert result["functions"][0]["name"] == "branchy"
    history = result["history"]
    assert (history["commits"], history["authors"], history["bus_factor"]) == (2, 2, 1)
    assert history["months"] == [{"month": "2023-11", "commits": 2, "added": 56, "deleted": 2}]
    assert history["hotspots"][0]["path"] == "src/app.py"
    assert [issue["rule"] for issue in result["issues"]] == ["code/complex-function"]
    assert result["ai_summary"].startswith("project@main holds 7 files with 46 code lines, mostly Python.")
    assert outcome.summary.startswith("project@main: score ")
    assert [name for name, _ in context.phases] == [
        "Listing files",
        "Analysing files",
        "Reading history",
        "Reading history",
        "Summarising",
    ]
    assert {name for name, _ in context.phases} == {phase.name for phase in CodeAnalyzer.phases}


def test_one_changed_file_costs_one_file_and_one_chunk(repo: GitRepo) -> None:
    checkpoints: dict[str, Any] = {}
    for number in range(20):
        repo.commit({f"m{number}.py": f"x = {number}\n"})
    _, context = analyse(repo.path, checkpoints=checkpoints)
    # All 20 commits fall into a few chunks.
    assert 20 < context.computed < 30
    repo.commit({"m3.py": "x = 33\n"})
    second, context = analyse(repo.path, checkpoints=checkpoints)
    assert context.computed == 2
    assert by_path(second)["m3.py"]["commits"] == 2
    fresh, _ = analyse(repo.path)
    assert second.result == fresh.result


def test_a_moved_file_is_not_read_again_unless_its_language_changes(repo: GitRepo) -> None:
    checkpoints: dict[str, Any] = {}
    repo.commit({"a.py": "x = 1\n"})
    analyse(repo.path, {"history": False}, checkpoints)
    repo.git("mv", "a.py", "b.py")
    repo.commit({})
    assert analyse(repo.path, {"history": False}, checkpoints)[1].computed == 0
    repo.git("mv", "b.py", "b.rb")
    repo.commit({})
    outcome, context = analyse(repo.path, {"history": False}, checkpoints)
    assert (context.computed, by_path(outcome)["b.rb"]["language"]) == (1, "Ruby")


def test_every_cancellation_point_can_be_resumed(repo: GitRepo) -> None:
    for number in range(6):
        repo.commit({f"m{number}.py": BRANCHY + f"x = {number}\n"})
    whole, context = analyse(repo.path)
    request = context.request
    for after in range(context.computed):
        checkpoints: dict[str, Any] = {}
        cancelled = LocalRunContext(request, checkpoints)
        cancelled.cancel_after(after)
        with pytest.raises(AnalysisCancelled):
            CodeAnalyzer().run(cancelled)
        resumed = LocalRunContext(request, checkpoints)
        assert CodeAnalyzer().run(resumed) == whole
        assert cancelled.computed + resumed.computed == context.computed


def test_patterns(repo: GitRepo) -> None:
    repo.commit({"src/a.py": "x = 1\n", "src/gen/b.py": "x = 1\n", "docs/c.md": "c\n", "d.py": "x = 1\n"})
    assert set(by_path(analyse(repo.path, {"include": ["*.py"]})[0])) == {"src/a.py", "src/gen/b.py", "d.py"}
    both = {"include": "src/", "exclude": ["src/gen/**"]}
    assert set(by_path(analyse(repo.path, both)[0])) == {"src/a.py"}


def test_history_can_be_left_out_or_cut(repo: GitRepo) -> None:
    for number in range(5):
        repo.commit({"a.py": f"x = {number}\n"})
    without, _ = analyse(repo.path, {"history": False})
    assert without.result["history"] is None
    assert without.result["detailed_scores"]["ownership_score"] is None
    assert "commits" not in without.metrics
    cut, _ = analyse(repo.path, {"history": 3})
    assert cut.metrics["commits"] == 3
    assert cut.result["limits"]["history_cut"] is True
    assert reasons(cut) == {"history_truncated": 1}
    assert by_path(cut)["a.py"]["commits"] == 3
    exact, _ = analyse(repo.path, {"history": 5})
    assert exact.result["limits"]["history_cut"] is False


def test_merges_change_nothing_and_branches_both_count(repo: GitRepo) -> None:
    repo.commit({"a.py": "x = 1\n"})
    repo.git("checkout", "-q", "-b", "side")
    repo.commit({"b.py": "y = 1\n"}, author="Grace")
    repo.git("checkout", "-q", "main")
    repo.commit({"c.py": "z = 1\n"})
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    outcome, _ = analyse(repo.path)
    assert outcome.metrics["commits"] == 4
    assert outcome.result["history"]["months"][0]["added"] == 3
    assert by_path(outcome)["b.py"]["commits"] == 1


def test_an_older_commit_and_another_branch_give_their_own_results(repo: GitRepo) -> None:
    first = repo.commit({"a.py": "x = 1\n"})
    repo.git("checkout", "-q", "-b", "feature/x")
    repo.commit({"b.py": "x = 1\n"})
    repo.git("checkout", "-q", "main")
    assert analyse(repo.path, {"branch": "feature/x"})[0].metrics["files"] == 2
    assert analyse(repo.path, {"branch": "feature/x", "commit": first[:8]})[0].metrics["files"] == 1


def test_secrets_are_found_and_never_kept(repo: GitRepo) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx8Vn2bJq0eZpQ7dTtYf3hL9sK1mW4rUc6oGiXaNvBjEyPzDl\n"
    repo.commit({"conf.py": f"# setup\nkey = '{AWS}'\n", "deploy.pem": key, "tests/fixture.py": f"k = '{AWS}'\n"})
    checkpoints: dict[str, Any] = {}
    outcome, _ = analyse(repo.path, checkpoints=checkpoints)
    found = of_rule(outcome.findings, "code/secret")
    assert [(f.path, f.line, f.severity.value) for f in found] == [
        ("conf.py", 2, "critical"),
        ("deploy.pem", 1, "critical"),
        ("tests/fixture.py", 1, "low"),
    ]
    everything = json.dumps(outcome.result) + repr(found) + repr(checkpoints)
    assert AWS not in everything
    assert "MIIEowIBAAKC" not in everything


def test_findings_keep_their_identity_when_lines_move_and_figures_change(repo: GitRepo) -> None:
    def identities() -> set[tuple[str, str]]:
        return {(finding.rule, finding.identity) for finding in analyse(repo.path)[0].findings}

    text = BRANCHY + "# TODO: more\n" + f"key = '{AWS}'\n<<<<<<< a\n=======\n>>>>>>> b\n"
    repo.commit({"a.py": text})
    before = identities()
    assert {rule for rule, _ in before} == {"code/complex-function", "code/todo", "code/secret", "code/merge-conflict"}
    repo.commit(
        {"a.py": "import os\n\n\n" + text.replace("def branchy(a):\n", "def branchy(a):\n    if a:\n        a += 1\n")}
    )
    assert identities() == before


def test_functions_of_one_name_are_told_apart(repo: GitRepo) -> None:
    repo.commit({"a.py": BRANCHY + "\n\n" + BRANCHY})
    found = of_rule(analyse(repo.path)[0].findings, "code/complex-function")
    assert len({finding.identity for finding in found}) == 2


def test_a_hotspot_of_one_person(repo: GitRepo) -> None:
    big = "".join(BRANCHY.replace("branchy", f"branchy{number}") for number in range(3))
    repo.commit({"other.py": "x = 1\n"}, author="Grace")
    for number in range(12):
        repo.commit({"a.py": big + f"x = {number}\n"})
    outcome, _ = analyse(repo.path)
    (found,) = of_rule(outcome.findings, "code/single-owner-hotspot")
    assert (found.path, found.data["owner"], found.score) == ("a.py", "Ada", 12 * 63)


def test_repeated_code_is_seen_across_files(repo: GitRepo) -> None:
    body = "".join(f"value_{number} = compute({number}, other={number * 7})\n" for number in range(300))
    repo.commit({"a.py": body, "b.py": "import os\n" + body, "c.py": body.replace("compute", "reckon")})
    outcome, _ = analyse(repo.path)
    rows = by_path(outcome)
    assert rows["a.py"]["duplicated_share"] == 1
    assert rows["c.py"]["duplicated_share"] == 0
    assert {f.path for f in of_rule(outcome.findings, "code/duplicated-file")} == {"a.py", "b.py"}
    assert 60 < outcome.metrics["duplication_percent"] < 73


def test_a_clone_gives_the_same_result(repo: GitRepo, tmp_path: Path) -> None:
    for number in range(5):
        repo.commit({f"m{number}.py": BRANCHY})
    repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "project.git"))
    assert analyse(tmp_path / "project.git")[0].result == analyse(repo.path)[0].result


def test_who_stops_the_history_keeps_what_the_files_have_shown(repo: GitRepo) -> None:
    copied = "".join(f"def f{number}(a):\n    return a + {number} * {number}\n\n\n" for number in range(60))
    repo.commit({"a.py": copied, "b.py": copied, "c.py": BRANCHY})
    outcome, context = analyse(repo.path)
    [partial] = context.partials
    assert partial.result["history"] is None
    assert [row["path"] for row in partial.result["files"]] == ["a.py", "b.py", "c.py"]
    assert partial.result["ai_summary"]
    assert partial.metrics["functions"] == outcome.metrics["functions"]
    # What was found before is not found a second time.
    whole = [(finding.rule, finding.path, finding.line) for finding in outcome.findings]
    assert len(whole) == len(set(whole))
    assert (
        len(of_rule(outcome.findings, "code/duplicated-file"))
        == len(of_rule(partial.findings, "code/duplicated-file"))
        == 2
    )
