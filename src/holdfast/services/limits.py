"""Rate limits: one count for all processes, kept by the ``limits`` library in the store."""

import math
import threading
from collections.abc import Mapping
from datetime import datetime

from limits import RateLimitItem, parse_many
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from holdfast.domain.access import Caller
from holdfast.domain.addresses import subscriber
from holdfast.domain.checks import check_positive
from holdfast.domain.errors import RateLimited
from holdfast.domain.ports import Clock
from holdfast.store.rate_limits import RateLimits
from holdfast.store.unit_of_work import Store, UnitOfWork

ANONYMOUS = "anonymous"

_REMEMBERED_AT_MOST = 10_000


class LimitsService:
    """How often callers may do what is costly."""

    def __init__(self, store: Store, clock: Clock, limits: Mapping[str, str]) -> None:
        """Count in ``store``.

        Args:
            store: where the counts are kept.
            clock: tells the time.
            limits: by name, such as ``60/minute`` or ``10/minute; 100/day``; empty for none. The one called
                ``anonymous`` is for all that an anonymous client does, beside the others.
        """
        self._store = store
        self._clock = clock
        self._limits = {name: tuple(parse_many(limit)) if limit else () for name, limit in limits.items()}
        self._used_up: dict[str, _Refused] = {}
        self._lock = threading.Lock()

    def hit(self, name: str, caller: Caller, cost: int = 1) -> None:
        """Count what the caller is about to do; what is refused does not count.

        Args:
            name: the limit, ``start`` or ``export``; ``anonymous`` for whatever else an anonymous client does.
            caller: who does it. All tokens of an owner count together; anonymous clients count by their address,
                since new ids cost them nothing.
            cost: how much of the limit it takes.

        Raises:
            RateLimited: it is too often; details are ``retry_after_seconds``, ``limit`` and ``remaining``.
            KeyError: there is no such limit.
        """
        check_positive("cost", cost)
        names = [name, ANONYMOUS] if caller.is_anonymous and name != ANONYMOUS else [name]
        who = subscriber(caller.ip) if caller.is_anonymous and caller.ip is not None else caller.owner
        asked = [(item, (one, who)) for one in names for item in self._limits[one]]
        if not asked:
            return
        now = self._clock.now()
        for item, identity in asked:
            # Whoever storms on at a closed door gets no transaction for it.
            known = self._used_up.get(item.key_for(*identity))
            if known is not None and known.until > now:
                raise _Refused(item, identity, remaining=0, until=known.until, now=now)

        def work(uow: UnitOfWork) -> None:
            counts = _Counts(uow.rate_limits)
            limiter = FixedWindowRateLimiter(counts)
            for item, identity in asked:
                if not limiter.hit(item, *identity, cost=cost):
                    # Raised here, it takes back what was counted, in this limit and in those before it.
                    before = counts.get(item.key_for(*identity)) - cost
                    until = counts.end(item.key_for(*identity)) or uow.now
                    remaining = max(item.amount - before, 0)
                    raise _Refused(item, identity, remaining=remaining, until=until, now=uow.now)

        try:
            self._store.write(work)
        except _Refused as refused:
            self._remember(refused)
            raise

    def _remember(self, refused: "_Refused") -> None:
        if refused.details["remaining"] == 0:
            with self._lock:
                if len(self._used_up) >= _REMEMBERED_AT_MOST:
                    self._used_up.clear()
                self._used_up[refused.key] = refused


class _Refused(RateLimited):
    """Too many requests."""

    def __init__(
        self, item: RateLimitItem, identity: tuple[str, str], *, remaining: int, until: datetime, now: datetime
    ) -> None:
        seconds = max(math.ceil((until - now).total_seconds()), 1)
        super().__init__(
            f"More than {item} is too often; try again in {seconds} s",
            retry_after_seconds=seconds,
            limit=str(item),
            remaining=remaining,
        )
        self.key = item.key_for(*identity)
        self.until = until


class _Counts(Storage):
    """The counts of one transaction, as the library wants them."""

    # It is handed over, not looked up.
    STORAGE_SCHEME = None

    def __init__(self, counts: RateLimits) -> None:
        super().__init__()
        self._counts = counts

    @property
    def base_exceptions(self) -> type[Exception]:
        # The store's errors are the tree's already.
        return Exception

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self._counts.add(key, expiry, amount)

    def get(self, key: str) -> int:
        found = self._counts.read(key)
        return 0 if found is None else found[0]

    def get_expiry(self, key: str) -> float:
        end = self.end(key)
        return 0.0 if end is None else end.timestamp()

    def end(self, key: str) -> datetime | None:
        """When the window ends; None when there is none."""
        found = self._counts.read(key)
        return None if found is None else found[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return self._counts.clear()

    def clear(self, key: str) -> None:
        self._counts.clear(key)
