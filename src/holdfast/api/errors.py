"""The edge: every error becomes one shape with the right status here, and nowhere else."""

import http
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from holdfast.domain import errors

_log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1


class MalformedBody(errors.InvalidInput):
    """The body is no JSON."""

    code = "MALFORMED_BODY"
    suggestions = ("Send UTF-8 JSON, as RFC 8259 has it: no NaN, no infinities, not nested too deeply",)


class BodyTooLarge(errors.InvalidInput):
    """The body is too large."""

    code = "BODY_TOO_LARGE"
    suggestions = ("Send less", "Ask whoever runs the service to raise HOLDFAST_MAX_BODY_MB")


class BodyTooSlow(errors.InvalidInput):
    """The body did not arrive in time."""

    code = "BODY_TOO_SLOW"
    suggestions = ("Send it again, at once",)
    retry_suggested = True


class UnsupportedMedia(errors.InvalidInput):
    """The body is of a kind that is not understood."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    suggestions = ("Send JSON with `Content-Type: application/json`",)


class InvalidRequest(errors.InvalidInput):
    """A part of the request is not valid."""

    code = "INVALID_REQUEST"


class VersionRequired(errors.HoldfastError):
    """The change must say which version it was made for."""

    code = "VERSION_REQUIRED"
    suggestions = ("Send the ETag of what you have as If-Match", "Read it first: the answer has its ETag")


class RouteNotFound(errors.NotFound):
    """There is nothing at this address."""

    code = "ROUTE_NOT_FOUND"
    suggestions = ("Look at /docs for what there is",)


class MethodNotAllowed(errors.HoldfastError):
    """What is at this address cannot do that."""

    code = "METHOD_NOT_ALLOWED"
    suggestions = ("The header Allow says what it can do",)


class ForeignHost(errors.HoldfastError):
    """The request came by a name, or from a page, that is not this machine's."""

    # A page of any site may name this machine by a name of its own (DNS rebinding) and so reach a local service.
    code = "FOREIGN_HOST"
    suggestions = ("Use http://localhost or http://127.0.0.1", "To be reached by others, serve with tokens")


class Unexpected(errors.HoldfastError):
    """Something unforeseen happened; the log of the service says more."""

    code = "UNEXPECTED_ERROR"
    suggestions = ("Try again", "Give the request_id to whoever runs the service")


# The first class that fits decides, so the special stand before the general.
STATUSES: tuple[tuple[type[errors.HoldfastError], int], ...] = (
    (MalformedBody, 400),
    (errors.InvalidCursor, 400),
    (BodyTooSlow, 408),
    (BodyTooLarge, 413),
    (UnsupportedMedia, 415),
    (RouteNotFound, 404),
    (MethodNotAllowed, 405),
    (ForeignHost, 421),
    (errors.AuthenticationRequired, 401),
    (errors.Forbidden, 403),
    (errors.WrongOwner, 403),
    (errors.AnalysisGone, 410),
    (errors.NotFound, 404),
    (errors.RateLimited, 429),
    (errors.StaleVersion, 412),
    (VersionRequired, 428),
    (errors.Conflict, 409),
    (errors.InvalidDatabaseUrl, 500),
    (errors.InvalidInput, 422),
    (errors.ProcessorUnavailable, 503),
    (errors.StoreCorrupt, 500),
    (errors.StoreError, 503),
    (errors.HoldfastError, 500),
)


def status_of(error: errors.HoldfastError) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def problem(error: errors.HoldfastError, request_id: str, *, tells_owner: bool = False) -> Response:
    """The answer that tells an error.

    Args:
        error: what was wrong.
        request_id: names the request in the log.
        tells_owner: whether the route is documented to say that something is somebody else's.
    """
    if isinstance(error, errors.WrongOwner) and not tells_owner:
        # In the very words of an id that does not exist: nobody learns what others have.
        missing = error.analysis_id
        error = errors.AnalysisNotFound(f"There is no analysis {missing}", analysis_id=missing)
    status = status_of(error)
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        # A store that is away says why in its message; a hundred lines for each request meanwhile would fill the disk.
        known = error if status == http.HTTPStatus.INTERNAL_SERVER_ERROR else None
        _log.error("Request %s failed: %s: %s", request_id, error.code, error, exc_info=known)
    hidden = isinstance(error, errors.StoreError) or status == http.HTTPStatus.INTERNAL_SERVER_ERROR
    # What a store says of itself names files, hosts and users; the log has it.
    message = (type(error).__doc__ or "").strip() if hidden else error.message
    body = {
        "success": False,
        "error": {
            "code": error.code,
            "message": message,
            "details": {} if hidden else error.details,
            "suggestions": list(error.suggestions),
            "analysis_id": error.analysis_id,
            "partial_results_available": bool(error.details.get("partial_results_available", False)),
            "retry_suggested": error.retry_suggested or status == http.HTTPStatus.SERVICE_UNAVAILABLE,
            "request_id": request_id,
        },
    }
    return Response(msgspec.json.encode(body), status, headers=_headers(error, status), media_type="application/json")


def _headers(error: errors.HoldfastError, status: int) -> dict[str, str]:
    headers: dict[str, str] = {"cache-control": "no-store"}
    if status == http.HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="holdfast"'
    elif status in {http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS}:
        seconds = error.details.get("retry_after_seconds", _AGAIN_SECONDS)
        headers["retry-after"] = str(max(1, -int(-float(seconds) // 1)))
    elif status in {http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
        # What is left of the body is not read.
        headers["connection"] = "close"
    elif isinstance(error, MethodNotAllowed):
        headers["allow"] = str(error.details.get("allow", ""))
    return headers


def request_id_of(request: Request) -> str:
    """The request's name in logs."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error so."""
    app.add_exception_handler(errors.HoldfastError, _known)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(HTTPException, _routed)


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.HoldfastError)
    # Routes that tell it turn it into their own answer before it comes here.
    tells = bool(request.scope.get("state", {}).get("tells_owner", False))
    return problem(error, request_id_of(request), tells_owner=tells)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(refused(error.errors()), request_id_of(request))


async def _routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known: errors.HoldfastError
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        known = RouteNotFound()
    elif error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        known = MethodNotAllowed(allow=(error.headers or {}).get("Allow", (error.headers or {}).get("allow", "")))
    else:
        known = MalformedBody(str(error.detail)) if error.status_code == http.HTTPStatus.BAD_REQUEST else Unexpected()
    return problem(known, request_id_of(request))


def refused(problems: Any) -> errors.HoldfastError:
    """What pydantic refused, as an error that names the fields.

    Args:
        problems: pydantic's list of them.
    """
    told = [_told(one) for one in problems]
    fields = ", ".join(dict.fromkeys(one["field"] for one in told))
    first = told[0]
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return InvalidRequest(f"{first['field']}: {first['message']}{more}", field=fields, problems=told[:20])


def _told(one: Mapping[str, Any]) -> dict[str, str]:
    place = [str(part) for part in one["loc"] if part not in {"body", "query", "path", "header"}]
    return {"field": ".".join(place) or "body", "message": str(one["msg"]), "type": str(one["type"])}


def invalid(error: ValidationError) -> errors.HoldfastError:
    """A body that pydantic refused: no JSON at all, or not what is wanted."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    broken = next((one for one in problems if one["type"] == "json_invalid"), None)
    if broken is not None:
        return MalformedBody(f"The body is no JSON: {broken['msg'].removeprefix('Invalid JSON: ')}")
    return refused(problems)
