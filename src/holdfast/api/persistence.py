"""Results kept per client, at the addresses and in the shapes of their document."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response

from holdfast import records
from holdfast.api import render, sync
from holdfast.api.analyses import deleted
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Admin, Doors, Given, Known, Store, body_of, tells_owner
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import DOCUMENTED_LIMIT, LARGEST_OFFSET, AnalysisId, ClientSessionId, Cursor, Findable, Limit
from holdfast.api.preconditions import Versions
from holdfast.api.schemas import persistence as schemas
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Analysis
from holdfast.store.lists import Filter
from holdfast.store.payloads import unpack

router = APIRouter(prefix="/api/v1/persistence", tags=["persistence"])

_MEBIBYTE = 1024 * 1024


def _now() -> str | None:
    return records.time(datetime.now(UTC))


@router.get(
    "/analyses/{client_id}",
    operation_id="get_client_analyses",
    response_model=schemas.History | schemas.Retrieved,
    responses=answers(404, 410),
    dependencies=[Depends(tells_owner)],
)
def get_client_analyses(
    client_id: Annotated[
        Findable, Path(min_length=1, max_length=256, description="A client; with client_session_id: an analysis.")
    ],
    access: Doors,
    given: Given,
    store: Store,
    *,
    client_session_id: Annotated[
        Findable | None, Query(min_length=1, max_length=256, description="The client whose analysis is retrieved.")
    ] = None,
    limit: Limit = DOCUMENTED_LIMIT,
    offset: Annotated[int, Query(ge=0, le=LARGEST_OFFSET, description="How many to pass over.")] = 0,
    cursor: Cursor = None,
) -> Response:
    """A client's history, newest first; with ``client_session_id`` one analysis with its result, which counts.

    An analysis that there is not never falls through to a list.
    """
    if client_session_id is not None:
        return _retrieve(client_id, access.named(given, client_session_id), store)
    caller = access.named(given, client_id)
    cursors = Cursors(store, caller, "history", {})
    found = store.queries.find(
        Filter(client_session_id=client_id), limit=limit, offset=offset, after=cursors.place(cursor), caller=caller
    )
    return render.json(
        {
            "success": True,
            "client_id": client_id,
            "analyses": [_item(one) for one in found.items],
            "count": len(found.items),
            "limit": limit,
            "offset": offset,
            "next_cursor": cursors.after(found.next),
            "retrieved_at": _now(),
        }
    )


def _item(value: Analysis) -> records.Record:
    return {
        "analysis_id": value.analysis_id,
        "kind": value.kind,
        "status": value.status.value,
        "created_at": render.epoch(value.created_at),
        "completed_at": render.epoch(value.completed_at),
        "has_result": value.result is not None,
        "retrieval_count": value.retrieval_count,
        "max_retrievals": value.max_retrievals,
    }


def _retrieve(analysis_id: str, caller: Caller, store: Store) -> Response:
    value, frame = store.results.retrieve(analysis_id, caller=caller)
    assert value.result is not None
    kept = {
        "analysis_id": value.analysis_id,
        "client_session_id": value.context.client_session_id,
        "client_ip": value.context.client_ip,
        "kind": value.kind,
        "code_hash": value.code_hash,
        "status": value.status.value,
        "created_at": render.epoch(value.created_at),
        "completed_at": render.epoch(value.completed_at),
        "ttl_seconds": value.ttl_seconds,
        "expires_at": render.epoch(value.expires_at),
        "retrieval_count": value.retrieval_count,
        "max_retrievals": value.max_retrievals,
        # Put in as it is kept: nobody decodes it on the way.
        "result_data": msgspec.Raw(unpack(value.result.hash, frame)),
    }
    body = {"success": True, "analysis_id": analysis_id, "analysis": kept, "retrieved_at": _now()}
    headers = {"etag": render.etag_of(value, store.freshness.age(value)), "cache-control": "no-store"}
    return render.json(body, headers=headers)


@router.get(
    "/analyses/{analysis_id}/availability",
    operation_id="check_availability",
    response_model=schemas.Availability,
    responses=answers(),
    dependencies=[Depends(tells_owner)],
)
def check_availability(
    analysis_id: AnalysisId, client_session_id: ClientSessionId, access: Doors, given: Given, store: Store
) -> Response:
    """How an analysis stands for a client; looking counts nothing."""
    state = store.queries.available(analysis_id, caller=access.named(given, client_session_id))
    return render.json(
        {
            "success": True,
            "analysis_id": analysis_id,
            "availability": state,
            "available": state not in {"not_found", "unauthorized", "expired"},
            "checked_at": _now(),
        }
    )


@router.delete(
    "/analysis/{analysis_id}",
    operation_id="delete_client_analysis",
    response_model=schemas.Removed,
    responses=answers(404, 410, 412),
    dependencies=[Depends(tells_owner)],
)
def delete_client_analysis(
    analysis_id: AnalysisId,
    client_session_id: ClientSessionId,
    access: Doors,
    given: Given,
    store: Store,
    versions: Versions,
) -> Response:
    """Put a client's analysis into the trash."""
    value = store.analyses.delete(analysis_id, versions=versions, caller=access.named(given, client_session_id))
    return deleted(store, value, message="The analysis is deleted")


@router.get("/stats", operation_id="get_persistence_stats", response_model=schemas.StatsAnswer, responses=answers())
def get_persistence_stats(caller: Known, store: Store) -> Response:
    """What the store holds; the figures are kept by every write, and only open conflicts are counted."""
    stats = store.queries.stats()
    figures = {
        "total_results": stats.total_results,
        "total_sessions": stats.total_sessions,
        "storage_size_bytes": stats.storage_size_bytes,
        "storage_size_mb": round(stats.storage_size_bytes / _MEBIBYTE, 3),
        "storage_limit_mb": stats.storage_limit_mb,
        "status_counts": stats.status_counts,
        "last_cleanup": render.epoch(stats.last_cleanup),
    }
    entries, size = store.cache_entries.stats()
    cache = {
        "total_entries": entries,
        "total_size_bytes": size,
        "total_size_mb": round(size / _MEBIBYTE, 3),
    }
    return render.json(
        {
            "success": True,
            "stats": figures,
            "cache": cache,
            "sync": sync.figures(store, caller),
            "retrieved_at": _now(),
        }
    )


@router.get("/health", operation_id="get_persistence_health", response_model=schemas.Health, responses=answers())
def get_persistence_health(_: Known, store: Store) -> Response:
    """Whether the store answers."""
    store.queries.stats()
    return render.json({"success": True, "status": "healthy", "store": store.engine.dialect, "checked_at": _now()})


@router.post(
    "/cleanup",
    operation_id="clean_up",
    response_model=schemas.Cleanup,
    responses=answers(body=True),
    openapi_extra=body_doc("CleanupWanted", required=False),
)
def clean_up(
    _: Admin, store: Store, wanted: Annotated[schemas.CleanupWanted, body_of(schemas.CleanupWanted, required=False)]
) -> Response:
    """Remove what is expired, used up or over the storage limit, now instead of at the next sweep.

    A body asks for more: analyses older than ``max_age_days``, and what was deleted or not used for
    ``max_age_hours``: repositories in the trash, and what is noted of derived files.
    """
    days = wanted.max_age_days if wanted.cleanup_old_analyses else None
    hours = timedelta(hours=wanted.max_age_hours)
    swept = store.retention.sweep(older_than=None if days is None else timedelta(days=days))
    repositories = store.repositories.purge_deleted(hours) if wanted.cleanup_old_repos else 0
    entries = store.cache_entries.clean_up(unused_for=hours) if wanted.cleanup_cache else []
    more = {"repositories": repositories, "cache_entries": len(entries)}
    return render.json(
        {
            "success": True,
            "cleaned": swept.total + repositories + len(entries),
            "details": render.plain(swept) | more,
            "cleaned_at": _now(),
        }
    )
