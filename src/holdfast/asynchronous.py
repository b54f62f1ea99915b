"""The same door for ``asyncio``: every call in a thread, every wait without one."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from holdfast.bootstrap import Holdfast, open_holdfast
from holdfast.domain.analysis import Analysis
from holdfast.domain.errors import IllegalMove
from holdfast.domain.progress import Progress
from holdfast.functions import Decorator
from holdfast.tracking import TrackedRun
from holdfast.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")

_THREADS = 16
# A ring may be lost, so look without one now and then.
_LOOK_SECONDS = 1.0


class _Threaded(Generic[P, R]):
    """A method of ``Holdfast`` as a coroutine function of the same arguments."""

    def __init__(self, method: Callable[Concatenate[Holdfast, P], R]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: "AsyncHoldfast", owner: type | None = None) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: "AsyncHoldfast | None", owner: type | None = None) -> Any:
        if instance is None:
            return self
        opened = instance

        @functools.wraps(self._method)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return await opened.in_thread(functools.partial(self._method, opened.sync, *args, **kwargs))

        return call


class AsyncHoldfast:
    """An open store for coroutines: each method of ``Holdfast``, awaited.

    Made by ``holdfast.open_async``; belongs to the event loop in which it was opened. A call that is cancelled is
    no longer waited for, but what it began in its thread comes to its end.
    """

    def __init__(self, url: str | None = None, **options: Any) -> None:
        """See ``holdfast.open``; nothing is opened yet."""
        self._open = functools.partial(open_holdfast, url, **options)
        self._holdfast: Holdfast | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="holdfast-async")
        # One thread listens for all that wait.
        self._ear = ThreadPoolExecutor(1, thread_name_prefix="holdfast-ear")
        self._ring: asyncio.Future[None] | None = None

    @property
    def sync(self) -> Holdfast:
        """The store for code that is no coroutine.

        Raises:
            IllegalMove: it is not open.
        """
        if self._holdfast is None:
            raise IllegalMove("The store is not open: use `async with holdfast.open_async(...) as hf`")
        return self._holdfast

    def __await__(self) -> Generator[Any, None, Self]:
        """Open it without a block: ``hf = await holdfast.open_async(...)``, and ``await hf.close()`` in the end."""
        return self._opened().__await__()

    async def __aenter__(self) -> Self:
        """Open it."""
        return await self._opened()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Release every connection and thread."""
        holdfast, self._holdfast = self._holdfast, None
        if holdfast is not None:
            await self.in_thread(holdfast.close)
        self._threads.shutdown(wait=False)
        self._ear.shutdown(wait=False)

    async def in_thread(self, call: Callable[[], R]) -> R:
        """Call a function in one of the threads that are kept for the store."""
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(call))

    async def watch(
        self,
        analysis_id: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 as Holdfast has it
    ) -> AsyncGenerator[tuple[Analysis, Progress | None], None]:
        """See ``Holdfast.watch``."""
        until = None if timeout is None else time.monotonic() + timeout
        seen = None
        while True:
            count = self.sync.store.bell.count()
            now = await self.in_thread(functools.partial(self.sync.queries.progress, analysis_id))
            if now != seen:
                yield now
            if now[0].status.ended:
                return
            seen = now
            left = _LOOK_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The analysis {analysis_id} has not ended after {timeout} seconds")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rung(count), min(left, _LOOK_SECONDS))

    async def wait(self, analysis_id: str, *, timeout: float | None = None) -> Analysis:  # noqa: ASYNC109 as above
        """See ``Holdfast.wait``."""
        async with contextlib.aclosing(self.watch(analysis_id, timeout=timeout)) as watched:
            async for analysis, _ in watched:
                if analysis.status.ended:
                    return analysis
        raise AssertionError("a watch ends with the analysis")

    async def analyze(self, kind: str, target: str, **options: Any) -> Analysis:
        """See ``Holdfast.analyze``."""
        submission = await self.submit(kind, target, **options)
        async with self.working():
            return await self.wait(submission.analysis.analysis_id)

    @contextlib.asynccontextmanager
    async def working(self, *, concurrency: int | None = None, without: Sequence[str] = ()) -> AsyncIterator[Worker]:
        """See ``Holdfast.working``."""
        working = self.sync.working(concurrency=concurrency, without=without)
        worker = await self.in_thread(working.__enter__)
        try:
            yield worker
        finally:
            await asyncio.shield(self.in_thread(lambda: working.__exit__(None, None, None)))

    def worker(self, *, concurrency: int | None = None, without: Sequence[str] = ()) -> Worker:
        """See ``Holdfast.worker``: its ``run`` is for a thread or a process of its own."""
        return self.sync.worker(concurrency=concurrency, without=without)

    def track(self, kind: str, **options: Any) -> TrackedRun:
        """See ``Holdfast.track``: use it with ``async with``."""
        return self.sync.track(kind, **options)

    @property
    def analysis(self) -> Decorator:
        """See ``Holdfast.analysis``; functions may be decorated before the store is open."""
        return Decorator(lambda: self.sync)

    cancel_analysis = _Threaded(Holdfast.cancel_analysis)
    delete_analysis = _Threaded(Holdfast.delete_analysis)
    get_analysis = _Threaded(Holdfast.get_analysis)
    get_analysis_by_id = _Threaded(Holdfast.get_analysis_by_id)
    get_analysis_progress = _Threaded(Holdfast.get_analysis_progress)
    get_findings = _Threaded(Holdfast.get_findings)
    get_latest_analysis = _Threaded(Holdfast.get_latest_analysis)
    get_metrics = _Threaded(Holdfast.get_metrics)
    get_result = _Threaded(Holdfast.get_result)
    get_stats = _Threaded(Holdfast.get_stats)
    get_thread_conversation = _Threaded(Holdfast.get_thread_conversation)
    list_analyses = _Threaded(Holdfast.list_analyses)
    neighbourhood = _Threaded(Holdfast.neighbourhood)
    path = _Threaded(Holdfast.path)
    pin_analysis = _Threaded(Holdfast.pin_analysis)
    process_pending_analyses = _Threaded(Holdfast.process_pending_analyses)
    reprocess_analysis = _Threaded(Holdfast.reprocess_analysis)
    restore_analysis = _Threaded(Holdfast.restore_analysis)
    resume_analysis = _Threaded(Holdfast.resume_analysis)
    similar_analyses = _Threaded(Holdfast.similar_analyses)
    search_analyses = _Threaded(Holdfast.search_analyses)
    store_analyses = _Threaded(Holdfast.store_analyses)
    store_analysis = _Threaded(Holdfast.store_analysis)
    store_openai_interaction = _Threaded(Holdfast.store_openai_interaction)
    store_task_analysis = _Threaded(Holdfast.store_task_analysis)
    submit = _Threaded(Holdfast.submit)
    sweep = _Threaded(Holdfast.sweep)
    unpin_analysis = _Threaded(Holdfast.unpin_analysis)

    async def _opened(self) -> Self:
        if self._holdfast is None:
            self._holdfast = await self.in_thread(self._open)
        return self

    async def _rung(self, count: int) -> None:
        """Return when something was committed since ``count`` was taken, or after a while."""
        bell = self.sync.store.bell
        if bell.count() != count:
            return
        if self._ring is None or self._ring.done():
            loop = asyncio.get_running_loop()
            self._ring = loop.run_in_executor(self._ear, bell.wait, count, _LOOK_SECONDS)
        await asyncio.shield(self._ring)


def open_async(url: str | None = None, **options: Any) -> AsyncHoldfast:
    """A store for coroutines: ``async with holdfast.open_async(url) as hf``; see ``holdfast.open``."""
    return AsyncHoldfast(url, **options)
