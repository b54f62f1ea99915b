"""Cursors: where a page ended, signed, and bound to who asked for what."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from holdfast.api.errors import InvalidCursor
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.errors import HoldfastError
from holdfast.store.analyses import Place


class Cursors:
    """The cursors of one list as one caller asked for it."""

    def __init__(self, holdfast: Holdfast, caller: Caller, name: str, query: Mapping[str, Any]) -> None:
        """Bind cursors to a list.

        Args:
            holdfast: signs them.
            caller: who asks.
            name: the list.
            query: its filters and order; what is None or empty counts as not given.
        """
        self._sign = holdfast.accounts.sign
        self._unsign = holdfast.accounts.unsign
        asked = sorted((key, str(value)) for key, value in query.items() if value not in {None, ()})
        what = msgspec.json.encode([name, caller.name, caller.owner, asked])
        self._bound = hashlib.sha256(what).hexdigest()[:16]

    def number(self, cursor: str | None, first: int) -> int:
        """The number where the page before ended."""
        return first if cursor is None else self._parts(cursor, int)

    def place(self, cursor: str | None) -> Place | None:
        """The place where the page before ended."""
        if cursor is None:
            return None
        at, key = self._parts(cursor, tuple[datetime, int])
        return Place(created_at=at, key=key)

    def after(self, place: Place | int | None) -> str | None:
        """The cursor of the page that begins there; None when there is none."""
        if place is None:
            return None
        where = place if isinstance(place, int) else (place.created_at, place.key)
        return self._sign(msgspec.json.encode([self._bound, where]).hex())

    def _parts(self, cursor: str, kind: Any) -> Any:
        try:
            bound, where = msgspec.json.decode(bytes.fromhex(self._unsign(cursor)), type=tuple[str, kind])
        except (HoldfastError, ValueError, msgspec.MsgspecError) as error:
            raise InvalidCursor("The cursor was not given by this service") from error
        if bound != self._bound:
            raise InvalidCursor("The cursor was given for another list, or to somebody else")
        return where
