"""The one form in which things leave as JSON, by HTTP and from the command line; field names are stable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from holdfast.domain.analysis import Analysis, ErrorInfo
from holdfast.domain.comparison import Change, Comparison, FindingChange
from holdfast.domain.conflicts import Conflict
from holdfast.domain.errors import HoldfastError
from holdfast.domain.events import LedgerEntry
from holdfast.domain.findings import Finding, FindingItem, Metric
from holdfast.domain.freshness import Age, Changes
from holdfast.domain.jobs import Job, Schedule
from holdfast.domain.processing import Processing
from holdfast.domain.progress import Progress
from holdfast.domain.refresh import AutoRefresh, RefreshTask
from holdfast.domain.repositories import Branch, Repository
from holdfast.domain.subjects import Subject
from holdfast.domain.tokens import Token

if TYPE_CHECKING:
    from holdfast.analyzers.registry import KindRow
    from holdfast.domain.snippets import Snippet
    from holdfast.processors.graph.index import Node
    from holdfast.processors.graph.walks import Link, Neighbourhood, Path
    from holdfast.services.branch_history import HistoryItem
    from holdfast.services.freshness import Staleness
    from holdfast.services.processing import ProcessorStatus
    from holdfast.services.queries import Stats, Total
    from holdfast.services.relations import Similar
    from holdfast.services.retention import Plan, Sweep
    from holdfast.services.search import Group, Hit
    from holdfast.store.refs import ReadBack
    from holdfast.store.runs import Attempt

Record = dict[str, Any]

_NO_AGE = Age()


def time(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def analysis(value: Analysis, age: Age | None = None) -> Record:
    """An analysis, and how old it is as ``FreshnessService.age`` says."""
    age = age or _NO_AGE
    context = value.context
    result = value.result
    return {
        "analysis_id": value.analysis_id,
        "kind": value.kind,
        "status": value.status.value,
        "client_session_id": context.client_session_id,
        "client_ip": context.client_ip,
        "thread_id": context.thread_id,
        "session_id": context.session_id,
        "process_instance_id": context.process_instance_id,
        "subject": None if value.subject is None else subject(value.subject),
        "location": value.location,
        "params": value.params,
        "tags": list(value.tags),
        "summary": value.summary,
        "code_hash": value.code_hash,
        "fingerprint": value.fingerprint,
        "analyzer_version": value.analyzer_version,
        "has_result": result is not None,
        "result_is_partial": value.result_is_partial,
        "result_hash": None if result is None else result.hash,
        "result_size_bytes": None if result is None else result.size,
        "error": None if value.error is None else error_info(value.error),
        "finding_count": value.finding_count,
        "priority": value.priority,
        "timeout_seconds": value.timeout_seconds,
        "attempt": value.attempt,
        "cancel_requested": value.cancel_requested,
        "version": value.version,
        "refreshed_from": value.refreshed_from,
        "created_at": time(value.created_at),
        "started_at": time(value.started_at),
        "completed_at": time(value.completed_at),
        "updated_at": time(value.updated_at),
        "freshness_level": None if age.level is None else age.level.value,
        "stale_at": time(age.stale_at),
        "ttl_seconds": value.ttl_seconds,
        "expires_at": time(value.expires_at),
        "retrieval_count": value.retrieval_count,
        "max_retrievals": value.max_retrievals,
        "is_anonymous": value.is_anonymous,
        "is_pinned": value.is_pinned,
        "deleted_at": time(value.deleted_at),
    }


def subject(value: Subject) -> Record:
    """What an analysis is about."""
    return {
        "kind": value.kind,
        "key": value.key,
        "revision": value.revision,
        "title": value.title,
        "attributes": value.attributes,
    }


def error_info(value: ErrorInfo) -> Record:
    """Why an analysis ended without a complete result."""
    return {
        "code": value.code,
        "message": value.message,
        "suggestions": list(value.suggestions),
        "details": value.details,
    }


def error(value: HoldfastError) -> Record:
    """An error that ended a command."""
    return {"success": False, "error": error_body(value)}


def error_body(value: HoldfastError) -> Record:
    """An error."""
    return {
        "code": value.code,
        "message": value.message,
        "suggestions": list(value.suggestions),
        "details": value.details,
        "analysis_id": value.analysis_id,
        "retry_suggested": value.retry_suggested,
    }


def progressed(value: Progress | None) -> Record:
    """How far an analysis's run has come, to be added to the analysis."""
    return {"progress": None if value is None else progress_of(value)}


def progress_of(value: Progress) -> Record:
    """How far a run has come."""
    return {
        "phase": value.phase,
        "current_step": value.current_step,
        "total_steps": value.total_steps,
        "percentage": round(value.percentage, 2),
        "estimated_remaining_seconds": value.estimated_remaining_seconds,
        "current_message": value.current_message,
        "items_processed": value.items_processed,
        "total_items": value.total_items,
        "groups_found": value.groups_found,
        "started_at": time(value.started_at),
        "updated_at": time(value.updated_at),
    }


def comparison(value: Comparison) -> Record:
    """Two analyses side by side, without their findings."""
    before, after = value.sizes
    return {
        "analysis_id": value.after.analysis_id,
        "against": value.before.analysis_id,
        "findings": {change.value: value.findings[change] for change in Change},
        "metrics": [
            {"name": metric.name, "before": metric.before, "after": metric.after, "difference": metric.difference}
            for metric in value.metrics
        ],
        "size_bytes": {"before": before, "after": after},
    }


def finding_change(value: FindingChange) -> Record:
    """A finding and what became of it."""
    return {"change": value.change.value, "finding": finding(value.ordinal, value.finding)}


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


def finding(ordinal: int, value: Finding) -> Record:
    """A finding with its place in the order."""
    known = {name: getattr(value, name) for name in Finding.__slots__}
    items = [{name: getattr(item, name) for name in FindingItem.__slots__} for item in value.items]
    return {"ordinal": ordinal, **known, "severity": value.severity.value, "items": items}


def metric(value: Metric) -> Record:
    """A metric."""
    return {"name": value.name, "value": value.value}


def event(entry: LedgerEntry) -> Record:
    """An event with its place in the ledger."""
    happened = entry.event
    return {
        "sequence": entry.sequence,
        "name": happened.name,
        "at": time(happened.at),
        "analysis_id": happened.analysis_id,
        "client_session_id": happened.client_session_id,
        "actor": happened.actor,
        "data": happened.data,
    }


def attempt(value: "Attempt") -> Record:
    """One run of an analysis."""
    return {
        "number": value.number,
        "worker": value.worker,
        "status": value.status.value,
        "started_at": time(value.started_at),
        "ended_at": time(value.ended_at),
        "error": None if value.error is None else error_info(value.error),
    }


def job(value: Job) -> Record:
    """A job."""
    known = {name: getattr(value, name) for name in Job.__slots__}
    moments = {name: time(known[name]) for name in ("run_at", "lease_until", "created_at")}
    return {**known, **moments, "status": value.status.value}


def schedule(value: Schedule) -> Record:
    """A job that comes again and again."""
    return {name: getattr(value, name) for name in Schedule.__slots__} | {"next_at": time(value.next_at)}


def token(value: Token) -> Record:
    """A token, without its secret."""
    known = {name: getattr(value, name) for name in Token.__slots__}
    moments = {name: time(known[name]) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")}
    return {**known, **moments, "role": value.role.value}


def kind(row: "KindRow") -> Record:
    """A kind of analysis; without a version it cannot be loaded, and ``where`` says why."""
    return {"kind": row.kind, "version": row.version, "where": row.where}


def stats(value: "Stats", jobs: Mapping[tuple[str, str], int]) -> Record:
    """What the store holds."""
    waiting = [
        {"kind": kind_name, "status": status, "count": number} for (kind_name, status), number in sorted(jobs.items())
    ]
    return {**asdict(value), "last_cleanup": time(value.last_cleanup), "jobs": waiting}


def plan(value: "Plan") -> Record:
    """What a sweep would remove."""
    items = [
        {
            "analysis_id": going.candidate.analysis_id,
            "kind": going.candidate.kind,
            "client_session_id": going.candidate.owner,
            "status": going.candidate.status.value,
            "created_at": time(going.candidate.created_at),
            "size_bytes": going.candidate.stored_size,
            "reason": going.reason.value,
        }
        for going in value.items
    ]
    return {"items": items, "counts": value.counts, "total": value.total, "size_bytes": value.bytes}


def sweep(value: "Sweep") -> Record:
    """What a sweep has removed."""
    return {
        "counts": value.counts,
        "total": value.total,
        "size_bytes": value.bytes,
        "forgotten": value.forgotten,
        "seconds": round(value.seconds, 3),
        "is_complete": value.is_complete,
    }


def snippet(value: "Snippet | None") -> Record | None:
    """A stretch of a text with what was found in it."""
    return None if value is None else {"text": value.text, "highlights": [list(one) for one in value.highlights]}


def hit(value: "Hit", age: Age) -> Record:
    """One analysis that was found, and how old it is."""
    return {
        "analysis": analysis(value.analysis, age),
        "score": value.score,
        "title": snippet(value.title),
        "text": snippet(value.text),
    }


def group(value: "Group") -> Record:
    """A thread, a session or a process in figures."""
    return {**asdict(value), "first_at": time(value.first_at), "last_at": time(value.last_at)}


def processing(value: Processing) -> Record:
    """How far one processor has come with one analysis."""
    return {**asdict(value), "status": value.status.value, "updated_at": time(value.updated_at)}


def processor(value: "ProcessorStatus") -> Record:
    """How a processor does."""
    return {**asdict(value), "lag_seconds": round(value.lag_seconds, 3)}


def page(items: Sequence[Record], next_cursor: str | None = None, total: "Total | None" = None) -> Record:
    """A page of a list; with how much the whole list holds, if that was asked for."""
    found = {"items": list(items), "next_cursor": next_cursor}
    return found if total is None else found | {"total": {"value": total.value, "relation": total.relation.value}}


def outcomes(items: Sequence[Record], errors: Sequence[Record]) -> Record:
    """What became of several things that were to be changed one by one."""
    return {"success": not errors, "items": list(items), "errors": list(errors)}


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


def similar(hits: "Sequence[Similar]", age_of: Callable[[Analysis], Age]) -> Record:
    """Analyses that are like another one, and how old they are."""
    found = [{"score": round(one.score, 6), "analysis": analysis(one.analysis, age_of(one.analysis))} for one in hits]
    return {"items": found}


def neighbourhood(found: "Neighbourhood") -> Record:
    """What is near an entity."""
    entities = [{**node(neighbour.node), "hops": neighbour.hops} for neighbour in found.entities]
    return {"entities": entities, "relations": [link(one) for one in found.relations], "is_whole": found.is_whole}


def path(found: "Path") -> Record:
    """A way from one entity to another."""
    return {
        "found": bool(found.nodes),
        "entities": [node(one) for one in found.nodes],
        "relations": [link(one) for one in found.relations],
        "is_certain": found.is_certain,
    }


def node(one: "Node") -> Record:
    """An entity."""
    place = one.place
    return {"kind": place.kind, "key": place.key, "label": one.label, "client_session_id": one.owner}


def link(one: "Link") -> Record:
    """A relation, by the kinds and keys of its ends."""
    return {
        "source": {"kind": one.source.place.kind, "key": one.source.place.key},
        "kind": one.kind,
        "target": {"kind": one.target.place.kind, "key": one.target.place.key},
    }
