"""What requests with an idempotency key led to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from holdfast.documents import digest
from holdfast.domain.checks import check_name
from holdfast.domain.errors import IdempotencyConflict
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import insert_into

_t = tables.idempotency_keys.c
_KEY_LENGTH = 256
_KEPT = timedelta(days=1)
_SWEPT_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A request that is to be done once, however often it comes.

    Attributes:
        owner: whose request it is; keys of others are other keys.
        key: the key that the client gave it.
        request_hash: names what is asked for.
    """

    owner: str
    key: str
    request_hash: str

    @classmethod
    def of(cls, owner: str, key: str | None, asked: Any) -> "Keyed | None":
        """A request with a key; None for one without.

        Args:
            owner: whose request it is.
            key: the key, up to 256 characters.
            asked: all that is asked for.

        Raises:
            InvalidInput: the key cannot be kept.
        """
        if key is None:
            return None
        return cls(owner=owner, key=check_name(key, "idempotency_key", _KEY_LENGTH), request_hash=digest(asked))


class IdempotencyKeys:
    """The idempotency keys of one transaction; each is remembered for a day."""

    def __init__(self, connection: sa.Connection, engine: Engine, now: datetime) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine
        self._now = now

    def claim(self, keyed: Keyed | None) -> list[str] | None:
        """Take a request on, or learn what it led to.

        Another transaction that claims the same key waits here until this one ends.

        Args:
            keyed: the request; None for one without a key.

        Returns:
            None when it is to be done now, which ``settle`` tells the end of; else the ids that it led to.

        Raises:
            IdempotencyConflict: the key was used for another request.
        """
        if keyed is None:
            return None
        insert = insert_into(self._connection)(tables.idempotency_keys)
        row = {
            "owner": keyed.owner,
            "key": keyed.key,
            "request_hash": keyed.request_hash,
            "resource_id": "",
            "created_at": self._now,
        }
        # A key that is past its time is as good as none.
        claim = insert.values(row).on_conflict_do_update(
            index_elements=["owner", "key"], set_=row, where=_t.created_at <= self._now - _KEPT
        )
        if self._connection.execute(claim.returning(_t.key)).one_or_none() is not None:
            self._sweep()
            return None
        found = self.find(keyed)
        if found is None:
            raise AssertionError("a key that stands in the way cannot be read")
        return found

    def settle(self, keyed: Keyed | None, ids: Sequence[str]) -> None:
        """Remember what a claimed request led to."""
        if keyed is not None:
            mine = (_t.owner == keyed.owner, _t.key == keyed.key)
            # No id holds a space.
            self._connection.execute(sa.update(tables.idempotency_keys).where(*mine).values(resource_id=" ".join(ids)))

    def find(self, keyed: Keyed | None) -> list[str] | None:
        """The ids that a request led to, or None.

        Raises:
            IdempotencyConflict: the key was used for another request.
        """
        if keyed is None:
            return None
        select = sa.select(_t.request_hash, _t.resource_id).where(
            _t.owner == keyed.owner, _t.key == keyed.key, _t.created_at > self._now - _KEPT
        )
        row = self._connection.execute(select).one_or_none()
        if row is None:
            return None
        if row.request_hash != keyed.request_hash:
            raise IdempotencyConflict(key=keyed.key)
        ids: list[str] = row.resource_id.split()
        return ids

    def _sweep(self) -> None:
        """Forget some keys that are past their time: each new one drops more than itself, so they cannot pile up."""
        old = sa.select(_t.owner, _t.key).where(_t.created_at <= self._now - _KEPT).limit(_SWEPT_AT_ONCE)
        for row in self._connection.execute(self._engine.skip_locked(old)).all():
            mine = (_t.owner == row.owner, _t.key == row.key)
            self._connection.execute(sa.delete(tables.idempotency_keys).where(*mine))
