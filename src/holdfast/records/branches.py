"""Repositories, branches, their conflicts, and how fresh they are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from holdfast.domain.conflicts import Conflict
from holdfast.domain.freshness import Changes
from holdfast.domain.refresh import AutoRefresh, RefreshTask
from holdfast.domain.repositories import Branch, Repository
from holdfast.records.common import Record, error_info, time

if TYPE_CHECKING:
    from holdfast.services.branch_history import HistoryItem
    from holdfast.services.freshness import Staleness
    from holdfast.store.refs import ReadBack


def repository(value: Repository) -> Record:
    """A repository."""
    return {
        "repo_id": value.repo_id,
        "client_session_id": value.client_session_id,
        "owner": value.owner,
        "name": value.name,
        "location": value.location,
        "default_branch": value.default_branch,
        "metadata": value.metadata,
        "version": value.version,
        "stale_after_seconds": value.stale_after_seconds,
        "synced_at": time(value.synced_at),
        "created_at": time(value.created_at),
        "updated_at": time(value.updated_at),
        "deleted_at": time(value.deleted_at),
    }


def branch(value: Branch) -> Record:
    """A branch."""
    return {
        "repo_id": value.repo_id,
        "name": value.name,
        "commit_sha": value.commit_sha,
        "previous_commit_sha": value.previous_commit_sha,
        "is_default": value.is_default,
        "last_commit_date": time(value.last_commit_date),
        "last_analyzed": time(value.last_analyzed),
        "analyzed_commit_sha": value.analyzed_commit_sha,
        "marked_at": time(value.marked_at),
        "marked_by": value.marked_by,
        "stale_after_seconds": value.stale_after_seconds,
        "metadata": value.metadata,
        "version": value.version,
        "declared_at": time(value.declared_at),
        "declared_by": value.declared_by,
        "gone_at": time(value.gone_at),
        "created_at": time(value.created_at),
        "updated_at": time(value.updated_at),
    }


def conflict(value: Conflict) -> Record:
    """A conflict, with all three versions."""
    return {
        "conflict_id": value.conflict_id,
        "repo_id": value.repo_id,
        "branch_name": value.branch_name,
        "kind": value.kind.value,
        "reason": value.reason,
        "base": value.base,
        "local": value.local,
        "remote": value.remote,
        "local_version": value.local_version,
        "base_version": value.base_version,
        "branch_version": value.branch_version,
        "version": value.version,
        "created_at": time(value.created_at),
        "created_by": value.created_by,
        "resolved_at": time(value.resolved_at),
        "resolved_by": value.resolved_by,
        "resolution": None if value.resolution is None else value.resolution.value,
    }


def read_back(value: "ReadBack") -> Record:
    """What reading a repository's branches led to."""
    counts = {name: getattr(value, name) for name in ("total", "added", "changed", "gone")}
    return {"repository": repository(value.repository), **counts, "failed": _failed(value.failed)}


def _failed(failed: Mapping[str, str]) -> list[Record]:
    return [{"branch": name, "error": error} for name, error in sorted(failed.items())]


def history_item(value: "HistoryItem") -> Record:
    """An analysis in the history of its branch."""
    about = value.analysis.subject
    return {
        "analysis_id": value.analysis.analysis_id,
        "kind": value.analysis.kind,
        "commit_sha": "" if about is None else about.revision,
        "analysis_timestamp": time(value.analysis.completed_at or value.analysis.created_at),
        "overall_score": value.overall_score,
        "technologies": list(value.technologies),
        "issue_count": value.issue_count,
    }


def changes(value: Changes) -> Record:
    """What has changed since an analysis."""
    return {
        "added": value.added,
        "modified": value.modified,
        "deleted": value.deleted,
        "total": value.total,
        "added_names": list(value.added_names),
        "modified_names": list(value.modified_names),
        "deleted_names": list(value.deleted_names),
        "is_partial": value.is_partial,
    }


def staleness(value: "Staleness") -> Record:
    """How a branch stands."""
    found, advice = value.freshness, value.freshness.recommendation
    age = found.age_seconds
    return {
        "repo_id": value.repo_id,
        "branch_name": value.branch_name,
        "exists": value.exists,
        "is_stale": found.is_stale,
        "last_analyzed": time(value.last_analyzed),
        "age_hours": None if age is None else round(age / 3600, 4),
        "threshold_hours": round(found.threshold_seconds / 3600, 4),
        "level": None if found.level is None else found.level.value,
        "stale_at": time(found.stale_at),
        "reason": found.reasons[0].value if found.reasons else None,
        "reasons": [reason.value for reason in found.reasons],
        "changes": None if found.changes is None else changes(found.changes),
        "recommendation": {
            "should_refresh": advice.should_refresh,
            "urgency": advice.urgency.value,
            "message": advice.message,
            "suggestion": advice.suggestion,
        },
        "estimated_seconds": value.estimate.seconds,
        "estimate_basis": value.estimate.basis,
        "estimate_runs": value.estimate.runs,
        "analysis_id": value.analysis_id,
        "commit_sha": value.commit_sha,
        "analyzed_commit_sha": value.analyzed_commit_sha,
        "marked_at": time(value.marked_at),
        "marked_by": value.marked_by,
        "refresh": None if value.refresh is None else refresh_task(value.refresh),
        "checked_at": time(value.checked_at),
    }


def refresh_task(value: RefreshTask) -> Record:
    """A refresh of a branch."""
    known = {name: getattr(value, name) for name in RefreshTask.__slots__}
    moments = ("run_at", "created_at", "started_at", "finished_at", "retry_at")
    return {
        **known,
        **{name: time(known[name]) for name in moments},
        "status": value.status.value,
        "error": None if value.error is None else error_info(value.error),
    }


def auto_refresh(value: AutoRefresh) -> Record:
    """How refreshing by itself stands."""
    return {
        "running": value.running,
        "auto_refresh_enabled": value.auto_refresh_enabled,
        "check_interval_minutes": value.check_interval_minutes,
        "currently_refreshing": value.currently_refreshing,
        "refreshing_branches": [
            {"repo_id": repo_id, "branch_name": name} for repo_id, name in value.refreshing_branches
        ],
        "next_check_at": time(value.next_check_at),
    }
