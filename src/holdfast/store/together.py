"""Statements that take many rows at once, the same on both dialects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from holdfast.store.prepared import Insert, InsertInto, Prepared, Row, Statement, bind_processor, takes_arrays

Types = Mapping[str, sa.types.TypeEngine[Any]]
Fields = Mapping[str, sa.ColumnElement[Any]]


class _Array(sa.TypeDecorator[Sequence[Any]]):
    """An array as PostgreSQL writes it: the driver's own way takes ten times as long for documents."""

    impl = sa.ARRAY
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: sa.Dialect) -> Any:
        convert = bind_processor(self.impl_instance.item_type, dialect)  # type: ignore[attr-defined]
        return None if value is None else "{" + ",".join([_item(one, convert) for one in value]) + "}"


class Together:
    """A statement for each of many rows, none of which goes by what another one did.

    Where every run is planned and answered by itself, rows go as arrays, one of each field, in a single statement that
    is the same for any number of them. Where runs are calls in this process, it is run for each row.
    """

    def __init__(self, types: Types, each: Prepared, every: Prepared) -> None:
        """Run what is prepared; see ``insert`` and ``change``."""
        self._names = tuple(types)
        self._each = each
        self._every = every

    @classmethod
    def insert(
        cls, table: sa.Table, names: Sequence[str], complete: Callable[[Insert], sa.Insert] = lambda insert: insert
    ) -> "Together":
        """An INSERT.

        Args:
            table: where to.
            names: the columns that rows have.
            complete: adds what comes after the values.
        """
        types = {name: table.c[name].type for name in names}

        def every(insert: InsertInto) -> sa.Insert:
            return complete(insert(table).from_select(list(names), sa.select(*_fields(types).values())))

        return cls(types, Prepared(lambda insert: complete(insert(table))), Prepared(every))

    @classmethod
    def change(cls, types: Types, build: Callable[[Fields], Statement]) -> "Together":
        """An UPDATE or DELETE.

        Args:
            types: of each field of a row.
            build: makes the statement of the fields.
        """
        given = {name: sa.bindparam(name, type_=type_) for name, type_ in types.items()}
        return cls(types, Prepared(lambda _: build(given)), Prepared(lambda _: build(_fields(types))))

    def run(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Execute for all rows."""
        if len(rows) > 1 and takes_arrays(connection):
            self._every.run(connection, self._arrays(rows))
        else:
            self._each.run_many(connection, rows)

    def run_columns(self, connection: sa.Connection, columns: Mapping[str, Sequence[Any]]) -> None:
        """Execute an INSERT for rows that are given column by column, without a value of their own for each row."""
        if not next(iter(columns.values())):
            return
        if takes_arrays(connection):
            self._every.run(connection, columns)
        else:
            self._each.run_columns(connection, columns)

    def fetch(self, connection: sa.Connection, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Execute for all rows and return what they return, in no certain order."""
        if len(rows) > 1 and takes_arrays(connection):
            return self._every.fetch(connection, self._arrays(rows))
        return self._each.fetch_many(connection, rows)

    def _arrays(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        return {name: [row[name] for row in rows] for name in self._names}


def _fields(types: Types) -> Fields:
    arrays = [sa.bindparam(name, type_=_Array(type_)) for name, type_ in types.items()]
    columns = [sa.column(name, type_) for name, type_ in types.items()]
    rows = sa.func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
    return {name: rows.c[name] for name in types}


def _item(value: Any, convert: Callable[[Any], Any] | None) -> str:
    if value is None:
        return "NULL"
    text = str(value if convert is None else convert(value))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
