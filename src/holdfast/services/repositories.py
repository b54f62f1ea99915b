"""Repositories and their branches: made known, read from where they are, looked at, deleted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from holdfast.documents import to_json
from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import Conflict, Forbidden, InvalidTarget, RepositoryNotFound, VersionConflict
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.repositories import Branch, BranchInfo, Refs, Repository
from holdfast.domain.retention import Rules
from holdfast.domain.sync import Strategy
from holdfast.store.refs import ReadBack, free_id, keep_refs
from holdfast.store.repositories import StoredRepository, repository_event
from holdfast.store.syncing import How, sync_branches
from holdfast.store.unit_of_work import Store, UnitOfWork

_LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPage:
    """A page of repositories.

    Attributes:
        items: the repositories by id.
        next: where the next page begins; None when this is the last one.
    """

    items: list[Repository]
    next: tuple[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchPage:
    """A page of branches.

    Attributes:
        items: the branches by name.
        next: the last name when there are more; None when this is the last page.
    """

    items: list[Branch]
    next: str | None


Told = Callable[[int, int], None]
"""Told how many branches of how many were read."""

ReadRefs = Callable[[str, Told], Refs]


class RepositoriesService:
    """The use cases of repositories and branches."""

    def __init__(self, store: Store, clock: Clock, id_source: IdSource, *, rules: Rules, read_refs: ReadRefs) -> None:
        """Work on ``store``.

        Args:
            store: where they are kept.
            clock: tells the time.
            id_source: gives randomness.
            rules: how long the trash is kept.
            read_refs: finds out which branches the repository at a path has, and tells how far it has come.
        """
        self._read_refs = read_refs
        self._store = store
        self._clock = clock
        self._ids = id_source
        self._rules = rules

    def store_repository(  # noqa: PLR0913 each is a fact of its own, all by keyword
        self,
        repo_id: str | None = None,
        *,
        name: str | None = None,
        owner: str = "",
        location: str = "",
        default_branch: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        stale_after_seconds: float | None = None,
        expected_version: int | None = None,
        caller: Caller = LOCAL,
    ) -> Repository:
        """Keep what is known of a repository, in place of what was; the same again changes nothing.

        Args:
            repo_id: names it; a new id when None.
            name: what people call it; the id when None.
            owner: who owns it where it comes from.
            location: where it is; it names what analyses are about, and stays.
            default_branch: the name of its main branch.
            metadata: further facts, JSON-able.
            stale_after_seconds: after how long its branches are stale.
            expected_version: the version that the caller has seen; 0 for none yet.
            caller: who says so.

        Raises:
            VersionConflict: it is at another version.
            Conflict: it is kept with another location.
        """
        _require_named(caller)
        now = self._clock.now()
        repo_id = ids.uuid7(now, self._ids.random(10)) if repo_id is None else ids.check_id(repo_id, "repo_id")
        to_json(dict(metadata or {}), "metadata")
        new = Repository(
            repo_id=repo_id,
            client_session_id=caller.owner,
            owner=owner,
            name=name or repo_id,
            location=location,
            default_branch=default_branch,
            metadata=dict(metadata or {}),
            stale_after_seconds=stale_after_seconds,
            created_at=now,
            updated_at=now,
        )
        return self._store.write(lambda uow: _put(uow, new, expected_version, caller).value)

    def get_repository(self, repo_id: str, *, caller: Caller = LOCAL) -> Repository:
        """A repository.

        Raises:
            RepositoryNotFound: there is none.
        """
        return self._store.read(lambda uow: uow.find_repository(repo_id, caller)).value

    def list_repositories(
        self, *, limit: int = 100, after: tuple[str, int] | None = None, caller: Caller = LOCAL
    ) -> RepositoryPage:
        """A page of the repositories by id, without those in the trash."""
        check_limit(limit, _LARGEST_PAGE)

        def look(uow: UnitOfWork) -> RepositoryPage:
            rows = uow.repositories.page(caller.sees, limit=limit + 1, after=after)
            more, rows = len(rows) > limit, rows[:limit]
            place = (rows[-1].value.repo_id, rows[-1].key) if more else None
            return RepositoryPage(items=[row.value for row in rows], next=place)

        return self._store.read(look)

    def delete_repository(
        self, repo_id: str, *, purge: bool = False, expected_version: int | None = None, caller: Caller = LOCAL
    ) -> Repository:
        """Put a repository into the trash; with ``purge`` delete it for good, with all that is kept of its branches.

        Analyses of its branches stand for themselves and stay.

        Raises:
            RepositoryNotFound: there is none.
            VersionConflict: it is at another version.
        """

        def work(uow: UnitOfWork) -> Repository:
            stored = uow.repositories.find(repo_id, caller, lock=True)
            if stored is None or (stored.value.deleted_at is not None and not purge):
                raise RepositoryNotFound(f"There is no repository {repo_id}", repo_id=repo_id)
            before = stored.value
            _check_version(before, expected_version)
            if purge or not self._rules.trash_seconds:
                uow.purge_repository(stored, caller.name)
                return before
            after = replace(before, deleted_at=uow.now, updated_at=uow.now, version=before.version + 1)
            uow.repositories.update(stored.key, before, after)
            uow.ledger.append([repository_event("repository.deleted", after, caller.name, uow.now)])
            return after

        return self._store.write(work)

    def restore_repository(self, repo_id: str, *, caller: Caller = LOCAL) -> Repository:
        """Take a repository out of the trash; one that is not there stays as it is.

        Raises:
            RepositoryNotFound: there is none, or it was deleted too long ago.
        """

        def work(uow: UnitOfWork) -> Repository:
            stored = uow.repositories.find(repo_id, caller, lock=True)
            if stored is None or self._is_past(stored.value, uow):
                raise RepositoryNotFound(f"There is no repository {repo_id}", repo_id=repo_id)
            before = stored.value
            if before.deleted_at is None:
                return before
            after = replace(before, deleted_at=None, updated_at=uow.now, version=before.version + 1)
            uow.repositories.update(stored.key, before, after)
            uow.ledger.append([repository_event("repository.restored", after, caller.name, uow.now)])
            return after

        return self._store.write(work)

    def purge_deleted(self, age: timedelta) -> int:
        """Delete for good what has been in the trash for so long, each in a transaction of its own; returns how many.

        For administrators: it is everybody's.
        """

        def work(uow: UnitOfWork) -> bool:
            found = uow.repositories.in_trash(uow.now - age, 1)
            for stored in found:
                uow.purge_repository(stored, "system")
            return bool(found)

        count = 0
        while self._store.write(work):
            count += 1
        return count

    def _is_past(self, value: Repository, uow: UnitOfWork) -> bool:
        at = value.deleted_at
        return at is not None and at + timedelta(seconds=self._rules.trash_seconds) <= uow.now

    def store_branches(self, repo_id: str, branches: Sequence[BranchInfo], *, caller: Caller = LOCAL) -> list[Branch]:
        """Keep what is said of branches, in one transaction; of two who say different things the later one counts.

        Args:
            repo_id: their repository.
            branches: what is said of each.
            caller: who says so.

        Returns:
            The branches as they are kept now, in the same order.

        Raises:
            RepositoryNotFound: there is no such repository.
            VersionConflict: one was written against a version that is not kept.
        """
        _require_named(caller)

        def work(uow: UnitOfWork) -> list[Branch]:
            done = sync_branches(uow, uow.find_repository(repo_id, caller), branches, self._how(caller))
            for one in done.values():
                if one.error is not None:
                    raise one.error
            return [branch for info in branches if (branch := done[info.name].branch) is not None]

        return self._store.write(work)

    def get_branches(
        self, repo_id: str, *, limit: int = 1000, after: str | None = None, caller: Caller = LOCAL
    ) -> BranchPage:
        """A page of a repository's branches by name.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        check_limit(limit, _LARGEST_PAGE)

        def look(uow: UnitOfWork) -> BranchPage:
            rows = uow.branches.page(uow.find_repository(repo_id, caller), limit=limit + 1, after=after)
            more, rows = len(rows) > limit, rows[:limit]
            return BranchPage(items=[row.value for row in rows], next=rows[-1].value.name if more else None)

        return self._store.read(look)

    def get_branch(self, repo_id: str, branch_name: str, *, caller: Caller = LOCAL) -> Branch:
        """A branch.

        Raises:
            RepositoryNotFound: there is no such repository.
            BranchUnknown: nothing is kept of it.
        """
        return self._store.read(lambda uow: uow.find_branch(uow.find_repository(repo_id, caller), branch_name).value)

    def add_repository(
        self, target: str, *, repo_id: str | None = None, told: Told | None = None, caller: Caller = LOCAL
    ) -> ReadBack:
        """Make a git repository known, with its branches; once more, its branches are read anew.

        Args:
            target: a path in or of a repository.
            repo_id: names it; made of its name when None.
            told: is told how many branches of how many were read.
            caller: who asks; administrators only, as it reads what the service may read.

        Raises:
            InvalidTarget: there is no repository.
            Conflict: the id names a repository elsewhere.
        """
        _require_local(caller)
        refs = self._read_refs(target, told or _nobody)
        now = self._clock.now()

        def work(uow: UnitOfWork) -> ReadBack:
            wanted = repo_id or free_id(uow, refs, caller)
            known = uow.repositories.find(wanted, caller)
            if known is not None and known.value.deleted_at is None and known.value.location == refs.location:
                return keep_refs(uow, known, refs, self._how(caller))
            new = Repository(
                repo_id=ids.check_id(wanted, "repo_id"),
                client_session_id=caller.owner,
                name=refs.name,
                location=refs.location,
                default_branch=refs.default_branch,
                created_at=now,
                updated_at=now,
            )
            return keep_refs(uow, _put(uow, new, None, caller), refs, self._how(caller))

        return self._store.write(work)

    def sync_repository(self, repo_id: str, *, told: Told | None = None, caller: Caller = LOCAL) -> ReadBack:
        """Read a repository's branches from where it is; those that it no longer has are kept as gone.

        Args:
            repo_id: the repository.
            told: is told how many branches of how many were read.
            caller: who asks.

        Raises:
            RepositoryNotFound: there is no such repository.
            Forbidden: it is another owner's, or the caller is no administrator.
            InvalidTarget: it is no longer where it was, or has no location.
        """
        _require_local(caller)
        value = self.get_repository(repo_id, caller=caller)
        if value.client_session_id != caller.owner:
            # Whoever may write could name a place that only administrators may read, and see what is there.
            raise Forbidden(f"The repository {repo_id} is {value.client_session_id}'s, and not read for others")
        location = value.location
        if not location:
            raise InvalidTarget(f"The repository {repo_id} has no location to be read from", repo_id=repo_id)
        refs = self._read_refs(location, told or _nobody)
        return self._store.write(
            lambda uow: keep_refs(uow, uow.find_repository(repo_id, caller, lock=True), refs, self._how(caller))
        )

    def _how(self, caller: Caller) -> How:
        return How(
            strategy=Strategy.LATEST_WINS,
            by=caller.name,
            new_id=lambda: ids.uuid7(self._clock.now(), self._ids.random(10)),
        )


def _put(uow: UnitOfWork, new: Repository, expected_version: int | None, caller: Caller) -> StoredRepository:
    while True:
        stored = uow.repositories.find(new.repo_id, caller, lock=True)
        if stored is not None and stored.value.deleted_at is not None:
            # Nobody sees it any more: it gives way, as if it were swept.
            uow.purge_repository(stored, caller.name)
            stored = None
        if stored is None:
            if expected_version:
                raise VersionConflict(f"There is no repository {new.repo_id}", repo_id=new.repo_id, version=None)
            key = uow.repositories.insert(new)
            if key is None:
                # Another transaction was quicker.
                continue
            uow.ledger.append([repository_event("repository.added", new, caller.name, uow.now)])
            return StoredRepository(key=key, value=new)
        return _change(uow, stored, new, expected_version, caller)


def _change(
    uow: UnitOfWork, stored: StoredRepository, new: Repository, expected_version: int | None, caller: Caller
) -> StoredRepository:
    before = stored.value
    _check_version(before, expected_version)
    if before.location != new.location:
        raise Conflict(
            f"The repository {before.repo_id} is at {before.location or 'no location'}, which names what its analyses "
            "are about; keep it under another id",
            repo_id=before.repo_id,
            location=before.location,
        )
    same = ("client_session_id", "version", "synced_at", "created_at", "updated_at", "deleted_at")
    after = replace(new, **{name: getattr(before, name) for name in same})
    if after == before:
        return stored
    after = replace(after, version=before.version + 1, updated_at=uow.now)
    uow.repositories.update(stored.key, before, after)
    uow.ledger.append([repository_event("repository.changed", after, caller.name, uow.now, version=after.version)])
    return replace(stored, value=after)


def _check_version(value: Repository, expected: int | None) -> None:
    if expected is not None and expected != value.version:
        raise VersionConflict(
            f"The repository {value.repo_id} is at version {value.version}",
            repo_id=value.repo_id,
            version=value.version,
        )


def _nobody(_read: int, _total: int) -> None:
    """Nobody asks how far it is."""


def _require_named(caller: Caller) -> None:
    if caller.is_anonymous:
        raise Forbidden("Anonymous clients keep no repositories")


def _require_local(caller: Caller) -> None:
    if caller.sees is not None:
        raise Forbidden("Only administrators have repositories of this machine read")
