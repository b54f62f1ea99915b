"""Analyses of branches as their writers say they are: held with their branch, and kept as conflicts."""

import json
from typing import Any

from holdfast.domain.analysis import Analysis
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.conflicts import Conflict, ConflictKind
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.sync import ANALYSIS_TIMESTAMP_MISMATCH, Strategy, Version
from holdfast.store.branches import StoredBranch
from holdfast.store.payloads import unpack
from holdfast.store.repositories import StoredRepository
from holdfast.store.syncing import How, sync_branches
from holdfast.store.unit_of_work import UnitOfWork


def held_branch(uow: UnitOfWork, repository: StoredRepository, result: BranchAnalysisResult, how: How) -> StoredBranch:
    """The analysed branch, known from now on, and nobody else's until the transaction ends."""
    found = uow.branches.find(repository, result.branch_name, lock=True)
    if found is None:
        info = BranchInfo(name=result.branch_name, commit_sha=result.commit_sha, declared_at=result.analysis_timestamp)
        latest = How(strategy=Strategy.LATEST_WINS, by=how.by, new_id=how.new_id)
        sync_branches(uow, repository, [info], latest)
        found = uow.find_branch(repository, result.branch_name, lock=True)
    return found


def content_of(uow: UnitOfWork, value: Analysis) -> Any:
    """What an analysis says, as fields."""
    if value.result is None:
        return {}
    content = json.loads(unpack(value.result.hash, uow.payloads.read(value.result.hash)))
    return content if isinstance(content, dict) else {"result": content}


def conflict_of(
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
