"""The branches of repositories."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.errors import VersionConflict
from holdfast.domain.repositories import Branch
from holdfast.domain.sync import Version
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import Prepared
from holdfast.store.repositories import StoredRepository
from holdfast.store.together import Together
from holdfast.store.types import FreeText, Timestamp

KEPT_VERSIONS = 64
"""How many versions of a branch are kept: enough for as many writers who begin with the same one."""

_t = tables.branches.c
_v = tables.branch_versions.c
_FIELDS = tuple(field.name for field in fields(Branch) if field.name != "repo_id")
# What writers say of a branch; the rest is noted of it by itself.
_DECLARED = (
    "commit_sha",
    "previous_commit_sha",
    "is_default",
    "last_commit_date",
    "metadata",
    "version",
    "declared_at",
    "declared_by",
    "gone_at",
    "updated_at",
)
_AT_ONCE = 500

_INSERT = Together.insert(
    tables.branches,
    ("repository", "subject", *_FIELDS),
    lambda insert: insert.on_conflict_do_nothing().returning(_t.id, _t.name),
)
_UPDATE = Together.change(
    {"row_id": _t.id.type, "row_version": _t.version.type} | {name: _t[name].type for name in _DECLARED},
    lambda given: (
        sa.update(tables.branches)
        .where(_t.id == given["row_id"], _t.version == given["row_version"])
        .values({name: given[name] for name in _DECLARED})
        .returning(_t.id)
    ),
)
# Only forward: analyses may end in another order than they were begun in.
_ANALYZED = Prepared(
    lambda _: (
        sa.update(tables.branches)
        .where(
            _t.subject == sa.bindparam("about"),
            _t.client_session_id == sa.bindparam("whose", type_=FreeText),
            sa.or_(_t.last_analyzed.is_(None), _t.last_analyzed <= sa.bindparam("moment", type_=Timestamp)),
        )
        .values(
            last_analyzed=sa.bindparam("moment", type_=Timestamp),
            analyzed_commit_sha=sa.bindparam("commit", type_=FreeText),
            last_analysis=sa.bindparam("analysis"),
        )
    )
)

_KEEP = Together.insert(tables.branch_versions, tuple(tables.branch_versions.c.keys()))
_FORGET = Together.change(
    {"row_branch": _v.branch.type, "oldest": _v.version.type},
    lambda given: sa.delete(tables.branch_versions).where(
        _v.branch == given["row_branch"], _v.version <= given["oldest"]
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBranch:
    """A branch as it stands in the store.

    Attributes:
        key: its internal key.
        subject: the internal key of what its analyses are about.
        last_analysis: the internal key of its newest complete analysis, while that is kept.
        value: the branch.
    """

    key: int
    subject: int
    last_analysis: int | None
    value: Branch


class Branches:
    """The branches of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def find(self, repository: StoredRepository, name: str, *, lock: bool = False) -> StoredBranch | None:
        """A branch by its name; with ``lock`` nobody else changes it until the transaction ends."""
        return self.find_many(repository, [name], lock=lock).get(name)

    def by_key(self, key: int, repo_id: str, *, lock: bool = False) -> StoredBranch | None:
        """A branch by its internal key."""
        select = sa.select(tables.branches).where(_t.id == key)
        row = self._connection.execute(self._engine.locked(select) if lock else select).one_or_none()
        return None if row is None else _stored(row._mapping, repo_id)

    def find_many(
        self, repository: StoredRepository, names: Sequence[str], *, lock: bool = False
    ) -> dict[str, StoredBranch]:
        """Branches of one repository by their names."""
        found: dict[str, StoredBranch] = {}
        # In one order for all writers, so that two of them never wait for each other's rows.
        ordered = sorted(set(names))
        for start in range(0, len(ordered), _AT_ONCE):
            some = ordered[start : start + _AT_ONCE]
            select = (
                sa.select(tables.branches).where(_t.repository == repository.key, _t.name.in_(some)).order_by(_t.name)
            )
            for row in self._connection.execute(self._engine.locked(select) if lock else select):
                found[row.name] = _stored(row._mapping, repository.value.repo_id)
        return found

    def page(
        self, repository: StoredRepository, *, limit: int | None = None, after: str | None = None
    ) -> list[StoredBranch]:
        """One page of a repository's branches, by name.

        Args:
            repository: the repository.
            limit: rows at most; None for all.
            after: the last name of the page before.
        """
        select = sa.select(tables.branches).where(_t.repository == repository.key).order_by(_t.name).limit(limit)
        if after is not None:
            select = select.where(_t.name > after)
        repo_id = repository.value.repo_id
        return [_stored(row._mapping, repo_id) for row in self._connection.execute(select)]

    def insert(self, repository: StoredRepository, branches: Sequence[tuple[Branch, int]]) -> dict[str, int]:
        """Keep new branches.

        Args:
            repository: their repository.
            branches: each with its subject's internal key.

        Returns:
            The internal key by name; one whose name is taken is missing.
        """
        rows = [_values(branch) | {"repository": repository.key, "subject": subject} for branch, subject in branches]
        return {row["name"]: row["id"] for row in _INSERT.fetch(self._connection, rows)}

    def update(self, changes: Sequence[tuple[int, Branch, Branch]]) -> None:
        """Write what writers say of branches.

        Args:
            changes: each branch's internal key, and itself before and after.

        Raises:
            VersionConflict: somebody else changed one since it was read.
        """
        rows = [
            {"row_id": key, "row_version": before.version} | {name: getattr(after, name) for name in _DECLARED}
            for key, before, after in changes
        ]
        if len(_UPDATE.fetch(self._connection, rows)) != len(rows):
            raise VersionConflict

    def touch(self, keys: Sequence[int], version: Version) -> None:
        """Note that what is said of branches was still so later."""
        for start in range(0, len(keys), _AT_ONCE):
            update = sa.update(tables.branches).where(_t.id.in_(sorted(keys)[start : start + _AT_ONCE]))
            said = {"declared_at": version.declared_at, "declared_by": version.declared_by}
            self._connection.execute(update.values(said))

    def keep_versions(self, branches: Sequence[tuple[int, Branch]], now: datetime) -> None:
        """Keep what is said of branches now, so that whoever writes against it can be merged.

        Args:
            branches: each with its internal key.
            now: the moment.
        """
        said = [(key, branch, branch.said()) for key, branch in branches]
        rows = [
            {
                "branch": key,
                "version": branch.version,
                "content": version.content,
                "declared_at": version.declared_at,
                "declared_by": version.declared_by,
                "kept_at": now,
            }
            for key, branch, version in said
        ]
        _KEEP.run(self._connection, rows)
        old = [
            {"row_branch": key, "oldest": branch.version - KEPT_VERSIONS}
            for key, branch in branches
            if branch.version > KEPT_VERSIONS
        ]
        _FORGET.run(self._connection, old)

    def versions(self, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], Version]:
        """What was said of branches, by internal key and version; what is no longer kept is missing."""
        found: dict[tuple[int, int], Version] = {}
        ordered = sorted(wanted)
        for start in range(0, len(ordered), _AT_ONCE):
            place = sa.tuple_(_v.branch, _v.version)
            select = sa.select(tables.branch_versions).where(place.in_(ordered[start : start + _AT_ONCE]))
            for row in self._connection.execute(select):
                found[row.branch, row.version] = Version(
                    content=row.content, declared_at=row.declared_at, declared_by=row.declared_by
                )
        return found

    def analyzed(self, subject: int, owner: str, analysis: int, commit_sha: str, at: datetime) -> None:
        """Note that a branch was analysed, unless a later analysis is known.

        Args:
            subject: the internal key of what the analysis is about.
            owner: whose analysis it is.
            analysis: its internal key.
            commit_sha: what it is of.
            at: when it ended.
        """
        noted = {"about": subject, "whose": owner, "analysis": analysis, "commit": commit_sha, "moment": at}
        _ANALYZED.run(self._connection, noted)

    def gone(self, keys: Iterable[int], now: datetime) -> None:
        """Note that a repository no longer has these branches."""
        ordered = sorted(keys)
        for start in range(0, len(ordered), _AT_ONCE):
            some = ordered[start : start + _AT_ONCE]
            update = sa.update(tables.branches).where(_t.id.in_(some), _t.gone_at.is_(None))
            self._connection.execute(update.values(gone_at=now, updated_at=now))


def _values(branch: Branch) -> dict[str, Any]:
    return {name: getattr(branch, name) for name in _FIELDS}


def _stored(row: Mapping[Any, Any], repo_id: str) -> StoredBranch:
    value = Branch(repo_id=repo_id, **{name: row[name] for name in _FIELDS})
    return StoredBranch(key=row["id"], subject=row["subject"], last_analysis=row["last_analysis"], value=value)
