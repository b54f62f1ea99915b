"""The way of the two requests that there are most of, past the search through all routes: half of what they cost."""

from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.api import errors
from holdfast.domain.errors import HoldfastError

_PLACE = "/api/v1/analyses/"
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class Shortcut:
    """Answers GET of an analysis and of its result by their routes' own functions; passes on all else."""

    def __init__(self, app: ASGIApp, *, routes: list[BaseRoute]) -> None:
        """Stand before ``app``, for those of its routes that are read most."""
        self._app = app
        known = {getattr(route, "path", ""): route for route in routes if "GET" in getattr(route, "methods", ())}
        self._one = known[_PLACE + "{analysis_id}"]
        self._result = known[_PLACE + "{analysis_id}/result"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        route = self._route(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        endpoint: Endpoint = route.endpoint  # type: ignore[attr-defined]  # routes of HTTP have one
        try:
            response = await endpoint(Request(scope, receive))
        except HoldfastError as error:
            response = errors.problem(error, scope["state"]["request_id"])
        await response(scope, receive, send)

    def _route(self, scope: Scope) -> BaseRoute | None:
        # Who is traced goes the way on which tracing learns of routes.
        if scope["type"] != "http" or scope["method"] != "GET" or "fastapi.telemetry" in scope:
            return None
        path: str = scope["path"]
        if not path.startswith(_PLACE):
            return None
        analysis_id, _, part = path[len(_PLACE) :].partition("/")
        if not analysis_id or part not in {"", "result"} or path.endswith("/"):
            return None
        scope["path_params"] = {"analysis_id": analysis_id}
        return self._result if part else self._one
