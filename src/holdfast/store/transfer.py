"""Rows out of a store: every table's by its policy, in one order on both dialects, without numbers of this store."""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.errors import StoreCorrupt
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.lists import Filter, conditions
from holdfast.store.policies import POLICIES, columns, flat, parts, refers_to, roots, surrogate
from holdfast.store.rows import plain
from holdfast.store.types import Json

_t = tables.analyses.c
_NUMBER, _PARENT = "_number", "_parent"


def chosen_by(where: Filter) -> sa.Subquery:
    """The analyses that a filter selects."""
    found = conditions(replace(where, status=(), tags=("", *where.tags)))
    if where.status:
        found.append(_t.status.in_([status.value for status in where.status]))
    if where.created_after is not None:
        found.append(_t.created_at >= where.created_after)
    if where.created_before is not None:
        found.append(_t.created_at < where.created_before)
    return sa.select(_t.id, _t.analysis_id, _t.result_hash, _t.subject, _t.client_session_id).where(*found).subquery()


class Outflow:
    """The rows of one consistent state, as they are written."""

    def __init__(self, connection: sa.Connection, engine: Engine, where: Filter | None, *, secrets: bool) -> None:
        """Read on ``connection``.

        Args:
            connection: sees one state as long as it is read.
            engine: its engine.
            where: which analyses; everything when None.
            secrets: whether tokens and keys are taken along.
        """
        self._connection = connection
        self._engine = engine
        self._chosen = None if where is None else chosen_by(where)
        self._secrets = secrets and where is None

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each row's table and columns; rows that are parts follow the row that they are part of.

        Raises:
            StoreCorrupt: a row refers to one that is not there.
        """
        with contextlib.ExitStack() as opened:
            for table in self._tables():
                cursors = _cursors(table, lambda part: self._open(part, opened))
                for row in self._open(table, opened):
                    yield from cursors.walk(row)
                cursors.check_spent()

    def expected(self) -> int:
        """About how many rows there are, for who shows how far it is; those that lead."""
        counts = (
            sa.select(sa.func.count().label("rows")).select_from(table).where(*self._conditions(table))
            for table in self._tables()
        )
        return int(sum(self._connection.execute(count).scalar_one() for count in counts))

    def count_analyses(self) -> int:
        """How many analyses there are."""
        source = tables.analyses if self._chosen is None else self._chosen
        return int(self._connection.execute(sa.select(sa.func.count()).select_from(source)).scalar_one())

    def _tables(self) -> list[sa.Table]:
        if self._chosen is None:
            return roots(secrets=self._secrets)
        return [table for table in roots(secrets=False) if POLICIES[table.name].belongs is not None]

    def _conditions(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        policy = POLICIES[table.name]
        found = [] if policy.rows is None else [policy.rows]
        return found if self._chosen is None or policy.belongs is None else [*found, policy.belongs(self._chosen)]

    def _open(self, table: sa.Table, opened: contextlib.ExitStack) -> Iterator["_Row"]:
        statement, shape = self._statement(table)
        at_once = POLICIES[table.name].rows_at_once
        result = self._connection.execute(statement, execution_options={"yield_per": at_once})
        # PostgreSQL keeps a cursor open for each, also when nobody reads to the end.
        opened.callback(result.close)
        for found in result:
            yield shape.row(dict(found._mapping))

    def _statement(self, table: sa.Table) -> tuple[sa.Select[Any], "_Shape"]:
        shape = _Shape(table)
        policy = POLICIES[table.name]
        source: sa.FromClause = table
        selected: list[sa.ColumnElement[Any]] = []
        number = surrogate(table)
        if number is not None:
            selected.append(number.label(_NUMBER))
        if policy.part_of is not None:
            selected.append(table.c[policy.part_of].label(_PARENT))
        for column in columns(table):
            target = refers_to(column)
            if column.name == policy.part_of:
                continue
            selected.append(sa.type_coerce(column, plain(column)).label(column.name))
            if target is not None:
                source = _joined(source, column, target, column.name, selected)
        source, order, where = self._place(table, source)
        return sa.select(*selected).select_from(source).where(*where).order_by(*order), shape

    def _place(
        self, table: sa.Table, source: sa.FromClause
    ) -> tuple[sa.FromClause, list[sa.ColumnElement[Any]], list[sa.ColumnElement[bool]]]:
        """What to read from, in what order, which rows."""
        policy = POLICIES[table.name]
        names = policy.order or policy.key
        own = [table.c[name] if policy.ascii_order else self._engine.bytewise(table.c[name]) for name in names]
        if policy.part_of is None:
            return source, own, self._conditions(table)
        column = table.c[policy.part_of]
        parent = next(iter(column.foreign_keys)).column.table
        if POLICIES[parent.name].part_of is None:
            # In the order of the numbers, which is that of the rows it is part of.
            where: list[sa.ColumnElement[bool]] = []
            if self._chosen is not None:
                where.append(column.in_(sa.select(_surrogate(parent)).where(*self._conditions(parent))))
            return source, [column, *own[1:]], where
        source = source.join(parent, _surrogate(parent) == column)
        source, order, where = self._place(parent, source)
        return source, [*order, *own[1:]], where


@dataclass(frozen=True, slots=True)
class _Row:
    """A row on its way out: its number and its parent's in this store, and what is written."""

    kind: str
    number: int | None
    parent: int | None
    values: dict[str, Any]


class _Shape:
    """How the rows of a table are written."""

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._policy = POLICIES[table.name]
        self._references = {c.name: _parts_of_key(t) for c in columns(table) if (t := refers_to(c)) is not None}
        self._columns = [c for c in columns(table) if c.name != self._policy.part_of]

    def row(self, found: Mapping[str, Any]) -> _Row:
        values = {column.name: self._value(column, found) for column in self._columns}
        return _Row(self._table.name, found.get(_NUMBER), found.get(_PARENT), values)

    def _value(self, column: sa.Column[Any], found: Mapping[str, Any]) -> Any:
        value = found[column.name]
        if value is None:
            return None
        if column.name in self._policy.fixed:
            return self._policy.fixed[column.name]
        if column.name in self._references:
            key = [found[f"{column.name}.{part}"] for part in self._references[column.name]]
            if key[0] is None:
                raise StoreCorrupt(f"A row of {self._table.name} refers to {column.name} {value}, which is not there")
            return key[0] if len(key) == 1 else key
        if isinstance(column.type, Json):
            return msgspec.Raw(value.encode())
        if isinstance(column.type, sa.Float):
            # SQLite keeps no sign of zero.
            return value + 0.0
        return base64.b64encode(value).decode() if isinstance(column.type, sa.LargeBinary) else value


class _Parts:
    """The rows that are parts of another table's, read beside it in the same order."""

    def __init__(self, table: sa.Table, rows: Iterator[_Row], inner: "_Cursors") -> None:
        self._name = table.name
        self._column = POLICIES[table.name].part_of or ""
        self._rows = rows
        self._inner = inner
        self._next = next(rows, None)

    def of(self, number: int | None, key: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        while (row := self._next) is not None and row.parent == number:
            self._next = next(self._rows, None)
            yield from self._inner.walk(replace(row, values={self._column: key, **row.values}))

    def check_spent(self) -> None:
        if self._next is not None:
            raise StoreCorrupt(
                f"A row of {self._name} refers to {self._column} {self._next.parent}, which is not there"
            )
        self._inner.check_spent()


@dataclass(frozen=True, slots=True)
class _Cursors:
    """What is read beside a table."""

    key: tuple[str, ...]
    parts: list[_Parts]

    def walk(self, row: _Row) -> Iterator[tuple[str, dict[str, Any]]]:
        """A row and its parts."""
        yield row.kind, row.values
        if self.parts:
            key = list(flat(row.values[name] for name in self.key))
            for part in self.parts:
                yield from part.of(row.number, key[0] if len(key) == 1 else key)

    def check_spent(self) -> None:
        """See that every part had its row."""
        for part in self.parts:
            part.check_spent()


def _cursors(table: sa.Table, opened: Any) -> _Cursors:
    inner = [_Parts(part, opened(part), _cursors(part, opened)) for part in parts(table)]
    return _Cursors(POLICIES[table.name].key, inner)


def _joined(
    source: sa.FromClause,
    column: sa.ColumnElement[Any],
    target: sa.Table,
    name: str,
    selected: list[sa.ColumnElement[Any]],
) -> sa.FromClause:
    """``source`` with the row that ``column`` refers to, and those that its key refers to; their keys are selected."""
    other = target.alias(f"{name}_")
    source = source.outerjoin(other, other.c[_surrogate(target).name] == column)
    for part in POLICIES[target.name].key:
        further = refers_to(target.c[part])
        if further is None:
            selected.append(sa.type_coerce(other.c[part], plain(target.c[part])).label(f"{name}.{part}"))
        else:
            source = _joined(source, other.c[part], further, f"{name}.{part}", selected)
    return source


def _parts_of_key(table: sa.Table) -> tuple[str, ...]:
    """The names of what names a row of the table, in order."""
    found: list[str] = []
    for name in POLICIES[table.name].key:
        target = refers_to(table.c[name])
        found += [name] if target is None else [f"{name}.{part}" for part in _parts_of_key(target)]
    return tuple(found)


def _surrogate(table: sa.Table) -> sa.Column[Any]:
    number = surrogate(table)
    assert number is not None, f"{table.name} is referred to by number"
    return number
