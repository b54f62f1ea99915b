"""The library from coroutines."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import holdfast
from holdfast import AsyncHoldfast, Holdfast, Status
from holdfast.domain.errors import IllegalMove, InvalidInput


def run(database: str, main: Callable[[AsyncHoldfast], Awaitable[None]]) -> None:
    async def opened() -> None:
        async with holdfast.open_async(database) as hf:
            await main(hf)

    asyncio.run(opened())


def test_no_method_is_missing() -> None:
    public = {name for name, _ in inspect.getmembers(Holdfast, callable) if not name.startswith("_")}
    assert public - set(dir(AsyncHoldfast)) == set()
    for name in sorted(public):
        ours, theirs = getattr(AsyncHoldfast, name), getattr(Holdfast, name)
        assert ours.__doc__, name
        if inspect.isfunction(ours) and name != "track":
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name


def test_every_method_is_awaited(database: str) -> None:
    async def main(hf: AsyncHoldfast) -> None:
        stored = await hf.store_analysis("note", {"a": 1}, tags=["t"])
        assert await hf.get_analysis(stored.analysis_id) == stored
        assert await hf.get_result(stored.analysis_id) == {"a": 1}
        assert (await hf.list_analyses(tags=["t"])).items == [stored]
        assert await hf.wait(stored.analysis_id) == stored
        assert (await hf.delete_analysis(stored.analysis_id)).analysis_id == stored.analysis_id
        assert (await hf.get_stats()).total_results == 0
        with pytest.raises(InvalidInput):
            await hf.submit("no-such-kind", "x")

    run(database, main)


def test_it_opens_without_a_block_and_not_before(database: str) -> None:
    async def main() -> None:
        hf = holdfast.open_async(database)
        with pytest.raises(IllegalMove):
            await hf.get_stats()
        hf = await hf
        assert (await hf.get_stats()).total_results == 0
        await hf.close()
        with pytest.raises(IllegalMove):
            await hf.get_stats()

    asyncio.run(main())


def test_many_wait_at_once(database: str) -> None:
    async def main(hf: AsyncHoldfast) -> None:
        async with hf.track("slow") as tracked:
            waiting = [asyncio.create_task(hf.wait(tracked.analysis_id)) for _ in range(100)]
            seen: list[Any] = []

            async def watch() -> None:
                async for _, progress in hf.watch(tracked.analysis_id):
                    seen.append(progress)

            watching = asyncio.create_task(watch())
            with pytest.raises(TimeoutError):
                await hf.wait(tracked.analysis_id, timeout=0.05)
            tracked.phase("One", total=2)
            while not any(progress.phase == "One" for progress in seen):  # noqa: ASYNC110 as a user sees it
                await asyncio.sleep(0.01)
        assert {analysis.status for analysis in await asyncio.gather(*waiting)} == {Status.COMPLETED}
        await watching
        assert seen[-1].percentage == 100

    run(database, main)


def test_coroutine_functions(database: str) -> None:
    calls = []

    async def main(hf: AsyncHoldfast) -> None:
        @hf.analysis(tags=["x"])
        async def slow(x: int) -> tuple[int, int]:
            calls.append(x)
            holdfast.current().phase("Sleeping")
            await asyncio.sleep(0.1)
            return x, x

        assert inspect.iscoroutinefunction(slow) or asyncio.iscoroutinefunction(slow)
        # More than the event loop has threads for.
        assert set(await asyncio.gather(*(slow(1) for _ in range(64)))) == {(1, 1)}
        assert len(calls) == 1
        assert await slow.fresh(1) == (1, 1)
        assert (await slow.kept(1)) == (await slow.history())[0]
        assert len(await slow.history()) == 2

        class Shop:
            @hf.analysis(key=lambda self, x: x)
            async def sales(self, x: int) -> int:
                return x

        assert await Shop().sales(3) == 3

    run(database, main)


def test_a_cancelled_task_leaves_a_cancelled_analysis(database: str) -> None:
    async def main(hf: AsyncHoldfast) -> None:
        @hf.analysis
        async def endless(x: int) -> int:
            await asyncio.sleep(600)
            return x

        task = asyncio.create_task(endless(1))
        while not await endless.history():  # noqa: ASYNC110 as above
            await asyncio.sleep(0.01)
        follower = asyncio.create_task(endless(1))
        await asyncio.sleep(0.1)
        follower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follower
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (analysis,) = await endless.history()
        assert analysis.status is Status.CANCELLED

    run(database, main)


def test_a_task_cancelled_while_it_begins_leaves_nothing_running(database: str, monkeypatch: Any) -> None:
    async def main(hf: AsyncHoldfast) -> None:
        service = hf.sync.tracker.service
        begin = service.begin

        def slowly(*args: Any) -> Any:
            time.sleep(0.3)
            return begin(*args)

        monkeypatch.setattr(service, "begin", slowly)

        async def tracked() -> None:
            async with hf.track("early"):
                pytest.fail("it was cancelled before")

        task = asyncio.create_task(tracked())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (analysis,) = (await hf.list_analyses()).items
        assert analysis.status is Status.CANCELLED

    run(database, main)


def test_the_event_loop_goes_on(database: str, monkeypatch: Any) -> None:
    ticks = []

    async def main(hf: AsyncHoldfast) -> None:
        service = hf.sync.tracker.service
        end = service.end

        def slowly(*args: Any) -> Any:
            time.sleep(0.5)
            return end(*args)

        monkeypatch.setattr(service, "end", slowly)

        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.02)

        ticking = asyncio.create_task(tick())
        async with hf.track("slow-store"):
            pass
        ticking.cancel()

    run(database, main)
    assert len(ticks) > 5


def test_analyze_and_working(database: str) -> None:
    async def main(hf: AsyncHoldfast) -> None:
        async with hf.working() as worker:
            assert worker.name
        with pytest.raises(InvalidInput):
            await hf.analyze("no-such-kind", "x")

    run(database, main)
