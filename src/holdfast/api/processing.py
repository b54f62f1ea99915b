"""Processing: how far the indexes are, and doing it anew."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.deps import Admin, Asker, Known, Store, Writer
from holdfast.api.openapi import answers
from holdfast.api.params import AnalysisId
from holdfast.api.schemas.search import ProcessingPage, ProcessorPage, QueuedOut

router = APIRouter(prefix="/api/v1", tags=["processing"])

Processors = Annotated[
    list[str], Query(alias="processor", max_length=10, description="Only these; all that are enabled when none.")
]


@router.get(
    "/analyses/{analysis_id}/processing",
    operation_id="get_processing",
    response_model=ProcessingPage,
    responses=answers(404, 410),
)
def get_processing(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """How far each processor has come with an analysis."""
    found = store.processing.of_analysis(analysis_id, caller=caller)
    return render.json(records.page([records.processing(one) for one in found]))


@router.post(
    "/analyses/{analysis_id}/reprocess",
    operation_id="reprocess_analysis",
    status_code=202,
    response_model=QueuedOut,
    responses=answers(404, 410),
)
def reprocess_analysis(analysis_id: AnalysisId, caller: Writer, store: Store, processors: Processors = []) -> Response:  # noqa: B006 FastAPI copies it
    """Queue an analysis to be processed anew."""
    queued = store.processing.reprocess([analysis_id], processors or None, caller=caller)
    return render.json({"success": True, "queued": queued}, 202)


@router.get("/processors", operation_id="list_processors", response_model=ProcessorPage, responses=answers())
def list_processors(_: Known, store: Store) -> Response:
    """List the processors, with what waits for them and what they gave up."""
    return render.json(records.page([records.processor(one) for one in store.processing.status()]))


@router.post(
    "/processors/rebuild",
    operation_id="rebuild_indexes",
    status_code=202,
    response_model=QueuedOut,
    responses=answers(),
)
def rebuild_indexes(caller: Admin, store: Store, processors: Processors = []) -> Response:  # noqa: B006 as above
    """Build indexes anew, beside those that are read until then."""
    return render.json(
        {"success": True, "queued": len(store.processing.rebuild(processors or None, caller=caller))}, 202
    )


@router.post(
    "/processors/retry", operation_id="retry_failed", status_code=202, response_model=QueuedOut, responses=answers()
)
def retry_failed(caller: Admin, store: Store, processors: Processors = []) -> Response:  # noqa: B006 as above
    """Queue again what processors gave up."""
    queued = store.processing.retry_failed(processors or None, caller=caller)
    return render.json({"success": True, "queued": queued}, 202)
