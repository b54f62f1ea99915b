"""Conflicts that wait for a choice."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store, Writer, body_of
from holdfast.api.errors import VersionRequired
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import LIST_LIMIT, Cursor, Findable, Limit
from holdfast.api.preconditions import IfMatch, Tag, changed_at, etag
from holdfast.api.schemas import repository as schemas
from holdfast.domain.conflicts import Conflict

router = APIRouter(prefix="/api/v1/conflicts", tags=["sync"])

ConflictId = Annotated[Findable, Path(min_length=1, max_length=128, description="The conflict.")]


def tag_of(value: Conflict) -> str:
    """Names the state of a conflict and of the branch that it is about: who chooses has seen both."""
    return etag(value.version, value.branch_version)


@router.get("", operation_id="list_conflicts", response_model=schemas.ConflictPage, responses=answers())
def list_conflicts(caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None) -> Response:
    """List the conflicts that nobody has resolved, in the order in which they arose."""
    cursors = Cursors(store, caller, "conflicts", {})
    found = store.sync.get_conflicts(limit=limit, after=cursors.place(cursor), caller=caller)
    return render.json(records.page([records.conflict(one) for one in found.items], cursors.after(found.next)))


@router.get(
    "/{conflict_id}", operation_id="get_conflict", response_model=schemas.ConflictOut, responses=answers(304, 404)
)
def get_conflict(conflict_id: ConflictId, request: Request, caller: Asker, store: Store) -> Response:
    """A conflict with both sides and their base."""
    value = store.sync.get_conflict(conflict_id, caller=caller)
    return render.tagged(request, records.conflict(value), tag_of(value))


@router.post(
    "/{conflict_id}/resolve",
    operation_id="choose",
    response_model=schemas.ConflictOut,
    responses=answers(404, 409, 412, 428, body=True),
    openapi_extra=body_doc("Choice"),
)
def choose(
    conflict_id: ConflictId,
    caller: Writer,
    store: Store,
    choice: Annotated[schemas.Choice, body_of(schemas.Choice)],
    if_match: IfMatch = None,
) -> Response:
    """Take one of the two versions, or one made of both."""
    if if_match is None:
        value = store.sync.get_conflict(conflict_id, caller=caller)
        raise VersionRequired(conflict_id=conflict_id, version=value.version, etag=tag_of(value))

    def chosen(tag: Tag | None) -> Conflict:
        expected = None if tag is None else (tag[0], tag[1] if len(tag) > 1 else 0)
        return store.sync.resolve_conflict(
            conflict_id, choice.resolution, merged=choice.merged, expected=expected, caller=caller
        )

    value = changed_at(if_match, chosen)
    return render.json(records.conflict(value), headers={"etag": tag_of(value)})
