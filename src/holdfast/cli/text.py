"""Text for people: names shown safely, cropped in the middle, figures and ages in words. Pure."""

import re
from datetime import datetime

from holdfast import terminal
from holdfast.cli.errors import UsageFailed
from holdfast.domain.ages import in_words

safe = terminal.safe
paragraph = terminal.paragraph

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def seconds_of(value: str) -> int:
    """A duration as people give it, ``90s``, ``15m``, ``12h``, ``30d``, ``8w``, in seconds.

    Raises:
        UsageFailed: it is none.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", value.strip().lower())
    if match is None:
        raise UsageFailed(f"{safe(value)!r} is no duration: give a number with s, m, h, d or w, such as 30d")
    return int(match[1]) * _UNITS[match[2]]


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 file``, ``1,234 files``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def age(at: datetime, now: datetime) -> str:
    """How long ago: ``just now``, ``2 hours ago``; ``in 5 minutes`` for what is still to come."""
    seconds = (now - at).total_seconds()
    if abs(seconds) < 5:
        return "just now"
    words = in_words(abs(seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def moment(at: datetime) -> str:
    """The exact time on the reader's clock, with its zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def duration(seconds: float) -> str:
    """How long, exactly enough: ``0.3 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(number: float) -> str:
    """A size in bytes, for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def short_ids(ids: list[str]) -> dict[str, str]:
    """Beginnings of ids long enough to tell these apart; ids that people gave stay whole."""
    length = 13
    # A UUIDv7 begins with its time: 13 characters are a millisecond, the next groups are random.
    made = [value for value in ids if _is_uuid(value)]
    for length in (13, 18, 23, 36):
        if len({value[:length] for value in made}) == len(set(made)):
            break
    return {value: value[:length] if _is_uuid(value) else value for value in ids}


def _is_uuid(value: str) -> bool:
    return len(value) == 36 and all(value[place] == "-" for place in (8, 13, 18, 23))
