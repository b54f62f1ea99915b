"""Clients that ask as fast as they are answered, in a process of their own: the least that speaks HTTP.

``python -m bench.http_load`` reads what to do from its argument and prints one JSON document. Each client goes through
a generator that yields requests and is sent the answers, so what it asks next may depend on what it was told.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

from bench import http_cycles
from bench.http_cycles import Answer
from bench.p1_store import result

Work = Generator[bytes, Answer, None]


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, the next one."""

    def __init__(self, work: Work, tally: "_Tally") -> None:
        self._work = work
        self._tally = tally
        self._answer = b""
        self._asked = 0.0
        self._is_done = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask(None)

    def _ask(self, answer: Answer | None) -> None:
        try:
            request = next(self._work) if answer is None else self._work.send(answer)
        except StopIteration:
            self._is_done = True
            self._transport.close()
            self._tally.left()
            return
        self._asked = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        place = head.lower().find(b"content-length: ")
        size = int(head[place + 16 :].split(b"\r", 1)[0])
        if len(body) < size:
            return
        status = int(head[9:12])
        self._tally.note(status, time.perf_counter() - self._asked)
        self._answer = b""
        self._ask(Answer(status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_done:
            self._tally.note(0, 0.0)
            self._tally.left()


class _Tally:
    def __init__(self, clients: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.waits: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._clients = clients

    def note(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.waits.append(seconds)

    def left(self) -> None:
        self._clients -= 1
        if self._clients == 0 and not self.done.done():
            self.done.set_result(None)


def _requests(given: dict[str, Any]) -> Iterator[bytes]:
    host, path = f"127.0.0.1:{given['port']}", given["path"]
    seed = random.Random(given["seed"])
    for number in range(given["number"]):
        if "ids" in given:
            where = path.format(given["ids"][number % len(given["ids"])])
            yield f"GET {where} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: zstd\r\n\r\n".encode()
            continue
        yield http_cycles.post(given["port"], path, {"kind": "bench", "result": result(seed)})


def _shared(requests: Iterator[bytes]) -> Work:
    for request in requests:  # noqa: UP028 the answer is sent to this, and the iterator takes nothing
        yield request


async def _load(given: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    tally, cycles = _Tally(given["clients"]), http_cycles.Cycles()
    if "cycle" in given:
        make = http_cycles.KINDS[given["cycle"]]
        until = time.perf_counter() + given["seconds"]
        works = [make(cycles, given, until) for _ in range(given["clients"])]
    else:
        # Made before, so that making them is not measured.
        requests = iter(list(_requests(given)))
        works = [_shared(requests) for _ in range(given["clients"])]
    began = time.perf_counter()
    for work in works:
        await loop.create_connection(partial(_Client, work, tally), "127.0.0.1", given["port"])
    await tally.done
    return {
        "seconds": time.perf_counter() - began,
        "statuses": tally.statuses,
        "waits": tally.waits,
        "cycles": cycles.spent,
        "acknowledged": cycles.acknowledged,
        "complaints": cycles.complaints,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_load(json.loads(sys.argv[1])))))
