"""P9's service: the routes of live events, and how much the store was asked (``bench.live_service URL PORT``)."""

import sys
import threading
from collections import Counter
from typing import Any

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

import holdfast
from holdfast.api import access, stream


def main() -> None:
    asked: Counter[str] = Counter()

    def note(*_: Any) -> None:
        asked[threading.current_thread().name] += 1

    with holdfast.open(sys.argv[1]) as hf:
        sa.event.listen(hf.engine._readers, "before_cursor_execute", note)
        app = FastAPI()
        app.state.holdfast = hf
        app.state.access = access.Access(hf)
        app.state.streams = stream.OpenStreams(0)
        app.include_router(stream.router)

        @app.get("/figures")
        def figures() -> dict[str, int]:
            return {"ticks": hf.feed.ticks, "of_ticks": asked["holdfast-feed"], "all": asked.total()}

        config = uvicorn.Config(app, port=int(sys.argv[2]), log_level="warning", backlog=4096)
        stream.StreamingServer(config, hf.feed).run()


if __name__ == "__main__":
    main()
