"""Rate limits: one count for all processes, in the store; the ``limits`` library reads how they are written."""

import math
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from limits import RateLimitItem, parse_many

from holdfast.domain.access import Caller
from holdfast.domain.addresses import subscriber
from holdfast.domain.checks import check_positive
from holdfast.domain.errors import RateLimited
from holdfast.domain.limits import Window
from holdfast.domain.ports import Clock
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
            for item, identity in asked:
                key, seconds = item.key_for(*identity), item.get_expiry()
                if not uow.rate_limits.add(key, seconds, cost, item.amount):
                    # Raised here, it takes back what was counted in the limits before it.
                    window = uow.rate_limits.read(key, seconds)
                    raise _refused(item, identity, window, cost, uow.now)

        try:
            self._store.write(work)
        except _Refused as refused:
            # Where nothing at all is left, the next one need not ask; of a cost of 1, or less might be let through.
            if cost == 1:
                self._remember(refused)
            raise

    def _remember(self, refused: "_Refused") -> None:
        with self._lock:
            if len(self._used_up) >= _REMEMBERED_AT_MOST:
                self._used_up.clear()
            self._used_up[refused.key] = refused


def _refused(
    item: RateLimitItem, identity: tuple[str, str], window: Window | None, cost: int, now: datetime
) -> "_Refused":
    if window is None:
        # It costs more than there ever is.
        until = now + timedelta(seconds=item.get_expiry())
        return _Refused(item, identity, remaining=item.amount, until=until, now=now)
    remaining = max(math.floor(item.amount - window.used(now)), 0)
    return _Refused(item, identity, remaining=remaining, until=window.free_at(now, cost, item.amount), now=now)


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
