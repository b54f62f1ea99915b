"""What is noted of files that were derived and may be derived again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.cache_entries import CacheEntry
from holdfast.store import tables
from holdfast.store.prepared import insert_into

_t = tables.cache_entries.c
_FIELDS = ("client_session_id", "key", "location", "size", "hits", "created_at", "last_used_at", "expires_at")


class CacheEntries:
    """The cache entries of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def put(self, entry: CacheEntry, repository: int | None) -> None:
        """Keep an entry in place of the one of its key."""
        insert = insert_into(self._connection)(tables.cache_entries)
        new = ("repository", "location", "size", "hits", "created_at", "last_used_at", "expires_at")
        upsert = insert.on_conflict_do_update(
            index_elements=["client_session_id", "key"], set_={name: insert.excluded[name] for name in new}
        )
        values = {name: getattr(entry, name) for name in _FIELDS} | {"repository": repository}
        self._connection.execute(upsert, values)

    def hit(self, owner: str, key: str, now: datetime) -> CacheEntry | None:
        """The entry of a key with one more use counted; None if there is none, or it has expired."""
        current = sa.or_(_t.expires_at.is_(None), _t.expires_at > now)
        update = (
            sa.update(tables.cache_entries)
            .where(_t.client_session_id == owner, _t.key == key, current)
            .values(hits=_t.hits + 1, last_used_at=now)
            .returning(*tables.cache_entries.c)
        )
        row = self._connection.execute(update).one_or_none()
        return None if row is None else _entry(row._mapping)

    def drop(self, owner: str, key: str) -> CacheEntry | None:
        """Forget an entry; it is returned."""
        delete = sa.delete(tables.cache_entries).where(_t.client_session_id == owner, _t.key == key)
        row = self._connection.execute(delete.returning(*tables.cache_entries.c)).one_or_none()
        return None if row is None else _entry(row._mapping)

    def expired(self, now: datetime, limit: int) -> list[CacheEntry]:
        """Forget what has expired, longest ago first; it is returned."""
        chosen = (
            sa.select(_t.id)
            .where(_t.expires_at.is_not(None), _t.expires_at <= now)
            .order_by(_t.expires_at)
            .limit(limit)
        )
        return self._drop(list(self._connection.execute(chosen).scalars()))

    def least_used(self, limit: int) -> list[tuple[int, CacheEntry]]:
        """The least recently used entries with their internal keys."""
        select = sa.select(tables.cache_entries).order_by(_t.last_used_at, _t.id).limit(limit)
        return [(row.id, _entry(row._mapping)) for row in self._connection.execute(select)]

    def drop_many(self, keys: Sequence[int]) -> list[CacheEntry]:
        """Forget entries by their internal keys; those that were there are returned."""
        return self._drop(keys)

    def of_repository(self, repository: int) -> tuple[int, int]:
        """How many entries of a repository there are, and how many bytes their files have."""
        select = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_t.size), 0))
        count, size = self._connection.execute(select.where(_t.repository == repository)).one()
        return int(count), int(size)

    def _drop(self, keys: Sequence[int]) -> list[CacheEntry]:
        if not keys:
            return []
        delete = sa.delete(tables.cache_entries).where(_t.id.in_(keys)).returning(*tables.cache_entries.c)
        return [_entry(row._mapping) for row in self._connection.execute(delete)]


def _entry(row: Mapping[Any, Any]) -> CacheEntry:
    return CacheEntry(**{name: row[name] for name in _FIELDS})
