"""Analyses, and all that is kept with them."""

from typing import TYPE_CHECKING

from holdfast.domain.analysis import Analysis
from holdfast.domain.comparison import Change, Comparison, FindingChange
from holdfast.domain.events import LedgerEntry
from holdfast.domain.findings import Finding, FindingItem, Metric
from holdfast.domain.freshness import Age
from holdfast.domain.progress import Progress
from holdfast.domain.subjects import Subject
from holdfast.records.common import Record, error_info, time

if TYPE_CHECKING:
    from holdfast.store.runs import Attempt

_NO_AGE = Age()


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
