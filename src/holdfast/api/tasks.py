"""What services have done and language models have answered, received to be kept."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.deps import Given, IdempotencyKey, Store, Writer, body_of
from holdfast.api.openapi import answers, body_doc
from holdfast.api.schemas.analysis import AnalysisOut
from holdfast.api.schemas.task import InteractionIn, TaskIn
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Analysis

router = APIRouter(prefix="/api/v1", tags=["tasks"])

_Task = Annotated[TaskIn, body_of(TaskIn)]
_Interaction = Annotated[InteractionIn, body_of(InteractionIn)]


@router.post(
    "/tasks",
    operation_id="store_task_analysis",
    status_code=201,
    response_model=AnalysisOut,
    response_description="It is kept, on disk.",
    responses=answers(409, body=True),
    openapi_extra=body_doc("TaskIn"),
)
def store_task_analysis(
    caller: Writer, task: _Task, store: Store, given: Given, idempotency_key: IdempotencyKey = None
) -> Response:
    """Keep what a service has done, as an analysis of the caller's own; the same with the same id is kept once."""
    return _kept(store, caller, store.tasks.store_task_analysis, task, given.ip, idempotency_key)


@router.post(
    "/interactions",
    operation_id="store_openai_interaction",
    status_code=201,
    response_model=AnalysisOut,
    response_description="It is kept, on disk.",
    responses=answers(409, body=True),
    openapi_extra=body_doc("InteractionIn"),
)
def store_openai_interaction(
    caller: Writer, interaction: _Interaction, store: Store, given: Given, idempotency_key: IdempotencyKey = None
) -> Response:
    """Keep a call of a language model, as an analysis of the caller's own; the same with the same id is kept once."""
    return _kept(store, caller, store.tasks.store_openai_interaction, interaction, given.ip, idempotency_key)


def _kept(
    store: Holdfast,
    caller: Caller,
    keep: Callable[..., Analysis],
    what: TaskIn | InteractionIn,
    ip: str | None,
    key: str | None,
) -> Response:
    if caller.is_anonymous:
        store.limits.hit("anonymous", caller)
    fields: dict[str, Any] = {name: getattr(what, name) for name in type(what).model_fields}
    value = keep(**fields, idempotency_key=key, client_ip=ip, caller=caller)
    age = store.freshness.age(value)
    place = {"location": f"/api/v1/analyses/{value.analysis_id}", "etag": render.etag_of(value, age)}
    return render.json(records.analysis(value, age), 201, place)
