"""What routes ask for: the store, who calls, and a way to call the services beside the event loop."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from starlette.concurrency import run_in_threadpool

from holdfast.api.access import Access, Credentials
from holdfast.api.body import parsed
from holdfast.api.reading import Reader
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.errors import Forbidden

T = TypeVar("T")


def holdfast_of(request: Request) -> Holdfast:
    """The open store."""
    holdfast: Holdfast = request.app.state.holdfast
    return holdfast


def access_of(request: Request) -> Access:
    """The rules of who is let in."""
    access: Access = request.app.state.access
    return access


def reader_of(request: Request) -> Reader:
    """What reads analyses for many requests at once."""
    reader: Reader = request.app.state.reader
    return reader


def credentials_of(request: Request) -> Credentials:
    """What the request says of who sent it."""
    return access_of(request).credentials(request)


async def caller_of(request: Request) -> Caller:
    """Who asks.

    Raises:
        AuthenticationRequired: nobody known.
    """
    access = access_of(request)
    return await run_in_threadpool(access.caller, access.credentials(request))


async def tells_owner(request: Request) -> None:
    """Let the route say that something is somebody else's, as its document has it."""
    request.state.tells_owner = True


async def called(request: Request, work: Callable[[Holdfast, Caller], T]) -> T:
    """Find out who asks and do ``work``, in one go beside the event loop: for the routes that must be quick."""
    holdfast, access = holdfast_of(request), access_of(request)
    given = access.credentials(request)
    return await run_in_threadpool(lambda: work(holdfast, access.caller(given)))


async def _writer(caller: "Asker") -> Caller:
    caller.require(Role.WRITER)
    return caller


async def _admin(caller: "Asker") -> Caller:
    caller.require(Role.ADMIN)
    return caller


async def _known(caller: "Asker") -> Caller:
    if caller.is_anonymous:
        raise Forbidden("This needs a token: it tells of everybody's results")
    return caller


Asker = Annotated[Caller, Depends(caller_of)]


def body_of(model: type[T], *, required: bool = True) -> Any:
    """A dependency: the request's JSON as ``model``, parsed by it from the bytes.

    Args:
        model: what is wanted.
        required: whether there must be a body; where there is none, ``model`` is made without arguments.
    """

    # After who asks: a stranger is told nothing of the body, and nobody reads it.
    async def read(request: Request, _: Asker) -> T:
        content = await request.body()
        return model() if not content and not required else parsed(request, content, model)

    return Depends(read)


Writer = Annotated[Caller, Depends(_writer)]
Admin = Annotated[Caller, Depends(_admin)]
Known = Annotated[Caller, Depends(_known)]
Store = Annotated[Holdfast, Depends(holdfast_of)]
Doors = Annotated[Access, Depends(access_of)]
Given = Annotated[Credentials, Depends(credentials_of)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The request's own name: sent again with the same name, it is answered by what it led to.",
    ),
]
