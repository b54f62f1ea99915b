"""Values as they leave by HTTP, and the ways of answering; encoded once, by msgspec."""

import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.domain.analysis import Analysis, ErrorInfo
from holdfast.domain.findings import Finding, Metric
from holdfast.domain.jobs import Job
from holdfast.store.payloads import unpack
from holdfast.store.runs import Attempt

Record = dict[str, Any]
_encoder = msgspec.json.Encoder()


def json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(_encoder.encode(body), status, headers, "application/json")


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def epoch(at: datetime | None) -> float | None:
    """Seconds since 1970, as the documents show times."""
    return None if at is None else at.timestamp()


def analysis(value: Analysis) -> Record:
    """An analysis."""
    context, result, subject = value.context, value.result, value.subject
    return {
        "analysis_id": value.analysis_id,
        "kind": value.kind,
        "status": value.status.value,
        "client_session_id": context.client_session_id,
        "client_ip": context.client_ip,
        "thread_id": context.thread_id,
        "session_id": context.session_id,
        "process_instance_id": context.process_instance_id,
        "subject": None if subject is None else {name: getattr(subject, name) for name in subject.__slots__},
        "location": value.location,
        "params": value.params,
        "tags": value.tags,
        "summary": value.summary,
        "code_hash": value.code_hash,
        "fingerprint": value.fingerprint,
        "analyzer_version": value.analyzer_version,
        "has_result": result is not None,
        "result_is_partial": value.result_is_partial,
        "result_hash": None if result is None else result.hash,
        "result_size_bytes": None if result is None else result.size,
        "error": error(value.error),
        "finding_count": value.finding_count,
        "priority": value.priority,
        "timeout_seconds": value.timeout_seconds,
        "attempt": value.attempt,
        "cancel_requested": value.cancel_requested,
        "version": value.version,
        "refreshed_from": value.refreshed_from,
        "created_at": moment(value.created_at),
        "started_at": moment(value.started_at),
        "completed_at": moment(value.completed_at),
        "updated_at": moment(value.updated_at),
        "ttl_seconds": value.ttl_seconds,
        "expires_at": moment(value.expires_at),
        "retrieval_count": value.retrieval_count,
        "max_retrievals": value.max_retrievals,
        "is_pinned": value.is_pinned,
        "deleted_at": moment(value.deleted_at),
    }


def error(value: ErrorInfo | None) -> Record | None:
    """Why an analysis ended without a complete result."""
    if value is None:
        return None
    return {
        "code": value.code,
        "message": value.message,
        "suggestions": value.suggestions,
        "details": value.details,
    }


def finding(ordinal: int, value: Finding) -> Record:
    """A finding with its place in the order."""
    known = {name: getattr(value, name) for name in Finding.__slots__}
    return {"ordinal": ordinal, **known, "severity": value.severity.value}


def metric(value: Metric) -> Record:
    """A metric."""
    return {"name": value.name, "value": value.value}


def attempt(value: Attempt) -> Record:
    """One run of an analysis."""
    return {
        "number": value.number,
        "worker": value.worker,
        "status": value.status.value,
        "started_at": moment(value.started_at),
        "ended_at": moment(value.ended_at),
        "error": error(value.error),
    }


def job(value: Job) -> Record:
    """A job."""
    return plain(value)


def plain(value: Any) -> Record:
    """Any other value of the services: its fields, with times as everywhere."""
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return {name: moment(field) if isinstance(field, datetime) else field for name, field in fields.items()}


def page(items: Sequence[Record], next_cursor: str | None = None) -> Record:
    """A page of a list."""
    return {"items": items, "next_cursor": next_cursor}


def etag_of(value: Analysis) -> str:
    """Names the state of an analysis."""
    return f'"{value.version}.{value.retrieval_count}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether the asker has it already, in whatever encoding."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    wanted = _base(etag)
    return any(part.strip() == "*" or _base(part) == wanted for part in given.split(","))


def _base(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"').partition("-")[0]


def unchanged(etag: str, vary: str | None = None) -> Response:
    """The answer to who has it already."""
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    return Response(status_code=304, headers=headers if vary is None else headers | {"vary": vary})


def one(request: Request, value: Analysis) -> Response:
    """An analysis, unless the asker has it already."""
    etag = etag_of(value)
    if is_known(request, etag):
        return unchanged(etag)
    return json(analysis(value), headers={"etag": etag, "cache-control": "private, no-cache"})


def payload(request: Request, digest: str, frame: bytes) -> Response:
    """A result's bytes: as they are kept for who takes zstd, otherwise unpacked, and packed anew for who takes gzip.

    Args:
        request: says what is taken.
        digest: SHA-256 of the content.
        frame: the content as it is kept.
    """
    taken = accepted(request.headers.get("accept-encoding", ""))
    headers = {"vary": "Accept-Encoding", "cache-control": "private, no-cache"}
    if taken == "zstd":
        content, headers["content-encoding"] = frame, "zstd"
    else:
        content = unpack(digest, frame)
        if taken == "gzip":
            # Level 1: two thirds of the gain for a fifth of the time.
            content, headers["content-encoding"] = gzip.compress(content, 1, mtime=0), "gzip"
    # Each form has a tag of its own, as strong tags are of bytes.
    headers["etag"] = f'"{digest}"' if taken == "identity" else f'"{digest}-{taken}"'
    return Response(content, headers=headers, media_type="application/json")


def accepted(header: str) -> str:
    """The encoding to answer in: zstd, gzip or identity."""
    weights: dict[str, float] = {}
    for part in header.split(","):
        name, _, parameters = part.strip().lower().partition(";")
        weight = 1.0
        if parameters.strip().startswith("q="):
            try:
                weight = float(parameters.strip()[2:])
            except ValueError:
                weight = 0.0
        weights[name.strip()] = weight
    # What is kept is zstd: it is taken unless gzip is liked better.
    zstd, packed = weights.get("zstd", 0.0), weights.get("gzip", 0.0)
    if zstd > 0 and zstd >= packed:
        return "zstd"
    return "gzip" if packed > 0 else "identity"
