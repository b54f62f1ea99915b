"""What every request passes: named, logged, counted, and kept from doing harm. Plain ASGI, as it is on every path."""

import asyncio
import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api import errors
from holdfast.api.access import Access, comes_from_this_machine, names_this_machine
from holdfast.api.metrics import Metrics
from holdfast.domain.errors import HoldfastError
from holdfast.domain.tokens import masked
from holdfast.tracing import tell

_Headers = dict[bytes, bytes]

_access_log = logging.getLogger("holdfast.access")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_MEBIBYTE = 1024 * 1024
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_STREAM = b"text/event-stream"
# The API answers with data; only its own pages load anything.
_NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Observed:
    """The outermost layer: gives each request a name, and tells log and metrics how it ended, however it did."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Stand before ``app``."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _given_id(scope) or secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        path = _hidden(scope)
        status = 0
        streams = False

        async def told(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message.get("headers", ())
                names = dict(given)
                headers = message["headers"] = [*given, *_SECURITY, (b"x-request-id", request_id.encode())]
                if names.get(b"content-type", b"").startswith(_STREAM):
                    streams = True
                    self._metrics.watchers.inc()
                if b"content-security-policy" not in names:
                    headers.append(_NOTHING)
            await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception as error:
            # Whatever it is, who asked gets an answer of the shape that all errors have.
            if status:
                # Half an answer is out: only cutting it off tells the client that it is not whole.
                raise
            known = error if isinstance(error, HoldfastError) else errors.Unexpected()
            if not isinstance(error, HoldfastError):
                logging.getLogger(__name__).exception("Request %s failed", request_id)
            await errors.problem(known, request_id)(scope, receive, told)
        finally:
            if streams:
                self._metrics.watchers.dec()
            self._note(scope, path, request_id, status, time.perf_counter() - began)

    def _note(self, scope: Scope, path: str, request_id: str, status: int, seconds: float) -> None:
        # 499, as others say it: the client went away before an answer.
        status = status or 499
        route = getattr(scope.get("route"), "path", None) or "(none)"
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self._metrics.note(method, route, status, seconds)
        if _access_log.isEnabledFor(logging.INFO):
            facts: dict[str, Any] = {
                "method": method,
                "path": path,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 2),
                "request_id": request_id,
                "client": scope["client"][0] if scope.get("client") else None,
            }
            _access_log.info("%s %s %d", method, path, status, extra=facts)


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def _hidden(scope: Scope) -> str:
    """The path as logs may have it; what a trace has of the address is made so as well."""
    given, query = scope["path"], scope.get("query_string", b"").decode("latin-1")
    path = masked(given)
    # Letters may be written as numbers there.
    if path != given or masked(unquote_plus(query)) != unquote_plus(query):
        parts = [(name, masked(value)) for name, value in parse_qsl(query, keep_blank_values=True)]
        tell(url__path=path, url__query=urlencode(parts))
    return path


def _given_id(scope: Scope) -> str | None:
    """The name that the client has for the request, if it can stand in a log."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else None


class Guarded:
    """Turns away who came by a foreign name, and bodies that are too large or too slow, before anything reads them."""

    def __init__(self, app: ASGIApp, *, access: Access, max_body_mb: float, body_timeout_seconds: float) -> None:
        """Stand before ``app``."""
        self._app = app
        self._access = access
        self._most = int(max_body_mb * _MEBIBYTE)
        self._patience = body_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Looked through once: Starlette's Headers go through all of them for each name, and most are not there.
        headers = dict(reversed(scope["headers"]))
        try:
            await self._check(headers)
            guarded = _Body(receive, self._most, self._patience) if _has_body(headers) else receive
            await self._app(scope, guarded, send)
        except HoldfastError as error:
            await errors.problem(error, scope["state"]["request_id"])(scope, receive, send)

    async def _check(self, headers: _Headers) -> None:
        foreign = None if self._access.asks else _foreign(headers)
        if foreign is not None and await run_in_threadpool(self._access.is_local):
            raise foreign
        said = headers.get(b"content-length", b"")
        if said.isdigit() and int(said[:18]) > self._most:
            raise _too_large(int(said[:18]), self._most)


def _foreign(headers: _Headers) -> errors.ForeignHost | None:
    """Why a service that asks nobody who they are should not answer."""
    host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin")
    if not names_this_machine(host):
        return errors.ForeignHost(f"The service is not known as {host[:80]!r}")
    if origin is not None and not comes_from_this_machine(origin.decode("latin-1")):
        return errors.ForeignHost("The request came from a page that is not of this machine")
    return None


def _has_body(headers: _Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def _too_large(actual: int, allowed: int) -> errors.BodyTooLarge:
    return errors.BodyTooLarge(
        f"The body has {actual} bytes or more, {allowed} are allowed", actual_bytes=actual, allowed_bytes=allowed
    )


class _Body:
    """A body on its way in: counted, and not waited for too long."""

    def __init__(self, receive: Receive, most: int, patience: float) -> None:
        self._receive = receive
        self._most = most
        self._patience = patience
        self._deadline: float | None = None
        self._size = 0
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:
            # Who asks now waits for the client to leave, which may take as long as the answer.
            return await self._receive()
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._patience
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise errors.BodyTooSlow(
                f"The body did not arrive within {self._patience:g} seconds", timeout_seconds=self._patience
            ) from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._size > self._most:
                raise _too_large(self._size, self._most)
        return message
