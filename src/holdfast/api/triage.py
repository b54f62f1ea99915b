"""Groups of duplicates, what is decided about them, and the files that they leave in."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store, Writer, body_of
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import LIST_LIMIT, AnalysisId, Cursor, Limit
from holdfast.api.schemas import duplicates as schemas
from holdfast.domain.exporting import Format
from holdfast.domain.triage import Action, Sort
from holdfast.records import duplicates as duplicate_records
from holdfast.store.triage import GroupFilter

router = APIRouter(prefix="/api/v1/duplicates", tags=["duplicates"])

ExportId = Annotated[str, Path(min_length=1, max_length=128, description="The export.")]
_DECIDED = answers(404, 409, 410, body=True)


@router.get(
    "/analysis/{analysis_id}/filter",
    operation_id="filter_duplicate_groups",
    response_model=schemas.GroupPageOut,
    responses=answers(404, 410),
)
def filter_duplicate_groups(  # noqa: PLR0913 each is a filter of its own
    analysis_id: AnalysisId,
    caller: Asker,
    store: Store,
    *,
    min_confidence: Annotated[float | None, Query(ge=0, le=1, description="At least so alike.")] = None,
    resolved: Annotated[bool | None, Query(description="Whether a decision settles it.")] = None,
    action: Annotated[Action | None, Query(description="This was decided.")] = None,
    sort_by: Annotated[Sort, Query(description="What it is sorted by.")] = Sort.GROUP_INDEX,
    order: Annotated[
        str | None, Query(pattern="^(asc|desc)$", description="Names rise and figures fall when left out.")
    ] = None,
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List the groups of a search."""
    chosen = {"min_confidence": min_confidence, "resolved": resolved, "action": action, "sort": sort_by, "order": order}
    given = {name: value for name, value in chosen.items() if value is not None and value is not Sort.GROUP_INDEX}
    cursors = Cursors(store, caller, "groups", {"of": analysis_id, **given})
    page = store.duplicates.groups.page(
        analysis_id,
        where=GroupFilter(min_confidence=min_confidence, resolved=resolved, action=action),
        sort=sort_by,
        ascending=None if order is None else order == "asc",
        after=cursors.value(cursor, None),
        limit=limit,
        caller=caller,
    )
    items = [duplicate_records.group(one) for one in page.items]
    return render.json(
        {"success": True, "analysis_id": analysis_id} | records.page(items, cursors.after_value(page.next))
    )


@router.post(
    "/analysis/{analysis_id}/resolve",
    operation_id="resolve_duplicate_groups",
    response_model=schemas.DecidedOut,
    responses=_DECIDED,
    openapi_extra=body_doc("Resolve"),
)
def resolve_duplicate_groups(
    analysis_id: AnalysisId,
    caller: Writer,
    store: Store,
    what: Annotated[schemas.Resolve, body_of(schemas.Resolve)],
) -> Response:
    """Decide about groups, all of them or none; nothing is changed in the library."""
    done = store.duplicates.triage.resolve(
        analysis_id, what.group_ids, what.resolution_action, keeps=what.keeps, note=what.note, caller=caller
    )
    return render.json(duplicate_records.decided(done))


@router.post(
    "/analysis/{analysis_id}/delete",
    operation_id="delete_duplicates",
    response_model=schemas.DecidedOut,
    responses=_DECIDED,
    openapi_extra=body_doc("Delete"),
)
def delete_duplicates(
    analysis_id: AnalysisId, caller: Writer, store: Store, what: Annotated[schemas.Delete, body_of(schemas.Delete)]
) -> Response:
    """Decide which tracks of a group go; nothing is changed in the library."""
    triage = store.duplicates.triage
    if what.track_ids:
        tracks = {what.group_id: what.track_ids}
        return render.json(
            duplicate_records.decided(triage.delete_tracks(analysis_id, tracks, note=what.note, caller=caller))
        )
    done = triage.resolve(analysis_id, [what.group_id], Action.DELETED, note=what.note, caller=caller)
    return render.json(duplicate_records.decided(done))


@router.post(
    "/analysis/{analysis_id}/bulk-delete",
    operation_id="bulk_delete_duplicates",
    response_model=schemas.DecidedOut,
    responses=_DECIDED,
    openapi_extra=body_doc("BulkDelete"),
)
def bulk_delete_duplicates(
    analysis_id: AnalysisId,
    caller: Writer,
    store: Store,
    what: Annotated[schemas.BulkDelete, body_of(schemas.BulkDelete)],
) -> Response:
    """Decide which tracks of many groups go, all or none; nothing is changed in the library."""
    tracks = {one.group_id: one.track_ids for one in what.groups}
    done = store.duplicates.triage.delete_tracks(analysis_id, tracks, note=what.note, caller=caller)
    return render.json(duplicate_records.decided(done))


@router.post(
    "/analysis/{analysis_id}/smart-delete",
    operation_id="smart_delete_duplicates",
    response_model=schemas.DecidedOut,
    responses=_DECIDED,
    openapi_extra=body_doc("SmartDelete"),
)
def smart_delete_duplicates(
    analysis_id: AnalysisId,
    caller: Writer,
    store: Store,
    what: Annotated[schemas.SmartDelete, body_of(schemas.SmartDelete)],
) -> Response:
    """Say what would go by a rule and why, or with `dry_run: false` decide so."""
    triage = store.duplicates.triage
    where = GroupFilter(resolved=False, min_confidence=what.min_confidence)
    chosen: dict[str, Any] = {
        "group_ids": what.group_ids,
        "where": where,
        "include_doubtful": what.include_doubtful,
        "caller": caller,
    }
    if what.dry_run:
        done = triage.preview(analysis_id, what.strategy, **chosen)
    else:
        done = triage.smart_delete(analysis_id, what.strategy, note=what.note, **chosen)
    return render.json(duplicate_records.decided(done))


@router.post(
    "/undo",
    operation_id="undo_duplicate_decisions",
    response_model=schemas.UndoneOut,
    responses=answers(404, body=True),
    openapi_extra=body_doc("Undo"),
)
def undo_duplicate_decisions(
    caller: Writer, store: Store, what: Annotated[schemas.Undo, body_of(schemas.Undo)]
) -> Response:
    """Undo what one request decided; what held before holds again."""
    done = store.duplicates.triage.undo(what.batch_id, caller=caller)
    return render.json({"success": True, "batch_id": done.batch_id, "groups": done.groups})


@router.get(
    "/analysis/{analysis_id}/resolution-status",
    operation_id="get_resolution_status",
    response_model=schemas.ResolutionOut,
    responses=answers(404, 410),
)
def get_resolution_status(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """How the groups of a search stand."""
    counts = store.duplicates.groups.counts(analysis_id, caller=caller)
    return _of(analysis_id, duplicate_records.resolution(counts))


@router.get(
    "/analysis/{analysis_id}/impact",
    operation_id="get_duplicate_impact",
    response_model=schemas.ImpactOut,
    responses=answers(404, 410),
)
def get_duplicate_impact(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """What all groups concern, what went by decisions, and what is left."""
    counts = store.duplicates.groups.counts(analysis_id, caller=caller)
    return _of(analysis_id, duplicate_records.impacts(counts))


@router.get(
    "/analysis/{analysis_id}/suggest-new-analysis",
    operation_id="suggest_new_analysis",
    response_model=schemas.SuggestionOut,
    responses=answers(404, 410),
)
def suggest_new_analysis(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """Whether so much was settled or has changed that it is worth searching anew."""
    found = store.duplicates.suggest_new_analysis(analysis_id, caller=caller)
    return _of(analysis_id, asdict(found))


@router.get(
    "/preferences",
    operation_id="get_duplicate_preferences",
    response_model=schemas.PreferencesOut,
    responses=answers(),
)
def get_duplicate_preferences(caller: Asker, store: Store) -> Response:
    """What the caller wants to be told of."""
    return render.json(asdict(store.duplicates.triage.preferences(caller=caller)))


@router.put(
    "/preferences",
    operation_id="set_duplicate_preferences",
    response_model=schemas.PreferencesOut,
    responses=answers(body=True),
    openapi_extra=body_doc("PreferencesIn"),
)
def set_duplicate_preferences(
    caller: Writer, store: Store, what: Annotated[schemas.PreferencesIn, body_of(schemas.PreferencesIn)]
) -> Response:
    """Change what the caller wants to be told of."""
    changes = what.model_dump(exclude_none=True)
    return render.json(asdict(store.duplicates.triage.set_preferences(changes, caller=caller)))


@router.get(
    "/analysis/{analysis_id}/export",
    operation_id="export_analysis",
    responses=answers(404, 410)
    | {200: {"description": "The file, as it is written.", "content": {one.media_type: {} for one in Format}}},
    response_class=Response,
)
def export_analysis(
    analysis_id: AnalysisId,
    caller: Asker,
    store: Store,
    *,
    format: Annotated[Format, Query(description="As what.")] = Format.JSON,  # noqa: A002 the documented name
) -> Response:
    """A search as a file, written while it is fetched."""
    store.limits.hit("export", caller)
    pieces = store.duplicates.exports.stream(analysis_id, format, caller=caller)
    name = f"duplicates-{format.value}.{format.suffix}"
    return StreamingResponse(pieces, headers=_as_file(name, format))


@router.post(
    "/exports",
    operation_id="request_duplicate_export",
    status_code=202,
    response_model=schemas.ExportOut,
    responses=answers(404, 409, 410, body=True),
    openapi_extra=body_doc("NewExport"),
)
def request_duplicate_export(
    caller: Writer, store: Store, what: Annotated[schemas.NewExport, body_of(schemas.NewExport)]
) -> Response:
    """Have a large export written, to be fetched until it expires."""
    store.limits.hit("export", caller)
    made = store.duplicates.exports.request(what.analysis_id, what.format, caller=caller)
    place = {"location": f"/api/v1/duplicates/exports/{made.export_id}"}
    return render.json(duplicate_records.export(made), 202, place)


@router.get(
    "/exports", operation_id="list_duplicate_exports", response_model=schemas.ExportPageOut, responses=answers()
)
def list_duplicate_exports(
    caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None
) -> Response:
    """List the exports that may still be fetched, newest first."""
    cursors = Cursors(store, caller, "exports", {})
    page = store.duplicates.exports.list(limit=limit, after=cursors.value(cursor, None), caller=caller)
    items = [duplicate_records.export(one) for one in page.items]
    return render.json({"success": True} | records.page(items, cursors.after_value(page.next)))


@router.get(
    "/exports/{export_id}",
    operation_id="get_duplicate_export",
    response_model=schemas.ExportOut,
    responses=answers(404),
)
def get_duplicate_export(export_id: ExportId, caller: Asker, store: Store) -> Response:
    """How far an export is, and where to fetch it."""
    return render.json(duplicate_records.export(store.duplicates.exports.get(export_id, caller=caller)))


@router.get(
    "/exports/{export_id}/download",
    operation_id="download_duplicate_export",
    responses=answers(404, 409)
    | {200: {"description": "The file.", "content": {one.media_type: {} for one in Format}}},
    response_class=Response,
)
def download_duplicate_export(export_id: ExportId, caller: Asker, store: Store) -> Response:
    """Fetch an export."""
    found, parts = store.duplicates.exports.download(export_id, caller=caller)
    name = f"duplicates-{found.analysis_id[:8]}-{found.format.value}.{found.format.suffix}"
    return StreamingResponse(parts, headers=_as_file(name, found.format) | {"content-length": str(found.size)})


@router.delete(
    "/exports/{export_id}",
    operation_id="delete_duplicate_export",
    response_model=schemas.Gone,
    responses=answers(404),
)
def delete_duplicate_export(export_id: ExportId, caller: Writer, store: Store) -> Response:
    """Delete an export and its file."""
    store.duplicates.exports.delete(export_id, caller=caller)
    return render.json({"success": True, "export_id": export_id})


def _of(analysis_id: str, found: dict[str, Any]) -> Response:
    """What was found of a search, with its name."""
    return render.json({"success": True, "analysis_id": analysis_id} | found)


def _as_file(name: str, form: Format) -> dict[str, str]:
    return {
        "content-type": form.media_type,
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }
