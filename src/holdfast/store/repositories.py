"""The repositories."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.access import Caller
from holdfast.domain.errors import VersionConflict
from holdfast.domain.events import Event
from holdfast.domain.repositories import Repository
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import insert_into

_t = tables.repositories.c
_FIELDS = tuple(field.name for field in fields(Repository))
_NEVER_CHANGES = {"repo_id", "client_session_id", "created_at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRepository:
    """A repository as it stands in the store.

    Attributes:
        key: its internal key.
        value: the repository.
    """

    key: int
    value: Repository


class Repositories:
    """The repositories of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def find(self, repo_id: str, caller: Caller, *, lock: bool = False) -> StoredRepository | None:
        """A repository that the caller may see, also one in the trash.

        Args:
            repo_id: its id.
            caller: who asks; whoever sees everybody's gets their own, or else the one that is known longest.
            lock: nobody else changes it until the transaction ends.
        """
        select = sa.select(tables.repositories).where(_t.repo_id == repo_id)
        own = _t.client_session_id == caller.owner
        select = select.where(own) if caller.sees is not None else select.order_by(own.desc(), _t.id).limit(1)
        row = self._connection.execute(self._engine.locked(select) if lock else select).first()
        return None if row is None else _stored(row._mapping)

    def insert(self, repository: Repository) -> int | None:
        """Keep a new repository; None when its owner has one of that id."""
        insert = insert_into(self._connection)(tables.repositories).on_conflict_do_nothing().returning(_t.id)
        key: int | None = self._connection.execute(insert, _values(repository)).scalar()
        return key

    def update(self, key: int, before: Repository, after: Repository) -> None:
        """Write a changed repository.

        Raises:
            VersionConflict: somebody else changed it since ``before`` was read.
        """
        values = {name: value for name, value in _values(after).items() if name not in _NEVER_CHANGES}
        update = sa.update(tables.repositories).where(_t.id == key, _t.version == before.version).values(values)
        if self._connection.execute(update).rowcount != 1:
            raise VersionConflict(repo_id=before.repo_id, version=before.version)

    def page(self, owner: str | None, *, limit: int, after: tuple[str, int] | None = None) -> list[StoredRepository]:
        """One page of those that are not in the trash, by id.

        Args:
            owner: whose; None for everybody's.
            limit: rows at most.
            after: id and internal key of the last row of the page before.
        """
        select = sa.select(tables.repositories).where(_t.deleted_at.is_(None))
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        if after is not None:
            # An owner has each id once, so that the id alone is a place, and the index of the owner's goes on there.
            select = select.where(
                sa.tuple_(_t.repo_id, _t.id) > sa.tuple_(sa.literal(after[0], _t.repo_id.type), sa.literal(after[1]))
                if owner is None
                else _t.repo_id > after[0]
            )
        order = (_t.repo_id, _t.id) if owner is None else (_t.repo_id,)
        return [_stored(row._mapping) for row in self._connection.execute(select.order_by(*order).limit(limit))]

    def purge(self, key: int) -> None:
        """Delete a repository with its branches and all that is kept of them; analyses stand for themselves."""
        of_it = sa.select(tables.branches.c.subject).where(tables.branches.c.repository == key)
        subjects = sorted(set(self._connection.execute(of_it).scalars()))
        self._connection.execute(sa.delete(tables.repositories).where(_t.id == key))
        self._drop_unused(subjects)

    def _drop_unused(self, subjects: list[int]) -> None:
        subject = tables.subjects.c.id
        for start in range(0, len(subjects), 500):
            some = subjects[start : start + 500]
            held = list(
                self._connection.execute(
                    self._engine.skip_locked(sa.select(subject).where(subject.in_(some)).order_by(subject))
                ).scalars()
            )
            self._connection.execute(sa.delete(tables.subjects).where(subject.in_(held), ~subject_in_use()))

    def in_trash(self, until: datetime, limit: int) -> list[StoredRepository]:
        """What was put into the trash until a moment, longest ago first; what somebody else holds is left out."""
        select = sa.select(tables.repositories).where(_t.deleted_at.is_not(None), _t.deleted_at <= until)
        select = self._engine.skip_locked(select.order_by(_t.deleted_at, _t.id).limit(limit))
        return [_stored(row._mapping) for row in self._connection.execute(select)]

    def noted(self, key: int, *, synced_at: datetime) -> None:
        """Note when a repository's branches were read; that is no change of it."""
        self._connection.execute(sa.update(tables.repositories).where(_t.id == key).values(synced_at=synced_at))


def repository_event(name: str, repository: Repository, by: str, now: datetime, **more: Any) -> Event:
    """What the ledger is told of a repository."""
    return Event(
        name=name,
        at=now,
        client_session_id=repository.client_session_id,
        actor=by,
        data={"repo_id": repository.repo_id, **more},
    )


def subject_in_use() -> sa.ColumnElement[bool]:
    """Whether an analysis or a branch is about a subject."""
    subject = tables.subjects.c.id
    return sa.or_(
        sa.exists().where(tables.analyses.c.subject == subject), sa.exists().where(tables.branches.c.subject == subject)
    )


def _values(repository: Repository) -> dict[str, Any]:
    return {name: getattr(repository, name) for name in _FIELDS}


def _stored(row: Mapping[Any, Any]) -> StoredRepository:
    return StoredRepository(key=row["id"], value=Repository(**{name: row[name] for name in _FIELDS}))
