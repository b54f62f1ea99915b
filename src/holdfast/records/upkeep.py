"""What a store holds, who may use it, what there is to do, and what goes."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from holdfast.domain.jobs import Job, Schedule
from holdfast.domain.tokens import Token
from holdfast.records.common import Record, time

if TYPE_CHECKING:
    from holdfast.analyzers.registry import KindRow
    from holdfast.services.queries import Stats
    from holdfast.services.retention import Plan, Sweep


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
