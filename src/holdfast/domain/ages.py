"""Spans of time in words."""

_STEPS = (
    (60.0, 1.0, "second"),
    (3600.0, 60.0, "minute"),
    (86_400.0, 3600.0, "hour"),
    (14 * 86_400.0, 86_400.0, "day"),
    (60 * 86_400.0, 7 * 86_400.0, "week"),
    (2 * 365 * 86_400.0, 30.44 * 86_400.0, "month"),
)


def in_words(seconds: float) -> str:
    """About how long: ``42 seconds``, ``3 weeks``."""
    for limit, unit, noun in _STEPS:
        if seconds < limit:
            return _count(int(seconds / unit), noun)
    return _count(int(seconds / (365.25 * 86_400)), "year")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"
