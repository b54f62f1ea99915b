"""This machine's clock and randomness."""

import os
from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)


class SystemIds:
    """The operating system's randomness."""

    def random(self, size: int) -> bytes:
        """``size`` random bytes."""
        return os.urandom(size)
