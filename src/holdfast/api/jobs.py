"""Leased work, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Admin, Store
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, Count, Cursor, Limit
from holdfast.api.schemas.job import JobOut, JobPage, SchedulePage
from holdfast.domain.jobs import JobStatus
from holdfast.services.queries import Relation, Total

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
schedules = APIRouter(prefix="/api/v1/schedules", tags=["jobs"])

_LARGEST_NUMBER = 2**63 - 1


@router.get("", operation_id="list_jobs", response_model=JobPage, responses=answers())
def list_jobs(
    caller: Admin,
    store: Store,
    *,
    status: Annotated[JobStatus | None, Query(description="Only these; dead: out of attempts.")] = None,
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
    count: Count = None,
) -> Response:
    """List jobs by number: those that wait, those under way, and the dead."""
    cursors = Cursors(store, caller, "jobs", {"status": status})
    found = store.jobs.listing(status, after=cursors.value(cursor, 0), limit=limit + 1)
    shown = found[:limit]
    following = shown[-1].id if len(found) > limit else None
    total = None
    if count is not None:
        # Few enough to be counted, as those that are done are no more.
        known = (number for (_, of), number in store.jobs.counts().items() if status is None or of == status.value)
        total = Total(value=sum(known), relation=Relation.EXACT)
    return render.json(records.page([records.job(one) for one in shown], cursors.after_value(following), total))


@schedules.get("", operation_id="list_schedules", response_model=SchedulePage, responses=answers())
def list_schedules(_: Admin, store: Store) -> Response:
    """List the jobs that come again and again, by name; there are few, so this is all of them."""
    return render.json(records.page([records.schedule(one) for one in store.jobs.schedules()]))


@router.post("/{job_id}/retry", operation_id="retry_job", response_model=JobOut, responses=answers(404))
def retry_job(job_id: Annotated[int, Path(ge=1, le=_LARGEST_NUMBER)], _: Admin, store: Store) -> Response:
    """Queue a dead job again, with fresh attempts."""
    return render.json(records.job(store.jobs.retry(job_id)))
