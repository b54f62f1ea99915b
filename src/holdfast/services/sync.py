"""Concurrent writers of branches and their analyses, and the conflicts that somebody has to resolve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.checks import check_limit
from holdfast.domain.conflicts import Conflict, ConflictKind, Resolution
from holdfast.domain.errors import AlreadyResolved, ConflictNotFound, Forbidden, HoldfastError, InvalidInput
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.retention import Rules
from holdfast.domain.sync import Strategy, Version
from holdfast.store import branch_analyses
from holdfast.store.branch_analyses import Prepared
from holdfast.store.branches import StoredBranch
from holdfast.store.conflicts import StoredConflict
from holdfast.store.lists import Place
from holdfast.store.repositories import StoredRepository
from holdfast.store.syncing import How, Synced, conflict_event, stale_write, sync_branches, write_changes
from holdfast.store.syncing_analyses import AnalysisSynced, sync_analysis
from holdfast.store.unit_of_work import Store, UnitOfWork

_LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSynced:
    """What became of a batch.

    Attributes:
        total: how many branches were in it.
        synced: how many are as they should be now: changed, or as they were.
        conflicts: how many wait for somebody to choose.
        failed: which were refused, each with its ``branch`` and its ``error``.
        results: what became of each branch, in the order of the batch.
    """

    total: int
    synced: int
    conflicts: int
    failed: list[dict[str, str]] = field(default_factory=list)
    results: list[Synced] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictPage:
    """A page of conflicts.

    Attributes:
        items: in the order in which they arose.
        next: where the next page begins; None when this is the last one.
    """

    items: list[Conflict]
    next: Place | None


class SyncService:
    """The use cases of concurrent writers."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        id_source: IdSource,
        *,
        strategy: Strategy,
        counters: Sequence[str],
        rules: Rules,
    ) -> None:
        """Work on ``store``.

        Args:
            store: where branches are kept.
            clock: tells the time.
            id_source: gives randomness.
            strategy: what becomes of concurrent changes, unless a call says otherwise.
            counters: paths of whole numbers that add up when merged.
            rules: how long analyses are kept.
        """
        self.strategy = strategy
        self._store = store
        self._clock = clock
        self._ids = id_source
        self._counters = tuple(counters)
        self._rules = rules

    def sync_branch_metadata(
        self,
        repo_id: str,
        info: BranchInfo,
        *,
        strategy: Strategy | None = None,
        expected_version: int | None = None,
        caller: Caller = LOCAL,
    ) -> Synced:
        """Keep what is said of a branch, settled with what others said; the same again changes nothing.

        Args:
            repo_id: the repository.
            info: what is said; its ``base_version`` is what a merge goes by.
            strategy: how concurrent changes are settled; the setting when None.
            expected_version: the version that the branch must be at, 0 for none yet; any when None.
            caller: who says so.

        Raises:
            RepositoryNotFound: there is no such repository.
            VersionConflict: it is at another version; the details have ``current`` and ``base``.
        """
        _require_named(caller)
        if expected_version and info.base_version is None:
            info = replace(info, base_version=expected_version)

        def work(uow: UnitOfWork) -> Synced:
            repository = uow.find_repository(repo_id, caller)
            if expected_version is not None:
                _check_branch(uow, repository, info.name, expected_version)
            (done,) = sync_branches(uow, repository, [info], self._how(caller, strategy)).values()
            if done.error is not None:
                raise done.error
            return done

        return self._store.write(work)

    def sync_multiple_branches(
        self,
        repo_id: str,
        branches: Sequence[BranchInfo | Mapping[str, Any]],
        *,
        strategy: Strategy | None = None,
        caller: Caller = LOCAL,
    ) -> BatchSynced:
        """Keep what is said of many branches, in one transaction; one that is refused keeps no other one out.

        Args:
            repo_id: the repository.
            branches: what is said of each, as values or as their fields.
            strategy: how concurrent changes are settled; the setting when None.
            caller: who says so.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        _require_named(caller)
        infos, refused = _read(branches)

        def work(uow: UnitOfWork) -> dict[str, Synced]:
            return sync_branches(uow, uow.find_repository(repo_id, caller), infos, self._how(caller, strategy))

        done = self._store.write(work)
        results = [*(done[info.name] for info in infos), *refused]
        return BatchSynced(
            total=len(branches),
            synced=sum(one.error is None and one.conflict is None for one in results),
            conflicts=sum(one.conflict is not None for one in results),
            failed=[{"branch": one.name, "error": one.error.message} for one in results if one.error is not None],
            results=results,
        )

    def sync_analysis_result(
        self,
        repo_id: str,
        result: BranchAnalysisResult,
        *,
        strategy: Strategy | None = None,
        caller: Caller = LOCAL,
    ) -> AnalysisSynced:
        """Keep what was found of a branch at a commit, settled with what others found of the same commit.

        With LATEST_WINS each result is an analysis of the branch's history, and the one of the latest timestamp is
        the latest, in whatever order they come. MERGE keeps the union of both as the newest. MANUAL keeps a conflict.

        Args:
            repo_id: the repository.
            result: what was found.
            strategy: how concurrent results are settled; the setting when None.
            caller: who found it.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        _require_named(caller)
        how = self._how(caller, strategy)
        value = self._store.read(lambda uow: uow.find_repository(repo_id, caller)).value
        prepared = self._prepare(result, value)

        def work(uow: UnitOfWork) -> AnalysisSynced:
            repository = uow.find_repository(repo_id, caller)
            return sync_analysis(
                uow, repository, result, prepared, how, lambda union: self._prepare(union, repository.value)
            )

        return self._store.write(work)

    def get_conflicts(self, *, limit: int = 1000, after: Place | None = None, caller: Caller = LOCAL) -> ConflictPage:
        """A page of the conflicts that nobody has resolved, in the order in which they arose."""
        check_limit(limit, _LARGEST_PAGE)

        def look(uow: UnitOfWork) -> ConflictPage:
            rows = uow.conflicts.open(caller.sees, limit=limit + 1, after=after)
            more, rows = len(rows) > limit, rows[:limit]
            place = Place(created_at=rows[-1].value.created_at, key=rows[-1].key) if more else None
            return ConflictPage(items=[row.value for row in rows], next=place)

        return self._store.read(look)

    def get_conflict(self, conflict_id: str, *, caller: Caller = LOCAL) -> Conflict:
        """A conflict, also one that is resolved.

        Raises:
            ConflictNotFound: there is none.
        """
        return self._store.read(lambda uow: _find(uow, conflict_id, caller)).value

    def conflict_at(self, index: int, *, caller: Caller = LOCAL) -> Conflict:
        """The open conflict at a place of the list, from 0; the list is in the order in which they arose.

        Raises:
            ConflictNotFound: there are not so many.
        """
        found = self._store.read(lambda uow: uow.conflicts.open(caller.sees, limit=1, offset=index))
        if not found:
            raise ConflictNotFound(f"There is no open conflict at {index}", index=index)
        return found[0].value

    def count_conflicts(self, *, caller: Caller = LOCAL) -> int:
        """How many conflicts nobody has resolved."""
        return self._store.read(lambda uow: uow.conflicts.count_open(caller.sees))

    def resolve_conflict(
        self,
        conflict_id: str,
        resolution: Resolution,
        *,
        merged: Mapping[str, Any] | None = None,
        expected: tuple[int, int] | None = None,
        caller: Caller = LOCAL,
    ) -> Conflict:
        """Choose between the two versions of a conflict; what was chosen is the branch's next version.

        Args:
            conflict_id: the conflict.
            resolution: LOCAL leaves the branch as it is by now, REMOTE takes the other version, MERGED the one given.
            merged: the version to take, whole.
            expected: the versions of the conflict and of the branch that the caller has seen; any when None.
            caller: who chooses.

        Raises:
            ConflictNotFound: there is none.
            AlreadyResolved: somebody else was quicker.
            VersionConflict: the branch has changed since.
            InvalidInput: the merged version is not valid.
        """
        if (resolution is Resolution.MERGED) is (merged is None):
            raise InvalidInput("A merged version goes with the resolution 'merged', and only with that", field="merged")

        def work(uow: UnitOfWork) -> Conflict:
            stored = _find(uow, conflict_id, caller)
            # Held first, as every writer of the branch does.
            branch = _branch_of(uow, stored)
            stored = _find(uow, conflict_id, caller)
            conflict = stored.value
            if conflict.resolved_at is not None:
                raise AlreadyResolved(conflict_id=conflict_id)
            if expected is not None and expected != (conflict.version, branch.value.version):
                raise stale_write(branch.value, None, conflict_id=conflict_id)
            chosen = conflict.remote if resolution is Resolution.REMOTE else merged
            if chosen is not None:
                self._take(uow, stored, branch, chosen, caller)
            uow.conflicts.resolve(stored, resolution, caller.name, uow.now)
            uow.ledger.append(
                [conflict_event("conflict.resolved", conflict, caller.name, uow, resolution=resolution.value)]
            )
            return _find(uow, conflict_id, caller).value

        return self._store.write(work)

    def _take(
        self, uow: UnitOfWork, stored: StoredConflict, branch: StoredBranch, chosen: Mapping[str, Any], caller: Caller
    ) -> None:
        if stored.value.kind is ConflictKind.ANALYSIS:
            # As its owner: an administrator may have a repository of the same id.
            owner = Caller(name=caller.name, owner=stored.value.client_session_id)
            repository = uow.find_repository(stored.value.repo_id, owner)
            content = dict(chosen)
            sha = str(content.pop("commit_sha", None) or stored.value.remote["commit_sha"])
            at = _moment_of(content.pop("analysis_timestamp", None), stored.value.remote) or uow.now
            version = Version(content=content, declared_at=at, declared_by=caller.name)
            result = BranchAnalysisResult.of(branch.value.name, sha, version)
            branch_analyses.keep(uow, self._prepare(result, repository.value), caller.name)
            return
        # Later than both: whoever chose has seen both.
        at = max(uow.now, branch.value.declared_at)
        version = Version(content=dict(chosen), declared_at=at, declared_by=caller.name)
        if version.says_the_same(branch.value.said()):
            return
        write_changes(uow, [(branch.key, branch.value, branch.value.saying(version, uow.now))], caller.name)

    def _prepare(self, result: BranchAnalysisResult, repository: Any) -> Prepared:
        return branch_analyses.prepare(result, repository, self._rules, self._clock.now())

    def _how(self, caller: Caller, strategy: Strategy | None) -> How:
        return How(
            strategy=strategy or self.strategy,
            counters=self._counters,
            by=caller.name,
            new_id=lambda: ids.uuid7(self._clock.now(), self._ids.random(10)),
        )


def _find(uow: UnitOfWork, conflict_id: str, caller: Caller) -> StoredConflict:
    stored = uow.conflicts.find(conflict_id, caller)
    if stored is None:
        raise ConflictNotFound(f"There is no conflict {conflict_id}", conflict_id=conflict_id)
    return stored


def _branch_of(uow: UnitOfWork, stored: StoredConflict) -> StoredBranch:
    found = uow.branches.by_key(stored.branch, stored.value.repo_id, lock=True)
    if found is None:
        raise ConflictNotFound(conflict_id=stored.value.conflict_id)
    return found


def _check_branch(uow: UnitOfWork, repository: StoredRepository, name: str, expected: int) -> None:
    kept = uow.branches.find(repository, name, lock=True)
    version = 0 if kept is None else kept.value.version
    if version == expected:
        return
    if kept is None:
        raise stale_write(None, None, branch_name=name)
    base = uow.branches.versions({(kept.key, expected)}).get((kept.key, expected))
    raise stale_write(kept.value, base)


def _moment_of(given: Any, remote: Mapping[str, Any]) -> datetime | None:
    wanted = given or remote.get("analysis_timestamp")
    try:
        return None if wanted is None else datetime.fromisoformat(wanted)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{wanted!r} is no moment", field="analysis_timestamp") from error


def _read(branches: Sequence[BranchInfo | Mapping[str, Any]]) -> tuple[list[BranchInfo], list[Synced]]:
    """What is said of branches, and what of it is refused: each branch is settled once."""
    infos: dict[str, BranchInfo] = {}
    refused: list[Synced] = []
    for given in branches:
        name = given.name if isinstance(given, BranchInfo) else str(given.get("name", ""))[:200]
        try:
            info = given if isinstance(given, BranchInfo) else msgspec.convert(dict(given), BranchInfo)
            if info.name in infos:
                raise InvalidInput(f"The branch {info.name!r} is in the batch twice", field="branches")
            infos[info.name] = info
        except msgspec.ValidationError as error:
            refused.append(Synced(name=name, error=InvalidInput(str(error), field="branches")))
        except HoldfastError as error:
            refused.append(Synced(name=name, error=error))
    return list(infos.values()), refused


def _require_named(caller: Caller) -> None:
    if caller.is_anonymous:
        raise Forbidden("Anonymous clients keep no repositories")
