import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.errors import (
    BranchUnknown,
    Conflict,
    Forbidden,
    InvalidId,
    InvalidInput,
    InvalidTarget,
    NotARepository,
    RepositoryNotFound,
    VersionConflict,
)
from holdfast.domain.repositories import BranchInfo
from holdfast.store.unit_of_work import Store
from holdfast.testing import FakeClock
from tests.services.samples import opened
from tests.store.samples import START, rows

ANN = Caller(name="ann", owner="ann")
NAMES = ["feature/a.b", "fix/ß-ünïcode", "main", "release/1.0"]


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with opened(database) as hf:
        yield hf


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(path), "GIT_CONFIG_NOSYSTEM": "1"}
        | dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2030-01-01T00:00:00Z"),
    )
    return done.stdout.strip()


def make_repository(path: Path, names: list[str]) -> str:
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    git(path, "commit", "-q", "--allow-empty", "-m", "first")
    sha = git(path, "rev-parse", "HEAD")
    (path / ".git" / "packed-refs").write_text(
        "# pack-refs with: peeled fully-peeled sorted \n"
        + "".join(f"{sha} refs/heads/{name}\n" for name in sorted(names, key=str.encode) if name != "main"),
        encoding="utf-8",
    )
    return sha


def events(hf: Holdfast) -> list[str]:
    return [entry.event.name for entry in reversed(hf.queries.audit())]


def test_stored_changed_and_the_same_again(hf: Holdfast) -> None:
    made = hf.repositories.store_repository("r", name="R", owner="acme", metadata={"stars": 1})
    assert hf.repositories.get_repository("r") == made
    assert hf.repositories.store_repository("r", name="R", owner="acme", metadata={"stars": 1}) == made
    changed = hf.repositories.store_repository("r", name="R", owner="acme", metadata={"stars": 2}, expected_version=1)
    assert (changed.version, changed.metadata, changed.created_at) == (2, {"stars": 2}, made.created_at)
    with pytest.raises(VersionConflict) as caught:
        hf.repositories.store_repository("r", expected_version=1)
    assert caught.value.details["version"] == 2
    assert events(hf) == ["repository.added", "repository.changed"]


def test_id_is_made_when_none_is_given(hf: Holdfast) -> None:
    made = hf.repositories.store_repository(name="R")
    assert hf.repositories.get_repository(made.repo_id).name == "R"


def test_invalid_repositories_are_refused(hf: Holdfast) -> None:
    with pytest.raises(InvalidId):
        hf.repositories.store_repository("../r")
    for wrong in ({"name": "\0"}, {"metadata": {"a": float("nan")}}, {"stale_after_seconds": 0}):
        with pytest.raises(InvalidInput):
            hf.repositories.store_repository("r", **wrong)
    with pytest.raises(VersionConflict):
        hf.repositories.store_repository("r", expected_version=3)
    hf.repositories.store_repository("r", location="/a")
    with pytest.raises(Conflict):
        hf.repositories.store_repository("r", location="/b")
    with pytest.raises(Forbidden):
        hf.repositories.store_repository("x", caller=Caller(name="n", owner="n", is_anonymous=True))


def test_deleted_restored_and_gone(database: str) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        hf.repositories.store_repository("r")
        hf.repositories.store_branches("r", [BranchInfo(name="main")])
        assert hf.repositories.delete_repository("r").deleted_at == START
        for look in (hf.repositories.get_repository, hf.repositories.get_branches, hf.repositories.delete_repository):
            with pytest.raises(RepositoryNotFound):
                look("r")
        assert hf.repositories.list_repositories().items == []
        hf.repositories.restore_repository("r")
        assert [one.name for one in hf.repositories.get_branches("r").items] == ["main"]
        hf.repositories.delete_repository("r")
        clock.advance(hf.settings.trash_hours * 3600)
        with pytest.raises(RepositoryNotFound):
            hf.repositories.restore_repository("r")
        assert hf.sweep().forgotten == {"repositories": 1}
        assert _left(hf.store) == [0] * 5


def _left(store: Store) -> list[int]:
    names = ("repositories", "branches", "branch_versions", "conflicts", "subjects")
    return [rows(store, f"SELECT count(*) FROM {name}")[0][0] for name in names]


def test_deleted_one_gives_way_to_a_new_one(hf: Holdfast) -> None:
    hf.repositories.store_repository("r", location="/a")
    hf.repositories.store_branches("r", [BranchInfo(name="old")])
    hf.repositories.delete_repository("r")
    made = hf.repositories.store_repository("r", location="/b")
    assert (made.version, made.location, hf.repositories.get_branches("r").items) == (1, "/b", [])


def test_purged_at_once(hf: Holdfast) -> None:
    hf.repositories.store_repository("r")
    hf.repositories.store_branches("r", [BranchInfo(name="main")])
    hf.cache_entries.put("k", 10, repo_id="r")
    hf.repositories.delete_repository("r", purge=True)
    assert _left(hf.store) == [0] * 5
    assert hf.cache_entries.stats() == (0, 0)


def test_branches_by_page(hf: Holdfast) -> None:
    hf.repositories.store_repository("r")
    hf.repositories.store_branches("r", [BranchInfo(name=name, commit_sha="c") for name in reversed(NAMES)])
    first = hf.repositories.get_branches("r", limit=3)
    rest = hf.repositories.get_branches("r", limit=3, after=first.next)
    assert [one.name for one in [*first.items, *rest.items]] == NAMES
    assert rest.next is None
    assert hf.repositories.get_branch("r", "feature/a.b").commit_sha == "c"
    with pytest.raises(BranchUnknown):
        hf.repositories.get_branch("r", "feature")


def test_owners_have_their_own(hf: Holdfast) -> None:
    hf.repositories.store_repository("r", name="hers", caller=ANN)
    assert [one.name for one in hf.repositories.list_repositories(caller=ANN).items] == ["hers"]
    bob = Caller(name="bob", owner="bob")
    assert hf.repositories.list_repositories(caller=bob).items == []
    for look in (hf.repositories.get_repository, hf.repositories.delete_repository, hf.repositories.restore_repository):
        with pytest.raises(RepositoryNotFound):
            look("r", caller=bob)
    with pytest.raises(Forbidden):
        hf.repositories.add_repository("/", caller=ANN)


def test_branches_are_read_from_git(hf: Holdfast, tmp_path: Path) -> None:
    path = tmp_path / "work.git"
    sha = make_repository(path, NAMES)
    read = hf.repositories.add_repository(str(path / ".git"))
    assert (read.total, read.added, read.changed, read.gone, read.failed) == (4, 4, 0, 0, {})
    kept = read.repository
    assert (kept.repo_id, kept.location, kept.default_branch) == ("work", str(path), "main")
    branches = hf.repositories.get_branches("work").items
    assert [one.name for one in branches] == NAMES
    assert {one.commit_sha for one in branches} == {sha}
    assert [one.name for one in branches if one.is_default] == ["main"]
    assert branches[0].last_commit_date == datetime(2030, 1, 1, tzinfo=UTC)
    told = events(hf)
    again = hf.repositories.sync_repository("work")
    assert (again.total, again.added, again.changed, again.gone) == (4, 0, 0, 0)
    assert events(hf) == told


def test_what_moved_or_went_in_git_is_noticed(database: str, tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        _look_twice(hf, clock, tmp_path / "r")


def _look_twice(hf: Holdfast, clock: FakeClock, path: Path) -> None:
    first = make_repository(path, NAMES)
    hf.repositories.add_repository(str(path))
    clock.advance(1)
    hf.repositories.store_branches("r", [BranchInfo(name="main", metadata={"team": "a"})])
    git(path, "commit", "-q", "--allow-empty", "-m", "second")
    git(path, "branch", "-D", "feature/a.b")
    git(path, "branch", "topic")
    clock.advance(1)
    read = hf.repositories.sync_repository("r")
    assert (read.total, read.added, read.changed, read.gone) == (4, 1, 1, 1)
    main = hf.repositories.get_branch("r", "main")
    assert (main.previous_commit_sha, main.metadata) == (first, {"team": "a"})
    assert main.commit_sha == git(path, "rev-parse", "HEAD")
    assert hf.repositories.get_branch("r", "feature/a.b").gone_at == clock.now()
    git(path, "branch", "feature/a.b", first)
    clock.advance(1)
    assert hf.repositories.sync_repository("r").changed == 1
    assert hf.repositories.get_branch("r", "feature/a.b").gone_at is None


def test_branches_of_a_clone_are_those_of_its_origin(hf: Holdfast, tmp_path: Path) -> None:
    make_repository(tmp_path / "origin", NAMES)
    git(tmp_path, "clone", "-q", str(tmp_path / "origin"), str(tmp_path / "clone"))
    assert hf.repositories.add_repository(str(tmp_path / "clone")).total == 4
    assert hf.repositories.get_repository("clone").default_branch == "main"


def test_damaged_branch_keeps_no_other_one_out(hf: Holdfast, tmp_path: Path) -> None:
    path = tmp_path / "r"
    make_repository(path, NAMES)
    (path / ".git" / "refs" / "heads" / "torn").write_text("0" * 39 + "1\n")
    read = hf.repositories.add_repository(str(path))
    assert (read.total, list(read.failed)) == (4, ["torn"])


def test_two_repositories_of_one_name(hf: Holdfast, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_repository(tmp_path / folder / "same", ["main"])
        hf.repositories.add_repository(str(tmp_path / folder / "same"))
    found = hf.repositories.list_repositories().items
    assert {one.location for one in found} == {str(tmp_path / folder / "same") for folder in ("a", "b")}
    assert found[0].repo_id == "same"
    hf.repositories.add_repository(str(tmp_path / "b" / "same"))
    assert len(hf.repositories.list_repositories().items) == 2


def test_five_hundred_branches_in_one_go(hf: Holdfast, tmp_path: Path) -> None:
    names = [f"team/{number % 7}/topic.{number}" for number in range(499)]
    make_repository(tmp_path / "r", [*names, "main"])
    assert hf.repositories.add_repository(str(tmp_path / "r")).added == 500
    assert hf.repositories.sync_repository("r").changed == 0
    assert hf.repositories.get_branches("r").next is None


def test_place_that_somebody_else_named_is_not_read(hf: Holdfast, tmp_path: Path) -> None:
    make_repository(tmp_path / "secret", ["main"])
    hf.repositories.store_repository("r", location=str(tmp_path / "secret"), caller=ANN)
    for caller in (ANN, LOCAL):
        with pytest.raises(Forbidden):
            hf.repositories.sync_repository("r", caller=caller)
    assert hf.repositories.get_branches("r", caller=ANN).items == []


def test_what_cannot_be_read_is_said(hf: Holdfast, tmp_path: Path) -> None:
    with pytest.raises(NotARepository):
        hf.repositories.add_repository(str(tmp_path))
    hf.repositories.store_repository("r")
    with pytest.raises(InvalidTarget):
        hf.repositories.sync_repository("r")
    with pytest.raises(RepositoryNotFound):
        hf.repositories.sync_repository("none")


def test_derived_files_are_used_and_expire(database: str) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        hf.cache_entries.put("k", 100, location="/tmp/k", ttl_seconds=60)
        assert hf.cache_entries.put("k", 200, ttl_seconds=60) == []
        assert hf.cache_entries.stats() == (1, 200)
        for hits in (1, 2):
            used = hf.cache_entries.use("k")
            assert used is not None
            assert used.hits == hits
        assert hf.cache_entries.use("k", caller=ANN) is None
        clock.advance(60)
        assert hf.cache_entries.use("k") is None
        assert [one.key for one in hf.cache_entries.clean_up()] == ["k"]
        assert hf.cache_entries.stats() == (0, 0)


def test_least_used_files_go_first(database: str) -> None:
    clock = FakeClock()
    with opened(database, clock, cache_mb=0.001) as hf:
        for key in "abcd":
            hf.cache_entries.put(key, 250)
            clock.advance(1)
        hf.cache_entries.use("a")
        clock.advance(1)
        assert [one.key for one in hf.cache_entries.put("e", 250)] == ["b", "c"]
        assert hf.cache_entries.stats() == (3, 750)
        dropped = hf.cache_entries.drop("e")
        assert dropped is not None
        assert hf.cache_entries.stats() == (2, 500)
