"""R7's clients, in a process of their own: they open streams and never ask for anything else.

``python -m bench.idle_streams`` prints how the streams were answered when all of them were, and ends when told so by
the end of its input.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

from tests.support.streams import StreamClosed, chunk, request

_AT_ONCE = 100


class _Streams:
    """What the streams were told."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[str] = Counter()
        self.lost = 0
        self.waiting = asyncio.Semaphore(_AT_ONCE)
        self._port = port

    async def one(self, answered: asyncio.Semaphore) -> None:
        async with contextlib.AsyncExitStack() as stack:
            try:
                # As many connect at once as a busy server's queue takes.
                async with self.waiting:
                    accept = {"Accept": "text/event-stream"}
                    status, headers, body = await stack.enter_async_context(
                        request(self._port, "/api/v1/events", accept)
                    )
                    self.answers[f"{status}" if status != 429 else f"429 after {headers.get('retry-after')}"] += 1
            finally:
                answered.release()
            if status == 200:
                with contextlib.suppress(StreamClosed):
                    while True:
                        await chunk(body)
                self.lost += 1


async def _main(port: int, number: int) -> None:
    streams, answered = _Streams(port), asyncio.Semaphore(0)
    began = time.perf_counter()
    tasks = [asyncio.create_task(streams.one(answered)) for _ in range(number)]
    for _ in tasks:
        await answered.acquire()
    print(json.dumps({"seconds": time.perf_counter() - began, "answers": streams.answers}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"lost": streams.lost}), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
