"""Branches as their writers say they are: settled, kept with their versions and conflicts, and told to the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.domain.conflicts import Conflict, ConflictKind
from holdfast.domain.errors import HoldfastError, VersionConflict
from holdfast.domain.events import Event
from holdfast.domain.repositories import Branch, BranchInfo, branch_subject
from holdfast.domain.sync import Outcome, Settled, Strategy, Version, settle
from holdfast.store.branches import StoredBranch
from holdfast.store.repositories import StoredRepository
from holdfast.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How branches are synced.

    Attributes:
        strategy: what becomes of concurrent changes.
        counters: paths of numbers that add up when merged.
        by: who says so.
        new_id: makes an id.
    """

    strategy: Strategy
    counters: tuple[str, ...] = ()
    by: str
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What became of what was said of one branch.

    Attributes:
        name: the branch.
        outcome: what became of it; None if it was refused.
        branch: the branch as it is kept now; None if it was refused.
        conflict: the conflict that waits now.
        error: why it was refused.
        is_new: whether the branch was not known before.
    """

    name: str
    outcome: Outcome | None = None
    branch: Branch | None = None
    conflict: Conflict | None = None
    error: HoldfastError | None = None
    is_new: bool = False


def sync_branches(
    uow: UnitOfWork, repository: StoredRepository, said: Sequence[BranchInfo], how: How
) -> dict[str, Synced]:
    """Keep what is said of branches of one repository, with a fixed number of statements for all of them.

    Args:
        uow: the transaction.
        repository: the repository.
        said: what is said; each branch once.
        how: how concurrent changes are settled.

    Returns:
        What became of it, by branch.
    """
    done: dict[str, Synced] = {}
    left = {info.name: info for info in said}
    while left:
        kept = uow.branches.find_many(repository, list(left), lock=True)
        done |= _settle(uow, [(kept[name], info) for name, info in left.items() if name in kept], how)
        done |= _add(uow, repository, [info for name, info in left.items() if name not in kept], how)
        # What another transaction added at the same moment is settled with it.
        left = {name: info for name, info in left.items() if name not in done}
    return done


def _add(uow: UnitOfWork, repository: StoredRepository, said: Sequence[BranchInfo], how: How) -> dict[str, Synced]:
    if not said:
        return {}
    value = repository.value
    subjects = uow.subjects.ensure_many([branch_subject(value, info.name) for info in said], uow.now)
    new = {
        info.name: Branch(
            repo_id=value.repo_id,
            client_session_id=value.client_session_id,
            name=info.name,
            commit_sha=info.commit_sha or "",
            is_default=bool(info.is_default),
            last_commit_date=info.last_commit_date,
            metadata=info.metadata or {},
            declared_at=info.declared_at or uow.now,
            declared_by=how.by,
            created_at=uow.now,
            updated_at=uow.now,
        )
        for info in sorted(said, key=lambda info: info.name)
    }
    rows = [(branch, subjects[branch_subject(value, name).key]) for name, branch in new.items()]
    keys = uow.branches.insert(repository, rows)
    added = [(keys[name], branch) for name, branch in new.items() if name in keys]
    uow.branches.keep_versions(added, uow.now)
    uow.ledger.append([branch_event("branch.added", branch, how.by, uow) for _, branch in added])
    return {
        branch.name: Synced(name=branch.name, outcome=Outcome.APPLIED, branch=branch, is_new=True)
        for _, branch in added
    }


def _settle(uow: UnitOfWork, said: Sequence[tuple[StoredBranch, BranchInfo]], how: How) -> dict[str, Synced]:
    bases = uow.branches.versions(
        {(kept.key, info.base_version) for kept, info in said if info.base_version is not None}
    )
    done: dict[str, Synced] = {}
    changes: list[tuple[int, Branch, Branch]] = []
    still: dict[tuple[Any, str], list[int]] = {}
    conflicts: list[tuple[int, Conflict]] = []
    for kept, info in said:
        before = kept.value
        base = bases.get((kept.key, info.base_version or 0))
        if info.base_version is not None and base is None:
            done[info.name] = Synced(name=info.name, error=stale_write(before, None))
            continue
        remote = info.said(uow.now, how.by, before.said())
        settled = settle(how.strategy, before.said(), remote, base, how.counters)
        after, outcome = _after(before, settled, uow)
        done[info.name] = Synced(name=info.name, outcome=outcome, branch=after)
        if outcome is Outcome.APPLIED:
            changes.append((kept.key, before, after))
        elif outcome is Outcome.CONFLICT:
            conflict = _conflict(before, info, settled, remote, base, how, uow)
            conflicts.append((kept.key, conflict))
        elif settled.version.declared_at > before.declared_at:
            still.setdefault((settled.version.declared_at, settled.version.declared_by), []).append(kept.key)
    for (declared_at, declared_by), keys in still.items():
        uow.branches.touch(keys, Version(content={}, declared_at=declared_at, declared_by=declared_by))
    write_changes(uow, changes, how.by)
    for conflict, is_new in uow.conflicts.keep(conflicts):
        done[conflict.branch_name] = replace(done[conflict.branch_name], conflict=conflict)
        if is_new:
            uow.ledger.append([conflict_event("conflict.arose", conflict, how.by, uow)])
    return done


def write_changes(uow: UnitOfWork, changes: Sequence[tuple[int, Branch, Branch]], by: str) -> None:
    """Write changed branches with their versions and events."""
    uow.branches.update(changes)
    uow.branches.keep_versions([(key, after) for key, _, after in changes], uow.now)
    uow.ledger.append([branch_event("branch.changed", after, by, uow) for _, _, after in changes])


def stale_write(branch: Branch | None, base: Version | None, **details: Any) -> VersionConflict:
    """What a writer is told who did not know the present version.

    Args:
        branch: the branch as it is kept; None if nothing is.
        base: what the writer knew; None if that is no longer kept.
        details: further facts.
    """
    if branch is None:
        return VersionConflict("Nothing is kept of the branch", version=None, **details)
    return VersionConflict(
        f"The branch {branch.name!r} is at version {branch.version}",
        branch=branch.name,
        version=branch.version,
        current=dict(branch.said().content),
        base=None if base is None else dict(base.content),
        **details,
    )


def _after(before: Branch, settled: Settled, uow: UnitOfWork) -> tuple[Branch, Outcome]:
    is_back = before.gone_at is not None and settled.outcome is Outcome.UNCHANGED
    if settled.outcome is Outcome.APPLIED or is_back:
        return before.saying(settled.version, uow.now), Outcome.APPLIED
    said = settled.version
    if settled.outcome is Outcome.UNCHANGED and said.declared_at > before.declared_at:
        return replace(before, declared_at=said.declared_at, declared_by=said.declared_by), settled.outcome
    return before, settled.outcome


def _conflict(
    before: Branch,
    info: BranchInfo,
    settled: Settled,
    remote: Version,
    base: Version | None,
    how: How,
    uow: UnitOfWork,
) -> Conflict:
    return Conflict(
        conflict_id=how.new_id(),
        client_session_id=before.client_session_id,
        repo_id=before.repo_id,
        branch_name=before.name,
        kind=ConflictKind.BRANCH,
        reason=settled.reason,
        base=None if base is None else base.content,
        local=before.said().content,
        remote=remote.content,
        local_version=before.version,
        base_version=info.base_version,
        branch_version=before.version,
        created_at=uow.now,
        created_by=how.by,
    )


def branch_event(name: str, branch: Branch, by: str, uow: UnitOfWork) -> Event:
    """What the ledger is told of a branch."""
    return Event(
        name=name,
        at=uow.now,
        client_session_id=branch.client_session_id,
        actor=by,
        data={
            "repo_id": branch.repo_id,
            "branch": branch.name,
            "version": branch.version,
            "commit_sha": branch.commit_sha,
        },
    )


def conflict_event(name: str, conflict: Conflict, by: str, uow: UnitOfWork, **more: Any) -> Event:
    """What the ledger is told of a conflict."""
    return Event(
        name=name,
        at=uow.now,
        client_session_id=conflict.client_session_id,
        actor=by,
        data={
            "conflict_id": conflict.conflict_id,
            "repo_id": conflict.repo_id,
            "branch": conflict.branch_name,
            "kind": conflict.kind.value,
            "reason": conflict.reason,
            **more,
        },
    )
