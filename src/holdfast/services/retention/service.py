"""Keeping house: what is not to be kept any longer goes, in steps that no writer notices."""

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.checks import check_limit
from holdfast.domain.jobs import Job
from holdfast.domain.retention import SWEEP_JOB, Candidate, Going, History, Rules, by_itself, over_cap
from holdfast.services import GivenBack, Lease
from holdfast.services.retention.steps import Run
from holdfast.store.retention import Mark, Walk
from holdfast.store.unit_of_work import Store, UnitOfWork

T = TypeVar("T")

_log = logging.getLogger(__name__)

SWEPT = "sweep"
_OPTIMIZED = "optimize"
_OPTIMIZE_EVERY = timedelta(days=1)
_PAGE = 1000
# Longer than a client waits for the answer to its request.
_IDEMPOTENCY = timedelta(hours=24)
# From so many on, the tables have room worth giving back.
_LARGE_SWEEP = 1000
_VACUUMED = ("analyses", "payloads", "tags", "findings", "finding_items", "metrics", "attempts", "progress", "jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizons:
    """How long what is no analysis is kept.

    Attributes:
        checkpoints: those that outlive their analysis, since they were last used.
        dead_jobs: since they were last due.
        ledger: events; None for ever.
    """

    checkpoints: timedelta = timedelta(days=30)
    dead_jobs: timedelta = timedelta(days=30)
    ledger: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a sweep would remove.

    Attributes:
        items: which analyses and why, as many as were asked for.
        counts: how many by reason, of all.
        bytes: their results as they are kept, before equal ones are kept once.
    """

    items: list[Going]
    counts: dict[str, int]
    bytes: int

    @property
    def total(self) -> int:
        """How many analyses would go."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep has removed.

    Attributes:
        counts: analyses by reason.
        bytes: their results as they were kept, before equal ones are kept once.
        forgotten: rows of other tables by name.
        seconds: how long it took.
        longest_lock_ms: how long the longest of its transactions held writers up.
        is_complete: False when it was stopped early, or another process was sweeping and nothing was done here.
    """

    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    forgotten: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    longest_lock_ms: float = 0.0
    is_complete: bool = False

    @property
    def total(self) -> int:
        """How many analyses went."""
        return sum(self.counts.values())


class RetentionService:
    """The use cases of retention."""

    def __init__(
        self, store: Store, rules: Rules, horizons: Horizons, *, pause: Callable[[float], object] = time.sleep
    ) -> None:
        """Work on ``store``.

        Args:
            store: what is kept.
            rules: how long analyses are.
            horizons: how long the rest is.
            pause: lets writers through for so many seconds.
        """
        self._store = store
        self._rules = rules
        self._horizons = horizons
        self._pause = pause

    def plan(self, limit: int = 1000) -> Plan:
        """What a sweep would remove now; nothing is changed.

        Args:
            limit: how many are named at most; all are counted.
        """
        check_limit(limit)
        items: list[Going] = []
        counts: Counter[str] = Counter()
        size = 0
        for going in itertools.chain.from_iterable(self._going(_Counted())):
            counts[going.reason.value] += 1
            size += going.candidate.stored_size
            if len(items) < limit:
                items.append(going)
        return Plan(items=items, counts=dict(counts), bytes=size)

    def sweep(self, *, stop: Callable[[], bool] = lambda: False, older_than: timedelta | None = None) -> Sweep:
        """Remove what is not to be kept any longer, and give its room back.

        Args:
            stop: asked between two transactions; when it says so, the rest is left to the next sweep.
            older_than: remove this once also what is older, whatever the policies say.
        """
        if older_than is not None:
            rules = self._rules.no_older_than(older_than.total_seconds())
            return RetentionService(self._store, rules, self._horizons, pause=self._pause).sweep(stop=stop)
        with self._store.engine.alone() as is_alone:
            if not is_alone:
                return Sweep()
            run = Run(self._store, self._rules, self._pause, stop)
            began = time.perf_counter()
            with self._store.engine.copying_apart():
                for chunk in self._going(None):
                    run.remove(chunk)
                    if run.stopped:
                        break
                for name, until in self._forgettable():
                    run.forget(name, until)
                run.purge_repositories()
                run.give_back()
            self._keep_fit(sum(run.counts.values()), run)
            swept = Sweep(
                counts=dict(run.counts),
                bytes=run.bytes,
                forgotten={name: count for name, count in run.forgotten.items() if count},
                seconds=time.perf_counter() - began,
                longest_lock_ms=run.longest * 1000,
                is_complete=not run.stopped,
            )
            self._note(swept)
        return swept

    def _note(self, swept: Sweep) -> None:
        data = {"removed": swept.total, "bytes": swept.bytes, "seconds": round(swept.seconds, 3)}
        if swept.is_complete:
            self._store.write(lambda uow: uow.retention.put_mark(SWEPT, Mark(at=uow.now, data=data)))
        facts = (swept.total, swept.bytes, swept.counts, sum(swept.forgotten.values()), swept.seconds)
        _log.log(
            logging.INFO if swept.total else logging.DEBUG,
            "Cleaned up %d analyses of %d bytes %s, and %d other rows, in %.2f s",
            *facts,
        )

    def _forgettable(self) -> Iterator[tuple[str, datetime]]:
        now = self._store.read(lambda uow: uow.now)
        yield "idempotency_keys", now - _IDEMPOTENCY
        yield "rate_limits", now
        yield "exports", now
        yield "checkpoints", now - self._horizons.checkpoints
        yield "jobs", now - self._horizons.dead_jobs
        if self._horizons.ledger is not None:
            yield "ledger", now - self._horizons.ledger

    def _keep_fit(self, removed: int, run: Run) -> None:
        engine = self._store.engine
        engine.trim_log()
        if removed >= _LARGE_SWEEP:
            engine.vacuum(_VACUUMED)
        last, now = self._store.read(lambda uow: (uow.retention.mark(_OPTIMIZED), uow.now))
        if not run.stopped and (last is None or now - last.at >= _OPTIMIZE_EVERY):
            engine.optimize()
            self._store.write(lambda uow: uow.retention.put_mark(_OPTIMIZED, Mark(at=uow.now, data={})))

    def _going(self, counted: "_Counted | None") -> Iterator[list[Going]]:
        """What goes, page by page.

        Args:
            counted: what was named so far, where nothing is removed: each is then named once. None where each page
                is removed before the next one is asked for.
        """
        counted = counted or _Counted(idle=True)
        now = self._store.read(lambda uow: uow.now)
        since = timedelta(seconds=self._rules.trash_seconds)
        for walk, until in ((Walk.TRASH, now - since), (Walk.EXPIRED, now), (Walk.USED_UP, None)):
            for page in self._pages(walk, until=until):
                yield counted.new(self._by_itself(page, now))
        for kind in self._store.read(lambda uow: uow.retention.kinds()):
            policy = self._rules.policy(kind)
            if policy.looks_at_history:
                history = History(self._rules, now)
                for page in self._pages(Walk.HISTORY, kind=kind):
                    yield counted.new([gone for candidate in page for gone in history.look(candidate)])
            elif policy.max_age_seconds is not None:
                until = now - timedelta(seconds=policy.max_age_seconds)
                for page in self._pages(Walk.OLD, until=until, kind=kind):
                    yield counted.new(self._by_itself(page, now))
        used = self._store.read(lambda uow: uow.counters.value("anonymous_bytes")) - counted.anonymous_bytes
        pool = (
            candidate for page in self._pages(Walk.ANONYMOUS) for candidate in page if candidate.key not in counted.keys
        )
        over = over_cap(pool, used, self._rules)
        while chunk := list(itertools.islice(over, _PAGE)):
            yield chunk

    def _by_itself(self, page: Iterable[Candidate], now: datetime) -> list[Going]:
        reasons = ((candidate, by_itself(candidate, self._rules, now)) for candidate in page)
        return [Going(candidate=candidate, reason=reason) for candidate, reason in reasons if reason is not None]

    def _pages(
        self, walk: Walk, *, until: datetime | None = None, kind: str | None = None
    ) -> Iterator[list[Candidate]]:
        after: Candidate | None = None
        while True:
            last = after

            def look(uow: UnitOfWork, last: Candidate | None = last) -> list[Candidate]:
                return uow.retention.page(walk, limit=_PAGE, until=until, kind=kind, after=last)

            page = self._store.read(look)
            if page:
                yield page
            if len(page) < _PAGE:
                return
            after = page[-1]


class _Counted:
    """What was named so far."""

    def __init__(self, *, idle: bool = False) -> None:
        self.keys: set[int] = set()
        self.anonymous_bytes = 0
        self._idle = idle

    def new(self, going: Sequence[Going]) -> list[Going]:
        """Those that were not named before."""
        if self._idle:
            return list(going)
        new = [gone for gone in going if gone.candidate.key not in self.keys]
        self.keys.update(gone.candidate.key for gone in new)
        self.anonymous_bytes += sum(gone.candidate.stored_size for gone in new if gone.candidate.is_anonymous)
        return new


class SweepHandler:
    """Sweeps, in a thread that no analysis waits for."""

    kind = SWEEP_JOB
    is_long = True
    is_aside = True

    def __init__(self, retention: RetentionService) -> None:
        """Sweep with ``retention``."""
        self._retention = retention

    def handle(self, job: Job, lease: Lease) -> None:
        """Sweep once."""
        self._retention.sweep(stop=lambda: lease.lost() or lease.draining())
        if lease.draining():
            raise GivenBack

    def lost(self, uow: UnitOfWork, job: Job, error: ErrorInfo, *, dead: bool) -> bool:
        """Nothing is lost: the next one does what is left, and a dead one need not be kept."""
        return False
