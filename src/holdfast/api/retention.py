"""Retention: what it would do, and doing it now."""

from fastapi import APIRouter, Response

from holdfast.api import render
from holdfast.api.deps import Admin, Store
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, Limit
from holdfast.api.schemas.system import RetentionReport

router = APIRouter(prefix="/api/v1/retention", tags=["retention"])


@router.get("/plan", operation_id="plan_retention", response_model=RetentionReport, responses=answers())
def plan_retention(_: Admin, store: Store, *, limit: Limit = LIST_LIMIT) -> Response:
    """What the next sweep would remove, and why."""
    return render.json({"success": True, "report": render.plain(store.retention.plan(limit=limit))})


@router.post("/sweep", operation_id="sweep", response_model=RetentionReport, responses=answers())
def sweep(_: Admin, store: Store) -> Response:
    """Remove now what retention removes."""
    return render.json({"success": True, "report": render.plain(store.retention.sweep())})
