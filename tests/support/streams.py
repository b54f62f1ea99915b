"""Clients of event streams, as browsers are: they read events and connect again where a stream ends."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An event of a stream."""

    id: int | None
    name: str
    data: Any


@dataclass(slots=True)
class Reader:
    """Makes events of a stream's bytes, wherever they are cut."""

    rest: bytes = b""
    comments: list[bytes] = field(default_factory=list)
    retry: int | None = None

    def feed(self, data: bytes) -> list[Received]:
        *blocks, self.rest = (self.rest + data).split(b"\n\n")
        found = []
        for block in blocks:
            fields: dict[str, str] = {}
            for line in block.decode().split("\n"):
                if line.startswith(":"):
                    self.comments.append(line.encode())
                    continue
                name, _, value = line.partition(": ")
                fields[name] = value
            if "retry" in fields:
                self.retry = int(fields["retry"])
            if "event" in fields:
                number = int(fields["id"]) if "id" in fields else None
                found.append(Received(id=number, name=fields["event"], data=json.loads(fields["data"])))
        return found


class StreamClosed(Exception):
    """The stream ended; ``whole`` is whether it said so."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        super().__init__(f"whole: {whole}")


@contextlib.asynccontextmanager
async def request(
    port: int, path: str, headers: Mapping[str, str] | None = None, *, slow: bool = False
) -> AsyncIterator[tuple[int, dict[str, str], asyncio.StreamReader]]:
    """Send a GET; yields status, headers and what follows; when ``slow``, little waits between the two ends."""
    connection = socket.socket()
    if slow:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=4096 if slow else 2**20)
    except BaseException:
        connection.close()
        raise
    try:
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        yield int(head[0].split()[1]), found, reader
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk of a chunked body.

    Raises:
        StreamClosed: there is none.
    """
    try:
        size = int(await reader.readuntil(b"\r\n"), 16)
        data = await reader.readexactly(size + 2)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise StreamClosed(whole=False) from error
    if size == 0:
        raise StreamClosed(whole=True)
    return data[:-2]


async def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """A GET whose answer says how long it is."""
    async with request(port, path, headers) as (status, found, reader):
        return status, found, await reader.readexactly(int(found.get("content-length", "0")))


async def watch(
    port: int, path: str, headers: Mapping[str, str] | None = None, *, after: int | None = None, patience: float = 30
) -> AsyncGenerator[Received, None]:
    """The events of a stream; connects again, as a browser does, until there is nothing more to come (204)."""
    last = after
    deadline = asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < deadline:
        more = {} if last is None else {"Last-Event-ID": str(last)}
        reader = Reader()
        with contextlib.suppress(StreamClosed, ConnectionError, asyncio.IncompleteReadError):
            accept = {"Accept": "text/event-stream", **(headers or {}), **more}
            async with request(port, path, accept) as (status, _, body):
                if status == 204:
                    return
                if status != 200:
                    raise AssertionError(f"{path} answered {status}")
                while True:
                    for event in reader.feed(await chunk(body)):
                        last = last if event.id is None else event.id
                        yield event
        await asyncio.sleep(0.05)
    raise TimeoutError(path)
