"""Identifiers: made from time and random bytes that the caller supplies, checked before use."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from holdfast.domain.errors import InvalidId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


def uuid7(at: datetime, random: bytes) -> str:
    """Make a time-ordered id (UUID version 7, RFC 9562 section 5.7).

    Args:
        at: the moment of creation, aware.
        random: 10 random bytes.

    Returns:
        The id in its 36-character form; ids made later sort later, to the millisecond.
    """
    # Not by at.timestamp(): as a float it may be the millisecond before.
    milliseconds = (at - _EPOCH) // _MILLISECOND
    value = bytearray(milliseconds.to_bytes(6, "big") + random)
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(value)))


def is_id(value: str) -> bool:
    """Whether ``value`` may serve as an id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_id(value: str, what: str = "analysis_id") -> str:
    """Return ``value`` if it may serve as an id, or raise InvalidId; ids are never used as file names."""
    if not is_id(value):
        raise InvalidId(f"{what} {str(value)[:140]!r} is not a valid id", field=what)
    return value


def given_or_new(wanted: str | None, at: datetime, random: Callable[[int], bytes]) -> str:
    """The id that a caller brings, checked, or a new one.

    Args:
        wanted: the caller's, if any.
        at: the moment of creation, aware.
        random: gives so many random bytes.

    Raises:
        InvalidId: the caller's cannot serve.
    """
    return uuid7(at, random(10)) if wanted is None else check_id(wanted)
