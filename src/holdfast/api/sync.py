"""Conflicts and figures of syncing, at the addresses of their document."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store, Writer
from holdfast.api.openapi import answers
from holdfast.api.params import LARGEST_OFFSET, LARGEST_PAGE, Cursor, Limit
from holdfast.api.schemas import repository as schemas
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.conflicts import Resolution

router = APIRouter(prefix="/api/v1/sync", tags=["sync"])

_SHOWN = 10


@router.get(
    "/conflicts", operation_id="get_sync_conflicts", response_model=schemas.ConflictsAnswer, responses=answers()
)
def get_sync_conflicts(caller: Asker, store: Store, *, limit: Limit = LARGEST_PAGE, cursor: Cursor = None) -> Response:
    """The conflicts that nobody has resolved; a conflict's index is its place in this list, from 0."""
    cursors = Cursors(store, caller, "sync-conflicts", {})
    found = store.sync.get_conflicts(limit=limit, after=cursors.place(cursor), caller=caller)
    shown = [records.conflict(one) for one in found.items]
    return render.json({"conflicts": shown, "count": len(shown), "next_cursor": cursors.after(found.next)})


@router.post(
    "/resolve-conflict/{conflict_index}",
    operation_id="resolve_sync_conflict",
    response_model=schemas.ResolvedAnswer,
    responses=answers(404, 409),
)
def resolve_sync_conflict(
    conflict_index: Annotated[int, Path(ge=0, le=LARGEST_OFFSET, description="Its place in the list, from 0.")],
    caller: Writer,
    store: Store,
    *,
    use_local: Annotated[bool, Query(description="Keep what is kept; otherwise take what came in.")] = True,
) -> Response:
    """Resolve the conflict at a place of the list; the answer says which one that was.

    Places shift when a conflict before is resolved: who is not alone names a conflict by its id, under ``/conflicts``.
    """
    wanted = store.sync.conflict_at(conflict_index, caller=caller)
    resolution = Resolution.LOCAL if use_local else Resolution.REMOTE
    # By its id from here on: if somebody was quicker, this is told and no other one resolved.
    value = store.sync.resolve_conflict(wanted.conflict_id, resolution, caller=caller)
    message = f"Conflict {value.conflict_id} of {value.branch_name} is resolved: {resolution.value}"
    return render.json({"success": True, "message": message, "conflict": records.conflict(value)})


@router.get("/stats", operation_id="get_sync_stats", response_model=schemas.SyncFigures, responses=answers())
def get_sync_stats(caller: Asker, store: Store) -> Response:
    """How syncing stands."""
    return render.json(figures(store, caller))


def figures(store: Holdfast, caller: Caller) -> records.Record:
    """The strategy, how many conflicts of the caller's wait, and the first of them."""
    return {
        "strategy": store.sync.strategy.value,
        "pending_conflicts": store.sync.count_conflicts(caller=caller),
        "conflicts": [records.conflict(one) for one in store.sync.get_conflicts(limit=_SHOWN, caller=caller).items],
    }
