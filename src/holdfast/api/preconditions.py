"""If-Match: which version a change is a change of."""

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Header

from holdfast.api.errors import InvalidRequest, VersionRequired
from holdfast.domain.errors import StaleVersion, VersionConflict

T = TypeVar("T")

_TAG = re.compile(r'\s*(?:W/)?"(\d{1,9})(?:\.(\d{1,20}))?"\s*')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        min_length=1,
        max_length=255,
        description="The ETag of what was read; `*` for whatever there is. Not needed to make something new.",
    ),
]


def etag(*versions: int) -> str:
    """Names a state by its version, or by those of all that it shows."""
    return f'"{".".join(map(str, versions))}"'


def versions_of(if_match: str | None) -> tuple[int, ...] | None:
    """The versions that the caller has seen; None for any.

    Raises:
        InvalidRequest: the header is no tag that was given out.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = _TAG.fullmatch(if_match)
    if found is None:
        raise InvalidRequest("If-Match is no ETag that was given out here", field="If-Match")
    return tuple(int(part) for part in found.groups() if part is not None)


def changed(if_match: str | None, change: Callable[[int | None], T]) -> T:
    """Do a change of what has a version, if that is the one that the caller has seen.

    Args:
        if_match: the header.
        change: does it, at that version only; 0 for what must be new, None for any.

    Raises:
        VersionRequired: there is something already, and the header is missing.
        StaleVersion: it is at another version.
    """
    seen = versions_of(if_match)
    if if_match is None:
        seen = (0,)
    try:
        return change(None if seen is None else seen[0])
    except VersionConflict as error:
        if if_match is None:
            raise VersionRequired(**error.details) from error
        raise StaleVersion(error.message, **error.details) from error
