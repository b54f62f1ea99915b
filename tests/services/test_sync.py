import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.conflicts import Conflict, ConflictKind, Resolution
from holdfast.domain.errors import (
    AlreadyResolved,
    ConflictNotFound,
    Forbidden,
    InvalidInput,
    RepositoryNotFound,
    VersionConflict,
)
from holdfast.domain.repositories import Branch, BranchInfo
from holdfast.domain.sync import ANALYSIS_TIMESTAMP_MISMATCH, COMMIT_SHA_MISMATCH, Outcome, Strategy
from holdfast.store.branches import KEPT_VERSIONS
from holdfast.store.syncing import Synced
from holdfast.testing import FakeClock
from tests.services.samples import opened
from tests.store.samples import START

ANN = Caller(name="ann", owner="ann")
BOB = Caller(name="bob", owner="bob")


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with opened(database) as hf:
        hf.repositories.store_repository("r")
        yield hf


def info(name: str = "main", sha: str = "c1", second: float = 0, **fields: Any) -> BranchInfo:
    return BranchInfo(name=name, commit_sha=sha, declared_at=START + timedelta(seconds=second), **fields)


def sync(hf: Holdfast, said: BranchInfo, strategy: Strategy | None = None, **more: Any) -> Synced:
    return hf.sync.sync_branch_metadata("r", said, strategy=strategy, **more)


def main(hf: Holdfast) -> Branch:
    return hf.repositories.get_branch("r", "main")


def events(hf: Holdfast) -> list[str]:
    return [entry.event.name for entry in reversed(hf.queries.audit())]


def test_new_branch_is_added(hf: Holdfast) -> None:
    done = sync(hf, info(is_default=True, metadata={"a": 1}))
    assert (done.outcome, done.is_new, done.branch) == (Outcome.APPLIED, True, main(hf))
    assert (main(hf).version, main(hf).commit_sha, main(hf).declared_by) == (1, "c1", "local")
    assert events(hf) == ["repository.added", "branch.added"]


def test_the_same_again_writes_nothing(hf: Holdfast) -> None:
    said = info(metadata={"a": 1})
    sync(hf, said)
    before, told = main(hf), events(hf)
    assert sync(hf, said).outcome is Outcome.UNCHANGED
    assert (main(hf), events(hf)) == (before, told)
    # That it was still so later is noted, and is no change.
    assert sync(hf, info(metadata={"a": 1}, second=5)).outcome is Outcome.UNCHANGED
    assert (main(hf).version, main(hf).declared_at, events(hf)) == (1, START + timedelta(seconds=5), told)


def test_the_latest_wins_in_whatever_order(database: str) -> None:
    said = [info(sha=f"c{number}", second=number // 2, metadata={"n": number}) for number in range(8)]
    ends = set()
    with opened(database) as hf:
        for turn in range(4):
            hf.repositories.store_repository(f"r{turn}")
            order = random.Random(turn).sample(said, len(said))
            for one in order:
                hf.sync.sync_branch_metadata(f"r{turn}", one)
            ends.add(hf.repositories.get_branch(f"r{turn}", "main").commit_sha)
    assert ends == {"c7"}


def test_older_version_changes_nothing(hf: Holdfast) -> None:
    sync(hf, info(sha="new", second=10))
    done = sync(hf, info(sha="old", second=5))
    assert (done.outcome, done.branch) == (Outcome.OUTDATED, main(hf))
    assert (main(hf).commit_sha, main(hf).version) == ("new", 1)


def test_what_is_not_said_stays(hf: Holdfast) -> None:
    sync(hf, info(is_default=True, metadata={"a": 1}))
    sync(hf, BranchInfo(name="main", commit_sha="c2"))
    kept = main(hf)
    assert (kept.commit_sha, kept.previous_commit_sha, kept.is_default, kept.metadata) == ("c2", "c1", True, {"a": 1})


def test_merge_keeps_what_both_changed(hf: Holdfast) -> None:
    sync(hf, info(metadata={"a": 1, "b": 1, "tags": ["x"]}))
    sync(hf, info(metadata={"a": 2, "b": 1, "tags": ["x", "y"]}, second=1, base_version=1), Strategy.MERGE)
    done = sync(
        hf, info(sha="c2", metadata={"a": 1, "b": 3, "tags": ["x", "z"]}, second=2, base_version=1), Strategy.MERGE
    )
    assert done.outcome is Outcome.APPLIED
    assert main(hf).metadata == {"a": 2, "b": 3, "tags": ["x", "y", "z"]}
    assert (main(hf).commit_sha, main(hf).version) == ("c2", 3)


def test_counters_add_up_when_merged(database: str) -> None:
    with opened(database, sync_counters="metadata.n", sync_strategy="merge") as hf:
        hf.repositories.store_repository("r")
        sync(hf, info(metadata={"n": 0}))
        for number in range(5):
            sync(hf, info(metadata={"n": 1}, second=number + 1, base_version=1))
        assert main(hf).metadata == {"n": 5}
        # The same write once more is the same write.
        assert sync(hf, info(metadata={"n": 6}, second=9, base_version=6)).outcome is Outcome.APPLIED
        assert sync(hf, info(metadata={"n": 6}, second=9, base_version=6)).outcome is Outcome.UNCHANGED
        assert main(hf).metadata == {"n": 6}


def test_unknown_base_is_refused_with_what_is_kept(hf: Holdfast) -> None:
    for number in range(KEPT_VERSIONS + 2):
        sync(hf, info(sha=f"c{number}", second=number))
    for base in (1, 2, 999):
        with pytest.raises(VersionConflict) as caught:
            sync(hf, info(sha="x", second=999, base_version=base), Strategy.MERGE)
        assert caught.value.details["current"]["commit_sha"] == f"c{KEPT_VERSIONS + 1}"
    assert sync(hf, info(sha="x", second=999, base_version=3), Strategy.MERGE).outcome is Outcome.APPLIED


def test_stale_write_is_told_both_versions(hf: Holdfast) -> None:
    sync(hf, info(), expected_version=0)
    sync(hf, info(sha="c2", second=1), expected_version=1)
    with pytest.raises(VersionConflict) as caught:
        sync(hf, info(sha="c3", second=2), expected_version=1)
    details = caught.value.details
    assert (details["version"], details["current"]["commit_sha"], details["base"]["commit_sha"]) == (2, "c2", "c1")
    with pytest.raises(VersionConflict):
        sync(hf, info("none"), expected_version=1)
    assert main(hf).commit_sha == "c2"


def conflict(hf: Holdfast) -> Conflict:
    sync(hf, info())
    sync(hf, info(sha="local", second=1, metadata={"l": 1}))
    done = sync(hf, info(sha="remote", second=2, metadata={"r": 1}, base_version=1), Strategy.MANUAL)
    assert done.outcome is Outcome.CONFLICT
    assert done.conflict is not None
    return done.conflict


def test_conflict_keeps_both_sides_and_the_base(database: str) -> None:
    with opened(database) as hf:
        hf.repositories.store_repository("r")
        made = conflict(hf)
        assert main(hf).commit_sha == "local"
    with opened(database) as hf:
        assert hf.sync.get_conflicts().items == [made]
        kept = hf.sync.get_conflict(made.conflict_id)
        assert (kept.kind, kept.reason) == (ConflictKind.BRANCH, COMMIT_SHA_MISMATCH)
        assert [side["commit_sha"] for side in (kept.base, kept.local, kept.remote)] == ["c1", "local", "remote"]
        assert (kept.local_version, kept.base_version) == (2, 1)


def test_the_same_conflict_is_kept_once(hf: Holdfast) -> None:
    made = conflict(hf)
    again = sync(hf, info(sha="remote", second=3, metadata={"r": 1}, base_version=1), Strategy.MANUAL)
    assert again.conflict is not None
    assert again.conflict.conflict_id == made.conflict_id
    assert hf.sync.count_conflicts() == 1
    assert events(hf).count("conflict.arose") == 1


@pytest.mark.parametrize(
    ("resolution", "merged", "sha"),
    [
        (Resolution.LOCAL, None, "local"),
        (Resolution.REMOTE, None, "remote"),
        (Resolution.MERGED, {"commit_sha": "both", "metadata": {"l": 1, "r": 1}}, "both"),
    ],
)
def test_resolved_as_chosen(hf: Holdfast, resolution: Resolution, merged: Any, sha: str) -> None:
    made = conflict(hf)
    resolved = hf.sync.resolve_conflict(made.conflict_id, resolution, merged=merged)
    assert (resolved.resolution, resolved.resolved_by, resolved.version) == (resolution, "local", 2)
    assert main(hf).commit_sha == sha
    assert hf.sync.get_conflicts().items == []
    assert events(hf)[-1] == "conflict.resolved"
    with pytest.raises(AlreadyResolved):
        hf.sync.resolve_conflict(made.conflict_id, Resolution.LOCAL)
    # What was rejected and comes again is no news once it is older than the choice.
    assert sync(hf, info(sha="other", second=-1)).outcome is Outcome.OUTDATED


def test_invalid_resolutions_are_refused(hf: Holdfast) -> None:
    made = conflict(hf)
    refused: list[tuple[Resolution, Any]] = [
        (Resolution.MERGED, None),
        (Resolution.LOCAL, {}),
        (Resolution.MERGED, {"stars": 1}),
        (Resolution.MERGED, {"is_default": 1}),
        (Resolution.MERGED, {"last_commit_date": "soon"}),
        (Resolution.MERGED, {"metadata": []}),
    ]
    for resolution, merged in refused:
        with pytest.raises(InvalidInput):
            hf.sync.resolve_conflict(made.conflict_id, resolution, merged=merged)
    with pytest.raises(ConflictNotFound):
        hf.sync.resolve_conflict("none", Resolution.LOCAL)
    assert hf.sync.count_conflicts() == 1
    assert main(hf).version == 2


def test_choice_made_on_an_older_branch_is_refused(hf: Holdfast) -> None:
    made = conflict(hf)
    sync(hf, info(sha="newer", second=9))
    seen = (made.version, made.branch_version)
    with pytest.raises(VersionConflict) as caught:
        hf.sync.resolve_conflict(made.conflict_id, Resolution.REMOTE, expected=seen)
    assert caught.value.details["current"]["commit_sha"] == "newer"
    now = hf.sync.get_conflict(made.conflict_id)
    hf.sync.resolve_conflict(made.conflict_id, Resolution.REMOTE, expected=(now.version, now.branch_version))
    assert main(hf).commit_sha == "remote"


def test_conflicts_by_place(hf: Holdfast) -> None:
    for name in ("a", "b", "c"):
        sync(hf, info(name))
        sync(hf, info(name, sha="x", second=1), Strategy.MANUAL)
    page = hf.sync.get_conflicts(limit=2)
    rest = hf.sync.get_conflicts(limit=2, after=page.next)
    assert [one.branch_name for one in [*page.items, *rest.items]] == ["a", "b", "c"]
    assert rest.next is None
    assert [hf.sync.conflict_at(place).branch_name for place in range(3)] == ["a", "b", "c"]
    hf.sync.resolve_conflict(page.items[1].conflict_id, Resolution.LOCAL)
    assert hf.sync.conflict_at(1).branch_name == "c"
    with pytest.raises(ConflictNotFound):
        hf.sync.conflict_at(2)


def test_batch_settles_each_branch(hf: Holdfast) -> None:
    hf.sync.sync_multiple_branches("r", [info("same"), info("older", second=9), info("torn")])
    batch = hf.sync.sync_multiple_branches(
        "r",
        [
            info("same"),
            info("older", sha="x"),
            info("torn", sha="y", second=1),
            info("new/one.two"),
            info("trimmed", base_version=7),
            {"name": "from fields", "commit_sha": "c1", "last_commit_date": "2030-01-01T00:00:00Z"},
            {"name": "", "commit_sha": "c1"},
            {"name": "wrong", "commit_sha": 7},
            info("new/one.two", sha="z"),
        ],
        strategy=Strategy.MANUAL,
    )
    assert [one["branch"] for one in batch.failed] == ["", "wrong", "new/one.two"]
    assert (batch.total, batch.synced, batch.conflicts) == (9, 4, 2)
    names = [one.name for one in hf.repositories.get_branches("r").items]
    assert names == ["from fields", "new/one.two", "older", "same", "torn", "trimmed"]


def test_batch_of_any_size_takes_the_same_statements(hf: Holdfast) -> None:
    counts = []
    for size in (5, 200):
        statements: list[str] = []

        def note(*args: Any, into: list[str] = statements) -> None:
            into.append(args[2])

        engines = {hf.engine._writers, hf.engine._readers} if hasattr(hf.engine, "_writers") else {hf.engine._readers}
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", note)
        for turn in range(3):
            said = [info(f"b{number}", sha=f"c{turn}", second=turn) for number in range(size)]
            hf.sync.sync_multiple_branches("r", said, strategy=Strategy.MERGE)
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts[1] <= counts[0]


def test_owners_know_nothing_of_each_other(hf: Holdfast) -> None:
    for caller in (ANN, BOB):
        hf.repositories.store_repository("same", caller=caller)
        hf.sync.sync_branch_metadata("same", info(sha=caller.name), caller=caller)
    assert hf.repositories.get_branch("same", "main", caller=ANN).commit_sha == "ann"
    done = hf.sync.sync_branch_metadata("same", info(sha="x", second=1), strategy=Strategy.MANUAL, caller=ANN)
    assert done.conflict is not None
    assert hf.sync.get_conflicts(caller=BOB).items == []
    assert hf.sync.count_conflicts(caller=BOB) == 0
    theirs = done.conflict.conflict_id
    with pytest.raises(ConflictNotFound):
        hf.sync.get_conflict(theirs, caller=BOB)
    with pytest.raises(ConflictNotFound):
        hf.sync.resolve_conflict(theirs, Resolution.LOCAL, caller=BOB)
    with pytest.raises(ConflictNotFound):
        hf.sync.conflict_at(0, caller=BOB)
    with pytest.raises(RepositoryNotFound):
        hf.sync.sync_multiple_branches("r", [info()], caller=BOB)
    nobody = Caller(name="x", owner="x", role=Role.WRITER, is_anonymous=True)
    with pytest.raises(Forbidden):
        hf.sync.sync_multiple_branches("r", [info()], caller=nobody)


def result(second: float = 0, **fields: Any) -> BranchAnalysisResult:
    values: dict[str, Any] = {"technologies": ["Python"], "metrics": {"overall_score": 80}} | fields
    return BranchAnalysisResult(
        branch_name="main", commit_sha="c1", analysis_timestamp=START + timedelta(seconds=second), **values
    )


def test_latest_analysis_is_the_one_of_the_latest_timestamp(hf: Holdfast) -> None:
    newer, older = result(10, ai_summary="newer"), result(5, ai_summary="older")
    assert hf.sync.sync_analysis_result("r", newer).outcome is Outcome.APPLIED
    done = hf.sync.sync_analysis_result("r", older)
    assert (done.outcome, done.analysis.summary) == (Outcome.OUTDATED, "newer")
    assert hf.sync.sync_analysis_result("r", newer).outcome is Outcome.UNCHANGED
    assert hf.history.get_latest_analysis("r", "main")[0].summary == "newer"
    assert [one.analysis.summary for one in hf.history.get_analysis_history("r", "main").items] == ["newer", "older"]


def test_analyses_are_merged(hf: Holdfast) -> None:
    hf.sync.sync_analysis_result("r", result(technologies=["Python", "Rust"], issues=["a"]))
    done = hf.sync.sync_analysis_result(
        "r", result(5, technologies=["Go", "Python"], issues=["b"], metrics={"files": 3}), strategy=Strategy.MERGE
    )
    assert done.outcome is Outcome.APPLIED
    kept = hf.get_result(done.analysis.analysis_id)
    assert (kept["technologies"], kept["issues"]) == (["Go", "Python", "Rust"], ["a", "b"])
    assert kept["metrics"] == {"overall_score": 80, "files": 3}


@pytest.mark.parametrize("resolution", Resolution)
def test_analyses_are_chosen_by_hand(hf: Holdfast, resolution: Resolution) -> None:
    hf.sync.sync_analysis_result("r", result(ai_summary="local"))
    done = hf.sync.sync_analysis_result("r", result(5, ai_summary="remote"), strategy=Strategy.MANUAL)
    assert (done.outcome, done.analysis.summary) == (Outcome.CONFLICT, "local")
    assert done.conflict is not None
    assert (done.conflict.kind, done.conflict.reason) == (ConflictKind.ANALYSIS, ANALYSIS_TIMESTAMP_MISMATCH)
    merged = {"ai_summary": "merged"} if resolution is Resolution.MERGED else None
    hf.sync.resolve_conflict(done.conflict.conflict_id, resolution, merged=merged)
    latest = hf.history.get_latest_analysis("r", "main")[0]
    assert latest.summary == resolution.value


def test_time_of_the_call_counts_where_none_is_given(database: str) -> None:
    clock = FakeClock()
    with opened(database, clock) as hf:
        hf.repositories.store_repository("r")
        sync(hf, BranchInfo(name="main", commit_sha="c1"))
        clock.advance(1)
        sync(hf, BranchInfo(name="main", commit_sha="c2"))
        assert main(hf).commit_sha == "c2"
