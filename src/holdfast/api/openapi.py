"""What the OpenAPI document says beside what the routes' signatures do."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from holdfast.api.schemas.problem import Problem

_MEANINGS = {
    304: "What the caller has is the present state.",
    400: "The request is malformed: the body is no JSON, or the cursor belongs to another list.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The caller may not do that, or what is asked for is somebody else's where the document says so.",
    404: "There is no such thing, or it is somebody else's.",
    405: "What is at this address cannot do that.",
    408: "The body did not arrive in time.",
    409: "It conflicts with what is kept, or with the status.",
    410: "It has expired, is used up, or was deleted.",
    412: "It is at another version than If-Match says; the details say which.",
    413: "The body is too large; the details say how large it is and how large it may be.",
    415: "The body is not JSON.",
    421: "The request came by a name that is not this machine's.",
    422: "A field is not valid; the details say which, and why.",
    428: "The change must say by If-Match which version it was made for.",
    429: "Too many requests; Retry-After says when to try again.",
    500: "Something unforeseen; the log says more.",
    503: "The store is away; Retry-After says when to try again.",
}
_ALWAYS = (400, 401, 403, 421, 422, 429, 500, 503)
_WITH_BODY = (408, 413, 415)
# By its name: of a model, FastAPI would make a validator for each code of each route, over a thousand of them.
_PROBLEM = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"client": []}, {}]

TAGS = [
    {"name": "analyses", "description": "Analyses: asked for, kept, found, followed, refreshed and removed."},
    {"name": "tasks", "description": "What services have done and language models have answered, to be kept."},
    {"name": "relations", "description": "What analyses are like, and what they have to do with."},
    {"name": "search", "description": "Finding analyses by words, filters, and what they belong to."},
    {"name": "processing", "description": "The indexes that searches read, and what feeds them."},
    {"name": "events", "description": "What happens, as it happens."},
    {"name": "persistence", "description": "Results kept per client, as its document has it."},
    {"name": "duplicates", "description": "Music libraries searched for duplicates, and what is decided about them."},
    {"name": "repositories", "description": "Repositories, their branches, and what was found of these."},
    {"name": "sync", "description": "Concurrent writers, and conflicts that wait for a choice."},
    {"name": "retention", "description": "What is kept no longer, and the trash."},
    {"name": "freshness", "description": "What is stale, and refreshing it."},
    {"name": "jobs", "description": "Leased work."},
    {"name": "audit", "description": "What happened, who did it, and when."},
    {"name": "accounts", "description": "Tokens and anonymous clients."},
    {"name": "service", "description": "What the service says of itself."},
]


def answers(*codes: int, body: bool = False) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer, all of one shape.

    Args:
        codes: those beside the ones that every route may answer.
        body: whether the route takes one.
    """
    known = {*_ALWAYS, *codes, *(_WITH_BODY if body else ())}
    return {code: {"description": _MEANINGS[code], "content": _PROBLEM} for code in sorted(known - {304})} | (
        {304: {"description": _MEANINGS[304]}} if 304 in known else {}
    )


def path_id(description: str = "The analysis.") -> dict[str, Any]:
    """The parameter ``analysis_id`` of a route that reads it itself."""
    return {
        "name": "analysis_id",
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


def header(name: str, description: str) -> dict[str, Any]:
    """A header of a request that a route reads itself."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    }


def body_doc(model: str, *, required: bool = True) -> dict[str, Any]:
    """The body of a route that parses it itself.

    Args:
        model: the name of its schema.
        required: whether it may not be left out.
    """
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def install(app: FastAPI, *models: Any) -> None:
    """Let ``app`` describe itself.

    Args:
        app: the application.
        models: the models of bodies that routes parse themselves.
    """

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            parts = document.setdefault("components", {})
            for model in (Problem, *models):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                parts["schemas"].update(schema.pop("$defs", {}))
                parts["schemas"][model.__name__] = schema
            parts["schemas"] = dict(sorted(parts["schemas"].items()))
            parts["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of this installation."},
                "client": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Client-Session-Id",
                    "description": "An anonymous client's signed id, where the service gives such.",
                },
            }
            document["security"] = SECURITY
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's way to extend the document
