"""The one reader of what is committed, whoever watches."""

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from holdfast.domain import ids
from holdfast.domain.access import Caller
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import AnalysisNotFound, AuthenticationRequired, InvalidCursor, StoreUnavailable
from holdfast.domain.events import ENDINGS, EVENTS, LedgerEntry, Position
from holdfast.services.feed.messages import Message, Wanted, arranged, of_entry, of_progress
from holdfast.services.feed.subscription import Group, Missed, Subscription
from holdfast.store.runs import Reported
from holdfast.store.unit_of_work import Store, UnitOfWork

if TYPE_CHECKING:
    from holdfast.domain.progress import Progress

_log = logging.getLogger(__name__)

_PAGE = 500
_LARGEST_PAGE = 1000
# A ring may be lost, and progress that came too soon after the last waits for the next look.
_IDLE_SECONDS = 0.25
# Commits of so short a time are one tick.
_GATHER_SECONDS = 0.01
_TICK_SECONDS = 0.05
_AWAY_SECONDS = 0.5
_PROGRESS_SECONDS = 0.2
# Progress bears the moment of its report, and is committed a little later, by a clock a little off.
_WINDOW = timedelta(seconds=5)
_RUNS = 2000
# Watchers who catch up take turns: a thousand that connect at once must not take every connection to the database.
_CATCHING_UP = 4
_LARGEST_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A page of an analysis's events.

    Attributes:
        items: the events, oldest first.
        next: the sequence to go on after; None when there are no more by now.
    """

    items: list[LedgerEntry]
    next: int | None


class Feed:
    """Hands what happens to whoever watches: one query a tick, however many there are.

    Nothing runs before the first watcher comes, nor after the last one is gone.

    Attributes:
        ticks: how often the store was looked at.
    """

    def __init__(self, store: Store) -> None:
        """Watch ``store``."""
        self.ticks = 0
        self._store = store
        self._lock = threading.Condition()
        self._groups: dict[asyncio.AbstractEventLoop, Group] = {}
        # Also those who still catch up, and perhaps hang there on a reader that does not read.
        self._streams: dict[Subscription, asyncio.AbstractEventLoop] = {}
        # The end of the last batch handed over; None while nobody watches.
        self._position: Position | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._readers = ThreadPoolExecutor(_CATCHING_UP, "holdfast-catch-up")
        # The rest is the thread's own.
        self._looked_at: datetime | None = None
        self._told: dict[str, tuple[Progress, float]] = {}
        self._is_away = False

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._stop.is_set()

    def subscribe(
        self,
        caller: Caller,
        *,
        analysis_id: str | None = None,
        after: int | None = None,
        names: Collection[str] = (),
        kinds: Collection[str] = (),
        until_tokens: bool = False,
    ) -> Subscription:
        """Watch everything that the caller may see, or one analysis.

        Args:
            caller: who asks.
            analysis_id: only this analysis; the stream then ends after it has.
            after: the sequence of the last event received; None begins now, with one analysis at its first event.
            names: only events of these names.
            kinds: only events of analyses of these kinds.
            until_tokens: the caller is let in as there are no tokens, and no longer than that.

        Raises:
            InvalidCursor: ``after`` is no sequence.
            AnalysisNotFound: there is no such analysis, or the caller may not see it.
            AuthenticationRequired: the caller's token has ended, or needs one by now.
        """
        self._check_after(after)
        if analysis_id is not None:
            ids.check_id(analysis_id)

        def look(uow: UnitOfWork) -> Subscription:
            # Asked for in the same state of the store as the head: what revokes it later stands after that.
            seconds = self._seconds_left(uow, caller.token_id, until_tokens=until_tokens)
            head = uow.ledger.head()
            owner, has_ended = caller.sees, False
            if analysis_id is not None:
                owner, has_ended = self._of(uow, caller, analysis_id)
            place = head if analysis_id is None else Position()
            if after is not None:
                place = uow.ledger.position_of(after) or head
            is_over = False
            if analysis_id is not None and has_ended:
                # The end may be committed and its event not yet due, while an older transaction runs.
                end = uow.ledger.last_of(analysis_id, ENDINGS)
                is_over = end is None or end <= place
            wanted = Wanted(
                owner=owner,
                analysis_id=analysis_id,
                names=frozenset(names),
                kinds=frozenset(kinds),
                token_id=caller.token_id,
                until_tokens=until_tokens,
            )
            return Subscription(self, wanted, after=place, head=head, is_over=is_over, seconds=seconds)

        return self._store.follow(look)

    def page(self, caller: Caller, analysis_id: str, *, after: int | None = None, limit: int = 100) -> EventPage:
        """The events of one analysis, for those who ask again and again.

        Args:
            caller: who asks.
            analysis_id: the analysis.
            after: the sequence of the last event received.
            limit: how many at most, up to 1,000.

        Raises:
            InvalidCursor: ``after`` is no sequence.
            AnalysisNotFound: there is no such analysis, or the caller may not see it.
        """
        self._check_after(after)
        check_limit(limit, _LARGEST_PAGE)
        ids.check_id(analysis_id)

        def look(uow: UnitOfWork) -> EventPage:
            owner, _ = self._of(uow, caller, analysis_id)
            place = None if after is None else uow.ledger.position_of(after) or uow.ledger.head()
            entries = uow.ledger.feed(place, limit + 1, owner=owner, analysis_id=analysis_id)
            following = entries[limit - 1].sequence if len(entries) > limit else None
            return EventPage(items=entries[:limit], next=following)

        return self._store.follow(look)

    def close(self) -> None:
        """End every stream at once; whoever was watching goes on elsewhere from the last event received."""
        with self._lock:
            self._stop.set()
            streams = dict(self._streams)
            self._lock.notify_all()
        for subscription, loop in streams.items():
            self._call(loop, subscription.close)
        self._store.bell.nudge()
        if self._thread is not None:
            self._thread.join(timeout=1)
        self._readers.shutdown(wait=False)

    async def missed(self, wanted: Wanted, after: Position, until: Position | None) -> Missed:
        """See ``Source``."""

        def look(uow: UnitOfWork) -> Missed:
            try:
                self._seconds_left(uow, wanted.token_id, until_tokens=wanted.until_tokens)
            except AuthenticationRequired:
                return Missed(messages=[], position=after, more=False, is_let_in=False)
            entries = uow.ledger.feed(
                after, _PAGE, until=until, owner=wanted.owner, analysis_id=wanted.analysis_id
            )  # fmt: skip
            more = len(entries) == _PAGE
            reported = [] if more or wanted.analysis_id is None else uow.runs.reported(wanted.analysis_id)
            # Of the same snapshot: what the watcher does not want up to there need not be looked at again.
            position = entries[-1].position if more else until or uow.ledger.head()
            found = arranged(map(of_entry, entries), map(of_progress, reported))
            return Missed(messages=[m for m in found if wanted.fits(m)], position=position, more=more)

        if self.is_closed():
            raise StoreUnavailable("The feed is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._store.follow, look)

    def enter(self, subscription: Subscription) -> None:
        """See ``Source``; called in the subscription's loop."""
        with self._lock:
            self._streams[subscription] = asyncio.get_running_loop()

    def join(self, subscription: Subscription, head: Position) -> Group | None:
        """See ``Source``; called in the subscription's loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self.is_closed():
                return None
            group = self._groups.get(loop)
            if group is None:
                if self._position is None:
                    self._position = head
                # Under the lock that hands batches over: what is handed over from here on reaches the group.
                group = self._groups[loop] = Group(loop, self._position)
            group.add(subscription)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holdfast-feed", daemon=True)
                self._thread.start()
            self._lock.notify_all()
            return group

    def leave(self, subscription: Subscription, group: Group | None) -> None:
        """See ``Source``; called in the subscription's loop."""
        if group is not None:
            group.remove(subscription)
        with self._lock:
            self._streams.pop(subscription, None)
            for loop in [loop for loop, known in self._groups.items() if known is group and not group]:
                del self._groups[loop]
            if not self._groups:
                self._position = None

    def _run(self) -> None:
        while not self.is_closed():
            self._wait_for_watchers()
            began = time.monotonic()
            count = self._store.bell.count()
            try:
                more = self._tick()
            except Exception as error:  # noqa: BLE001 whatever it is, the watchers wait and nobody else would go on
                if not self._is_away:
                    _log.warning("Live events are held up: %s", error, exc_info=not isinstance(error, StoreUnavailable))
                self._is_away = True
                self._stop.wait(_AWAY_SECONDS)
                continue
            if self._is_away:
                _log.warning("Live events go on")
                self._is_away = False
            if not more and not self.is_closed():
                self._store.bell.wait(count, _IDLE_SECONDS)
                self._stop.wait(max(_GATHER_SECONDS, began + _TICK_SECONDS - time.monotonic()))

    def _wait_for_watchers(self) -> None:
        with self._lock:
            while not self._groups and not self.is_closed():
                # What was told before nobody was there is no news to those who come.
                self._told, self._looked_at = {}, None
                self._lock.wait()

    def _tick(self) -> bool:
        """Look once, for all; returns whether there is more by now."""
        start = self._position
        if start is None:
            return False

        def look(uow: UnitOfWork) -> tuple[datetime, list[LedgerEntry], list[Reported]]:
            since = min(self._looked_at or uow.now, uow.now) - _WINDOW
            return uow.now, uow.ledger.feed(start, _PAGE), uow.runs.progressed_since(since, _RUNS)

        now, entries, reported = self._store.follow(look)
        self.ticks += 1
        self._looked_at = now
        ended = {entry.event.analysis_id for entry in entries if entry.event.name in ENDINGS}
        messages = arranged(map(of_entry, entries), map(of_progress, self._news(reported, ended)))
        self._hand_over(start, entries[-1].position if entries else start, messages)
        return len(entries) == _PAGE

    def _news(self, reported: Sequence[Reported], ended: Collection[str | None]) -> list[Reported]:
        """What was not told yet, and not too soon after what was; too soon, it is told at a later tick."""
        now = time.monotonic()
        told: dict[str, tuple[Progress, float]] = {}
        news = []
        for report in reported:
            name = report.analysis_id
            last = self._told.get(name)
            if last is None or (
                last[0] != report.progress and (now - last[1] >= _PROGRESS_SECONDS or name in ended)
            ):  # fmt: skip
                news.append(report)
                last = (report.progress, now)
            told[name] = last
        self._told = told
        return news

    def _hand_over(self, start: Position, position: Position, messages: Sequence[Message]) -> None:
        with self._lock:
            if self._position != start:
                # Everybody left while it was read, and somebody else came, who begins at another place.
                self._told.clear()
                return
            self._position = position
            if not messages:
                return
            for loop, group in list(self._groups.items()):
                # Once a tick and loop, not once a watcher: each call wakes the loop through a socket.
                if not self._call(loop, group.deliver, messages, position):
                    del self._groups[loop]
            if not self._groups:
                self._position = None

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, *call: object) -> bool:
        try:
            loop.call_soon_threadsafe(*call)  # type: ignore[arg-type]
        except RuntimeError:
            # The loop is closed, and its watchers with it.
            return False
        return True

    @staticmethod
    def _seconds_left(uow: UnitOfWork, token_id: str | None, *, until_tokens: bool) -> float | None:
        """How long a watcher is let in; None for ever, or until something happens."""
        if token_id is None:
            if until_tokens and uow.accounts.any():
                raise AuthenticationRequired
            return None
        found = uow.accounts.find(token_id)
        if found is None or found[0].problem(uow.now) is not None:
            raise AuthenticationRequired
        expires_at = found[0].expires_at
        return None if expires_at is None else (expires_at - uow.now).total_seconds()

    @staticmethod
    def _of(uow: UnitOfWork, caller: Caller, analysis_id: str) -> tuple[str | None, bool]:
        """Whose events of an analysis the caller may see, and whether it has ended."""
        if caller.sees is not None:
            value = uow.find_visible(analysis_id, caller).value
            # By owner, too: once it is deleted, somebody else may give the same id to something of theirs.
            return value.context.client_session_id, value.status.ended
        stored = uow.analyses.find(analysis_id)
        if stored is None and uow.ledger.last_of(analysis_id, EVENTS) is None:
            raise AnalysisNotFound(f"There is no analysis {analysis_id}", analysis_id=analysis_id)
        return None, stored is None or stored.value.status.ended

    @staticmethod
    def _check_after(after: int | None) -> None:
        if after is not None and not 0 <= after <= _LARGEST_SEQUENCE:
            raise InvalidCursor(f"{after} is no event's id")
