"""Lists of analyses, of findings, of attempts."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store
from holdfast.api.errors import InvalidRequest
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, AnalysisId, Count, Cursor, Findable, Limit, Name
from holdfast.api.schemas.analysis import AnalysisPage, AttemptPage
from holdfast.api.schemas.finding import FindingPage, MetricPage
from holdfast.bootstrap import Holdfast
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.findings import Severity
from holdfast.services.queries import Total
from holdfast.store.lists import Filter

router = APIRouter(prefix="/api/v1", tags=["analyses"])


@router.get("/analyses", operation_id="list_analyses", response_model=AnalysisPage, responses=answers())
def list_analyses(  # noqa: PLR0913 each is a filter of its own
    caller: Asker,
    store: Store,
    *,
    client_session_id: Name = None,
    kind: Name = None,
    status: Annotated[list[Status], Query(description="One of these.")] = [],  # noqa: B006 FastAPI copies it
    tag: Annotated[list[Findable], Query(max_length=10, description="Has each of these.")] = [],  # noqa: B006 as above
    subject_kind: Name = None,
    subject_key: Annotated[Findable | None, Query(min_length=1, max_length=2048)] = None,
    thread_id: Name = None,
    session_id: Name = None,
    process_instance_id: Name = None,
    created_after: Annotated[AwareDatetime | None, Query(description="At that moment or later.")] = None,
    created_before: Annotated[AwareDatetime | None, Query(description="Before that moment.")] = None,
    sort: Annotated[Literal["created_at"], Query(description="What it is sorted by.")] = "created_at",
    order: Annotated[Literal["asc", "desc"], Query(description="Oldest or newest first.")] = "desc",
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
    count: Count = None,
) -> Response:
    """List analyses by time of creation; what is expired or in the trash is left out."""
    if (subject_kind is None) != (subject_key is None):
        raise InvalidRequest("subject_kind and subject_key name a subject together", field="subject_key")
    where: dict[str, Any] = {
        "client_session_id": client_session_id,
        "kind": kind,
        "status": tuple(status),
        "tags": tuple(tag),
        "subject": None if subject_kind is None or subject_key is None else (subject_kind, subject_key),
        "thread_id": thread_id,
        "session_id": session_id,
        "process_instance_id": process_instance_id,
        "created_after": created_after,
        "created_before": created_before,
    }
    cursors = Cursors(store, caller, "analyses", where | {"sort": sort, "order": order})
    found = store.queries.find(
        Filter(**where), limit=limit, after=cursors.place(cursor), ascending=order == "asc", caller=caller
    )
    total = None if count is None else store.queries.count(Filter(**where), exact=count == "exact", caller=caller)
    return render.json(_page(store, found.items, cursors.after(found.next), total))


def _page(store: Holdfast, items: Sequence[Analysis], cursor: str | None, total: Total | None = None) -> records.Record:
    return records.page([records.analysis(one, store.freshness.age(one)) for one in items], cursor, total)


@router.get("/trash", operation_id="list_trash", response_model=AnalysisPage, responses=answers(), tags=["retention"])
def list_trash(caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None) -> Response:
    """List what was deleted and may still be restored."""
    cursors = Cursors(store, caller, "trash", {})
    found = store.queries.trash(limit=limit, after=cursors.place(cursor), caller=caller)
    return render.json(_page(store, found.items, cursors.after(found.next)))


@router.get(
    "/analyses/{analysis_id}/findings",
    operation_id="list_findings",
    response_model=FindingPage,
    responses=answers(404, 410),
)
def list_findings(
    analysis_id: AnalysisId,
    caller: Asker,
    store: Store,
    *,
    severity: Annotated[list[Severity], Query(description="One of these.")] = [],  # noqa: B006 as above
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
    count: Count = None,
) -> Response:
    """List what an analysis found, in its own order."""
    wanted = tuple(dict.fromkeys(severity))
    cursors = Cursors(store, caller, "findings", {"of": analysis_id, "severity": wanted})
    after = cursors.value(cursor, -1)
    found = store.queries.findings(analysis_id, severities=wanted, after=after, limit=limit + 1, caller=caller)
    shown = found[:limit]
    following = shown[-1][0] if len(found) > limit else None
    total = None
    if count is not None:
        total = store.queries.count_findings(analysis_id, severities=wanted, caller=caller)
    return render.json(records.page([records.finding(*one) for one in shown], cursors.after_value(following), total))


@router.get(
    "/analyses/{analysis_id}/metrics",
    operation_id="list_metrics",
    response_model=MetricPage,
    responses=answers(404, 410),
)
def list_metrics(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """List the figures of an analysis by name."""
    return render.json(records.page([records.metric(one) for one in store.queries.metrics(analysis_id, caller=caller)]))


@router.get(
    "/analyses/{analysis_id}/attempts",
    operation_id="list_attempts",
    response_model=AttemptPage,
    responses=answers(404, 410),
)
def list_attempts(analysis_id: AnalysisId, caller: Asker, store: Store) -> Response:
    """List the runs of an analysis, first one first."""
    runs = store.queries.attempts(analysis_id, caller=caller)
    return render.json(records.page([records.attempt(one) for one in runs]))
