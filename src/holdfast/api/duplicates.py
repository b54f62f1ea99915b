"""Searches for duplicates, at the addresses of their document; groups and decisions stand in triage.py."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from holdfast import records
from holdfast.api import render, targets
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Doors, IdempotencyKey, Store, Writer, body_of
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import DOCUMENTED_LIMIT, LIST_LIMIT, AnalysisId, Cursor, Findable, Limit
from holdfast.api.schemas import duplicates as schemas
from holdfast.api.schemas.analysis import AnalysisOut, SubmittedOut
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.context import Context
from holdfast.domain.triage import KIND
from holdfast.records import duplicates as duplicate_records
from holdfast.services.submissions import Submission
from holdfast.store.lists import Filter

router = APIRouter(prefix="/api/v1/duplicates", tags=["duplicates"])

_CLEANED = ("duplicates.cleaned_up", "analysis.expired")
_AUDITED = (
    "analysis.submitted",
    "analysis.started",
    "analysis.completed",
    "analysis.cancelled",
    "analysis.failed",
    "analysis.timed_out",
    "analysis.deleted",
    "analysis.expired",
    "duplicates.decided",
    "duplicates.undone",
    "duplicates.exported",
    "duplicates.export_deleted",
    "duplicates.cleaned_up",
    "duplicates.moved_to_trash",
)


@router.post(
    "/analyze",
    operation_id="analyze_duplicates",
    status_code=202,
    response_model=SubmittedOut,
    responses=answers(404, 409, 410, body=True)
    | {200: {"model": SubmittedOut, "description": "A fresh result of the very same parameters answers."}},
    openapi_extra=body_doc("Search"),
)
def analyze_duplicates(
    caller: Writer,
    store: Store,
    access: Doors,
    wanted: Annotated[schemas.Search, body_of(schemas.Search)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Search a music library for duplicates; 409 while the same search runs."""
    store.limits.hit("start", caller)
    params = wanted.parameters()
    target = targets.check(store, access, caller, KIND, wanted.target, params)
    made = store.duplicates.start(
        target,
        params,
        force_refresh=wanted.force_refresh,
        context=Context(client_session_id=caller.owner, client_ip=caller.ip),
        idempotency_key=idempotency_key,
        caller=caller,
    )
    return _begun(store, made)


@router.get(
    "/analyses", operation_id="list_duplicate_analyses", response_model=schemas.DuplicateSearchPage, responses=answers()
)
def list_duplicate_analyses(
    caller: Asker, store: Store, *, limit: Limit = DOCUMENTED_LIMIT, cursor: Cursor = None
) -> Response:
    """List the caller's searches with their ages, newest first."""
    cursors = Cursors(store, caller, "searches", {})
    found = store.queries.find(
        Filter(client_session_id=caller.owner, kind=KIND), limit=limit, after=cursors.place(cursor), caller=caller
    )
    items = [
        records.analysis(one, store.freshness.age(one)) | {"age": duplicate_records.aged(age)}
        for one, age in zip(found.items, store.duplicates.ages(found.items, caller=caller), strict=True)
    ]
    return render.json({"success": True} | records.page(items, cursors.after(found.next)))


@router.get(
    "/analysis/{analysis_id}",
    operation_id="get_duplicate_analysis",
    response_model=schemas.SearchWhole,
    responses=answers(404, 410),
)
def get_duplicate_analysis(
    analysis_id: AnalysisId, caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT
) -> Response:
    """A search: its age, how its groups stand, and the first of them; `filter` has the others."""
    duplicates = store.duplicates
    page = duplicates.groups.page(analysis_id, limit=limit, caller=caller)
    value = duplicates.searches.get(analysis_id, caller=caller)
    cursors = Cursors(store, caller, "groups", {"of": analysis_id})
    return render.json(
        {
            "success": True,
            "analysis": records.analysis(value, store.freshness.age(value)),
            "age": duplicate_records.aged(duplicates.get_analysis_age_info(value, caller=caller)),
            "metrics": {one.name: one.value for one in store.queries.metrics(analysis_id, caller=caller)},
            "resolution": duplicate_records.resolution(duplicates.groups.counts(analysis_id, caller=caller)),
            "groups": [duplicate_records.group(one) for one in page.items],
            "next_cursor": cursors.after_value(page.next),
        }
    )


@router.get(
    "/analysis/{analysis_id}/age-check",
    operation_id="check_analysis_age",
    response_model=schemas.AgeCheck,
    responses=answers(404, 410),
)
def check_analysis_age(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """How old a search is, what has changed in its library since, and whether to search anew."""
    found = store.duplicates.get_refresh_recommendations(analysis_id, caller=caller)
    return render.json({"success": True, "analysis_id": analysis_id, "age": duplicate_records.aged(found)})


@router.get(
    "/analysis/{analysis_id}/library-changes",
    operation_id="get_library_changes",
    response_model=schemas.LibraryChangesOut,
    responses=answers(404, 410),
)
def get_library_changes(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """What was added, modified and deleted since a search; playing a song changes nothing."""
    found = store.duplicates.get_library_change_summary(analysis_id, caller=caller)
    suggests = found.changes.total > store.settings.changed_items
    return render.json(
        {"success": True, "analysis_id": analysis_id, "suggest_refresh": suggests}
        | duplicate_records.library_changes(found)
    )


@router.post(
    "/analysis/{analysis_id}/refresh",
    operation_id="refresh_duplicate_analysis",
    status_code=202,
    response_model=SubmittedOut,
    responses=answers(404, 409, 410, body=True),
    openapi_extra=body_doc("SearchAgain", required=False),
)
def refresh_duplicate_analysis(
    analysis_id: AnalysisId,
    caller: Writer,
    store: Store,
    access: Doors,
    how: Annotated[schemas.SearchAgain, body_of(schemas.SearchAgain, required=False)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Search anew; the old result stays readable. 409 while the same search runs."""
    store.limits.hit("start", caller)
    before = store.duplicates.searches.get(analysis_id, caller=caller)
    params = None if how.params is None else {**before.params, **how.params}
    targets.check_again(store, access, caller, before, params)
    made = store.duplicates.refresh_analysis(
        analysis_id, params=how.params, idempotency_key=idempotency_key, caller=caller
    )
    return _begun(store, made)


@router.post(
    "/quick-refresh",
    operation_id="quick_refresh",
    status_code=202,
    response_model=SubmittedOut,
    responses=answers(404, 409, 410, body=True),
    openapi_extra=body_doc("QuickRefresh", required=False),
)
def quick_refresh(
    caller: Writer,
    store: Store,
    access: Doors,
    how: Annotated[schemas.QuickRefresh, body_of(schemas.QuickRefresh, required=False)],
) -> Response:
    """Search anew with the parameters of the caller's newest search. 409 while the same search runs."""
    store.limits.hit("start", caller)
    latest = store.duplicates.get_latest_analysis(search_term=how.search_term, caller=caller)
    if latest is not None:
        targets.check_again(store, access, caller, latest, None)
    return _begun(store, store.duplicates.quick_refresh(search_term=how.search_term, caller=caller))


@router.get(
    "/progress/{analysis_id}",
    operation_id="get_duplicate_progress",
    response_model=schemas.ProgressAnswer,
    responses=answers(404, 410),
)
def get_duplicate_progress(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """How far a search has come; `/api/v1/analyses/{analysis_id}/events` tells it live."""
    value, at = store.duplicates.get_analysis_progress(analysis_id, caller=caller)
    return render.json(
        {
            "success": True,
            "analysis_id": analysis_id,
            "status": "starting" if value.status is Status.QUEUED else value.status.value,
            "phase": None if at is None else at.phase or None,
            "current_step": 0 if at is None else at.current_step,
            "total_steps": 0 if at is None else at.total_steps,
            "percentage": 0.0 if at is None else round(at.percentage, 2),
            "estimated_remaining_seconds": None if at is None else at.estimated_remaining_seconds,
            "current_message": "" if at is None else at.current_message,
            "tracks_processed": 0 if at is None else at.items_processed,
            "total_tracks": None if at is None else at.total_items,
            "groups_found": value.finding_count if at is None else at.groups_found,
            "start_time": records.time(value.started_at),
            "last_update": records.time(value.updated_at if at is None else at.updated_at),
        }
    )


@router.post(
    "/analysis/{analysis_id}/cancel",
    operation_id="cancel_duplicate_analysis",
    status_code=202,
    response_model=AnalysisOut,
    responses=answers(404, 409, 410),
)
def cancel_duplicate_analysis(analysis_id: AnalysisId, caller: Writer, store: Store) -> Response:
    """Stop a search; what was found so far is kept, and so are earlier results."""
    value = store.duplicates.cancel_analysis(analysis_id, caller=caller)
    return render.json(records.analysis(value, store.freshness.age(value)), 202)


@router.post("/cleanup", operation_id="cleanup_old_analyses", response_model=schemas.CleanedUp, responses=answers())
def cleanup_old_analyses(caller: Writer, store: Store) -> Response:
    """Remove the caller's searches that are too many or too old, now."""
    done = store.duplicates.cleanup_old_results(caller=caller)
    deleted, kept = done.pop("deleted"), done.pop("kept")
    return render.json({"success": True, "deleted": deleted, "kept": kept, "by_reason": done})


@router.get(
    "/cleanup/history",
    operation_id="list_duplicate_cleanups",
    response_model=schemas.AuditPage,
    responses=answers(),
)
def list_duplicate_cleanups(
    caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None
) -> Response:
    """What was removed of the caller's, and when, newest first."""
    return _audit(store, caller, "cleanups", _CLEANED, limit, cursor)


@router.get("/audit-trail", operation_id="list_duplicate_events", response_model=schemas.AuditPage, responses=answers())
def list_duplicate_events(
    caller: Asker,
    store: Store,
    *,
    name: Annotated[list[Findable], Query(max_length=20, description="One of these events.")] = [],  # noqa: B006 FastAPI copies it
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """What happened to the caller's searches, who did it, and when, newest first."""
    return _audit(store, caller, "audit", tuple(name) or _AUDITED, limit, cursor)


@router.get(
    "/parameters",
    operation_id="list_duplicate_parameters",
    response_model=schemas.ParameterHistory,
    responses=answers(),
)
def list_duplicate_parameters(caller: Asker, store: Store) -> Response:
    """The parameters of the caller's searches, each with what it had other than the one before."""
    items = [
        {
            "analysis_id": one.analysis.analysis_id,
            "created_at": records.time(one.analysis.created_at),
            "status": one.analysis.status.value,
            "parameters": one.analysis.params,
            "changed": {name: list(values) for name, values in one.changed.items()},
        }
        for one in store.duplicates.parameter_history(caller=caller)
    ]
    return render.json({"success": True, "items": items})


def _audit(
    store: Holdfast, caller: Caller, of: str, names: tuple[str, ...], limit: int, cursor: str | None
) -> Response:
    cursors = Cursors(store, caller, f"duplicates.{of}", {"names": names})
    before = cursors.value(cursor, 0) or None
    found = store.queries.audit(owner=caller.owner, names=names, before=before, limit=limit + 1, caller=caller)
    shown = found[:limit]
    following = shown[-1].sequence if len(found) > limit else None
    return render.json(
        {"success": True} | records.page([records.event(one) for one in shown], cursors.after_value(following))
    )


def _begun(store: Holdfast, made: Submission) -> Response:
    value: Analysis = made.analysis
    body = records.analysis(value, store.freshness.age(value)) | {"reused": made.reused}
    place = {"location": f"/api/v1/duplicates/analysis/{value.analysis_id}"}
    return render.json(body, 200 if value.status.ended else 202, place)
