"""Tokens, and the keys that an installation signs with."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.access import Role
from holdfast.domain.tokens import Token
from holdfast.store import tables
from holdfast.store.prepared import Prepared, insert_into

_t = tables.tokens.c
_s = tables.secrets.c
_ANY = Prepared(lambda _: sa.select(sa.literal(1).label("one")).select_from(tables.tokens).limit(1))
_FIND = Prepared(lambda _: sa.select(tables.tokens).where(_t.token_id == sa.bindparam("wanted")))


class Accounts:
    """The tokens and keys of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def insert(self, token: Token, secret_hash: str) -> None:
        """Keep a new token."""
        row = {name: getattr(token, name) for name in Token.__slots__}
        self._connection.execute(
            sa.insert(tables.tokens).values({**row, "role": token.role.value, "hash": secret_hash})
        )

    def any(self) -> bool:
        """Whether there is a token, good or not."""
        return bool(_ANY.fetch(self._connection, {}))

    def find(self, token_id: str) -> tuple[Token, str] | None:
        """A token and the hash of its secret."""
        rows = _FIND.fetch(self._connection, {"wanted": token_id})
        return (_token(rows[0]), rows[0]["hash"]) if rows else None

    def page(self, owner: str | None, *, limit: int, after: Token | None = None) -> list[Token]:
        """One page of the tokens, newest first.

        Args:
            owner: only this owner's; everybody's when None.
            limit: rows at most.
            after: the last token of the page before.
        """
        select = sa.select(tables.tokens).order_by(_t.created_at.desc(), _t.token_id.desc()).limit(limit)
        if owner is not None:
            select = select.where(_t.owner == owner)
        if after is not None:
            end = sa.tuple_(
                sa.literal(after.created_at, type_=_t.created_at.type),
                sa.literal(after.token_id, type_=_t.token_id.type),
            )
            select = select.where(sa.tuple_(_t.created_at, _t.token_id) < end)
        return [_token(dict(row._mapping)) for row in self._connection.execute(select)]

    def revoke(self, token_id: str, at: datetime) -> bool:
        """End a token; False when it was revoked before."""
        update = sa.update(tables.tokens).where(_t.token_id == token_id, _t.revoked_at.is_(None))
        return self._connection.execute(update.values(revoked_at=at)).rowcount == 1

    def used(self, token_id: str, at: datetime) -> None:
        """Note that a token was shown, unless a later moment is noted."""
        earlier = sa.or_(_t.last_used_at.is_(None), _t.last_used_at < at)
        update = sa.update(tables.tokens).where(_t.token_id == token_id, earlier)
        self._connection.execute(update.values(last_used_at=at))

    def key(self, name: str) -> bytes | None:
        """A key by its name."""
        value: bytes | None = self._connection.execute(sa.select(_s.value).where(_s.name == name)).scalar_one_or_none()
        return value

    def ensure_key(self, name: str, value: bytes, now: datetime) -> bytes:
        """The key of that name: ``value``, unless another process was first."""
        row = {"name": name, "value": value, "created_at": now}
        self._connection.execute(insert_into(self._connection)(tables.secrets).values(row).on_conflict_do_nothing())
        kept = self.key(name)
        if kept is None:
            raise AssertionError("a key just kept cannot be read")
        return kept


def _token(row: dict[str, Any]) -> Token:
    known = {name: row[name] for name in Token.__slots__}
    return Token(**{**known, "role": Role(row["role"])})
