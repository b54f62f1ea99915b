"""What is stale, and refreshing it, at the addresses of their document."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Admin, Asker, Store, Writer
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, BranchName, Cursor, Findable, Limit, RepoId
from holdfast.api.schemas import refresh as schemas
from holdfast.domain.refresh import TaskStatus
from holdfast.services.refresh import DEFAULT_DELAY_MINUTES

router = APIRouter(prefix="/api/v1", tags=["freshness"])

_PASSING = ("age_hours", "checked_at")


@router.get(
    "/refresh/staleness/{repo_id}/{branch_name:path}",
    operation_id="get_staleness_info",
    response_model=schemas.StalenessOut,
    responses=answers(304, 404),
)
def get_staleness_info(
    repo_id: RepoId, branch_name: BranchName, request: Request, caller: Asker, store: Store
) -> Response:
    """How old a branch's result is, what has changed since, and what to do."""
    record = records.staleness(store.freshness.get_staleness_info(repo_id, branch_name, caller=caller))
    return render.tagged(request, record, tag_of([record]))


def tag_of(states: Sequence[records.Record]) -> str:
    """Names how branches stand; weak, since that time passes alone makes no other state until it says so in words."""
    return "W/" + render.tag_of(
        [{name: value for name, value in one.items() if name not in _PASSING} for one in states]
    )


@router.get(
    "/refresh/stale-branches/{repo_id}",
    operation_id="get_stale_branches",
    response_model=schemas.StaleBranchPage,
    responses=answers(404),
)
def get_stale_branches(
    repo_id: RepoId, caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None
) -> Response:
    """List a repository's branches that have a reason to be refreshed."""
    cursors = Cursors(store, caller, "stale", {"of": repo_id})
    after = cursors.value(cursor, None)
    found = store.freshness.get_stale_branches(
        repo_id, limit=limit, after=None if after is None else str(after), caller=caller
    )
    return render.json(
        {
            "success": True,
            "repo_id": repo_id,
            "stale_branches": [records.staleness(one) for one in found.items],
            "count": len(found.items),
            "next_cursor": cursors.after_value(found.next),
        }
    )


@router.post(
    "/refresh/mark/{repo_id}/{branch_name:path}",
    operation_id="mark_for_refresh",
    response_model=schemas.Marked,
    responses=answers(404),
)
def mark_for_refresh(repo_id: RepoId, branch_name: BranchName, caller: Writer, store: Store) -> Response:
    """Ask for a refresh of a branch whenever there is time: it is stale from now on."""
    at = store.refresh.mark_for_refresh(repo_id, branch_name, caller=caller)
    return render.json(
        {
            "success": True,
            "message": "The branch is marked for refresh",
            "repo_id": repo_id,
            "branch_name": branch_name,
            "marked_at": records.time(at),
        }
    )


@router.post(
    "/refresh/schedule/{repo_id}/{branch_name:path}",
    operation_id="schedule_refresh",
    status_code=202,
    response_model=schemas.Scheduled,
    responses=answers(404, 409),
)
def schedule_refresh(
    repo_id: RepoId,
    branch_name: BranchName,
    caller: Writer,
    store: Store,
    *,
    delay_minutes: Annotated[
        float, Query(ge=0, le=527_040, allow_inf_nan=False, description="How long to wait; 0 for at once.")
    ] = DEFAULT_DELAY_MINUTES,
) -> Response:
    """Refresh a branch after a delay; one that waits already is put to the new moment."""
    store.limits.hit("start", caller)
    task = store.refresh.schedule_refresh(repo_id, branch_name, delay_minutes, caller=caller)
    body = {
        "success": True,
        "message": "The refresh is scheduled",
        "task_id": task.task_id,
        "repo_id": task.repo_id,
        "branch_name": task.branch_name,
        "delay_minutes": task.delay_minutes,
        "run_at": records.time(task.run_at),
    }
    return render.json(body, 202, {"location": "/api/v1/refresh/scheduled-tasks"})


@router.get(
    "/refresh/scheduled-tasks",
    operation_id="get_scheduled_tasks",
    response_model=schemas.TaskPage,
    responses=answers(),
)
def get_scheduled_tasks(
    caller: Asker,
    store: Store,
    *,
    status: Annotated[list[TaskStatus], Query(description="One of these.")] = [],  # noqa: B006 FastAPI copies it
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List refreshes that wait, run, or were over lately."""
    wanted = tuple(dict.fromkeys(status))
    cursors = Cursors(store, caller, "refreshes", {"status": wanted})
    found = store.refresh.get_scheduled_tasks(wanted, limit=limit, after=cursors.place(cursor), caller=caller)
    return render.json(
        {
            "success": True,
            "tasks": [records.refresh_task(one) for one in found.items],
            "count": len(found.items),
            "next_cursor": cursors.after(found.next),
        }
    )


@router.delete(
    "/refresh/scheduled-tasks/{task_id}",
    operation_id="cancel_refresh",
    response_model=schemas.CancelledOut,
    responses=answers(404, 409),
)
def cancel_refresh(
    task_id: Annotated[Findable, Path(min_length=1, max_length=128, description="The refresh.")],
    caller: Writer,
    store: Store,
) -> Response:
    """Call off a refresh that waits."""
    task = store.refresh.cancel_refresh(task_id, caller=caller)
    return render.json(
        {"success": True, "message": "The refresh is called off", "task_id": task_id, "status": task.status.value}
    )


@router.get(
    "/auto-refresh/status",
    operation_id="get_auto_refresh_status",
    response_model=schemas.AutoRefreshOut,
    responses=answers(),
)
def get_auto_refresh_status(caller: Asker, store: Store) -> Response:
    """Whether what is stale is refreshed by itself, and what is being refreshed."""
    return render.json(records.auto_refresh(store.refresh.get_status(caller=caller)))


@router.post(
    "/auto-refresh/enable",
    operation_id="enable_auto_refresh",
    response_model=schemas.AutoRefreshOut,
    responses=answers(),
)
def enable_auto_refresh(caller: Admin, store: Store) -> Response:
    """Let workers refresh what is stale by themselves."""
    return render.json(records.auto_refresh(store.refresh.enable_auto_refresh(caller=caller)))


@router.post(
    "/auto-refresh/disable",
    operation_id="disable_auto_refresh",
    response_model=schemas.AutoRefreshOut,
    responses=answers(),
)
def disable_auto_refresh(caller: Admin, store: Store) -> Response:
    """Let workers refresh nothing by themselves; what has begun goes on."""
    return render.json(records.auto_refresh(store.refresh.disable_auto_refresh(caller=caller)))
