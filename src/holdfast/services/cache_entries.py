"""Derived files: noted, used, and given up when they have expired or take too much."""

from datetime import timedelta

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.cache_entries import CacheEntry
from holdfast.domain.checks import check_positive
from holdfast.domain.errors import Forbidden
from holdfast.store.unit_of_work import Store, UnitOfWork

_AT_ONCE = 200
# Down to so much of the cap, so that not every new file pushes one out.
_FILLED_AGAIN_TO = 0.8


class CacheEntriesService:
    """The use cases of derived files; the files themselves are their makers'."""

    def __init__(self, store: Store, *, most_bytes: int) -> None:
        """Work on ``store``; all files together may have ``most_bytes``."""
        self._store = store
        self._most_bytes = most_bytes

    def put(
        self,
        key: str,
        size: int,
        *,
        location: str = "",
        repo_id: str | None = None,
        ttl_seconds: float | None = None,
        caller: Caller = LOCAL,
    ) -> list[CacheEntry]:
        """Note a derived file, in place of the one of that key.

        Args:
            key: names it.
            size: its size in bytes.
            location: where it is.
            repo_id: the repository that it goes with.
            ttl_seconds: how long it is of use; None for as long as there is room.
            caller: whose it is.

        Returns:
            What is no longer noted: expired, or least recently used when all took too much. Its files may be removed.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        if caller.is_anonymous:
            raise Forbidden("Anonymous clients keep no files")
        check_positive("ttl_seconds", ttl_seconds)

        def work(uow: UnitOfWork) -> list[CacheEntry]:
            repository = None if repo_id is None else uow.find_repository(repo_id, caller).key
            entry = CacheEntry(
                client_session_id=caller.owner,
                key=key,
                location=location,
                size=size,
                created_at=uow.now,
                last_used_at=uow.now,
                expires_at=None if ttl_seconds is None else uow.now + timedelta(seconds=ttl_seconds),
            )
            before = uow.cache_entries.drop(entry.client_session_id, key)
            uow.cache_entries.put(entry, repository)
            _count(uow, [] if before is None else [before], [entry])
            return self._evict(uow)

        return self._store.write(work)

    def use(self, key: str, *, caller: Caller = LOCAL) -> CacheEntry | None:
        """The entry of a key, with one more use counted; None if there is none, or it has expired."""
        return self._store.write(lambda uow: uow.cache_entries.hit(caller.owner, key, uow.now))

    def drop(self, key: str, *, caller: Caller = LOCAL) -> CacheEntry | None:
        """Forget an entry; it is returned."""

        def work(uow: UnitOfWork) -> CacheEntry | None:
            gone = uow.cache_entries.drop(caller.owner, key)
            _count(uow, [] if gone is None else [gone], [])
            return gone

        return self._store.write(work)

    def clean_up(self, *, unused_for: timedelta | None = None) -> list[CacheEntry]:
        """Forget what has expired, and the least recently used of what takes too much.

        Args:
            unused_for: forget also what was not used for so long.

        Returns:
            What is no longer noted, everybody's. Its files may be removed.
        """

        def old(uow: UnitOfWork) -> list[CacheEntry]:
            until = uow.now if unused_for is None else uow.now - unused_for
            keys = [key for key, entry in uow.cache_entries.least_used(_AT_ONCE) if entry.last_used_at <= until]
            gone = uow.cache_entries.drop_many(keys)
            _count(uow, gone, [])
            return gone

        gone: list[CacheEntry] = []
        for step in (self._evict, *([] if unused_for is None else [old])):
            while some := self._store.write(step):
                gone += some
        return gone

    def stats(self) -> tuple[int, int]:
        """How many entries there are, and how many bytes their files have."""
        return self._store.read(lambda uow: (uow.counters.value("cache_entries"), uow.counters.value("cache_bytes")))

    def _evict(self, uow: UnitOfWork) -> list[CacheEntry]:
        gone = uow.cache_entries.expired(uow.now, _AT_ONCE)
        _count(uow, gone, [])
        used = uow.counters.value("cache_bytes")
        if used > self._most_bytes:
            keys = []
            for key, entry in uow.cache_entries.least_used(_AT_ONCE):
                if used <= self._most_bytes * _FILLED_AGAIN_TO:
                    break
                used -= entry.size
                keys.append(key)
            evicted = uow.cache_entries.drop_many(keys)
            _count(uow, evicted, [])
            gone += evicted
        return gone


def _count(uow: UnitOfWork, gone: list[CacheEntry], new: list[CacheEntry]) -> None:
    uow.counters.add("cache_entries", len(new) - len(gone))
    uow.counters.add("cache_bytes", sum(entry.size for entry in new) - sum(entry.size for entry in gone))
