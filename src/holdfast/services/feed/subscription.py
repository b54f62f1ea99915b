"""One watcher, and all watchers of one event loop. Nothing here is touched by any other thread than the loop's."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.domain.errors import StoreError, StoreUnavailable
from holdfast.domain.events import BEGINNINGS, ENDINGS, Position
from holdfast.services.feed.messages import HEARTBEAT, RETRY, Message, Wanted

_BUFFER_BYTES = 256 * 1024
_AWAY_SECONDS = 0.5
_HEARTBEAT_SECONDS = 15.0
_LOOK_SECONDS = 1.0
# No owner's name is empty.
_EVERYBODY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A page of what a watcher has missed.

    Attributes:
        messages: what it wanted of it.
        position: how far the page reaches.
        more: whether there is more to read.
        is_let_in: whether the watcher's token is still good.
    """

    messages: list[Message]
    position: Position
    more: bool
    is_let_in: bool = True


class Source(Protocol):
    """Where a subscription's events come from."""

    async def missed(self, wanted: Wanted, after: Position, until: Position | None) -> Missed:
        """The next page of what was committed after a place, with the present progress at its end.

        Raises:
            StoreUnavailable: the store is away.
        """
        ...

    def enter(self, subscription: "Subscription") -> None:
        """Tell it when there will be nothing any more, wherever in its stream it is."""
        ...

    def join(self, subscription: "Subscription", head: Position) -> "Group | None":
        """Have what comes from now on pushed; None when there will be nothing any more.

        Args:
            subscription: the watcher.
            head: a place that all before it are committed at.
        """
        ...

    def leave(self, subscription: "Subscription", group: "Group | None") -> None:
        """Push and tell no more."""
        ...

    def is_closed(self) -> bool:
        """Whether there will be nothing any more."""
        ...


class Subscription:
    """What one watcher gets: first what it has missed, then what happens, until it ends or does not read.

    Attributes:
        wanted: which events.
        is_over: whether the analysis has ended and the watcher knows: there is nothing to send.
        was_cut: whether it was ended because nobody read it.
        on_end: called once when it was cut off or the service stops, in the event loop; whoever sends the chunks may
            wait for a reader that never reads.
    """

    def __init__(
        self,
        source: Source,
        wanted: Wanted,
        *,
        after: Position,
        head: Position,
        is_over: bool,
        seconds: float | None = None,
    ) -> None:
        """Go on after ``after``; all before ``head`` are committed; end when the token does, in ``seconds``."""
        self.wanted = wanted
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self.is_over = is_over
        self.was_cut = False
        self.on_end: Callable[[], None] | None = None
        self.quiet_since = 0.0
        self._source = source
        self._position = after
        self._head = head
        self._ends = is_over
        self._closed = False
        self._progress: Message | None = None
        self._pending: dict[int | str, Message] = {}
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The chunks to send, whole events each; ends after the analysis has, and when the service stops."""
        yield RETRY
        # An analysis has few events: what comes meanwhile may wait. Everything's past may be long: pages first,
        # each as quick as its reader, and what comes meanwhile is in the store.
        group: Group | None = None
        self._source.enter(self)
        try:
            if self.wanted.analysis_id is None and self._position != self._head:
                async for chunk in self._catch_up(None):
                    yield chunk
                self._head = max(self._head, self._position)
            # The delicate place. From here on the group pushes every batch it is handed, and it was handed all up
            # to group.position; so what this watcher lacks is what stands between its own position and that, and
            # nothing can fall between, as no batch is handed out before this coroutine waits again. Batches that
            # the thread has read but not yet handed over count as not handed out: they come by push. What was
            # read here from the store already is dropped in push, by its place.
            group = self._source.join(self, self._head)
            if group is None:
                return
            # A token that was revoked before this is known to the store by now, one that is after this is pushed.
            async for chunk in self._catch_up(group.position):
                yield chunk
            while not self._ends or self._pending:
                if self._pending:
                    yield self._take()
                elif self._closed or self.was_cut:
                    return
                else:
                    await self._woken()
        finally:
            self._source.leave(self, group)

    async def _catch_up(self, until: Position | None) -> AsyncGenerator[bytes, None]:
        """What stands in the store up to ``until``, or up to its newest."""
        # An analysis's present progress is read once in any case, after the joining: what is newer is pushed.
        more = until is None or self._position < until or self.wanted.analysis_id is not None
        while more and not self._source.is_closed() and not (self.was_cut or self._closed):
            try:
                page = await self._source.missed(self.wanted, self._position, until)
            except StoreError as error:
                if self._source.is_closed():
                    return
                if not isinstance(error, StoreUnavailable):
                    raise
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            if not page.is_let_in:
                self.close()
                return
            self._position = max(self._position, page.position)
            more = page.more
            for message in page.messages:
                self._note(message)
                pushed = self._pending.get(message.key)
                if pushed is not None and pushed.is_older(message):
                    # Pushed before the page was read: it would come after, and perhaps after the run's end.
                    self._size -= len(self._pending.pop(message.key).chunk)
            if page.messages:
                yield b"".join([message.chunk for message in page.messages])

    def push(self, messages: Iterable[Message]) -> None:
        """Queue what happened; a watcher whose queue is full is cut off, and gets the rest when it comes again."""
        if self.was_cut or self._closed:
            return
        for message in messages:
            if message.position is not None and message.position <= self._position:
                continue
            if self._progress is not None and message.is_older(self._progress):
                continue
            if (old := self._pending.pop(message.key, None)) is not None:
                self._size -= len(old.chunk)
            self._pending[message.key] = message
            self._size += len(message.chunk)
        if self._size > _BUFFER_BYTES:
            self.was_cut = True
            self._drop()
        self.wake()

    def beat(self, now: float) -> None:
        """Say that the stream lives, if it was quiet; end it when its token has expired."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.close()
        elif now - self.quiet_since >= _HEARTBEAT_SECONDS - _LOOK_SECONDS / 2 and not self._pending:
            self.push([Message(name="", analysis_id=None, owner=None, kind=None, chunk=HEARTBEAT)])

    def close(self) -> None:
        """The service stops, or the watcher's token has ended."""
        self._closed = True
        self._drop()
        self.wake()

    def wake(self) -> None:
        """Let the stream look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _drop(self) -> None:
        self._pending.clear()
        self._size = 0
        if self.on_end is not None:
            self.on_end()

    async def _woken(self) -> None:
        loop = asyncio.get_running_loop()
        self.quiet_since = self.quiet_since or loop.time()
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _take(self) -> bytes:
        messages = list(self._pending.values())
        self._pending.clear()
        self._size = 0
        self.quiet_since = asyncio.get_running_loop().time()
        for message in messages:
            self._note(message)
        return b"".join([message.chunk for message in messages])

    def _note(self, message: Message) -> None:
        if message.reported_at is not None:
            self._progress = message
        if self.wanted.analysis_id is not None and message.position is not None:
            self._ends = message.name in ENDINGS or (self._ends and message.name not in BEGINNINGS)


class Group:
    """The watchers of one event loop, found by what they watch: a batch costs those who get something.

    Attributes:
        position: the end of the last batch that was handed to them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, position: Position) -> None:
        """Begin at ``position``."""
        self.position = position
        self._loop = loop
        self._of_analysis: dict[str, dict[Subscription, None]] = {}
        self._of_owner: dict[str, dict[Subscription, None]] = {}
        self._members: dict[Subscription, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        """Whether anybody is in it."""
        return bool(self._members)

    def add(self, subscription: Subscription) -> None:
        """One more."""
        self._members[subscription] = None
        self._place(subscription).setdefault(self._key(subscription), {})[subscription] = None
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_SECONDS, self._beat)

    def remove(self, subscription: Subscription) -> None:
        """One less."""
        self._members.pop(subscription, None)
        place, key = self._place(subscription), self._key(subscription)
        if (beside := place.get(key)) is not None:
            beside.pop(subscription, None)
            if not beside:
                del place[key]
        if not self._members and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def deliver(self, messages: Sequence[Message], position: Position) -> None:
        """Hand a batch to whom it concerns."""
        self.position = position
        due: dict[Subscription, list[Message]] = {}
        for message in messages:
            if message.ends_watches:
                for subscription in [one for one in self._members if one.wanted.is_ended_by(message)]:
                    subscription.close()
        for message in messages:
            for place in (
                self._of_analysis.get(message.analysis_id or ""),
                self._of_owner.get(message.owner) if message.owner else None,
                self._of_owner.get(_EVERYBODY),
            ):
                for subscription in place or ():
                    if subscription.wanted.fits(message):
                        due.setdefault(subscription, []).append(message)
        for subscription, theirs in due.items():
            subscription.push(theirs)

    def _place(self, subscription: Subscription) -> "dict[str, dict[Subscription, None]]":
        return self._of_owner if subscription.wanted.analysis_id is None else self._of_analysis

    @staticmethod
    def _key(subscription: Subscription) -> str:
        wanted = subscription.wanted
        return (wanted.owner or _EVERYBODY) if wanted.analysis_id is None else wanted.analysis_id

    def _beat(self) -> None:
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._beat)
        now = self._loop.time()
        for subscription in list(self._members):
            subscription.beat(now)
