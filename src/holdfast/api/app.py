"""The application: its routers, its layers, its document."""

import contextlib
from collections.abc import AsyncIterator

import anyio.to_thread
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

import holdfast
from holdfast.api import (
    accounts,
    analyses,
    audit,
    branches,
    comparison,
    conflicts,
    duplicates,
    errors,
    jobs,
    lists,
    middleware,
    openapi,
    persistence,
    processing,
    refresh,
    relations,
    repositories,
    results,
    retention,
    search,
    shortcut,
    stream,
    sync,
    system,
    tasks,
    triage,
    webhooks,
)
from holdfast.api.access import Access
from holdfast.api.metrics import Metrics
from holdfast.api.reading import Reader
from holdfast.api.schemas import duplicates as of_duplicates
from holdfast.api.schemas.analysis import NewAnalysis, Refresh, Resume
from holdfast.api.schemas.persistence import CleanupWanted
from holdfast.api.schemas.repository import BranchAnalysisIn, BranchBatch, BranchIn, Choice, PointBatch, RepositoryIn
from holdfast.api.schemas.task import InteractionIn, TaskIn
from holdfast.api.schemas.token import NewToken
from holdfast.bootstrap import Holdfast

# How many calls of services go on at once: the more arrive together, the more are committed together.
_THREADS = 64
_PARTS = (
    lists,
    search,
    processing,
    relations,
    analyses,
    comparison,
    results,
    tasks,
    persistence,
    duplicates,
    triage,
    refresh,
    repositories,
    branches,
    sync,
    conflicts,
    retention,
    jobs,
    audit,
    accounts,
    stream,
    system,
    webhooks,
)
# The bodies that routes parse themselves.
_BODIES = (
    NewAnalysis,
    Refresh,
    Resume,
    NewToken,
    RepositoryIn,
    BranchIn,
    BranchBatch,
    BranchAnalysisIn,
    PointBatch,
    Choice,
    CleanupWanted,
    *of_duplicates.BODIES,
    TaskIn,
    InteractionIn,
)


def create_app(hf: Holdfast) -> FastAPI:
    """The service over an open store, as an ASGI application.

    Args:
        hf: the store; it stays the caller's to close.
    """
    access = Access(hf)
    reader = Reader(hf, access)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        reader.start()
        try:
            yield
        finally:
            await run_in_threadpool(reader.close)

    app = FastAPI(
        title="Holdfast",
        version=holdfast.__version__,
        summary="Keeps what analyses find.",
        description="Errors have one shape everywhere; docs/reference/http.md of the project says the rest.",
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        # Requests are traced where there is somebody to tell, see ``tracing``; the figures are Prometheus'.
        telemetry={"auto_configure": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.holdfast = hf
    app.state.access = access
    app.state.reader = reader
    app.state.metrics = metrics = Metrics(hf)
    app.state.streams = stream.OpenStreams(hf.settings.streams_per_caller)
    errors.install(app)
    for part in _PARTS:
        app.include_router(part.router)
    app.include_router(jobs.schedules)
    openapi.install(app, *_BODIES)
    settings = hf.settings
    # The last one added is the first to see a request.
    app.add_middleware(shortcut.Shortcut, routes=results.router.routes)
    app.add_middleware(
        middleware.Guarded,
        access=access,
        max_body_mb=settings.max_body_mb,
        body_timeout_seconds=settings.body_timeout_seconds,
    )
    app.add_middleware(middleware.Observed, metrics=metrics)
    return app
