"""What retention looks for, and how it takes away: pages along indexes, and one statement per table and batch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from holdfast.domain.analysis import Status
from holdfast.domain.jobs import JobStatus
from holdfast.domain.retention import Candidate
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import insert_into
from holdfast.store.repositories import subject_in_use
from holdfast.store.runs import run_scope

_t = tables.analyses.c
_p = tables.payloads.c
_l = tables.ledger.c
_m = tables.marks.c
_CANDIDATE: sa.Select[Any] = sa.select(
    _t.id,
    _t.analysis_id,
    _t.kind,
    _t.client_session_id,
    _t.subject,
    _t.fingerprint,
    _t.status,
    _t.created_at,
    _t.expires_at,
    _t.retrieval_count,
    _t.max_retrievals,
    _t.is_anonymous,
    _t.is_pinned,
    _t.deleted_at,
    _t.result_hash,
    _t.result_stored_size,
)

# Made once: to put them together anew took up to half of a small step's processor time.
_keys: sa.BindParameter[Any] = sa.bindparam("wanted", expanding=True)
_DELETE_ANALYSES = sa.delete(tables.analyses).where(_t.id.in_(_keys))
_DELETE_CHECKPOINTS = sa.delete(tables.checkpoints).where(tables.checkpoints.c.scope.in_(_keys))
_DELETE_JOBS = sa.delete(tables.jobs).where(tables.jobs.c.analysis_id.in_(_keys))
# In the order in which all writers take them.
_PAYLOADS = sa.select(_p.hash).where(_p.hash.in_(_keys)).order_by(_p.hash)
_RELEASE = (
    sa.update(tables.payloads)
    .where(_p.hash.in_(_keys))
    .values(reference_count=_p.reference_count - sa.bindparam("released"))
)
_DELETE_PAYLOADS = sa.delete(tables.payloads).where(_p.hash.in_(_keys), _p.reference_count <= 0)
_SUBJECTS = sa.select(tables.subjects.c.id).where(tables.subjects.c.id.in_(_keys))
_DELETE_SUBJECTS = sa.delete(tables.subjects).where(tables.subjects.c.id.in_(_keys), ~subject_in_use())


class Walk(StrEnum):
    """A way along the analyses, each along an index of its own."""

    TRASH = "trash"
    EXPIRED = "expired"
    USED_UP = "used_up"
    OLD = "old"
    HISTORY = "history"
    ANONYMOUS = "anonymous"


_ORDERS: dict[Walk, sa.Column[Any]] = {
    Walk.TRASH: _t.deleted_at,
    Walk.EXPIRED: _t.expires_at,
    Walk.USED_UP: _t.max_retrievals,
    Walk.OLD: _t.created_at,
    Walk.HISTORY: _t.created_at,
    Walk.ANONYMOUS: _t.created_at,
}

# What is forgotten by age: a table, which of its rows, and by which column's order.
_FORGOTTEN: dict[str, tuple[sa.Table, sa.Column[Any], tuple[sa.ColumnElement[bool], ...]]] = {
    "idempotency_keys": (tables.idempotency_keys, tables.idempotency_keys.c.created_at, ()),
    "rate_limits": (tables.rate_limits, tables.rate_limits.c.expires_at, ()),
    # In the words of the partial index, or SQLite would not use it.
    "checkpoints": (
        tables.checkpoints,
        tables.checkpoints.c.saved_at,
        (sa.literal_column("substr(scope, 1, 9) <> 'analysis:'", sa.Boolean),),
    ),
    "exports": (tables.exports, tables.exports.c.expires_at, ()),
    "jobs": (tables.jobs, tables.jobs.c.run_at, (tables.jobs.c.status == JobStatus.DEAD.value,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A candidate with what it refers to.

    Attributes:
        candidate: the candidate.
        result_hash: its payload.
        subject: its subject's internal key.
    """

    candidate: Candidate
    result_hash: str | None
    subject: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """When something was last done.

    Attributes:
        at: when.
        data: what came of it, JSON-able.
    """

    at: datetime
    data: dict[str, Any]


class Retention:
    """What retention does in one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def page(
        self,
        walk: Walk,
        *,
        limit: int,
        until: datetime | None = None,
        kind: str | None = None,
        owner: str | None = None,
        after: Candidate | None = None,
    ) -> list[Candidate]:
        """One page of a walk.

        Args:
            walk: which way.
            limit: rows at most.
            until: how far, for walks by time.
            kind: of this kind only, for OLD and HISTORY.
            owner: of this owner only, for HISTORY with a kind.
            after: the last candidate of the page before.
        """
        order, descends = _ORDERS[walk], walk is Walk.HISTORY
        select = _CANDIDATE.limit(limit)
        if walk is Walk.USED_UP:
            select = select.where(_t.retrieval_count >= _t.max_retrievals)
        elif walk is Walk.ANONYMOUS:
            # Compared, not only asked for: the index leads with it.
            select = select.where(_t.is_anonymous, _t.is_anonymous == sa.true())
        elif walk is not Walk.HISTORY:
            select = select.where(order.is_not(None), order <= until)
        if kind is not None:
            select = select.where(_t.kind == kind)
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        if after is not None:
            end = sa.tuple_(sa.literal(getattr(after, order.key), type_=order.type), sa.literal(after.key))
            place = sa.tuple_(order, _t.id)
            select = select.where(place < end if descends else place > end)
        ordered = (order.desc(), _t.id.desc()) if descends else (order, _t.id)
        return [_found(row).candidate for row in self._connection.execute(select.order_by(*ordered))]

    def kinds(self) -> list[str]:
        """Every kind that there is, found by as many steps along its index."""
        kinds: list[str] = []
        while True:
            select = sa.select(sa.func.min(_t.kind)).where(_t.kind > (kinds[-1] if kinds else ""))
            kind = self._connection.execute(select).scalar()
            if kind is None:
                return kinds
            kinds.append(kind)

    def held(self, keys: Sequence[int]) -> list[Found]:
        """Candidates as they are now, held until the transaction ends; those that somebody else holds are left out."""
        select = self._engine.skip_locked(_CANDIDATE.where(_t.id.in_(keys)).order_by(_t.id))
        return [_found(row) for row in self._connection.execute(select)]

    def remove(self, gone: Sequence[Found]) -> None:
        """Delete analyses with everything that is kept of them."""
        names = [found.candidate.analysis_id for found in gone]
        self._run(_DELETE_ANALYSES, [found.candidate.key for found in gone])
        self._release(Counter(found.result_hash for found in gone if found.result_hash is not None))
        self._run(_DELETE_CHECKPOINTS, [run_scope(name) for name in names])
        self._run(_DELETE_JOBS, names)
        self.drop_unused_subjects({found.subject for found in gone if found.subject is not None})

    def _release(self, references: Counter[str]) -> None:
        if not references:
            return
        hashes = sorted(references)
        self._run(self._engine.locked(_PAYLOADS), hashes)
        for count in sorted(set(references.values())):
            self._run(_RELEASE, [digest for digest in hashes if references[digest] == count], released=count)
        self._run(_DELETE_PAYLOADS, hashes)

    def drop_unused_subjects(self, keys: set[int]) -> None:
        """Forget those of these subjects that nothing is about any more."""
        if not keys:
            return
        # On PostgreSQL whoever refers to one at this moment holds it; it then stays. What is held here nobody can
        # refer to: his transaction fails and is run again, with the subject kept anew.
        held = list(self._run(self._engine.skip_locked(_SUBJECTS), sorted(keys)).scalars())
        if held:
            self._run(_DELETE_SUBJECTS, held)

    def _run(self, statement: sa.Executable, wanted: Sequence[Any], **values: int) -> sa.CursorResult[Any]:
        return self._connection.execute(statement, {"wanted": wanted, **values})

    def forget(self, name: str, until: datetime, limit: int) -> int:
        """Forget rows of one table that are of no use any more.

        Args:
            name: the table.
            until: rows from before this moment.
            limit: how many at most.

        Returns:
            How many are gone.
        """
        if name == tables.ledger.name:
            return self._forget_events(until, limit)
        table, order, conditions = _FORGOTTEN[name]
        keys = list(table.primary_key)
        chosen = sa.select(*keys).where(order < until, *conditions).order_by(order).limit(limit)
        place = keys[0] if len(keys) == 1 else sa.tuple_(*keys)
        # The conditions once more: on PostgreSQL the row may have changed since it was chosen.
        delete = sa.delete(table).where(place.in_(chosen), order < until, *conditions)
        return self._connection.execute(delete).rowcount

    def _forget_events(self, until: datetime, limit: int) -> int:
        # The oldest by their place in the ledger, which is as good as by time and needs no index.
        oldest = sa.select(_l.sequence, _l.at).order_by(_l.sequence).limit(limit).subquery()
        chosen = sa.select(oldest.c.sequence).where(oldest.c.at < until)
        return self._connection.execute(sa.delete(tables.ledger).where(_l.sequence.in_(chosen))).rowcount

    def mark(self, name: str) -> Mark | None:
        """When something was last done; None for never."""
        row = self._connection.execute(sa.select(_m.at, _m.data).where(_m.name == name)).one_or_none()
        return None if row is None else Mark(at=row.at, data=row.data)

    def put_mark(self, name: str, mark: Mark) -> None:
        """Note that something was done."""
        insert = insert_into(self._connection)(tables.marks)
        upsert = insert.on_conflict_do_update(
            index_elements=["name"], set_={"at": insert.excluded.at, "data": insert.excluded.data}
        )
        self._connection.execute(upsert, {"name": name, "at": mark.at, "data": mark.data})


def _found(row: sa.Row[Any]) -> Found:
    candidate = Candidate(
        key=row.id,
        analysis_id=row.analysis_id,
        kind=row.kind,
        owner=row.client_session_id,
        line=row.fingerprint if row.subject is None else f"subject {row.subject}",
        status=Status(row.status),
        created_at=row.created_at,
        expires_at=row.expires_at,
        retrieval_count=row.retrieval_count,
        max_retrievals=row.max_retrievals,
        is_anonymous=row.is_anonymous,
        is_pinned=row.is_pinned,
        deleted_at=row.deleted_at,
        stored_size=row.result_stored_size or 0,
    )
    return Found(candidate=candidate, result_hash=row.result_hash, subject=row.subject)
