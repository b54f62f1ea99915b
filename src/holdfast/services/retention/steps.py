"""A sweep's transactions: steps that no writer notices, and pauses in which others get through."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from holdfast.domain.retention import Going, Reason, Rules, by_itself
from holdfast.store.keeping import take_away
from holdfast.store.retention import Found
from holdfast.store.unit_of_work import Store, UnitOfWork

T = TypeVar("T")

_FIRST, _MOST = 25, 1000
_LONGEST_PAUSE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How long a transaction may take, how little is worth one, and how long a pause follows, in parts of its time.

    A step costs as much as forty rows before it removes the first one. On a busy machine a step of any size takes
    too long: smaller ones would not be shorter, but many, and the sweep itself what keeps the machine busy.
    """

    seconds: float
    least: int
    pause: float


# Where a transaction keeps all others waiting, it is short. Where it holds only what goes, others still wait for
# the disk that writes its commit.
_ONE_WRITER = _Pace(seconds=0.025, least=50, pause=0.6)
_MANY_WRITERS = _Pace(seconds=0.08, least=100, pause=0.5)


class Run:
    """One sweep's transactions: short ones, with pauses in between.

    Attributes:
        counts: analyses removed, by reason.
        bytes: of their results.
        forgotten: rows of other tables, by name.
        longest: seconds that the longest transaction took.
        stopped: whether it was to stop.
    """

    def __init__(self, store: Store, rules: Rules, pause: Callable[[float], object], stop: Callable[[], bool]) -> None:
        """Begin.

        Args:
            store: what is kept.
            rules: how long.
            pause: lets writers through for so many seconds.
            stop: asked between two transactions.
        """
        self.counts: Counter[str] = Counter()
        self.bytes = 0
        self.forgotten: Counter[str] = Counter()
        self.longest = 0.0
        self.stopped = False
        self._store = store
        self._rules = rules
        self._pause = pause
        self._stop = stop
        self._sizes: dict[str, int] = {}

    def remove(self, going: Sequence[Going]) -> None:
        """Remove analyses, those that still may go."""
        place = 0
        while place < len(going):
            batch = going[place : place + self._size("analyses")]
            place += len(batch)
            for gone in self._step("analyses", partial(self._drop, batch)):
                self.counts[gone.reason.value] += 1
                self.bytes += gone.candidate.stored_size
            if self.stopped:
                return

    def purge_repositories(self) -> None:
        """Delete for good the repositories that nobody restored in time, each in a transaction of its own."""

        def work(uow: UnitOfWork) -> bool:
            until = uow.now - timedelta(seconds=self._rules.trash_seconds)
            found = uow.repositories.in_trash(until, 1)
            for stored in found:
                uow.purge_repository(stored, "system")
            return bool(found)

        while not self._stop() and self._store.write(work):
            self.forgotten["repositories"] += 1

    def _drop(self, batch: Sequence[Going], uow: UnitOfWork) -> list[Going]:
        reasons = {gone.candidate.key: gone.reason for gone in batch}
        held = [
            (found, self._still(found, reasons[found.candidate.key], uow.now))
            for found in uow.retention.held(list(reasons))
        ]
        gone = [(found, reason) for found, reason in held if reason is not None]
        if gone:
            take_away(uow, gone)
        return [Going(candidate=found.candidate, reason=reason) for found, reason in gone]

    def _still(self, found: Found, reason: Reason, now: datetime) -> Reason | None:
        """Why it goes, if it still does: it may have been pinned, restored or begun since it was looked at."""
        candidate = found.candidate
        if reason in {Reason.OVER_COUNT, Reason.THINNED}:
            return reason if candidate.is_history else None
        if reason is Reason.OVER_CAP:
            return reason if candidate.may_go and not candidate.is_pinned else None
        return by_itself(candidate, self._rules, now)

    def forget(self, name: str, until: datetime) -> None:
        """Forget old rows of a table."""
        while not self.stopped:
            size = self._size(name)
            count = self._step(name, partial(_forget, name, until, size))
            self.forgotten[name] += count
            if count < size:
                return

    def give_back(self) -> None:
        """Return free room to the disk."""
        while not self.stopped:
            size = self._size("pages")
            began = time.perf_counter()
            left = self._store.engine.give_back(size)
            self._measured("pages", time.perf_counter() - began)
            if not left:
                return

    def _step(self, name: str, work: Callable[[UnitOfWork], T]) -> T:
        """One transaction, and the pause after it."""
        began = 0.0

        def measured(uow: UnitOfWork) -> T:
            # Who waits for the lock holds nobody up; it may take more than one attempt.
            nonlocal began
            began = time.perf_counter()
            return work(uow)

        result = self._store.write(measured)
        # With the commit, which is most of it where much goes.
        self._measured(name, time.perf_counter() - began)
        return result

    def _size(self, name: str) -> int:
        return self._sizes.get(name, _FIRST)

    def _measured(self, name: str, held: float) -> None:
        """Make the next transaction as large as fits the time that it may hold writers up, and let them through."""
        self.longest = max(self.longest, held)
        pace = _ONE_WRITER if self._store.engine.has_one_writer else _MANY_WRITERS
        wanted = self._size(name) * min(max(pace.seconds / max(held, 1e-6), 0.5), 2.0)
        self._sizes[name] = int(min(max(wanted, pace.least), _MOST))
        began = time.perf_counter()
        # A step writes more pages than a log should hold; they are copied while nobody waits for it.
        self._store.engine.copy_log()
        copied = time.perf_counter() - began
        self.stopped = self.stopped or self._stop()
        if not self.stopped:
            self._pause(max(min(held * pace.pause, _LONGEST_PAUSE) - copied, 0.0))


def _forget(name: str, until: datetime, limit: int, uow: UnitOfWork) -> int:
    return uow.retention.forget(name, until, limit)
