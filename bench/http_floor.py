"""The least work of a service: FastAPI's own handlers, the driver's own statements, as durable as Holdfast."""

import itertools
import json
import os
import random
import sys
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

from bench.p1_store import _Floor, result


def application() -> FastAPI:
    app = FastAPI()
    floor = _Floor(os.environ["BENCH_URL"], random.Random(os.getpid()))
    # Several processes share the table.
    floor._numbers = itertools.count(os.getpid() * 1_000_000)
    lock = threading.Lock()
    content = json.dumps(result(random.Random(1))).encode()

    @app.post("/store", status_code=201)
    def store(body: dict[str, Any]) -> dict[str, str]:
        row = floor.prepare(body["result"])
        with lock:
            floor.write(row)
        return {"analysis_id": row["analyses"][0]}

    @app.get("/same/{analysis_id}")
    async def same(analysis_id: str) -> Response:
        return Response(content, media_type="application/json")

    return app


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    uvicorn.run(
        "bench.http_floor:application",
        factory=True,
        port=given["port"],
        workers=given["workers"],
        log_level="critical",
        access_log=False,
        # A busy machine starts a process in more than the five seconds after which uvicorn kills it.
        timeout_worker_healthcheck=120,
    )
