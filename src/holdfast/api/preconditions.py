"""If-Match: which version a change is a change of."""

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header

from holdfast.api.errors import VersionRequired
from holdfast.domain.errors import StaleVersion, VersionConflict

T = TypeVar("T")
Tag = tuple[int, ...]

# A version, perhaps that of another thing or a digest of all that is shown with it, perhaps how old it is.
_TAG = re.compile(r'(?:W/)?"([1-9]\d{0,8})(?:\.(\d{1,20}))?(?:\.[a-z_]*)?"')
# Nothing is ever changed so often.
_NEVER = (2**31 - 1,)

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        min_length=1,
        max_length=1024,
        description="The ETag of what the change was made for: 412 if it has changed; `*` for whatever there is.",
    ),
]


def etag(*versions: int) -> str:
    """Names a state by its version, or by those of all that it shows."""
    return f'"{".".join(map(str, versions))}"'


def tags_of(if_match: str | None) -> list[Tag] | None:
    """The states that the caller has seen, each by its versions; None for any.

    What was never a tag of ours is left out, as it matches nothing.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = (_TAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return [tuple(int(part) for part in match.groups() if part is not None) for match in found if match is not None]


async def _versions(if_match: IfMatch = None) -> frozenset[int] | None:
    tags = tags_of(if_match)
    return None if tags is None else frozenset(tag[0] for tag in tags)


# For verbs, which mean the same whatever the version ("stop it", "keep it"); new content is put in by ``changed``.
Versions = Annotated[frozenset[int] | None, Depends(_versions)]


def changed_at(if_match: str | None, change: Callable[[Tag | None], T]) -> T:
    """Do a change of one of the states that the caller has seen.

    Args:
        if_match: the header.
        change: does it, of that state only; of any when None.

    Raises:
        StaleVersion: it is at another version.
    """
    tags = tags_of(if_match)
    if tags is None:
        return change(None)
    *others, last = tags or [_NEVER]
    for tag in others:
        try:
            return change(tag)
        except VersionConflict:
            continue
    try:
        return change(last)
    except VersionConflict as error:
        raise StaleVersion(error.message, **error.details) from error


def changed(if_match: str | None, change: Callable[[int | None], T]) -> T:
    """Put new content in the place of old, if that is the one that the caller has seen.

    Args:
        if_match: the header.
        change: does it, at that version only; 0 for what must be new, None for any.

    Raises:
        VersionRequired: there is something already, and the header is missing.
        StaleVersion: it is at another version.
    """
    if if_match is not None:
        return changed_at(if_match, lambda tag: change(None if tag is None else tag[0]))
    try:
        return change(0)
    except VersionConflict as error:
        raise VersionRequired(**error.details) from error
