"""Checks of what callers give, the same on every way in."""

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from holdfast.domain.errors import InvalidInput, InvalidParams, StaleVersion

N = TypeVar("N", float | None, int | None)

KIND_LENGTH = 64
_KIND = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{KIND_LENGTH - 1}}}")
_TAG_LENGTH = 128
_METRIC_LENGTH = 256
_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")
# What a column of 32 bits holds; as seconds, 68 years.
_LARGEST = 2**31 - 1


def check_kind(kind: str) -> str:
    """Return ``kind`` if it may name a kind of analysis, or raise InvalidInput."""
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InvalidInput(
            f"{str(kind)[:80]!r} is no kind: use up to {KIND_LENGTH} lower-case letters, digits, '.', '_', '-'",
            field="kind",
        )
    return kind


def check_name(value: str, what: str, longest: int) -> str:
    """Return ``value`` if it may serve as a name, or raise InvalidInput.

    A name is found again by what it is, so it must be kept as it is, and no database keeps U+0000 and lone surrogates.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= longest or _UNKEEPABLE.search(value):
        raise InvalidInput(f"{what} must have 1 to {longest} characters, all of them Unicode's", field=what)
    return value


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """The tags, each once and in order, or raise InvalidInput."""
    if isinstance(tags, str):
        raise InvalidInput("Tags are a list of words, not one word", field="tags")
    return tuple(sorted({check_name(tag, "tags", _TAG_LENGTH) for tag in tags}))


def check_metrics(metrics: Mapping[str, float]) -> None:
    """Raise InvalidInput unless every metric has a name and is a finite number."""
    for name, value in metrics.items():
        check_name(name, "metrics", _METRIC_LENGTH)
        if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise InvalidInput(f"The metric {name!r} is no finite number", field="metrics")


def check_moment(value: datetime, what: str) -> datetime:
    """Return ``value`` if it is a moment with a time zone that has a date in UTC, or raise InvalidInput."""
    if value.utcoffset() is None:
        raise InvalidInput(f"{what} needs a time zone", field=what)
    try:
        value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(f"{what} is in no year of the calendar", field=what) from error
    return value


def check_positive(name: str, value: N) -> N:
    """Return ``value`` if it is None or greater than 0 and sensible, or raise InvalidParams."""
    if value is not None and not 0 < value <= _LARGEST:
        raise InvalidParams(f"{name} must be greater than 0 and at most {_LARGEST}", field=name)
    return value


def check_limit(limit: int, most: int = _LARGEST) -> int:
    """Return ``limit`` if so many rows may be asked for, or raise InvalidInput."""
    if not 1 <= limit <= most:
        raise InvalidInput(f"limit must be 1 to {most}", field="limit", limit=limit)
    return limit


def check_priority(priority: int) -> int:
    """Return ``priority`` if it can be kept, or raise InvalidParams."""
    if not -_LARGEST <= priority <= _LARGEST:
        raise InvalidParams(f"priority must be between -{_LARGEST} and {_LARGEST}", field="priority")
    return priority


def check_version(version: int, wanted: Collection[int] | None, analysis_id: str | None = None) -> None:
    """Raise StaleVersion unless ``version`` is one of those ``wanted``; None wants none in particular."""
    if wanted is not None and version not in wanted:
        raise StaleVersion(
            f"It is at version {version} by now, which the change was not made for",
            analysis_id=analysis_id,
            version=version,
        )
