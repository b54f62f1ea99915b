import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.analyzers.code.gitrepo import GitRepo

from holdfast.analyzers.code import CodeAnalyzer
from holdfast.domain.errors import (
    BranchNotFound,
    CommitNotFound,
    CorruptTarget,
    EmptyRepository,
    InvalidParams,
    InvalidTarget,
    NotARepository,
    TargetNotFound,
)
from holdfast.domain.fingerprint import fingerprint
from holdfast.domain.ports import Request


def resolve(target: Path | str, **params: Any) -> Request:
    return CodeAnalyzer().resolve(str(target), params)


def test_head_branch_is_the_default(repo: GitRepo) -> None:
    commit = repo.commit({"a.py": "x = 1\n"})
    request = resolve(repo.path)
    assert request.subject.kind == "git-branch"
    assert request.subject.key == f"{repo.path}#main"
    assert request.subject.revision == commit
    assert request.subject.title == "project@main"
    assert request.subject.attributes == {
        "repository": str(repo.path),
        "branch": "main",
    }
    assert request.params == {
        "branch": "main",
        "commit": None,
        "max_file_bytes": 1 << 20,
        "history": 50_000,
        "include": [],
        "exclude": [],
    }


@pytest.mark.parametrize("name", ["feature/deep/er", "größe", "日本/語", "v1.0-rc", "a#b"])
def test_any_branch_name(repo: GitRepo, name: str) -> None:
    repo.commit({"a.py": "x = 1\n"})
    repo.git("checkout", "-q", "-b", name)
    there = repo.commit({"a.py": "x = 2\n"})
    repo.git("checkout", "-q", "main")
    request = resolve(repo.path, branch=name)
    assert (request.subject.revision, request.subject.key) == (there, f"{repo.path}#{name}")


def test_the_same_input_however_it_is_given(repo: GitRepo, tmp_path: Path) -> None:
    commit = repo.commit({"src/deep/a.py": "x = 1\n"})
    (tmp_path / "link").symlink_to(repo.path)
    repo.git("worktree", "add", "-q", str(tmp_path / "tree"), "--detach")
    targets = [
        repo.path,
        repo.path / ".git",
        repo.path / "src" / "deep",
        repo.path / "src/deep/a.py",
        tmp_path / "link",
    ]
    requests = [resolve(target) for target in targets] + [resolve(repo.path, branch="main", history=True)]
    requests.append(resolve(tmp_path / "tree", branch="main"))
    assert len({fingerprint("code", request.subject, request.params) for request in requests}) == 1
    assert {request.location for request in requests} == {str(repo.path / ".git")}
    detached = resolve(tmp_path / "tree").subject
    assert (detached.kind, detached.key) == ("git-commit", f"{repo.path}#{commit}")


def test_resolving_what_was_resolved_follows_the_branch_but_not_a_commit(repo: GitRepo) -> None:
    first = repo.commit({"a.py": "x = 1\n"})
    branch, pinned = resolve(repo.path), resolve(repo.path, branch="main", commit=first[:12])
    second = repo.commit({"a.py": "x = 2\n"})
    assert CodeAnalyzer().resolve(branch.location, branch.params).subject.revision == second
    assert CodeAnalyzer().resolve(pinned.location, pinned.params).subject.revision == first


def test_bare_repository(repo: GitRepo, tmp_path: Path) -> None:
    commit = repo.commit({"a.py": "x = 1\n"})
    bare = tmp_path / "mirror.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    subject = resolve(bare).subject
    assert (subject.key, subject.revision, subject.title) == (f"{bare}#main", commit, "mirror@main")


def test_a_remote_branch_stands_in_for_a_local_one(repo: GitRepo, tmp_path: Path) -> None:
    repo.commit({"a.py": "x = 1\n"})
    repo.git("branch", "topic/one")
    repo.git("clone", "-q", str(repo.path), str(tmp_path / "clone"))
    tip = repo.git("rev-parse", "topic/one")
    for name in ("topic/one", "origin/topic/one", "refs/remotes/origin/topic/one"):
        assert resolve(tmp_path / "clone", branch=name).subject.revision == tip


def test_commits_by_id_and_tag(repo: GitRepo) -> None:
    first = repo.commit({"a.py": "x = 1\n"})
    repo.git("tag", "light")
    repo.git("tag", "-a", "v1/annotated", "-m", "release")
    repo.git("tag", "-a", "twice", "-m", "a tag of a tag", "v1/annotated")
    repo.commit({"a.py": "x = 2\n"})
    for name in (first, first[:7], first.upper(), "light", "v1/annotated", "twice", "refs/tags/light"):
        subject = resolve(repo.path, commit=name).subject
        assert (subject.kind, subject.revision) == ("git-commit", first)
        assert subject.title == f"project@{first[:10]}"
    on_branch = resolve(repo.path, branch="main", commit="light").subject
    assert (on_branch.kind, on_branch.revision) == ("git-branch", first)


def test_detached_head(repo: GitRepo) -> None:
    commit = repo.commit({"a.py": "x = 1\n"})
    repo.git("checkout", "-q", "--detach")
    request = resolve(repo.path)
    assert (request.subject.kind, request.params["commit"]) == ("git-commit", commit)


def test_what_is_not_there(repo: GitRepo, tmp_path: Path) -> None:
    repo.commit({"a.py": "x = 1\n"})
    blob = repo.git("rev-parse", "HEAD:a.py")
    (tmp_path / "plain").mkdir()
    with pytest.raises(TargetNotFound):
        resolve(tmp_path / "nowhere")
    with pytest.raises(TargetNotFound):
        resolve("")
    with pytest.raises(TargetNotFound):
        resolve("a\0b")
    with pytest.raises(InvalidTarget):
        resolve("/tmp/\udcff")
    with pytest.raises(NotARepository):
        resolve(tmp_path / "plain")
    with pytest.raises(BranchNotFound) as missing:
        resolve(repo.path, branch="mian")
    assert missing.value.details == {"branch": "mian", "branches": ["main"]}
    for name in ("..", "a b", "main~1", "-x", "refs/heads/nope"):
        with pytest.raises(BranchNotFound):
            resolve(repo.path, branch=name)
    for name in ("0" * 40, "abcd", "v9", "HEAD~1", "main", blob, ":/change"):
        with pytest.raises(CommitNotFound):
            resolve(repo.path, commit=name)


def test_a_commit_that_is_not_there_is_told_of_with_what_helps(repo: GitRepo, tmp_path: Path) -> None:
    first = repo.commit({"a.py": "x = 1\n"})
    repo.commit({"a.py": "x = 2\n"})
    with pytest.raises(CommitNotFound, match="id of a commit or a tag") as refused:
        resolve(repo.path, commit="HEAD~1")
    assert not any("shallow" in suggestion for suggestion in refused.value.suggestions)
    with pytest.raises(CommitNotFound) as missing:
        resolve(repo.path, commit="0" * 40)
    assert not any("shallow" in suggestion for suggestion in missing.value.suggestions)
    repo.git("clone", "-q", "--depth=1", f"file://{repo.path}", str(tmp_path / "shallow"))
    with pytest.raises(CommitNotFound) as older:
        resolve(tmp_path / "shallow", commit=first)
    assert any("shallow" in suggestion for suggestion in older.value.suggestions)
    assert older.value.code == missing.value.code == refused.value.code == "COMMIT_NOT_FOUND"


def test_ambiguous_commit(repo: GitRepo) -> None:
    # Two objects whose ids begin alike: found by trying, a few hundred are enough for four digits.
    repo.commit({"a.py": "x = 1\n"})
    repo.write({f"n{number}": str(number) for number in range(900)})
    repo.git("add", "-A")
    names = sorted({line.split()[1] for line in repo.git("ls-files", "-s").splitlines()})
    prefix = next(one[:4] for one, other in itertools.pairwise(names) if one[:4] == other[:4])
    with pytest.raises(CommitNotFound, match="several"):
        resolve(repo.path, commit=prefix)


def test_empty_and_unborn(repo: GitRepo) -> None:
    for params in ({}, {"branch": "main"}, {"commit": "abcdef1"}):
        with pytest.raises(EmptyRepository):
            resolve(repo.path, **params)
    repo.commit({"a.py": "x = 1\n"})
    repo.git("checkout", "-q", "--orphan", "fresh")
    with pytest.raises(BranchNotFound) as unborn:
        resolve(repo.path)
    assert unborn.value.details["branches"] == ["main"]


def test_damaged_commit_or_root_tree(repo: GitRepo) -> None:
    commit = repo.commit({"a.py": "x = 1\n"})
    tree = repo.git("rev-parse", "HEAD^{tree}")
    for name, damage in ((tree, b""), (tree, None), (commit, b"junk"), (commit, None)):
        path = repo.object_path(name)
        kept = path.read_bytes()
        path.chmod(0o644)
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        with pytest.raises(CorruptTarget):
            resolve(repo.path)
        path.write_bytes(kept)
    assert resolve(repo.path).subject.revision == commit


PIPES = ["object", "objects/info/alternates", "objects/pack/pack-0.idx", "commondir", "shallow", "config"]
PIPES += ["packed-refs", "refs/heads/main", "HEAD"]


@pytest.mark.parametrize("place", PIPES)
def test_a_pipe_in_a_repository_holds_nobody_up(repo: GitRepo, place: str) -> None:
    commit = repo.commit({"a.py": "x = 1\n"})
    path = repo.object_path(commit) if place == "object" else repo.path / ".git" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    # In a process of its own: only that can be stopped if it hangs.
    script = "import sys; from holdfast.analyzers.code import CodeAnalyzer as A; A().resolve(sys.argv[1], {})"
    done = subprocess.run(
        [sys.executable, "-c", script, str(repo.path)], capture_output=True, text=True, timeout=60, check=False
    )
    if place == "objects/info/alternates":
        assert done.returncode == 0, done.stderr
    else:
        assert "CorruptTarget" in done.stderr or "NotARepository" in done.stderr, done.stderr


def test_formats_that_libgit2_cannot_read(tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "seed")
    repo.git("init", "-q", "--object-format=sha256", str(tmp_path / "sha256"))
    with pytest.raises(NotARepository, match="sha256"):
        resolve(tmp_path / "sha256")
    # As git 2.45 lays out a repository with reftable; the git of the tests may be older.
    shutil.copytree(repo.path, tmp_path / "reftable")
    repo.git("-C", str(tmp_path / "reftable"), "config", "core.repositoryformatversion", "1")
    repo.git("-C", str(tmp_path / "reftable"), "config", "extensions.refstorage", "reftable")
    with pytest.raises(NotARepository, match=r"reftable|refstorage"):
        resolve(tmp_path / "reftable")


def test_repository_in_a_path_with_a_newline(tmp_path: Path) -> None:
    repo = GitRepo(tmp_path / "new\nline")
    commit = repo.commit({"a.py": "x = 1\n"})
    assert resolve(repo.path).subject.revision == commit


@pytest.mark.parametrize(
    "params",
    [
        {"depth": 3},
        {"branch": ""},
        {"branch": 7},
        {"branch": "a\0b"},
        {"commit": "\udcff"},
        {"max_file_bytes": 0},
        {"max_file_bytes": True},
        {"max_file_bytes": "1"},
        {"max_file_bytes": 1 << 40},
        {"history": -1},
        {"history": "yes"},
        {"history": 1.5},
        {"include": 3},
        {"include": [""]},
        {"exclude": [1]},
        {"exclude": ["x"] * 201},
        {"exclude": ["!"]},
    ],
)
def test_wrong_parameters(repo: GitRepo, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams) as refused:
        resolve(repo.path, **params)
    assert refused.value.details["field"] in params
