import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Status
from holdfast.domain.context import Context
from holdfast.domain.errors import AnalysisNotFound, InvalidCursor, WrongOwner
from holdfast.domain.events import Event
from holdfast.domain.progress import Progress
from holdfast.services.feed import Subscription, subscription, tail
from holdfast.store.unit_of_work import UnitOfWork
from holdfast.system import SystemClock
from tests.services.samples import begin, ended, settle
from tests.services.samples import opened as sampled
from tests.support.postgres import PostgresServer
from tests.support.processes import wait_until
from tests.support.streams import Reader, Received


@pytest.fixture
def hf(database: str) -> Iterator[Holdfast]:
    with open_holdfast(database) as hf:
        yield hf


def owned(owner: str) -> Caller:
    return Caller(name=owner, owner=owner)


def write(hf: Holdfast, *names: str, owner: str = "local", kind: str = "code", event: str = "job.retried") -> None:
    events = [
        Event(name=event, at=datetime.now(UTC), analysis_id=name, client_session_id=owner, data={"kind": kind})
        for name in names
    ]
    hf.store.write(lambda uow: uow.ledger.append(events))


async def received(subscribed: Subscription) -> AsyncIterator[Received]:
    reader = Reader()
    async with contextlib.aclosing(subscribed.stream()) as chunks:
        async for chunk in chunks:
            for event in reader.feed(chunk):
                yield event


async def first(subscribed: Subscription, number: int, patience: float = 30) -> list[Received]:
    found: list[Received] = []
    async with asyncio.timeout(patience), contextlib.aclosing(received(subscribed)) as events:  # type: ignore[type-var]
        async for event in events:
            found.append(event)
            if len(found) == number:
                break
    return found


def ids(events: Sequence[Received]) -> list[str]:
    return [event.data["analysis_id"] for event in events]


async def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(call, *args)


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(chunks)


async def joining(hf: Holdfast) -> None:
    await in_thread(wait_until, lambda: hf.feed._groups, 30, "the first watcher")


async def ticking(hf: Holdfast) -> None:
    await in_thread(wait_until, lambda: hf.feed.ticks >= 1, 30, "the first tick")


def test_what_happens_from_now_on(hf: Holdfast) -> None:
    write(hf, "before")

    async def work() -> None:
        subscribed = hf.feed.subscribe(LOCAL)
        write(hf, "between")
        watching = asyncio.create_task(first(subscribed, 3))
        await in_thread(write, hf, "a", "b")
        assert ids(await watching) == ["between", "a", "b"]

    asyncio.run(work())


def test_events_as_bytes(hf: Holdfast) -> None:
    async def work() -> None:
        chunks = hf.feed.subscribe(LOCAL).stream()
        assert await anext(chunks) == b"retry: 1000\n\n"
        await in_thread(lambda: write(hf, "a", event="job.died"))
        text = (await anext(chunks)).decode()
        (entry,) = hf.queries.audit()
        assert text.startswith(f"id: {entry.sequence}\nevent: job.died\ndata: {{")
        assert text.endswith("}\n\n")
        (event,) = Reader().feed(text.encode())
        assert event.data["sequence"] == event.id == entry.sequence
        assert datetime.fromisoformat(event.data["at"]) == entry.event.at
        assert (event.data["analysis_id"], event.data["data"]) == ("a", {"kind": "code"})
        await chunks.aclose()

    asyncio.run(work())


def test_only_own_events_and_those_chosen(hf: Holdfast) -> None:
    async def work() -> None:
        everything = hf.feed.subscribe(LOCAL)
        mine = hf.feed.subscribe(owned("me"))
        named = hf.feed.subscribe(owned("me"), names=["job.died"])
        kinds = hf.feed.subscribe(LOCAL, kinds=["b", "c"])
        watching = asyncio.gather(first(everything, 5), first(mine, 3), first(named, 1), first(kinds, 2))
        await asyncio.sleep(0)
        for step in (
            lambda: write(hf, "1", owner="me", kind="a"),
            lambda: write(hf, "2", owner="you", kind="b"),
            lambda: write(hf, "3", owner="me", kind="c", event="job.died"),
            lambda: hf.store.write(lambda uow: uow.ledger.append([Event(name="job.died", at=uow.now)])),
            lambda: write(hf, "4", owner="me"),
        ):
            await in_thread(step)
        found = [ids(events) for events in await watching]
        assert found == [["1", "2", "3", None, "4"], ["1", "3", "4"], ["3"], ["2", "3"]]

    asyncio.run(work())


def test_goes_on_where_it_stopped(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_PAGE", 7)
    for number in range(40):
        write(hf, f"{number}", owner=f"o{number % 2}")
    entries = list(reversed(hf.queries.audit()))

    async def work() -> None:
        whole = await first(hf.feed.subscribe(LOCAL, after=0), 40)
        assert ids(whole) == [str(number) for number in range(40)]
        rest = await first(hf.feed.subscribe(owned("o1"), after=entries[20].sequence), 10)
        assert ids(rest) == [str(number) for number in range(21, 40, 2)]

    asyncio.run(work())


@pytest.mark.parametrize("after", [-1, 2**63])
def test_places_that_are_none(hf: Holdfast, after: int) -> None:
    with pytest.raises(InvalidCursor):
        hf.feed.subscribe(LOCAL, after=after)
    with pytest.raises(InvalidCursor):
        hf.feed.page(LOCAL, "a", after=after)


def test_joined_while_many_write(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The join from the store's pages to the live tail: no event is lost, none comes twice, whenever it happens."""
    monkeypatch.setattr(tail, "_PAGE", 5)
    writers, each = 4, 40
    write(hf, "begin")

    def busy(writer: int) -> None:
        for number in range(each):
            write(hf, f"{writer}-{number}", owner=f"o{number % 2}")

    async def watch(wait: float, caller: Caller, number: int) -> list[Received]:
        await asyncio.sleep(wait)
        return await first(hf.feed.subscribe(caller, after=0), number)

    async def work() -> list[list[Received]]:
        return await asyncio.gather(
            *(watch(number * 0.01, LOCAL, writers * each + 1) for number in range(40)),
            *(watch(number * 0.01, owned("o1"), writers * each // 2) for number in range(20)),
        )

    threads = [threading.Thread(target=busy, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    found = asyncio.run(work())
    for thread in threads:
        thread.join()
    everything = ids(found[0])
    assert len(set(everything)) == writers * each + 1
    assert all(ids(events) == everything for events in found[:40])
    theirs = [name for name in everything if name != "begin" and int(name.split("-")[1]) % 2]
    assert all(ids(events) == theirs for events in found[40:])


def test_one_analysis_from_its_first_event_to_its_end(database: str) -> None:
    with sampled(database, SystemClock()) as hf:
        name = hf.submit("sample", "here").analysis.analysis_id

        async def work() -> None:
            watching = asyncio.create_task(first(hf.feed.subscribe(LOCAL, analysis_id=name), 99))
            job, analysis = await in_thread(begin, hf)
            await in_thread(settle, hf, job, analysis, ended(Status.COMPLETED, 1))
            events = await watching
            kept = [event for event in events if event.id is not None]
            assert [event.name for event in kept] == ["analysis.submitted", "analysis.started", "analysis.completed"]
            assert all(event.data["data"]["kind"] == "sample" for event in kept)
            assert events[-1].name == "analysis.completed"
            assert [event.data["percentage"] for event in events if event.id is None][-1] == 100
            # Who comes later gets the same; who has it all gets nothing more but how far it came.
            late = await first(hf.feed.subscribe(LOCAL, analysis_id=name), 99)
            assert [event for event in late if event.id is not None] == kept
            known = hf.feed.subscribe(LOCAL, analysis_id=name, after=kept[-1].id)
            assert known.is_over
            assert [event.name for event in await first(known, 99)] == ["analysis.progressed"]
            assert not hf.feed.subscribe(LOCAL, analysis_id=name, after=kept[0].id).is_over

        asyncio.run(work())


def test_who_may_not_see_an_analysis_cannot_watch_it(hf: Holdfast) -> None:
    name = hf.store_analysis("sample", 1, context=Context(client_session_id="me")).analysis_id
    for watch in (lambda c: hf.feed.subscribe(c, analysis_id=name), lambda c: hf.feed.page(c, name)):
        watch(owned("me"))
        with pytest.raises(WrongOwner):
            watch(owned("you"))
    with pytest.raises(AnalysisNotFound):
        hf.feed.subscribe(LOCAL, analysis_id="none")


def test_an_id_that_somebody_else_takes_over(hf: Holdfast) -> None:
    """Ids may be the caller's own: whose watcher waits on a deleted one gets nothing of its next owner's."""
    hf.store_analysis("sample", 1, analysis_id="x", context=Context(client_session_id="me"))

    async def work() -> None:
        subscribed = hf.feed.subscribe(owned("me"), analysis_id="x")
        hf.delete_analysis("x")
        hf.store_analysis("sample", 2, analysis_id="x", context=Context(client_session_id="you"))
        events = await first(subscribed, 99)
        assert {event.data["client_session_id"] for event in events if event.id is not None} == {"me"}

    asyncio.run(work())


def report(hf: Holdfast, key: int, items: int, at: datetime) -> None:
    progress = Progress(started_at=at, updated_at=at, items_processed=items, percentage=items / 10, phase="Looking")

    def work(uow: UnitOfWork) -> None:
        uow.runs.progressed(key, progress)

    hf.store.write(work)


def test_progress(hf: Holdfast) -> None:
    with hf.track("nightly") as run:
        name = run.analysis_id
        with hf.engine.read() as connection:
            key = connection.execute(sa.text("SELECT id FROM analyses")).scalar_one()

        async def work() -> None:
            report(hf, key, 1, datetime.now(UTC))
            subscribed = hf.feed.subscribe(LOCAL, analysis_id=name)
            other = hf.feed.subscribe(owned("you"))
            foreign = asyncio.create_task(first(other, 1))
            seen: list[Received] = []
            async for event in received(subscribed):
                if event.id is None:
                    seen.append(event)
                    # The present one at once, then the latest of many.
                    if len(seen) == 1:
                        for items in range(2, 200):
                            await in_thread(report, hf, key, items, datetime.now(UTC))
                    if event.data["items_processed"] == 199:
                        break
            assert seen[0].data["items_processed"] == 1
            assert {event.name for event in seen} == {"analysis.progressed"}
            assert seen[-1].data["analysis_id"] == name
            assert {"phase", "percentage", "estimated_remaining_seconds", "current_message"} <= seen[-1].data.keys()
            numbers = [event.data["items_processed"] for event in seen]
            assert numbers == sorted(set(numbers))
            assert len(numbers) < 60
            await in_thread(lambda: write(hf, "theirs", owner="you"))
            assert ids(await foreign) == ["theirs"]

        asyncio.run(work())


@contextlib.contextmanager
def counted(hf: Holdfast) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(hf.engine._readers, "before_cursor_execute", note)
    yield statements
    sa.event.remove(hf.engine._readers, "before_cursor_execute", note)


@pytest.mark.parametrize("watchers", [1, 200])
def test_statements_a_tick_whoever_watches(hf: Holdfast, watchers: int) -> None:
    owners = [f"o{number}" for number in range(watchers)]
    callers = [LOCAL] * watchers + [owned(owner) for owner in owners]
    got: list[list[str]] = [[] for _ in callers]
    each = 2 if hf.engine.dialect == "sqlite" else 3  # the ledger, the runs, how far the ledger is complete

    async def follow(caller: Caller, names: list[str]) -> None:
        async for event in received(hf.feed.subscribe(caller)):
            names.append(event.data["analysis_id"])  # noqa: PERF401 looked at while it grows

    async def all_have(number: int, name: str) -> None:
        async with asyncio.timeout(30):
            while not all(name in names for names in got[:number]):
                await in_thread(hf.store.bell.wait, hf.store.bell.count(), 0.02)

    async def work() -> None:
        watching = [asyncio.create_task(follow(*pair)) for pair in zip(callers, got, strict=True)]
        await asyncio.sleep(0)
        for owner in owners:
            await in_thread(lambda owner=owner: write(hf, "ready", owner=owner))
        await all_have(len(got), "ready")
        # All have joined: from here on nobody but the one thread looks.
        with counted(hf) as statements:
            before = hf.feed.ticks
            for part in range(10):
                await in_thread(write, hf, *(f"{part}-{number}" for number in range(3)))
            await all_have(watchers, "9-2")
            ticks = hf.feed.ticks - before
            # One tick may have begun before, or not have ended.
            assert abs(len(statements) - each * ticks) <= each
            assert ticks < 100
        for task in watching:
            task.cancel()
        assert all(names.count("5-1") == 1 for names in got[:watchers])
        assert all(set(names) == {"ready"} for names in got[watchers:])

    asyncio.run(work())


def test_commits_of_a_moment_are_one_tick(hf: Holdfast) -> None:
    def many() -> None:
        for number in range(200):
            write(hf, str(number))

    async def work() -> None:
        watching = asyncio.create_task(first(hf.feed.subscribe(LOCAL), 201))
        await in_thread(write, hf, "begin")
        await ticking(hf)
        before = hf.feed.ticks
        loop = asyncio.get_running_loop()
        began = loop.time()
        await in_thread(many)
        await watching
        assert hf.feed.ticks - before <= (loop.time() - began) / tail._TICK_SECONDS + 2

    asyncio.run(work())


def test_one_that_does_not_read_is_cut_off_and_comes_again(hf: Holdfast) -> None:
    async def work() -> None:
        slow = hf.feed.subscribe(LOCAL)
        reader, seen = Reader(), list[Received]()
        chunks = slow.stream()
        await anext(chunks)
        write(hf, "first")
        while not seen:
            seen += reader.feed(await anext(chunks))
        quick = asyncio.create_task(first(hf.feed.subscribe(LOCAL, after=0), 1 + 3000))
        ends: list[int] = []
        slow.on_end = lambda: ends.append(1)
        for part in range(30):
            await in_thread(lambda part=part: write(hf, *(f"{part}-{number}-{'x' * 100}" for number in range(100))))
        everything = await quick
        # It has read nothing meanwhile: what waited for it is dropped, and it is told to come again.
        assert slow.was_cut
        assert ends == [1]
        assert slow._size == len(slow._pending) == 0
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)
        rest = await first(hf.feed.subscribe(LOCAL, after=seen[-1].id), 3000)
        assert seen + rest == everything

    asyncio.run(work())


def test_close_ends_every_stream(hf: Holdfast) -> None:
    async def work() -> None:
        watching = [asyncio.create_task(first(hf.feed.subscribe(LOCAL), 1)) for _ in range(50)]
        await ticking(hf)
        loop = asyncio.get_running_loop()
        began = loop.time()
        hf.feed.close()
        assert await asyncio.gather(*watching) == [[]] * 50
        assert loop.time() - began < 1.5
        assert await first(hf.feed.subscribe(LOCAL), 1) == []

    asyncio.run(work())


def test_nothing_runs_when_nobody_watches(hf: Holdfast) -> None:
    async def work() -> None:
        for name in ("a", "b"):
            watching = asyncio.create_task(first(hf.feed.subscribe(LOCAL), 1))
            await in_thread(write, hf, name)
            assert ids(await watching) == [name]
            await asyncio.sleep(0.1)
            assert hf.feed._groups == {}
            assert hf.feed._position is None
            ticks = hf.feed.ticks
            await in_thread(write, hf, "nobody sees this")
            await asyncio.sleep(0.6)
            assert hf.feed.ticks <= ticks + 1

    asyncio.run(work())


def test_a_loop_that_is_gone_holds_nobody_up(hf: Holdfast) -> None:
    gone = asyncio.new_event_loop()
    write(hf, "a")
    chunks = hf.feed.subscribe(LOCAL, after=0).stream()
    for _ in range(2):
        gone.run_until_complete(anext(chunks))
    waiting = gone.create_task(_next(chunks))
    gone.run_until_complete(asyncio.wait_for(joining(hf), 30))
    gone.close()
    assert not waiting.done()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]

    async def work() -> None:
        watching = asyncio.create_task(first(hf.feed.subscribe(LOCAL), 2))
        await asyncio.sleep(0)
        await in_thread(write, hf, "b", "c")
        assert ids(await watching) == ["b", "c"]
        assert gone not in hf.feed._groups

    asyncio.run(work())


def test_store_that_is_away_for_a_while() -> None:
    """No stream ends: what happened before and after comes, also to those who were just catching up."""
    with PostgresServer(durable=True) as server:
        server.create_database("kept")
        with open_holdfast(server.url("kept")) as hf:

            async def work() -> None:
                live = hf.feed.subscribe(LOCAL)
                behind = hf.feed.subscribe(LOCAL, after=0)
                watching = asyncio.create_task(first(live, 3, 60))
                await in_thread(write, hf, "a", "b")
                await ticking(hf)
                await in_thread(server.stop)
                late = asyncio.create_task(first(behind, 3, 60))
                await in_thread(wait_until, lambda: hf.feed._is_away, 30, "the feed to notice")
                await in_thread(server.start)
                await in_thread(write, hf, "c")
                assert ids(await watching) == ids(await late) == ["a", "b", "c"]

            asyncio.run(work())


def test_heartbeat(hf: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(subscription, "_LOOK_SECONDS", 0.05)

    async def work() -> None:
        chunks = hf.feed.subscribe(LOCAL).stream()
        found = [await anext(chunks) for _ in range(4)]
        assert found[0].startswith(b"retry: ")
        assert all(chunk.startswith(b":") and chunk.endswith(b"\n\n") for chunk in found[1:])
        await chunks.aclose()

    asyncio.run(work())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4)), min_size=1, max_size=12), st.integers(0, 12))
def test_nobody_gets_anothers_event(hf: Holdfast, writes: list[tuple[str, int]], joins_at: int) -> None:
    """Random owners, some of what they do before the watchers come and some after."""
    start = hf.store.follow(lambda uow: uow.ledger.head()).sequence
    expected: dict[str, list[str]] = {owner: [] for owner in "abcd"}

    def do(part: list[tuple[str, int]], offset: int) -> None:
        for place, (owner, number) in enumerate(part):
            names = [f"{owner}{offset + place}.{index}" for index in range(number)]
            write(hf, *names, owner=owner)
            expected[owner] += names

    async def work() -> dict[str, list[Received]]:
        do(writes[:joins_at], 0)
        counts = {owner: sum(number for name, number in writes if name == owner) for owner in "abcd"}
        watching = {
            owner: asyncio.create_task(first(hf.feed.subscribe(owned(owner), after=start), counts[owner]))
            for owner in "abcd"
            if counts[owner]
        }
        await in_thread(do, writes[joins_at:], joins_at)
        return {owner: await task for owner, task in watching.items()}

    for owner, events in asyncio.run(work()).items():
        assert ids(events) == expected[owner]
        assert {event.data["client_session_id"] for event in events} == {owner}
