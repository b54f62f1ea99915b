"""Streams of those who lose the right to them, or want too many."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.tokens import NewToken
from tests.api.serving import UNLIMITED, bearer, listening
from tests.support.processes import wait_until
from tests.support.streams import Reader, StreamClosed, chunk, get, request

STREAM = {"accept": "text/event-stream"}


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    settings: dict[str, Any] = UNLIMITED | {"authentication": "token", "streams_per_caller": 3}
    with open_holdfast(database, **settings) as hf:
        yield hf


async def until_it_ends(body: asyncio.StreamReader) -> list[str]:
    reader, names = Reader(), []
    with contextlib.suppress(StreamClosed):
        while True:
            names += [event.name for event in reader.feed(await chunk(body))]
    return names


def port_of(address: str) -> int:
    return urlsplit(address).port or 0


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_revoked_token_ends_its_streams_and_no_others(
    hf: Holdfast, database: str, *, one: bool, elsewhere: bool
) -> None:
    gone, stays = (hf.accounts.create_token(name, owner="ann") for name in ("gone", "stays"))

    async def work(port: int) -> None:
        with hf.track("nightly") as run:
            path = f"/api/v1/analyses/{run.analysis_id}/events" if one else "/api/v1/events"
            hf.store.write(
                lambda uow: uow.analyses._connection.exec_driver_sql("UPDATE analyses SET client_session_id = 'ann'")
            )
            async with contextlib.AsyncExitStack() as stack:
                bodies = {}
                for made in (gone, stays):
                    headers = STREAM | bearer(made.secret)
                    status, _, body = await stack.enter_async_context(request(port, path, headers))
                    assert status == 200
                    assert await chunk(body) == b"retry: 1000\n\n"
                    bodies[made.token.token_id] = body
                other = asyncio.create_task(until_it_ends(bodies[stays.token.token_id]))
                await asyncio.to_thread(revoke, gone)
                async with asyncio.timeout(60):
                    await until_it_ends(bodies[gone.token.token_id])
                assert not other.done()
                other.cancel()
                status, _, _ = await get(port, path, STREAM | bearer(gone.secret))
                assert status == 401

    def revoke(made: NewToken) -> None:
        if not elsewhere:
            hf.accounts.revoke_token(made.token.token_id)
            return
        # By another process, as far as the service can tell.
        with open_holdfast(database) as another:
            another.accounts.revoke_token(made.token.token_id)

    with listening(hf) as address:
        asyncio.run(work(port_of(address)))


@pytest.mark.parametrize("behind", [False, True])
def test_an_expired_token_ends_its_streams(hf: Holdfast, behind: bool) -> None:
    async def work(port: int) -> None:
        # Long enough for a busy machine to open the stream with it.
        made = hf.accounts.create_token("ann", expires_in_seconds=8)
        path = f"/api/v1/events{'?last_event_id=0' if behind else ''}"
        async with request(port, path, STREAM | bearer(made.secret)) as (status, _, body), asyncio.timeout(60):
            assert status == 200
            await until_it_ends(body)
        status, _, _ = await get(port, path, STREAM | bearer(made.secret))
        assert status == 401

    with listening(hf) as address:
        asyncio.run(work(port_of(address)))


def test_so_many_streams_and_no_more(hf: Holdfast) -> None:
    ann, bob = (hf.accounts.create_token(name).secret for name in ("ann", "bob"))
    with listening(hf) as address, contextlib.ExitStack() as stack, httpx.Client(base_url=address, timeout=60) as http:

        def opened(secret: str) -> httpx.Response:
            return stack.enter_context(http.stream("GET", "/api/v1/events", headers=STREAM | bearer(secret)))

        streams = [opened(ann) for _ in range(3)]
        assert [stream.status_code for stream in streams] == [200] * 3
        refused = http.get("/api/v1/events", headers=STREAM | bearer(ann))
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "RATE_LIMITED"
        assert int(refused.headers["retry-after"]) > 0
        assert opened(bob).status_code == 200
        streams[0].close()

        def is_free() -> bool:
            return opened(ann).status_code == 200

        wait_until(is_free, 60, "a stream that was closed")


def test_answers_come_soon_beside_hundreds_of_idle_streams(database: str) -> None:
    async def work(port: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(300):
                status, _, body = await stack.enter_async_context(request(port, "/api/v1/events", STREAM))
                assert status == 200
                assert await chunk(body) == b"retry: 1000\n\n"
            async with asyncio.timeout(60):
                for _ in range(20):
                    status, _, _ = await get(port, "/api/v1/analyses")
                    assert status == 200

    with open_holdfast(database, **UNLIMITED) as hf, listening(hf) as address:
        before = hf.feed.ticks
        asyncio.run(work(port_of(address)))
        # A few looks a second at the store, whoever watches.
        assert hf.feed.ticks - before < 3000
