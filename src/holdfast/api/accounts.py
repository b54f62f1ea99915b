"""Tokens, for administrators, and anonymous clients, where the service has them."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Admin, Doors, Given, Store, Writer, body_of
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import LIST_LIMIT, Cursor, Findable, Limit
from holdfast.api.schemas.token import ClientOut, CreatedToken, NewToken, TokenOut, TokenPage
from holdfast.domain.errors import Forbidden

router = APIRouter(prefix="/api/v1", tags=["accounts"])


@router.post(
    "/tokens",
    operation_id="create_token",
    status_code=201,
    response_model=CreatedToken,
    responses=answers(409, body=True),
    openapi_extra=body_doc("NewToken"),
)
def create_token(caller: Admin, store: Store, new: Annotated[NewToken, body_of(NewToken)]) -> Response:
    """Make a token; its secret is told in this answer and never again."""
    made = store.accounts.create_token(
        new.name, owner=new.owner, role=new.role, expires_in_seconds=new.expires_in_seconds, caller=caller
    )
    return render.json(render.plain(made.token) | {"secret": made.secret}, 201, {"cache-control": "no-store"})


@router.get("/tokens", operation_id="list_tokens", response_model=TokenPage, responses=answers())
def list_tokens(caller: Writer, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None) -> Response:
    """List the tokens, newest first: everybody's for administrators, their owner's for writers."""
    cursors = Cursors(store, caller, "tokens", {})
    found = store.accounts.list_tokens(caller, after=cursors.value(cursor, None), limit=limit)
    return render.json(records.page([render.plain(one) for one in found.items], cursors.after_value(found.next)))


@router.delete("/tokens/{token_id}", operation_id="revoke_token", response_model=TokenOut, responses=answers(404))
def revoke_token(
    token_id: Annotated[Findable, Path(min_length=1, max_length=128)], caller: Writer, store: Store
) -> Response:
    """End a token now."""
    return render.json(render.plain(store.accounts.revoke_token(token_id, caller)))


@router.post("/clients", operation_id="create_client", status_code=201, response_model=ClientOut, responses=answers())
def create_client(access: Doors, given: Given, store: Store) -> Response:
    """Get an anonymous client's id, where the service has such clients."""
    if not access.gives_clients:
        raise Forbidden("This service has no anonymous clients; HOLDFAST_ANONYMOUS_CLIENTS allows them")
    return render.json({"client_id": store.accounts.create_client(given.ip)}, 201, {"cache-control": "no-store"})
