"""What can be done with an analysis."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response

from holdfast import records
from holdfast.api import render, targets
from holdfast.api.deps import Doors, IdempotencyKey, Store, Writer, body_of
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import AnalysisId
from holdfast.api.preconditions import Versions
from holdfast.api.schemas.analysis import AnalysisOut, DeletedOut, Refresh, Resume, SubmittedOut
from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import Analysis

router = APIRouter(prefix="/api/v1/analyses/{analysis_id}", tags=["analyses"])


@router.delete("", operation_id="delete_analysis", response_model=DeletedOut, responses=answers(404, 410, 412))
def delete_analysis(analysis_id: AnalysisId, caller: Writer, store: Store, versions: Versions) -> Response:
    """Put an analysis into the trash; a run under way stops."""
    value = store.analyses.delete(analysis_id, versions=versions, caller=caller)
    return deleted(store, value)


def deleted(store: Holdfast, value: Analysis, **more: Any) -> Response:
    """The answer that something is deleted, with the way back while there is one."""
    at = value.deleted_at
    body = {
        "success": True,
        "analysis_id": value.analysis_id,
        "deleted_at": records.time(at),
        "restore": None if at is None else f"/api/v1/analyses/{value.analysis_id}/restore",
        "restorable_until": records.time(at and at + timedelta(hours=store.settings.trash_hours)),
    }
    headers = None if at is None else {"etag": render.etag_of(value, store.freshness.age(value))}
    return render.json(body | more, headers=headers)


@router.post(
    "/cancel",
    operation_id="cancel_analysis",
    status_code=202,
    response_model=AnalysisOut,
    responses=answers(404, 409, 410, 412),
)
def cancel_analysis(analysis_id: AnalysisId, caller: Writer, store: Store, versions: Versions) -> Response:
    """Stop an analysis; what was found so far is kept."""
    return _accepted(store, store.analyses.cancel(analysis_id, versions=versions, caller=caller))


@router.post(
    "/resume",
    operation_id="resume_analysis",
    status_code=202,
    response_model=AnalysisOut,
    responses=answers(404, 409, 410, 412, body=True),
    openapi_extra=body_doc("Resume", required=False),
)
def resume_analysis(
    analysis_id: AnalysisId,
    caller: Writer,
    store: Store,
    how: Annotated[Resume, body_of(Resume, required=False)],
    versions: Versions,
) -> Response:
    """Queue an ended analysis again, to go on from its last checkpoint."""
    store.limits.hit("start", caller)
    value = store.analyses.resume(analysis_id, timeout_seconds=how.timeout_seconds, versions=versions, caller=caller)
    return _accepted(store, value)


@router.post(
    "/refresh",
    operation_id="refresh_analysis",
    status_code=202,
    response_model=SubmittedOut,
    responses=answers(404, 409, 410, body=True),
    openapi_extra=body_doc("Refresh", required=False),
)
def refresh_analysis(
    analysis_id: AnalysisId,
    caller: Writer,
    store: Store,
    how: Annotated[Refresh, body_of(Refresh, required=False)],
    access: Doors,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Run the same analysis anew, as a new one that says what it replaces; the old result stays readable."""
    store.limits.hit("start", caller)
    before = store.queries.get(analysis_id, caller=caller)
    targets.check_again(store, access, caller, before, how.params)
    submission = store.submissions.refresh(
        analysis_id,
        params=how.params,
        timeout_seconds=how.timeout_seconds,
        idempotency_key=idempotency_key,
        caller=caller,
    )
    return _accepted(store, submission.analysis, reused=submission.reused)


@router.post(
    "/restore",
    operation_id="restore_analysis",
    response_model=AnalysisOut,
    responses=answers(404, 409, 410, 412),
    tags=["retention"],
)
def restore_analysis(analysis_id: AnalysisId, caller: Writer, store: Store, versions: Versions) -> Response:
    """Take an analysis out of the trash."""
    return _shown(store, store.analyses.restore(analysis_id, versions=versions, caller=caller))


@router.put(
    "/pin",
    operation_id="pin_analysis",
    response_model=AnalysisOut,
    responses=answers(404, 409, 410, 412),
    tags=["retention"],
)
def pin_analysis(analysis_id: AnalysisId, caller: Writer, store: Store, versions: Versions) -> Response:
    """Keep retention away from an analysis."""
    return _shown(store, store.analyses.pin(analysis_id, versions=versions, caller=caller))


@router.delete(
    "/pin",
    operation_id="unpin_analysis",
    response_model=AnalysisOut,
    responses=answers(404, 409, 410, 412),
    tags=["retention"],
)
def unpin_analysis(analysis_id: AnalysisId, caller: Writer, store: Store, versions: Versions) -> Response:
    """Let retention decide about an analysis again."""
    return _shown(store, store.analyses.unpin(analysis_id, versions=versions, caller=caller))


def _shown(store: Holdfast, value: Analysis) -> Response:
    age = store.freshness.age(value)
    return render.json(records.analysis(value, age), headers={"etag": render.etag_of(value, age)})


def _accepted(store: Holdfast, value: Analysis, **more: Any) -> Response:
    age = store.freshness.age(value)
    place = {"location": f"/api/v1/analyses/{value.analysis_id}", "etag": render.etag_of(value, age)}
    return render.json(records.analysis(value, age) | more, 202, place)
