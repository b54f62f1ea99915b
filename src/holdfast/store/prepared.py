"""Statements that run on every store or read: built by Core, compiled once, run straight on the driver.

Core's own execution costs 60-70 us a statement, most of a durable store's processor time; this costs 5.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Insert = sqlite.Insert | postgresql.Insert
InsertInto = Callable[[sa.Table], Insert]
Row = Mapping[str, Any]
Statement = sa.Select[Any] | sa.Insert | sa.Update | sa.Delete

# Rows of one statement: always as many, as each number of them is a statement of its own to the driver.
_TOGETHER = 100
_INSERTS: dict[str, InsertInto] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_into(connection: sa.Connection) -> InsertInto:
    """The dialect's INSERT, which knows ON CONFLICT; both dialects spell it alike."""
    return _INSERTS[connection.dialect.name]


def takes_arrays(connection: sa.Connection) -> bool:
    """Whether a statement takes a field of many rows as one array."""
    return connection.dialect.name == "postgresql"


def insert_together(connection: sa.Connection, table: str, columns: Sequence[str], rows: Sequence[Any]) -> None:
    """Insert rows of the driver's own values into a table of SQLite, by as few statements as will do.

    The driver takes Python's lock again after every step: a thread that works beside it would hold up each row.
    """
    values = f"({', '.join('?' * len(columns))})"
    insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 names are ours
    with contextlib.closing(_cursor(connection)) as cursor:
        _run_together(cursor, insert + values, values, rows)


def _run_together(cursor: Any, sql: str, values: str, rows: Sequence[Sequence[Any]]) -> None:
    head, _, tail = sql.partition(values)
    many = head + ", ".join([values] * _TOGETHER) + tail
    whole = len(rows) - len(rows) % _TOGETHER
    for start in range(0, whole, _TOGETHER):
        cursor.execute(many, [value for row in rows[start : start + _TOGETHER] for value in row])
    cursor.executemany(sql, rows[whole:])


def _cursor(connection: sa.Connection) -> Any:
    # Core begins transactions lazily; going around it must not go around that.
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.cursor()


class Prepared:
    """A statement with named parameters."""

    def __init__(self, build: Callable[[InsertInto], Statement]) -> None:
        """Prepare what ``build`` makes; it is called once per dialect, with the dialect's INSERT."""
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: sa.Connection, values: Row) -> int:
        """Execute; returns how many rows were written."""
        compiled, cursor = self._open(connection, values)
        try:
            cursor.execute(compiled.sql, compiled.bind(values))
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def run_many(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Execute once for each row."""
        if not rows:
            return
        compiled, cursor = self._open(connection, rows[0])
        try:
            if len(rows) == 1:
                cursor.execute(compiled.sql, compiled.bind(rows[0]))
            else:
                cursor.executemany(compiled.sql, [compiled.bind(row) for row in rows])
        finally:
            cursor.close()

    def run_together(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Execute an INSERT of one row for all rows, by as few statements as will do."""
        if not rows:
            return
        compiled, cursor = self._open(connection, rows[0])
        with contextlib.closing(cursor):
            compiled.execute_together(cursor, rows)

    def run_columns(self, connection: sa.Connection, columns: Mapping[str, Sequence[Any]]) -> None:
        """As ``run_together``, for at least one row, given column by column; of SQLite's alone."""
        compiled, cursor = self._open(connection, {name: values[0] for name, values in columns.items()})
        with contextlib.closing(cursor):
            compiled.execute_columns(cursor, columns)

    def fetch(self, connection: sa.Connection, values: Row) -> list[dict[str, Any]]:
        """Execute and return the rows by column name."""
        compiled, cursor = self._open(connection, values)
        try:
            cursor.execute(compiled.sql, compiled.bind(values))
            return [compiled.row(row) for row in cursor.fetchall()]
        finally:
            cursor.close()

    def fetch_many(self, connection: sa.Connection, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Execute once for each row and return all that they return."""
        if not rows:
            return []
        compiled, cursor = self._open(connection, rows[0])
        try:
            return [compiled.row(row) for row in compiled.execute_each(cursor, rows)]
        finally:
            cursor.close()

    def rows(self, connection: sa.Connection, values: Row) -> list[Sequence[Any]]:
        """Execute and return the rows as the driver gives them; see ``named``."""
        compiled, cursor = self._open(connection, values)
        with contextlib.closing(cursor):
            cursor.execute(compiled.sql, compiled.bind(values))
            rows: list[Sequence[Any]] = cursor.fetchall()
            return rows

    def named(self, dialect: str, row: Sequence[Any]) -> dict[str, Any]:
        """One of ``rows`` by column name, as ``fetch`` gives it."""
        return self._compiled[dialect].row(row)

    def scalar(self, connection: sa.Connection, values: Row) -> Any:
        """Execute and return the first column of the first row, or None."""
        rows = self.fetch(connection, values)
        return next(iter(rows[0].values())) if rows else None

    def _open(self, connection: sa.Connection, values: Row) -> tuple["_Compiled", Any]:
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            statement = self._build(_INSERTS[dialect.name])
            compiled = self._compiled[dialect.name] = _Compiled(statement, dialect, values)
        return compiled, _cursor(connection)


class _Compiled:
    def __init__(self, statement: Statement, dialect: sa.Dialect, values: Row) -> None:
        columns = list(values) if isinstance(statement, sa.Insert) else None
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError(f"{statement!r} is no query")
        self.sql = compiled.string
        self._is_positional = compiled.positiontup is not None
        binds = {
            name: (name, parameter.value, bind_processor(parameter.type, dialect))
            for parameter, name in compiled.bind_names.items()
        }
        self._binds = [binds[name] for name in compiled.positiontup or binds]
        returned = statement.selected_columns if isinstance(statement, sa.Select) else statement.exported_columns
        self._results = [(str(column.key), _result_processor(column.type, dialect)) for column in returned]

    def bind(self, values: Row) -> Any:
        """The driver's parameters."""
        get = values.get
        # No type of ours makes anything of None, and most columns of an analysis are None.
        if self._is_positional:
            return [
                value if (value := get(name, default)) is None or process is None else process(value)
                for name, default, process in self._binds
            ]
        return {
            name: value if (value := get(name, default)) is None or process is None else process(value)
            for name, default, process in self._binds
        }

    def execute_each(self, cursor: Any, rows: Sequence[Row]) -> Iterator[Sequence[Any]]:
        """Run for each row and give what the driver returns; where each run is a round trip, all in one go."""
        if self._is_positional:
            for row in rows:
                yield from cursor.execute(self.sql, self.bind(row))
            return
        cursor.executemany(self.sql, [self.bind(row) for row in rows], returning=True)
        more = True
        while more:
            yield from cursor
            more = cursor.nextset()

    def execute_together(self, cursor: Any, rows: Sequence[Row]) -> None:
        """Run an INSERT for all rows; psycopg sends them in one go by itself."""
        bound = [self.bind(row) for row in rows]
        if self._is_positional:
            _run_together(cursor, self.sql, f"({', '.join('?' * len(self._binds))})", bound)
        else:
            cursor.executemany(self.sql, bound)

    def execute_columns(self, cursor: Any, columns: Mapping[str, Sequence[Any]]) -> None:
        """Run an INSERT for all rows, which are given column by column."""
        bound = [
            columns[name] if process is None else [None if value is None else process(value) for value in columns[name]]
            for name, _, process in self._binds
        ]
        values = f"({', '.join('?' * len(self._binds))})"
        _run_together(cursor, self.sql, values, list(zip(*bound, strict=True)))

    def row(self, row: Sequence[Any]) -> dict[str, Any]:
        """The driver's row, by name and converted."""
        return {
            name: value if process is None or value is None else process(value)
            for (name, process), value in zip(self._results, row, strict=True)
        }


def bind_processor(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    """What makes the driver's value of one that is not None; None if that is the value itself."""
    inner = type_.dialect_impl(dialect)
    if isinstance(type_, sa.types.TypeDecorator) and type_.impl_instance.bind_processor(dialect) is None:
        # Straight to our own types, without the decorator's wrapper around each value.
        convert = type_.process_bind_param
        return lambda value: convert(value, dialect)
    return inner.bind_processor(dialect)


def _result_processor(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    # Both drivers give floats as such; PostgreSQL's processor would want to know the column's type code.
    return None if isinstance(type_, sa.Float) else type_.dialect_impl(dialect).result_processor(dialect, None)
