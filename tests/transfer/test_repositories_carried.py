"""Repositories go along too, with branches, versions, conflicts, figures, what was seen, and refreshes that wait."""

import io
from dataclasses import replace

import sqlalchemy as sa

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import Strategy
from holdfast.store import tables
from tests.transfer.stores import exported, fill, open_store, without_header

CARRIED = ("repositories", "branches", "branch_versions", "conflicts", "metric_points", "refreshes")


def fill_repositories(hf: Holdfast) -> None:
    for owner in ("ann", "bob"):
        caller = Caller(name=owner, owner=owner)
        # The same names of two owners, and of two repositories.
        for repo_id in ("app", "lib"):
            hf.repositories.store_repository(
                repo_id, name=f"Ä {repo_id}", owner=owner, metadata={"a": 1}, caller=caller
            )
            for name in ("main", "feature/ä"):
                said = BranchInfo(name=name, commit_sha="c1", metadata={"of": owner})
                hf.sync.sync_branch_metadata(repo_id, said, caller=caller)
                hf.sync.sync_branch_metadata(repo_id, replace(said, commit_sha="c2"), caller=caller)
                hf.sync.sync_branch_metadata(
                    repo_id, replace(said, commit_sha="c3"), strategy=Strategy.MANUAL, caller=caller
                )
                found = BranchAnalysisResult(branch_name=name, commit_sha="c1", ai_summary=f"{owner} {repo_id}")
                hf.history.store_analysis(repo_id, found, caller=caller)
            hf.refresh.schedule_refresh(repo_id, "main", caller=caller)


def counts(hf: Holdfast) -> dict[str, int]:
    with hf.engine.read() as connection:
        select = {name: sa.select(sa.func.count()).select_from(tables.metadata.tables[name]) for name in CARRIED}
        return {name: connection.execute(one).scalar_one() for name, one in select.items()}


def test_there_and_back(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill(here)
        fill_repositories(here)
        assert counts(here)["branches"] == 8
        assert counts(here)["refreshes"] == 4
        out = exported(here, secrets=True)
        there.transfer.import_bundle(io.BytesIO(out))
        assert counts(there) == counts(here)
        assert without_header(exported(there, secrets=True)) == without_header(out)
        again = there.transfer.import_bundle(io.BytesIO(out))
        assert (sum(again.added.values()), dict(again.differing)) == (0, {})
        assert there.integrity.check().found == ()
        ann = Caller(name="ann", owner="ann")
        for name in ("main", "feature/ä"):
            assert there.repositories.get_branch("app", name, caller=ann) == here.repositories.get_branch(
                "app", name, caller=ann
            )


def test_moved(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        fill_repositories(here)
        here.transfer.move_to(there.store)
        assert without_header(exported(there, secrets=True)) == without_header(exported(here, secrets=True))


def test_beside_what_is_kept(database: str, other_database: str) -> None:
    with open_store(database) as here, open_store(other_database) as there:
        # Numbers there are others.
        caller = Caller(name="eve", owner="eve")
        for number in range(5):
            there.repositories.store_repository(f"r{number}", name="R", owner="eve", caller=caller)
            there.sync.sync_branch_metadata(f"r{number}", BranchInfo(name="main", commit_sha="c"), caller=caller)
        fill_repositories(here)
        there.transfer.import_bundle(io.BytesIO(exported(here)))
        assert counts(there)["branches"] == counts(here)["branches"] + 5
        assert there.integrity.check().found == ()
        own = there.repositories.get_branch("r3", "main", caller=caller)
        assert own.commit_sha == "c"
