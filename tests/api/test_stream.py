import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from holdfast.api import stream
from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.access import LOCAL
from holdfast.domain.context import Context
from holdfast.domain.events import Event
from tests.api.service import create
from tests.support.processes import kill_tree, spawn_python, wait_until
from tests.support.streams import Reader, Received, StreamClosed, chunk, get, request, watch

if TYPE_CHECKING:
    import subprocess

ACCEPT = {"Accept": "text/event-stream"}


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with open_holdfast(database) as hf:
        yield hf


class Service:
    """A service in a process of its own; started again it has the same port."""

    def __init__(self, url: str) -> None:
        self._url = url
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = spawn_python("tests.api.service", self._url, str(self.port))
        wait_until(self._answers, 60, "the service")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the service has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def kill(self) -> None:
        assert self.process is not None
        kill_tree(psutil.Process(self.process.pid))
        self._reap()

    def stop(self) -> float:
        """Ask it to stop; returns how many seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(60)
        spent = time.monotonic() - began
        self._reap()
        return spent

    def _reap(self) -> None:
        if self.process is not None:
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
            self.process = None

    def ticks(self) -> int:
        status, _, body = asyncio.run(get(self.port, "/ticks"))
        assert status == 200
        return int(body)


@pytest.fixture
def service(database: str) -> Iterator[Service]:
    service = Service(database)
    service.start()
    yield service
    if service.process is not None:
        service.kill()


def write(hf: Holdfast, *names: str, owner: str = "local", event: str = "job.retried") -> None:
    events = [Event(name=event, at=datetime.now(UTC), analysis_id=name, client_session_id=owner) for name in names]
    hf.store.write(lambda uow: uow.ledger.append(events))


async def until(events: AsyncGenerator[Received, None], enough: Callable[[list[Received]], object]) -> list[Received]:
    found: list[Received] = []
    async with contextlib.aclosing(events):
        async for event in events:
            if event.id is not None:
                found.append(event)
                if enough(found):
                    break
    return found


def names(events: list[Received]) -> list[str]:
    return [event.data["analysis_id"] for event in events]


def test_killed_and_restarted_while_many_write(hf: Holdfast, service: Service) -> None:
    """Every watcher ends with every event of its owner, once each and in order, over two deaths of the service."""
    writers, watchers = 3, 6
    lived = threading.Event()
    written = [0] * writers

    def busy(writer: int) -> None:
        while not lived.wait(0.02):
            write(hf, f"{writer}-{written[writer]}", owner=f"o{written[writer] % 2}")
            written[writer] += 1
        for owner in ("o0", "o1"):
            write(hf, f"{writer}-last", owner=owner)

    def deaths() -> None:
        for _ in range(2):
            # Some watchers are in the midst of what they missed, some live.
            time.sleep(0.3)
            service.kill()
            service.start()
        lived.set()

    def all_ended(found: list[Received]) -> bool:
        return sum(name.endswith("-last") for name in names(found)) == writers

    async def follow(number: int) -> list[Received]:
        owner = {"owner": f"o{number % 2}"}
        return await until(watch(service.port, "/api/v1/events", owner, after=0, patience=150), all_ended)

    async def work() -> list[list[Received]]:
        threads = [threading.Thread(target=busy, args=(writer,)) for writer in range(writers)]
        watching = [asyncio.create_task(follow(number)) for number in range(watchers)]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(deaths)
        return await asyncio.gather(*watching)

    found = asyncio.run(work())
    for number, events in enumerate(found):
        assert names(events) == names(found[number % 2])
        assert len(names(events)) == len(set(names(events)))
        assert {event.data["client_session_id"] for event in events} == {f"o{number % 2}"}
        for writer, count in enumerate(written):
            theirs = [name for name in names(events) if name.startswith(f"{writer}-")]
            assert theirs == [*(f"{writer}-{step}" for step in range(number % 2, count, 2)), f"{writer}-last"]


def test_hundreds_watch_one_run(hf: Holdfast, service: Service) -> None:
    with hf.track("nightly") as run:
        path = f"/api/v1/analyses/{run.analysis_id}/events"

        async def follow() -> list[Received]:
            return [event async for event in watch(service.port, path, patience=100)]

        def go() -> None:
            for number in range(5):
                run.phase(f"Phase {number}", 10)
                run.advance(10)
            run.__exit__(None, None, None)

        async def work() -> list[list[Received]]:
            watching = [asyncio.create_task(follow()) for _ in range(500)]
            await asyncio.sleep(1)
            await asyncio.to_thread(go)
            return await asyncio.gather(*watching)

        found = asyncio.run(work())
    kept = [[event for event in events if event.id is not None] for events in found]
    assert [event.name for event in kept[0]] == [
        "analysis.started",
        *["analysis.entered_phase"] * 5,
        "analysis.completed",
    ]
    assert all(events == kept[0] for events in kept)
    assert all(events[-1].name == "analysis.completed" for events in found)
    # Looking four times a second and at each commit, not for each watcher.
    assert service.ticks() < 400


def test_stops_at_once_with_open_streams(hf: Holdfast, service: Service) -> None:
    async def work() -> float:
        async with contextlib.AsyncExitStack() as stack:
            bodies = []
            for _ in range(50):
                status, headers, body = await stack.enter_async_context(request(service.port, "/api/v1/events", ACCEPT))
                assert status == 200
                assert headers["content-type"].startswith("text/event-stream")
                assert await chunk(body) == b"retry: 1000\n\n"
                bodies.append(body)
            spent = await asyncio.to_thread(service.stop)
            for body in bodies:
                with pytest.raises(StreamClosed) as ended:
                    await chunk(body)
                assert ended.value.whole
            return spent

    assert asyncio.run(work()) < 2


def test_stops_soon_with_a_reader_that_does_not_read(hf: Holdfast, service: Service) -> None:
    async def work() -> float:
        write(hf, *(f"{step}-{'x' * 4000}" for step in range(5000)))
        path = "/api/v1/events?last_event_id=0"
        async with request(service.port, path, ACCEPT, slow=True) as (status, _, _body):
            assert status == 200
            # By then what is on the way fills every buffer between.
            await asyncio.sleep(1)
            return await asyncio.to_thread(service.stop)

    assert asyncio.run(work()) < 3


@pytest.mark.parametrize("behind", [True, False])
def test_reader_that_hangs_is_dropped(hf: Holdfast, monkeypatch: pytest.MonkeyPatch, behind: bool) -> None:
    """One that hangs on what it missed is dropped after a while; so is one whose queue was full."""
    monkeypatch.setattr(stream, "_CHUNK_SECONDS", 0.3 if behind else 60.0)
    monkeypatch.setattr(stream, "_CUT_SECONDS", 0.3)
    write(hf, *map(str, range(1000)))
    client = ("test", 1)

    async def work() -> None:
        chunks = 0

        async def send(message: Any) -> None:
            nonlocal chunks
            chunks += message["type"] == "http.response.body"
            if chunks == 2:
                await asyncio.Event().wait()

        async def receive() -> Any:
            await asyncio.Event().wait()

        subscription = hf.feed.subscribe(LOCAL, after=0 if behind else None)
        response = stream.EventStream(subscription, contextlib.nullcontext())
        task = asyncio.create_task(response({"type": "http", "client": client}, receive, send))
        if not behind:
            await asyncio.to_thread(wait_until, lambda: hf.feed._groups, 30, "the watcher")
            for part in range(20):
                await asyncio.to_thread(write, hf, *(f"{part}-{'x' * 200}-{step}" for step in range(100)))
        async with asyncio.timeout(30):
            await task
        assert chunks == 2
        assert client in stream._hung
        assert hf.feed._streams == {}
        stream._hung.clear()

    asyncio.run(work())


def test_slow_reader_comes_again(hf: Holdfast, service: Service) -> None:
    """It reads nothing while megabytes happen; others are not held up, and it gets everything in the end."""
    number = 6000

    async def slowly(joined: asyncio.Event, quick: asyncio.Task[list[Received]]) -> list[Received]:
        reader, found = Reader(), list[Received]()
        async with request(service.port, "/api/v1/events?last_event_id=0", ACCEPT, slow=True) as (_, _, body):
            while len(found) < 1:
                found += reader.feed(await chunk(body))
            # What is committed after it was read what was missed comes to those only who have joined the tail.
            await asyncio.to_thread(write, hf, "second")
            while len(found) < 2:
                found += reader.feed(await chunk(body))
            joined.set()
            await quick
            with contextlib.suppress(StreamClosed):
                while len(found) < number + 2:
                    found += reader.feed(await chunk(body))
        # It was cut off before the end.
        assert len(found) < number
        rest = watch(service.port, "/api/v1/events", after=found[-1].id)
        return found + await until(rest, lambda rest: len(found) + len(rest) == number + 2)

    def fill() -> None:
        for part in range(number // 200):
            write(hf, *(f"{part}-{step}-{'x' * 1500}" for step in range(200)))

    async def work() -> tuple[list[Received], list[Received]]:
        joined = asyncio.Event()
        events = watch(service.port, "/api/v1/events", after=0, patience=100)
        quick = asyncio.create_task(until(events, lambda found: len(found) == number + 2))
        slow = asyncio.create_task(slowly(joined, quick))
        await asyncio.wait({slow, asyncio.ensure_future(joined.wait())}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(fill)
        return await quick, await slow

    write(hf, "first")
    everything, slow = asyncio.run(work())
    assert slow == everything


def test_list_of_an_analysis(hf: Holdfast, service: Service) -> None:
    name = hf.store_analysis("sample", 1, context=Context(client_session_id="me")).analysis_id
    write(hf, *[name] * 6, owner="me")

    def page(query: str = "", owner: str = "me") -> tuple[int, Any]:
        status, _, body = asyncio.run(get(service.port, f"/api/v1/analyses/{name}/events{query}", {"owner": owner}))
        return status, json.loads(body)

    wait_until(lambda: len(page()[1]["items"]) == 7, 30, "older transactions")
    status, whole = page()
    assert (status, whole["next_cursor"]) == (200, None)
    assert [item["name"] for item in whole["items"]] == ["analysis.completed", *["job.retried"] * 6]
    _, one = page("?limit=5")
    _, two = page(f"?limit=5&after={one['next_cursor']}")
    assert one["items"] + two["items"] == whole["items"]
    assert two["next_cursor"] is None
    assert page(owner="you")[0] == 404
    for query in ("?after=x", "?after=-1", "?after=99999999999999999999"):
        status, body = page(query)
        assert (status, body["error"]["code"]) == (400, "INVALID_CURSOR")
    assert page("?limit=0")[0] == 422


def test_event_ids_that_are_none(service: Service) -> None:
    async def work() -> None:
        for given in ("x", "-1", "1.5", "9" * 19, "9" * 40, "%D9%A3"):
            for query, headers in (("", {"Last-Event-ID": given}), (f"?last_event_id={given}", {})):
                status, _, body = await get(service.port, f"/api/v1/events{query}", {**ACCEPT, **headers})
                assert (status, json.loads(body)["error"]["code"]) == (400, "INVALID_CURSOR")

    asyncio.run(work())


def test_polling(hf: Holdfast, service: Service) -> None:
    async def poll(name: str, tag: str | None = None) -> tuple[int, dict[str, str], Any]:
        headers = {} if tag is None else {"If-None-Match": tag}
        status, found, body = await get(service.port, f"/api/v1/analyses/{name}/progress", headers)
        return status, found, json.loads(body) if body else None

    async def work() -> None:
        with hf.track("nightly") as run:
            run.phase("Looking", 10)
            status, headers, body = await poll(run.analysis_id)
            assert (status, body["status"], body["poll_after_seconds"]) == (200, "running", 1.0)
            assert body["progress"]["phase"] in {"", "Looking"}
            assert headers["etag"].startswith('W/"')
        status, headers, body = await poll(run.analysis_id, headers["etag"])
        assert (status, body["status"], body["progress"]["percentage"]) == (200, "completed", 100)
        assert body["poll_after_seconds"] is None
        for tag in (headers["etag"], f'"other", {headers["etag"]}', "*"):
            status, again, body = await poll(run.analysis_id, tag)
            assert (status, body, again["etag"]) == (304, None, headers["etag"])
        assert (await poll("none"))[0] == 404

    asyncio.run(work())


def test_ended_analysis_is_not_asked_for_again(hf: Holdfast, service: Service) -> None:
    name = hf.store_analysis("sample", 1).analysis_id
    path = f"/api/v1/analyses/{name}/events"

    async def work() -> None:
        events = [event async for event in watch(service.port, path)]
        assert [event.name for event in events] == ["analysis.completed"]

    asyncio.run(work())


def test_routes_are_described(hf: Holdfast) -> None:
    paths = create(hf).openapi()["paths"]
    assert "text/event-stream" in paths["/api/v1/events"]["get"]["responses"]["200"]["content"]
    answers = paths["/api/v1/analyses/{analysis_id}/events"]["get"]["responses"]
    assert {"text/event-stream", "application/json"} <= answers["200"]["content"].keys()
