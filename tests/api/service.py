"""A service with the routes of live events and nothing else, for tests: ``python -m tests.api.service URL PORT``."""

import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse

import holdfast
from holdfast.api import stream
from holdfast.api.deps import caller_of
from holdfast.domain import errors
from holdfast.domain.access import LOCAL, Caller

_STATUSES = {errors.AnalysisGone: 410, errors.NotFound: 404, errors.InvalidInput: 400}


def _caller(owner: Annotated[str | None, Header()] = None) -> Caller:
    return LOCAL if owner is None else Caller(name=owner, owner=owner)


def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.HoldfastError)
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 503)
    return JSONResponse({"error": {"code": error.code, "message": error.message}}, status)


def create(hf: holdfast.Holdfast) -> FastAPI:
    app = FastAPI()
    app.state.holdfast = hf
    app.state.streams = stream.OpenStreams(0)
    app.include_router(stream.router)
    app.add_exception_handler(errors.HoldfastError, _told)
    app.dependency_overrides[caller_of] = _caller

    @app.get("/ticks")
    def ticks() -> int:
        return hf.feed.ticks

    return app


def main() -> None:
    with holdfast.open(sys.argv[1]) as hf:
        config = uvicorn.Config(create(hf), port=int(sys.argv[2]), log_level="warning", backlog=4096)
        stream.StreamingServer(config, hf.feed).run()


if __name__ == "__main__":
    main()
