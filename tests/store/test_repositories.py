from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.errors import VersionConflict
from holdfast.domain.repositories import Branch, Repository, branch_subject
from holdfast.store.branches import StoredBranch
from holdfast.store.repositories import StoredRepository
from holdfast.store.unit_of_work import Store, UnitOfWork
from tests.store.samples import START, add, analysis, minutes, opened, rows


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened(database) as store:
        yield store


def repository(repo_id: str = "r", owner: str = "local", **fields: Any) -> Repository:
    values: dict[str, Any] = {
        "repo_id": repo_id,
        "client_session_id": owner,
        "name": repo_id,
        "created_at": START,
        "updated_at": START,
    }
    return Repository(**values | {"created_at": START, "updated_at": START} | fields)


def keep(store: Store, value: Repository, *names: str) -> StoredRepository:
    def work(uow: UnitOfWork) -> StoredRepository:
        key = uow.repositories.insert(value)
        assert key is not None
        stored = StoredRepository(key=key, value=value)
        subjects = uow.subjects.ensure_many([branch_subject(value, name) for name in names], uow.now)
        new = [
            (
                Branch(
                    repo_id=value.repo_id,
                    client_session_id=value.client_session_id,
                    name=name,
                    declared_at=START,
                    declared_by="test",
                    created_at=START,
                    updated_at=START,
                ),
                subjects[branch_subject(value, name).key],
            )
            for name in names
        ]
        assert set(uow.branches.insert(stored, new)) == set(names)
        return stored

    return store.write(work)


def drop(store: Store, value: Analysis) -> None:
    def work(uow: UnitOfWork) -> bool:
        stored = uow.analyses.find(value.analysis_id)
        assert stored is not None
        return uow.drop(stored, value.purged(uow.now, "test"))

    assert store.write(work)


def branch(store: Store, stored: StoredRepository, name: str) -> StoredBranch:
    found = store.read(lambda uow: uow.branches.find(stored, name))
    assert found is not None
    return found


def test_an_id_is_its_owners_own(store: Store) -> None:
    keep(store, repository(owner="ann", name="hers"))
    keep(store, repository(owner="bob", name="his"))
    callers = [Caller(name=name, owner=owner) for name, owner in (("a", "ann"), ("b", "bob"), ("c", "cid"))]
    find = store.read(lambda uow: {one.name: uow.repositories.find("r", one) for one in [*callers, LOCAL]})
    assert {name: one and one.value.name for name, one in find.items()} == {
        "a": "hers",
        "b": "his",
        "c": None,
        "local": "hers",
    }
    assert store.write(lambda uow: uow.repositories.insert(repository(owner="ann"))) is None


def _page(uow: UnitOfWork, *, owner: str | None, after: tuple[str, int] | None) -> list[StoredRepository]:
    return uow.repositories.page(owner, limit=1, after=after)


def test_repositories_by_page(store: Store) -> None:
    for name in ("b", "a", "c", "Z"):
        keep(store, repository(name))
    keep(store, repository("b", owner="ann"))
    keep(store, repository("d", deleted_at=START))

    def walk(owner: str | None) -> list[tuple[str, str]]:
        found: list[StoredRepository] = []
        while True:
            after = (found[-1].value.repo_id, found[-1].key) if found else None
            page = store.read(partial(_page, owner=owner, after=after))
            if not page:
                return [(one.value.repo_id, one.value.client_session_id) for one in found]
            found += page

    assert walk("local") == [(name, "local") for name in "Zabc"]
    assert walk(None) == [("Z", "local"), ("a", "local"), ("b", "local"), ("b", "ann"), ("c", "local")]


def test_second_writer_is_told(store: Store) -> None:
    stored = keep(store, repository(), "main")
    after = replace(stored.value, name="new", version=2)
    store.write(lambda uow: uow.repositories.update(stored.key, stored.value, after))
    with pytest.raises(VersionConflict):
        store.write(lambda uow: uow.repositories.update(stored.key, stored.value, after))
    kept = branch(store, stored, "main")
    moved = replace(kept.value, commit_sha="c1", version=2)
    store.write(lambda uow: uow.branches.update([(kept.key, kept.value, moved)]))
    assert branch(store, stored, "main").value == moved
    with pytest.raises(VersionConflict):
        store.write(lambda uow: uow.branches.update([(kept.key, kept.value, moved)]))


def test_branches_by_name(store: Store) -> None:
    names = ["feature/a.b", "Ünïcode/ß", "main", "release-1", "z"]
    stored = keep(store, repository(), *names)
    found = store.read(lambda uow: uow.branches.page(stored))
    assert [one.value.name for one in found] == sorted(names, key=str.encode)
    after = found[1].value.name
    assert store.read(lambda uow: uow.branches.page(stored, limit=2, after=after)) == found[2:4]
    assert set(store.read(lambda uow: uow.branches.find_many(stored, [*names, "none"], lock=True))) == set(names)


def test_complete_analysis_is_noted_at_its_branch(store: Store) -> None:
    ours = repository()
    stored = keep(store, ours, "main")
    keep(store, replace(ours, client_session_id="ann"), "main")
    about = branch_subject(ours, "main", "c2")
    later = analysis("later", subject=about, completed_at=minutes(2))
    add(store, [later])
    add(store, [analysis("earlier", subject=replace(about, revision="c1"), completed_at=minutes(1))])
    noted = branch(store, stored, "main")
    assert (noted.value.last_analyzed, noted.value.analyzed_commit_sha) == (minutes(2), "c2")
    assert noted.last_analysis == store.read(lambda uow: uow.analyses.key_of("later"))
    # Somebody else's branch of the same name is not concerned.
    assert rows(store, "SELECT count(*) FROM branches WHERE last_analyzed IS NOT NULL") == [(1,)]
    drop(store, later)
    assert branch(store, stored, "main").last_analysis is None
    assert branch(store, stored, "main").value.last_analyzed == minutes(2)


def test_purged_repository_leaves_nothing_behind(store: Store) -> None:
    stored = keep(store, repository(), "main", "topic", "analysed")
    kept = keep(store, repository("other"), "main")
    add(store, [analysis("a", subject=branch_subject(stored.value, "analysed"))])
    store.write(lambda uow: uow.repositories.purge(stored.key))
    assert rows(store, "SELECT repository FROM branches") == [(kept.key,)]
    # What an analysis is about stays as long as the analysis.
    assert rows(store, "SELECT key FROM subjects ORDER BY key") == [("other#main",), ("r#analysed",)]
    assert rows(store, "SELECT count(*) FROM analyses") == [(1,)]


def test_subject_of_a_branch_outlives_its_analyses(store: Store) -> None:
    stored = keep(store, repository(), "main")
    one = analysis("a", subject=branch_subject(stored.value, "main"))
    add(store, [one])
    drop(store, one)
    assert rows(store, "SELECT key FROM subjects") == [("r#main",)]
