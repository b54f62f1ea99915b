"""How often something may be done: a window that slides.

What was counted in the window before is taken to be spread evenly over it, and slides out of sight while the present
one lasts; so nobody gets twice the limit around the moment where two windows meet.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_MICROSECOND = timedelta(microseconds=1)
SLACK = 1e-6
"""What is over a limit by so little is over by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was counted of one thing.

    Attributes:
        count: in the present window.
        earlier: in the one before.
        ends_at: when the present one ends.
        length: of each.
    """

    count: int
    earlier: int
    ends_at: datetime
    length: timedelta

    def at(self, now: datetime) -> "Window":
        """The same at a later moment."""
        if now < self.ends_at:
            return self
        following = replace(self, count=0, earlier=self.count, ends_at=self.ends_at + self.length)
        return following if now < following.ends_at else replace(following, earlier=0, ends_at=now + self.length)

    def used(self, now: datetime) -> float:
        """How much of a limit is used up."""
        window = self.at(now)
        return window.earlier * ((window.ends_at - now) / window.length) + window.count

    def allows(self, now: datetime, amount: int, most: int) -> bool:
        """Whether ``amount`` more is within a limit of ``most``."""
        return self.used(now) + amount <= most + SLACK

    def free_at(self, now: datetime, amount: int, most: int) -> datetime:
        """When ``amount`` more will be within a limit of ``most``, if nobody counts meanwhile."""
        window = self.at(now)
        while not window.allows(window.ends_at - _MICROSECOND, amount, most) and (window.count or window.earlier):
            window = window.at(window.ends_at)
        if not window.earlier:
            return max(now, window.ends_at - window.length)
        left = window.length * (max(most - amount - window.count, 0) / window.earlier)
        return max(now, window.ends_at - _MICROSECOND * math.floor(left / _MICROSECOND + SLACK))
