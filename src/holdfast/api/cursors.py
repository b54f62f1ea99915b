"""Cursors: where a page ended, signed, and bound to who asked for what."""

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.errors import InvalidCursor
from holdfast.domain.processing import Ranked
from holdfast.store.lists import Place


class Cursors:
    """The cursors of one list as one caller asked for it."""

    def __init__(self, holdfast: Holdfast, caller: Caller, name: str, query: Mapping[str, Any]) -> None:
        """Bind cursors to a list.

        Args:
            holdfast: signs them.
            caller: who asks.
            name: the list.
            query: its filters and order.
        """
        self._accounts = holdfast.accounts
        self._caller = caller
        self._name = name
        self._query = msgspec.to_builtins(query)

    def place(self, cursor: str | None) -> Place | None:
        """The place where the page before ended."""
        return self._accounts.unsign_place(self._name, cursor, self._caller, scope=self._query)

    def after(self, place: Place | None) -> str | None:
        """The cursor of the page that begins there; None when there is none."""
        return self._accounts.sign_place(self._name, place, self._caller, scope=self._query)

    def ranked(self, cursor: str) -> Place | Ranked | None:
        """Where a page of a search ended: by rank, or by time where nothing was ranked."""
        try:
            return self.place(cursor)
        except InvalidCursor:
            score, key = self._accounts.unsign(f"rank:{self._name}", cursor, self._caller, scope=self._query)
            return Ranked(score=score, key=key)

    def after_ranked(self, hit: Ranked) -> str:
        """The cursor of the page that begins after that hit."""
        return self._accounts.sign(f"rank:{self._name}", [hit.score, hit.key], self._caller, scope=self._query)

    def value(self, cursor: str | None, first: Any) -> Any:
        """The number or id where the page before ended; ``first`` without a cursor."""
        if cursor is None:
            return first
        value = self._accounts.unsign(self._name, cursor, self._caller, scope=self._query)
        if not isinstance(value, str | int):
            raise InvalidCursor
        return value

    def after_value(self, value: str | int | None) -> str | None:
        """The cursor of the page that begins after it; None when there is none."""
        if value is None:
            return None
        return self._accounts.sign(self._name, value, self._caller, scope=self._query)
