"""The service in this process, on a real socket: its application in a thread, a client that connects to it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from holdfast.api.app import create_app
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Role
from holdfast.domain.ports import Clock
from tests.services.samples import opened
from tests.support.processes import wait_until

UNLIMITED: dict[str, Any] = {"rate_limit_start": "", "rate_limit_anonymous": "", "rate_limit_export": ""}

LINT: dict[str, Any] = {
    "kind": "lint",
    "result": {"warnings": [1, 2], "text": "é"},
    "tags": ["nightly", "main"],
    "metrics": {"warnings": 2},
    "findings": [{"rule": "lint/unused", "severity": "low", "title": "Unused import", "path": "a.py", "line": 3}],
    "subject": {"kind": "file", "key": "a.py", "revision": "r1"},
    "summary": "Two warnings",
}


class Prompt(uvicorn.Server):
    """Ends as soon as it is told to: uvicorn's own looks every tenth of a second, and waits for another one."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 what tells it is a flag
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Who has not asked for anything more is let go; whoever is being answered, as uvicorn does it.
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        await self.lifespan.shutdown()


@contextmanager
def served(hf: Holdfast) -> Iterator[httpx.Client]:
    """A client of a service over ``hf``."""
    with listening(hf) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


@contextmanager
def listening(hf: Holdfast) -> Iterator[str]:
    """The address of a service over ``hf``."""
    config = uvicorn.Config(
        create_app(hf), log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=1
    )
    server = Prompt(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive(), 30, "the service")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def local(url: str, clock: Clock | None = None, **settings: Any) -> Iterator[tuple[Holdfast, httpx.Client]]:
    """A store, and a client of the service over it, without tokens."""
    with opened(url, clock, **(UNLIMITED | settings)) as hf, served(hf) as client:
        yield hf, client


def token(hf: Holdfast, name: str, role: Role = Role.WRITER, **options: Any) -> dict[str, str]:
    """The header of somebody who has a new token."""
    return bearer(hf.accounts.create_token(name, role=role, **options).secret)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def without_names(answer: httpx.Response, *names: str) -> tuple[int, str]:
    """An answer's status and body, with what names the request and the thing taken out."""
    text = answer.text
    for name in (answer.headers["x-request-id"], *names):
        text = text.replace(name, "NAME")
    return answer.status_code, text


def store(http: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = http.post("/api/v1/analyses", json=LINT | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made
