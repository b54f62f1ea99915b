"""What callers by HTTP may have the service open: one rule for every kind of analysis, and the one place of it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from holdfast.api.access import Access, is_loopback
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller, Role
from holdfast.domain.analysis import Analysis
from holdfast.domain.errors import TargetForbidden
from holdfast.domain.triage import KIND as DUPLICATES
from holdfast.services.submissions import Submission

_ELSEWHERE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:")
_FILES_OF_SQLITE = ("", "-wal", "-shm", "-journal")


def submit(
    store: Holdfast,
    access: Access,
    caller: Caller,
    kind: str,
    target: str,
    params: Mapping[str, Any] | None,
    **options: Any,
) -> Submission:
    """Ask for an analysis of something that a caller by HTTP names.

    Raises:
        TargetForbidden: they may not have that opened.
    """
    found = _Rule(store, access, caller).checked(kind, target, params or {})
    return store.submissions.submit(kind, found, params=params, caller=caller, **options)


def check_again(
    store: Holdfast, access: Access, caller: Caller, before: Analysis, params: Mapping[str, Any] | None
) -> None:
    """See that a caller by HTTP may have opened once more what an analysis was made of, with these parameters.

    Raises:
        TargetForbidden: they may not.
    """
    if before.location:
        _Rule(store, access, caller).checked(before.kind, before.location, before.params if params is None else params)


def check(store: Holdfast, access: Access, caller: Caller, kind: str, target: str, params: Mapping[str, Any]) -> str:
    """What the service may open of what a caller by HTTP names, links resolved.

    Raises:
        TargetForbidden: they may not have that opened.
    """
    return _Rule(store, access, caller).checked(kind, target, params)


def check_location(store: Holdfast, access: Access, caller: Caller, location: str) -> None:
    """See that a caller by HTTP may name a place that workers look at later by themselves.

    A place elsewhere (``https://...``, ``git@host:...``) is only a name here.

    Raises:
        TargetForbidden: it is on this machine, and they may not have that opened.
    """
    path = location.removeprefix("file://")
    if path != location or (location and "://" not in location and not _ELSEWHERE.match(location)):
        _Rule(store, access, caller).place(path)


class _Rule:
    def __init__(self, store: Holdfast, access: Access, caller: Caller) -> None:
        self._store = store
        self._caller = caller
        self._roots = [root.expanduser().resolve() for root in store.settings.target_roots]
        # Whoever sits at this machine may read its files anyway, and so may who administers the service.
        self._anywhere = not self._roots and (access.is_local() or caller.role is Role.ADMIN)

    def checked(self, kind: str, target: str, params: Mapping[str, Any]) -> str:
        if kind != DUPLICATES and "://" in target:
            # What that means, the analyzer alone knows.
            if not self._anywhere:
                raise TargetForbidden("Only files and folders may be named")
            return target
        found = self._one(target, params)
        if kind == DUPLICATES:
            other, options = params.get("itunes_library"), params.get("itunes_options")
            if isinstance(other, str) and other:
                self._one(other, options if isinstance(options, Mapping) else {})
        elif not self._anywhere:
            # A folder may belong to something that lies above or beside it: a repository, by its file .git.
            self._path(self._store.registry.get(kind).resolve(found, dict(params)).location)
        return found

    def place(self, target: str) -> None:
        """Check a path that is not opened now."""
        self._path(target)

    def _one(self, target: str, params: Mapping[str, Any]) -> str:
        if "://" in target or target.startswith("env:") or params.get("reader") == "sql":
            return self._database(target)
        return self._path(target)

    def _path(self, target: str) -> str:
        try:
            path = Path(target).expanduser().resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise TargetForbidden("The target is no path that could be opened") from error
        if not self._anywhere and not any(path.is_relative_to(root) for root in self._roots):
            # Whether there is anything is nobody's business either.
            raise TargetForbidden("The target is not within the folders that the service may open")
        if any(_same_file(path, own) for own in self._own_files()):
            raise TargetForbidden("The target is the database of the service itself")
        # As it was found: a link that is changed later leads nowhere else. Where nothing binds, the analyzer's error
        # shall name what was asked for.
        return target if self._anywhere else str(path)

    def _database(self, target: str) -> str:
        if self._caller.role is not Role.ADMIN:
            raise TargetForbidden("Databases may be named by administrators only")
        from holdfast.analyzers.duplicates.readers.sql import database_of  # noqa: PLC0415 see bootstrap

        if self._is_own(database_of(target)):
            raise TargetForbidden("The target is the database of the service itself")
        return target

    def _is_own(self, url: sa.URL) -> bool:
        own = self._store.engine.url
        if url.get_backend_name() != own.get_backend_name():
            return False
        if url.get_backend_name() == "sqlite":
            path = Path(url.database or "")
            return any(_same_file(path, file) for file in self._own_files())
        same_place = (url.database or url.username, url.port or 5432) == (
            own.database or own.username,
            own.port or 5432,
        )
        # Two names may mean one machine: what cannot be told apart for sure is taken for the same.
        return same_place and (url.host == own.host or not (_is_remote(url.host) and _is_remote(own.host)))

    def _own_files(self) -> Iterator[Path]:
        path = self._store.settings.database_path()
        if path is not None:
            yield from (path.with_name(path.name + suffix) for suffix in _FILES_OF_SQLITE)


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _is_remote(host: str | None) -> bool:
    return host is not None and not host.startswith("/") and not is_loopback(host)
