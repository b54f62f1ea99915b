"""The conflicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.documents import digest
from holdfast.domain.access import Caller
from holdfast.domain.conflicts import Conflict, ConflictKind, Resolution
from holdfast.domain.errors import AlreadyResolved
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.lists import Place
from holdfast.store.together import Together
from holdfast.store.types import Timestamp

_t = tables.conflicts.c
_b = tables.branches.c
_r = tables.repositories.c
_ROWS = sa.select(
    *tables.conflicts.c, _b.name.label("branch_name"), _b.version.label("branch_version"), _r.repo_id
).select_from(
    tables.conflicts.join(tables.branches, _b.id == _t.branch).join(tables.repositories, _r.id == _b.repository)
)
_SAME = (
    "conflict_id",
    "client_session_id",
    "repo_id",
    "branch_name",
    "reason",
    "base",
    "local",
    "remote",
    "local_version",
    "base_version",
    "branch_version",
    "version",
    "created_at",
    "created_by",
    "resolved_at",
    "resolved_by",
)
_NOT_KEPT = {"repo_id", "branch_name", "branch_version"}
_AT_ONCE = 500
_INSERT = Together.insert(
    tables.conflicts, ("branch", "remote_hash", "kind", *(name for name in _SAME if name not in _NOT_KEPT))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConflict:
    """A conflict as it stands in the store.

    Attributes:
        key: its internal key.
        branch: the branch's internal key.
        value: the conflict.
    """

    key: int
    branch: int
    value: Conflict


class Conflicts:
    """The conflicts of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def keep(self, conflicts: Sequence[tuple[int, Conflict]]) -> list[tuple[Conflict, bool]]:
        """Keep new conflicts; the branches are held by this transaction.

        Args:
            conflicts: each with the branch's internal key.

        Returns:
            Each as it is kept, and whether it is new: one that is open already keeps its id.
        """
        known: dict[tuple[int, str, str], str] = {}
        branches = sorted({branch for branch, _ in conflicts})
        for start in range(0, len(branches), _AT_ONCE):
            select = sa.select(_t.branch, _t.kind, _t.remote_hash, _t.conflict_id).where(
                _t.branch.in_(branches[start : start + _AT_ONCE]), _t.resolved_at.is_(None)
            )
            known.update(
                ((row.branch, row.kind, row.remote_hash), row.conflict_id) for row in self._connection.execute(select)
            )
        rows = []
        kept: list[tuple[Conflict, bool]] = []
        for branch, conflict in conflicts:
            place = (branch, conflict.kind.value, digest(conflict.remote))
            is_new = place not in known
            if is_new:
                known[place] = conflict.conflict_id
                rows.append(_values(conflict) | {"branch": branch, "remote_hash": place[2]})
            kept.append((replace(conflict, conflict_id=known[place]), is_new))
        _INSERT.run(self._connection, rows)
        return kept

    def find(self, conflict_id: str, caller: Caller) -> StoredConflict | None:
        """A conflict that the caller may see."""
        select = _ROWS.where(_t.conflict_id == conflict_id)
        if caller.sees is not None:
            select = select.where(_t.client_session_id == caller.sees)
        row = self._connection.execute(select).one_or_none()
        return None if row is None else _stored(row._mapping)

    def open(
        self, owner: str | None, *, limit: int | None, after: Place | None = None, offset: int = 0
    ) -> list[StoredConflict]:
        """Those that nobody has resolved, in the order in which they arose.

        Args:
            owner: whose; None for everybody's.
            limit: rows at most; None for all.
            after: where the page before ended.
            offset: how many to pass over.
        """
        select = _ROWS.where(_t.resolved_at.is_(None))
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        if after is not None:
            end = sa.tuple_(sa.literal(after.created_at, type_=Timestamp), sa.literal(after.key))
            select = select.where(sa.tuple_(_t.created_at, _t.id) > end)
        select = select.order_by(_t.created_at, _t.id).limit(limit).offset(offset)
        return [_stored(row._mapping) for row in self._connection.execute(select)]

    def count_open(self, owner: str | None) -> int:
        """How many nobody has resolved; they are few."""
        select = sa.select(sa.func.count()).select_from(tables.conflicts).where(_t.resolved_at.is_(None))
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        return int(self._connection.execute(select).scalar_one())

    def resolve(self, stored: StoredConflict, resolution: Resolution, by: str, now: datetime) -> None:
        """Note that somebody chose.

        Raises:
            AlreadyResolved: somebody else did before.
        """
        update = sa.update(tables.conflicts).where(_t.id == stored.key, _t.resolved_at.is_(None))
        done = self._connection.execute(
            update.values(resolution=resolution.value, resolved_at=now, resolved_by=by, version=_t.version + 1)
        )
        if done.rowcount != 1:
            raise AlreadyResolved(conflict_id=stored.value.conflict_id)


def _values(conflict: Conflict) -> dict[str, Any]:
    return {name: getattr(conflict, name) for name in _SAME if name not in _NOT_KEPT} | {"kind": conflict.kind.value}


def _stored(row: Mapping[Any, Any]) -> StoredConflict:
    resolution = row["resolution"]
    value = Conflict(
        **{name: row[name] for name in _SAME},
        kind=ConflictKind(row["kind"]),
        resolution=None if resolution is None else Resolution(resolution),
    )
    return StoredConflict(key=row["id"], branch=row["branch"], value=value)
