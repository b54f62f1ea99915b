"""No-op jobs through procrastinate, on PostgreSQL: asynchronous tasks, a pool, notifications on, as it recommends.

A job here has no effect at all, which is less than Holdfast's jobs do.
"""

import asyncio
import contextlib
import importlib
import time
from typing import Any

from bench import protocol

# Installed in .venv-peers only, where no type checker looks.
procrastinate: Any = importlib.import_module("procrastinate")


async def _main() -> None:
    wanted = protocol.given()
    role, number, concurrency = wanted["role"], wanted["number"], wanted["concurrency"]
    connector = procrastinate.PsycopgConnector(conninfo=wanted["url"], min_size=2, max_size=concurrency + 2)
    app = procrastinate.App(connector=connector)
    tally = protocol.Tally()

    async def noop(n: int, at: float) -> None:
        tally.start(at)
        if role == "serve" and tally.done == number:
            worker.cancel()

    task = app.task(name="noop")(noop)
    async with app.open_async():
        if role == "enqueue":
            await app.schema_manager.apply_schema_async()
        protocol.wait_for_go()
        tally.began = time.time()
        if role == "enqueue":
            for first in range(0, number, 1000):
                at = time.time()
                await task.batch_defer_async(*({"n": n, "at": at} for n in range(first, min(first + 1000, number))))
        elif role == "pace":
            for n, at in enumerate(protocol.paced(number, wanted["rate"])):
                await task.defer_async(n=n, at=at)
        else:
            worker = asyncio.ensure_future(
                app.run_worker_async(concurrency=concurrency, wait=role == "serve", delete_jobs=wanted["delete"])
            )
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        tally.ended = time.time()
    protocol.tell(tally)


if __name__ == "__main__":
    asyncio.run(_main())
