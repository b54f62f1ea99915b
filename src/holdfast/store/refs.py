"""The branches that a repository turned out to have, kept in place of those that were known."""

import re
from dataclasses import dataclass, field, replace

from holdfast.documents import digest
from holdfast.domain.access import Caller
from holdfast.domain.repositories import BranchInfo, Refs, Repository
from holdfast.domain.sync import Outcome
from holdfast.store.repositories import StoredRepository, repository_event
from holdfast.store.syncing import How, branch_event, sync_branches
from holdfast.store.unit_of_work import UnitOfWork

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What reading a repository's branches from where it is led to.

    Attributes:
        repository: the repository.
        total: how many branches it has.
        added: how many were not known.
        changed: how many had moved.
        gone: how many it no longer has.
        failed: why a branch could not be read, by name.
    """

    repository: Repository
    total: int
    added: int = 0
    changed: int = 0
    gone: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def keep_refs(uow: UnitOfWork, stored: StoredRepository, refs: Refs, how: How) -> ReadBack:
    """Keep which branches a repository has; those that it no longer has are kept as gone."""
    said = [
        BranchInfo(
            name=ref.name,
            commit_sha=ref.commit_sha,
            last_commit_date=ref.committed_at,
            is_default=ref.name == refs.default_branch,
        )
        for ref in refs.branches
    ]
    done = sync_branches(uow, stored, said, how)
    left = [
        one
        for one in uow.branches.page(stored)
        if one.value.name not in done and one.value.name not in refs.failed and one.value.gone_at is None
    ]
    uow.branches.gone([one.key for one in left], uow.now)
    uow.ledger.append([branch_event("branch.gone", one.value, how.by, uow) for one in left])
    read = ReadBack(
        repository=replace(stored.value, synced_at=uow.now),
        total=len(refs.branches),
        added=sum(one.is_new for one in done.values()),
        changed=sum(one.outcome is Outcome.APPLIED and not one.is_new for one in done.values()),
        gone=len(left),
        failed=refs.failed,
    )
    uow.repositories.noted(stored.key, synced_at=uow.now)
    if read.added or read.changed or read.gone:
        counts = {"added": read.added, "changed": read.changed, "gone": read.gone}
        uow.ledger.append([repository_event("repository.synced", stored.value, how.by, uow.now, **counts)])
    return read


def free_id(uow: UnitOfWork, refs: Refs, caller: Caller) -> str:
    """The repository's name as an id; with a part of its place's hash where another one has that already."""
    name = _UNFIT.sub("-", refs.name).strip("-._")[:100] or "repository"
    known = uow.repositories.find(name, caller)
    if known is None or known.value.location == refs.location or known.value.deleted_at is not None:
        return name
    return f"{name}-{digest(refs.location)[:8]}"
