"""What happened, also to what is deleted by now."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, Cursor, Findable, Limit, Name
from holdfast.api.schemas.event import EventPage

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get("", operation_id="list_audit", response_model=EventPage, responses=answers())
def list_audit(
    caller: Asker,
    store: Store,
    *,
    client_session_id: Name = None,
    name: Annotated[list[Findable], Query(max_length=10, description="Events of one of these names.")] = [],  # noqa: B006 FastAPI copies it
    actor: Name = None,
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List what happened, newest first: everything for administrators, what is their own for all others."""
    where = {"client_session_id": client_session_id, "name": name, "actor": actor}
    cursors = Cursors(store, caller, "audit", where)
    found = store.queries.audit(
        owner=client_session_id,
        names=name,
        actor=actor,
        before=cursors.value(cursor, None),
        limit=limit + 1,
        caller=caller,
    )
    shown = found[:limit]
    following = shown[-1].sequence if len(found) > limit else None
    return render.json(records.page([records.event(one) for one in shown], cursors.after_value(following)))
