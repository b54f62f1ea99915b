"""Short reads, gathered: what is asked for in one turn of the event loop is read together.

A hop to a thread and back, a connection and a transaction cost several times what looking up a row does; many requests
share them here. The event loop never waits for the store, however slow that is: it waits for the threads.
"""

import asyncio
import threading
from collections import defaultdict
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import SimpleQueue

from holdfast.api.access import Access, Credentials
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.errors import HoldfastError
from holdfast.services.queries import Wanted

# One keeps one processor busy; the others are for a store at the other end of a network.
_THREADS = 4
_AT_ONCE = 64

Answer = tuple[Caller, Analysis, bytes | None]
_Future = asyncio.Future[Answer]


@dataclass(frozen=True, slots=True)
class _Asked:
    loop: asyncio.AbstractEventLoop
    future: _Future
    given: Credentials
    analysis_id: str
    result: bool
    context: Context


class Reader:
    """Reads analyses for many requests at once."""

    def __init__(self, holdfast: Holdfast, access: Access) -> None:
        """Read from an open store, for those who are let in."""
        self._holdfast = holdfast
        self._access = access
        self._queue: SimpleQueue[list[_Asked] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._gathered: list[_Asked] = []

    def start(self) -> None:
        """Begin to read."""
        self._threads = [
            threading.Thread(target=self._run, name=f"holdfast-reader-{number}", daemon=True)
            for number in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Answer what was asked, and end."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    async def read(self, given: Credentials, analysis_id: str, *, result: bool = False) -> Answer:
        """Who asks, an analysis, and with ``result`` its result as it is kept; looking counts nothing.

        Raises:
            AuthenticationRequired: nobody known asks.
            AnalysisNotFound: there is no such analysis that they may see.
            ResultNotFound: it has no result.
        """
        loop = asyncio.get_running_loop()
        future: _Future = loop.create_future()
        if not self._gathered:
            # After all requests that came in this turn: handed over one by one they would be read one by one, and
            # the threads would take Python's lock from the loop in between.
            loop.call_soon(self._hand_over)
        self._gathered.append(_Asked(loop, future, given, analysis_id, result, copy_context()))
        return await future

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        for place in range(0, len(gathered), _AT_ONCE):
            self._queue.put(gathered[place : place + _AT_ONCE])

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            # A trace shows the read in the request that came first.
            self._tell(batch, batch[0].context.run(self._answers, batch))

    def _answers(self, batch: list[_Asked]) -> list[Answer | Exception]:
        answers: list[Answer | Exception] = []
        wanted: list[Wanted] = []
        try:
            # Asked after all of them came, so it is as new as each of them may want it.
            is_local = self._access.is_local()
        except Exception as error:  # noqa: BLE001 whatever it is, it is everybody's answer
            return [error] * len(batch)
        for asked in batch:
            try:
                caller = self._access.caller(asked.given, is_local=is_local)
                wanted.append(Wanted(analysis_id=asked.analysis_id, caller=caller, result=asked.result))
            except Exception as error:  # noqa: BLE001 whatever it is, it is the answer of this one alone
                answers.append(error)
            else:
                answers.append(_UNREAD)
        try:
            found = iter(self._holdfast.queries.get_each(wanted) if wanted else ())
        except Exception as error:  # noqa: BLE001 as above, of all that were to be read
            return [error if answer is _UNREAD else answer for answer in answers]
        callers = iter(wanted)
        for place, answer in enumerate(answers):
            if answer is _UNREAD:
                one = next(found)
                caller = next(callers).caller
                answers[place] = one if isinstance(one, HoldfastError) else (caller, *one)
        return answers

    @staticmethod
    def _tell(batch: list[_Asked], answers: list[Answer | Exception]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Future, Answer | Exception]]] = defaultdict(list)
        for asked, answer in zip(batch, answers, strict=True):
            by_loop[asked.loop].append((asked.future, answer))
        for loop, told in by_loop.items():
            # Once for all of them: each call wakes the loop through a socket.
            try:
                loop.call_soon_threadsafe(_settle, told)
            except RuntimeError:
                # The loop is closed, and who waited in it is gone.
                continue


_UNREAD = LookupError("it was not read")


def _settle(told: list[tuple[_Future, Answer | Exception]]) -> None:
    for future, answer in told:
        if future.done():
            # Who asked has left.
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
