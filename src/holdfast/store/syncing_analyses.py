"""Analyses of branches as their writers say they are: settled, and kept as such or as conflicts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast.domain.analysis import Analysis
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.conflicts import Conflict, ConflictKind
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import ANALYSIS_TIMESTAMP_MISMATCH, Outcome, Strategy, Version, merge
from holdfast.store import branch_analyses
from holdfast.store.branch_analyses import Prepared
from holdfast.store.branches import StoredBranch
from holdfast.store.payloads import unpack
from holdfast.store.repositories import StoredRepository
from holdfast.store.syncing import How, conflict_event, sync_branches
from holdfast.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSynced:
    """What became of an analysis.

    Attributes:
        outcome: what became of it.
        analysis: the analysis that is kept of that commit; the newest one.
        conflict: the conflict that waits now.
    """

    outcome: Outcome
    analysis: Analysis
    conflict: Conflict | None = None


def sync_analysis(
    uow: UnitOfWork,
    repository: StoredRepository,
    result: BranchAnalysisResult,
    prepared: Prepared,
    how: How,
    prepare: Callable[[BranchAnalysisResult], Prepared],
) -> AnalysisSynced:
    """Keep what was found of a branch at a commit, settled with what is kept of that commit.

    Args:
        uow: the transaction.
        repository: the branch's repository.
        result: what was found.
        prepared: the same, ready to be kept.
        how: how concurrent results are settled.
        prepare: makes a union of two results ready.
    """
    branch = _held_branch(uow, repository, result, how)
    place = (repository.value, result.branch_name, result.commit_sha)
    latest = branch_analyses.latest(uow, *place)
    same = latest is not None and latest.value.analysis_id == prepared.analysis.analysis_id
    if latest is None or same or how.strategy is Strategy.LATEST_WINS:
        kept, is_new = branch_analyses.keep(uow, prepared, how.by)
        newest = branch_analyses.latest(uow, *place)
        is_newest = newest is None or newest.value.analysis_id == kept.analysis_id
        outcome = Outcome.APPLIED if is_newest else Outcome.OUTDATED
        return AnalysisSynced(
            outcome=outcome if is_new else Outcome.UNCHANGED, analysis=kept if newest is None else newest.value
        )
    remote = result.said(uow.now, how.by)
    local = Version(
        content=_content_of(uow, latest.value),
        declared_at=latest.value.completed_at or latest.value.created_at,
        declared_by=latest.value.context.client_session_id,
    )
    if local.says_the_same(remote):
        return AnalysisSynced(outcome=Outcome.UNCHANGED, analysis=latest.value)
    if how.strategy is Strategy.MERGE:
        union = BranchAnalysisResult.of(result.branch_name, result.commit_sha, merge(None, local, remote))
        kept, is_new = branch_analyses.keep(uow, prepare(union), how.by)
        return AnalysisSynced(outcome=Outcome.APPLIED if is_new else Outcome.UNCHANGED, analysis=kept)
    conflict = _conflict_of(branch, result, local, remote, latest.value, how, uow)
    ((kept_conflict, is_new),) = uow.conflicts.keep([(branch.key, conflict)])
    if is_new:
        uow.ledger.append([conflict_event("conflict.arose", kept_conflict, how.by, uow)])
    return AnalysisSynced(outcome=Outcome.CONFLICT, analysis=latest.value, conflict=kept_conflict)


def _held_branch(uow: UnitOfWork, repository: StoredRepository, result: BranchAnalysisResult, how: How) -> StoredBranch:
    """The analysed branch, known from now on, and nobody else's until the transaction ends."""
    found = uow.branches.find(repository, result.branch_name, lock=True)
    if found is None:
        info = BranchInfo(name=result.branch_name, commit_sha=result.commit_sha, declared_at=result.analysis_timestamp)
        latest = How(strategy=Strategy.LATEST_WINS, by=how.by, new_id=how.new_id)
        sync_branches(uow, repository, [info], latest)
        found = uow.find_branch(repository, result.branch_name, lock=True)
    return found


def _content_of(uow: UnitOfWork, value: Analysis) -> Any:
    """What an analysis says, as fields."""
    if value.result is None:
        return {}
    content = json.loads(unpack(value.result.hash, uow.payloads.read(value.result.hash)))
    return content if isinstance(content, dict) else {"result": content}


def _conflict_of(
    branch: StoredBranch,
    result: BranchAnalysisResult,
    local: Version,
    remote: Version,
    latest: Analysis,
    how: How,
    uow: UnitOfWork,
) -> Conflict:
    """What somebody has to choose between: the analysis that is kept, and the one that came in.

    Args:
        branch: what both are of.
        result: what came in.
        local: what is kept says.
        remote: what came in says.
        latest: what is kept.
        how: by whom.
        uow: the transaction.
    """

    def shown(version: Version, **more: Any) -> dict[str, Any]:
        when = version.declared_at.isoformat()
        return {"commit_sha": result.commit_sha, "analysis_timestamp": when, **version.content, **more}

    return Conflict(
        conflict_id=how.new_id(),
        client_session_id=branch.value.client_session_id,
        repo_id=branch.value.repo_id,
        branch_name=branch.value.name,
        kind=ConflictKind.ANALYSIS,
        reason=ANALYSIS_TIMESTAMP_MISMATCH,
        # What is kept is named: nobody needs it twice.
        local={
            "analysis_id": latest.analysis_id,
            "commit_sha": result.commit_sha,
            "analysis_timestamp": local.declared_at.isoformat(),
        },
        remote=shown(remote),
        branch_version=branch.value.version,
        created_at=uow.now,
        created_by=how.by,
    )
