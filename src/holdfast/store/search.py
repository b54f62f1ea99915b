"""Queries as conditions on analyses."""

from collections.abc import Callable
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any

import sqlalchemy as sa

from holdfast.domain.query import And, Field, Not, Or, Query, Text
from holdfast.store import tables
from holdfast.store.analyses import Stored, stored_from
from holdfast.store.lists import ROWS, Place, in_time
from holdfast.store.types import Timestamp

_t = tables.analyses.c
_s = tables.subjects.c
_g = tables.tags.c

Matching = Callable[[Text], sa.Select[tuple[int]]]
"""Selects the keys of what holds a text."""

_COMPARE: dict[str, Callable[[Any, Any], sa.ColumnElement[bool]]] = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}
_COLUMNS: dict[str, sa.Column[Any]] = {
    "id": _t.analysis_id,
    "kind": _t.kind,
    "owner": _t.client_session_id,
    "process": _t.process_instance_id,
    "session": _t.session_id,
    "status": _t.status,
    "thread": _t.thread_id,
    "created": _t.created_at,
    "completed": _t.completed_at,
    "updated": _t.updated_at,
    "findings": _t.finding_count,
    "size": _t.result_size,
    "attempt": _t.attempt,
}
_FACETS: dict[str, sa.Column[Any]] = {"kind": _t.kind, "status": _t.status, "owner": _t.client_session_id}
TASK = "task"
"""The kind of subject that a task is; its key is the task's name."""


def condition(query: Query, matching: Matching) -> sa.ColumnElement[bool]:
    """What a row must fulfil."""
    if isinstance(query, And):
        return sa.and_(*(condition(part, matching) for part in query.parts))
    if isinstance(query, Or):
        return sa.or_(*(condition(part, matching) for part in query.parts))
    if isinstance(query, Not):
        return sa.not_(condition(query.part, matching))
    if isinstance(query, Text):
        return _t.id.in_(matching(query))
    return _field(query)


def _field(query: Field) -> sa.ColumnElement[bool]:
    if query.name == "tag":
        labelled = sa.select(sa.literal(1)).where(_g.analysis == _t.id, _compared(_g.tag, query))
        return labelled.correlate(tables.analyses).exists()
    if query.name in {"subject", "task"}:
        kind, key = (TASK, query.value) if query.name == "task" else query.value.split(":", 1)
        named = Field(name=query.name, op=query.op, value=key)
        subjects = sa.select(_s.id).where(_s.kind == kind, _compared(_s.key, named))
        return _known(_t.subject, _t.subject.in_(subjects))
    column = _COLUMNS[query.name]
    return _known(column, _compared(column, query))


def _compared(column: sa.ColumnElement[Any], query: Field) -> sa.ColumnElement[bool]:
    if query.op == "^":
        # Not LIKE, which means another thing by letters' case on each database.
        begins: sa.ColumnElement[bool] = sa.func.substr(column, 1, len(query.value)) == query.value
        return begins
    value = query.value
    typed = sa.literal(value, Timestamp) if isinstance(value, datetime) else value
    return _COMPARE[query.op](column, typed)


def _known(column: sa.Column[Any], compared: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """False, not unknown, where there is no value: the opposite of it is then true."""
    return sa.and_(column.is_not(None), compared) if column.nullable else compared


def visible(owner: str | None, now: datetime) -> list[sa.ColumnElement[bool]]:
    """What may be seen: this owner's, or everybody's, neither expired nor in the trash."""
    found = [_t.deleted_at.is_(None), in_time(sa.literal(now, type_=Timestamp))]
    return found if owner is None else [_t.client_session_id == owner, *found]


class Search:
    """The searches of one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        """Look on ``connection``."""
        self.connection = connection

    def page(
        self, where: list[sa.ColumnElement[bool]], limit: int, after: Place | None, *, ascending: bool
    ) -> list[Stored]:
        """Analyses by the time of creation."""
        select = ROWS.where(*where)
        place = sa.tuple_(_t.created_at, _t.id)
        if after is not None:
            end = sa.tuple_(sa.literal(after.created_at, type_=Timestamp), sa.literal(after.key))
            select = select.where(place > end if ascending else place < end)
        order = (_t.created_at, _t.id) if ascending else (_t.created_at.desc(), _t.id.desc())
        rows = self.connection.execute(select.order_by(*order).limit(limit))
        return [stored_from(dict(row._mapping)) for row in rows]

    def facets(self, keys: sa.Select[tuple[int]], names: list[str], most: int) -> dict[str, dict[str, int]]:
        """How many of the analyses that ``keys`` selects have each value, the most frequent first."""
        chosen = keys.subquery()
        found: dict[str, dict[str, int]] = {}
        for name in names:
            if name == "tag":
                column: sa.Column[Any] = _g.tag
                counted = sa.select(column, sa.func.count().label("number")).join(chosen, chosen.c[0] == _g.analysis)
            else:
                column = _FACETS[name]
                counted = sa.select(column, sa.func.count().label("number")).join(chosen, chosen.c[0] == _t.id)
            rows = counted.group_by(column).order_by(sa.desc("number"), column).limit(most)
            found[name] = {row[0]: row[1] for row in self.connection.execute(rows)}
        return found

    def threads(self, where: list[sa.ColumnElement[bool]], by: str, limit: int, after: str | None) -> list[Any]:
        """The values of ``by`` in order, each with its figures."""
        column = _COLUMNS[by]
        chosen = [column.is_not(None), *where]
        if after is not None:
            chosen.append(column > after)
        select = (
            sa.select(
                column.label("id"),
                sa.func.count().label("count"),
                sa.func.min(_t.created_at, type_=Timestamp).label("first_at"),
                sa.func.max(_t.created_at, type_=Timestamp).label("last_at"),
                sa.func.sum(sa.case((_t.status != "completed", 1), else_=0)).label("unfinished"),
            )
            .where(*chosen)
            .group_by(column)
            .order_by(column)
            .limit(limit)
        )
        return list(self.connection.execute(select))
