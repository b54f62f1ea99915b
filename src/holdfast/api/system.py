"""What the service says of itself."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

import holdfast
from holdfast import records
from holdfast.api import pages, render
from holdfast.api.deps import Asker, Known, Store
from holdfast.api.openapi import answers
from holdfast.api.schemas.system import Alive, KindPage, Ready, StatsOut

router = APIRouter(tags=["service"])


@router.get("/", include_in_schema=False)
async def root() -> Response:
    """The way to the pages."""
    return RedirectResponse("/docs")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """What the service can do, as a page."""
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(pages.routes(request.app.openapi()), headers=headers)


@router.get("/health", operation_id="get_health", response_model=Alive, responses=answers())
async def get_health() -> Response:
    """Whether the process answers."""
    return render.json({"status": "ok", "version": holdfast.__version__})


@router.get("/ready", operation_id="get_readiness", response_model=Ready, responses=answers())
def get_readiness(store: Store) -> Response:
    """Whether the service can do its work: the store is asked."""
    store.queries.stats()
    return render.json({"status": "ready", "store": store.engine.dialect})


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_class=Response,
    responses=answers() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_metrics(_: Known, request: Request) -> Response:
    """Figures in Prometheus' text format."""
    text: bytes = request.app.state.metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/v1/kinds", operation_id="list_kinds", response_model=KindPage, responses=answers())
def list_kinds(_: Asker, store: Store) -> Response:
    """The kinds of analysis that can be run here."""
    return render.json(records.page([row._asdict() for row in store.registry.kinds()]))


@router.get("/api/v1/stats", operation_id="get_stats", response_model=StatsOut, responses=answers())
def get_stats(_: Known, store: Store) -> Response:
    """What the store holds, and what waits to be done."""
    waiting = [
        {"kind": kind, "status": status, "count": count}
        for (kind, status), count in sorted(store.jobs.counts().items())
    ]
    return render.json(render.plain(store.queries.stats()) | {"jobs": waiting})
