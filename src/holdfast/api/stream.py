"""What happens, as it happens: server-sent events, and polling where they do not get through."""

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
import uvicorn
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from holdfast.api.deps import Asker, holdfast_of
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, AnalysisId, Findable, Limit
from holdfast.api.schemas.event import AnalysisProgress, EventPage
from holdfast.documents import to_json
from holdfast.domain.access import Caller
from holdfast.domain.addresses import subscriber
from holdfast.domain.analysis import Status
from holdfast.domain.errors import InvalidCursor, RateLimited
from holdfast.services.feed import Feed, Subscription

_DIGITS = 19
# How long a reader that does not read may take to notice its end; it has what fills the buffers on the way to read.
_CUT_SECONDS = 10.0
_STOP_SECONDS = 0.5
# How long one chunk may take: who still catches up has no queue that could overflow.
_CHUNK_SECONDS = 60.0
# When somebody with too many streams may have lost one.
_RETRY_SECONDS = 5
_POLL_SECONDS = {Status.RUNNING: 1.0, Status.QUEUED: 2.0}

# The addresses of clients that did not read their stream's end; the server, which has their connections, drops them.
_hung: set[tuple[Any, ...]] = set()

router = APIRouter(prefix="/api/v1", tags=["events"])

_STREAM: dict[str, Any] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
Many = Annotated[list[Findable] | None, Query(max_length=20)]
LastEventId = Annotated[str | None, Header(description="The id of the last event received.")]
LastEventIdQuery = Annotated[
    str | None, Query(alias="last_event_id", description="The same, for clients that cannot set headers.")
]


class OpenStreams:
    """How many streams each caller has open here. Of the event loop alone."""

    def __init__(self, most: int) -> None:
        """Let each have ``most``; 0 for any number."""
        self._most = most
        self._open: Counter[str] = Counter()

    def check(self, who: str) -> None:
        """Raise RateLimited when they have all that they may."""
        if self._most and self._open[who] >= self._most:
            raise RateLimited(
                f"You have {self._most} streams open here, and may not have more",
                limit=self._most,
                retry_after_seconds=_RETRY_SECONDS,
            )

    @contextlib.contextmanager
    def one(self, who: str) -> Iterator[None]:
        """One more, as long as the block lasts."""
        self.check(who)
        self._open[who] += 1
        try:
            yield
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]


class EventStream(Response):
    """A response that lasts as long as its subscription and its client do.

    Prepared bytes go out as they are; a watcher costs two waiting tasks: one that sends, one that notices that the
    client is gone.
    """

    media_type = "text/event-stream"

    def __init__(self, subscription: Subscription, opened: contextlib.AbstractContextManager[None]) -> None:
        """Send what ``subscription`` gets; it is ``opened`` meanwhile."""
        self._opened = opened
        # Not the base's: it would render a body and say how long it is.
        self.status_code = 200
        self.background = None
        self.body = b""
        # Proxies are asked not to gather what should be seen at once.
        self.init_headers({"cache-control": "no-store", "vary": "accept", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends."""
        with self._opened:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        end = asyncio.get_running_loop().create_future()
        self._subscription.on_end = lambda: None if end.done() else end.set_result(None)
        sender = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(self._gone(receive))
        try:
            await asyncio.wait({sender, gone, end}, return_when=asyncio.FIRST_COMPLETED)
            if end.done() and not sender.done():
                # The sender may hang on a reader that does not read: it gets a while, and then an end.
                patience = _CUT_SECONDS if self._subscription.was_cut else _STOP_SECONDS
                await asyncio.wait({sender, gone}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
                sender.result()
            elif not gone.done():
                _hung.add(tuple(scope.get("client") or ()))
        except TimeoutError:
            _hung.add(tuple(scope.get("client") or ()))
        finally:
            for task in (sender, gone):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                    await task

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with contextlib.aclosing(self._subscription.stream()) as chunks:
            async for chunk in chunks:
                async with asyncio.timeout(_CHUNK_SECONDS):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


class StreamingServer(uvicorn.Server):
    """A server that ends its event streams when it is told to stop, and drops those whose readers do not read.

    uvicorn waits for every open response before it tells the application that it stops; a stream would never end. And
    it keeps a connection until what it was sent is read; of an abandoned one that would be for ever.
    """

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        """Serve as ``config`` says, and end the streams of ``feed``."""
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Stop: the streams first."""
        await run_in_threadpool(self._feed.close)
        dropping = asyncio.create_task(self._drop())
        try:
            await super().shutdown(sockets)
        finally:
            dropping.cancel()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, by uvicorn; whether to stop."""
        self._drop_hung()
        return await super().on_tick(counter)

    async def _drop(self) -> None:
        while True:
            self._drop_hung()
            await asyncio.sleep(0.1)

    def _drop_hung(self) -> None:
        if not _hung:
            return
        for connection in list(self.server_state.connections):
            if getattr(connection, "client", None) in _hung:
                connection.transport.abort()
        _hung.clear()


def _sequence(*given: str | None) -> int | None:
    """The first event's id that was given; a browser sends an empty one when it has none."""
    for text in given:
        if text:
            if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
                raise InvalidCursor(f"{text[:40]!r} is no event's id", value=text[:40])
            return int(text)
    return None


@router.get(
    "/events",
    operation_id="stream_events",
    response_class=Response,
    responses={200: _STREAM, **answers()},
)
async def events(
    request: Request,
    caller: Asker,
    name: Annotated[Many, Query(description="Only events of these names.")] = None,
    kind: Annotated[Many, Query(description="Only events of analyses of these kinds.")] = None,
    last_event_id: LastEventId = None,
    last_event_id_query: LastEventIdQuery = None,
) -> Response:
    """Watch everything that happens and the caller may see, as server-sent events.

    The stream goes on after the last event that was received, if that is told.
    """
    after = _sequence(last_event_id, last_event_id_query)
    return await _stream(request, caller, None, after, name or (), kind or ())


@router.get(
    "/analyses/{analysis_id}/events",
    operation_id="list_analysis_events",
    response_model=EventPage,
    responses={
        200: _STREAM,
        204: {"description": "The analysis has ended, and its last event was received."},
        **answers(404, 410),
    },
)
async def analysis_events(
    request: Request,
    caller: Asker,
    analysis_id: AnalysisId,
    *,
    after: Annotated[
        str | None, Query(max_length=1024, description="`next_cursor` of the page before, or an event's id.")
    ] = None,
    limit: Limit = LIST_LIMIT,
    last_event_id: LastEventId = None,
    last_event_id_query: LastEventIdQuery = None,
) -> Response:
    """Watch what happens to an analysis: as a stream that ends with it, if that is accepted, or else as a list."""
    if "text/event-stream" in request.headers.get("accept", ""):
        place = _sequence(last_event_id, last_event_id_query, after)
        return await _stream(request, caller, analysis_id, place, (), ())
    feed = holdfast_of(request).feed
    page = await run_in_threadpool(feed.page, caller, analysis_id, after=_sequence(after), limit=limit)
    items = [{"sequence": entry.sequence, **asdict(entry.event)} for entry in page.items]
    return _json({"items": items, "next_cursor": None if page.next is None else str(page.next)})


@router.get(
    "/analyses/{analysis_id}/progress",
    operation_id="get_analysis_progress",
    response_model=AnalysisProgress,
    responses=answers(304, 404, 410),
)
def analysis_progress(
    request: Request,
    caller: Asker,
    analysis_id: AnalysisId,
    *,
    if_none_match: Annotated[str | None, Header(description="The ETag of the last answer.")] = None,
) -> Response:
    """Tell how far a run has come, for clients that ask again and again: nothing is sent again that they have."""
    analysis, progress = holdfast_of(request).queries.progress(analysis_id, caller=caller)
    body = {
        "analysis_id": analysis.analysis_id,
        "status": analysis.status.value,
        "cancel_requested": analysis.cancel_requested,
        "attempt": analysis.attempt,
        "progress": None if progress is None else asdict(progress),
        "poll_after_seconds": _POLL_SECONDS.get(analysis.status),
    }
    # Weak: a proxy may compress it, and it is still the same.
    content = to_json(body)
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    known = [value.strip() for value in (if_none_match or "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


async def _stream(
    request: Request,
    caller: Caller,
    analysis_id: str | None,
    after: int | None,
    names: Sequence[str],
    kinds: Sequence[str],
) -> Response:
    holdfast, streams = holdfast_of(request), request.app.state.streams
    # New anonymous ids cost nothing: their streams count by address, as all that they do.
    who = subscriber(caller.ip) if caller.is_anonymous and caller.ip is not None else caller.owner
    # Before the store is asked, and once more when the stream begins.
    streams.check(who)
    subscribe = holdfast.feed.subscribe
    subscription = await run_in_threadpool(
        subscribe,
        caller,
        analysis_id=analysis_id,
        after=after,
        names=names,
        kinds=kinds,
        until_tokens=caller.token_id is None and not caller.is_anonymous,
    )
    if subscription.is_over and after is not None:
        # A browser connects again when a stream ends; this tells it that there is nothing more to come.
        return Response(status_code=204)
    return EventStream(subscription, streams.one(who))


def _json(value: Any) -> Response:
    # The same address is a stream to those who accept one.
    headers = {"cache-control": "no-store", "vary": "accept"}
    return Response(msgspec.json.encode(value), media_type="application/json", headers=headers)
