"""Reads what a query gives from any database that SQLAlchemy reaches, changing nothing there."""

import functools
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from holdfast.analyzers.duplicates.library import SCHEMA
from holdfast.analyzers.duplicates.manifest import row_digests
from holdfast.analyzers.duplicates.readers.columns import match_columns
from holdfast.analyzers.duplicates.readers.library import BATCH_ROWS, BrokenLibrary, Library
from holdfast.analyzers.duplicates.readers.params import ReaderParams
from holdfast.analyzers.duplicates.readers.table import Conformer, row_name, texts
from holdfast.domain.errors import InvalidParams, InvalidTarget, TargetNotFound

VARIABLE_PREFIX = "HOLDFAST_LIBRARY_"
_VARIABLE = re.compile(rf"env:({VARIABLE_PREFIX}[A-Z0-9_]+)")
_SECRET = re.compile(r"pass|pwd|secret|token|credential|odbc_connect", re.IGNORECASE)
_CONNECT_SECONDS = 10
# All that a query needs which only reads. ATTACH, PRAGMA and writes are refused by SQLite itself.
_READING = {
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_TRANSACTION,
}
_MASK = (1 << 64) - 1


class SqlLibrary(Library):
    """The rows of a query.

    A password is never part of the target: the database lets the user in without one or by its own password file,
    or the whole URL stands in an environment variable, of which only the name is kept.
    """

    kind = "sql"

    def __init__(self, target: str, params: ReaderParams) -> None:
        super().__init__()
        if params.query is None:
            raise InvalidParams("A database needs the parameter query: which rows are the tracks", field="query")
        self._params = params
        self._query = params.query.strip().removesuffix(";")
        self._url = _read_url(target)
        open_query = {name: value for name, value in self._url.query.items() if not _SECRET.search(name)}
        self._shown = self._url.set(password=None, query=open_query).render_as_string()
        self.location = target
        self._counted: int | None = None
        # Said now rather than after a wait in the queue: whether the database is there, and the query right.
        with self._rows() as result:
            self._columns_of(result)

    @property
    def count(self) -> int | None:
        return self._counted

    def batches(self) -> Iterator[pl.DataFrame]:
        self._problems.clear()
        conformer = Conformer(self._params, self._problems)
        passed = 0
        with self._rows() as result:
            places = self._columns_of(result)
            while rows := self._fetch(result, passed):
                raw = pl.DataFrame({name: texts([row[place] for row in rows]) for name, place in places.items()})
                yield conformer.conform(raw, functools.partial(row_name, passed))
                passed += len(rows)

    def _fetch(self, result: sa.CursorResult[Any], passed: int) -> list[sa.Row[Any]]:
        try:
            return list(result.fetchmany(BATCH_ROWS))
        except (sa.exc.SQLAlchemyError, ValueError, OverflowError) as error:
            raise BrokenLibrary(f"{self._shown}, after row {passed}: {self._reason(error)}") from None

    def _columns_of(self, result: sa.CursorResult[Any]) -> dict[str, int]:
        headers = list(result.keys())
        found = match_columns(headers, self._params.columns, source="The query")
        return {name: headers.index(header) for name, header in found.items()}

    @contextmanager
    def _rows(self) -> Iterator[sa.CursorResult[Any]]:
        # Errors go on without their cause, which may show the URL.
        try:
            engine = _engine(self._url)
        except (sa.exc.SQLAlchemyError, ImportError, TypeError, ValueError) as error:
            raise InvalidTarget(f"{self._shown} cannot be opened: {self._reason(error)}") from None
        try:
            try:
                connection = engine.connect()
                result = connection.execution_options(
                    stream_results=True, max_row_buffer=BATCH_ROWS, no_parameters=True
                ).exec_driver_sql(self._query)
            except sa.exc.InterfaceError as error:
                raise InvalidTarget(f"{self._shown} cannot be reached: {self._reason(error)}") from None
            except sa.exc.SQLAlchemyError as error:
                raise InvalidTarget(f"{self._shown} does not answer the query: {self._reason(error)}") from None
            if not result.returns_rows:
                raise InvalidParams("query must be a SELECT: it gives no rows", field="query")
            try:
                yield result
            finally:
                result.close()
                connection.close()
        finally:
            engine.dispose()

    def _reason(self, error: Exception) -> str:
        cause = getattr(error, "orig", None) or error
        lines = str(cause).strip().splitlines()
        reason = lines[0] if lines else type(cause).__name__
        for secret in (self._url.password, *(value for _, value in _flat(self._url.query))):
            if secret:
                reason = reason.replace(str(secret), "***")
        return reason

    def _key(self) -> str:
        return f"{self._shown[:1900]}#{hashlib.sha256(self._query.encode()).hexdigest()[:16]}"

    def _title(self) -> str:
        return Path(self._url.database or "").name or self._url.host or "database"

    def _revision(self) -> str:
        """A hash over the rows that does not depend on their order, which a database may change at will."""
        total = 0
        count = 0
        for batch in self.batches():
            for digest in row_digests(batch, SCHEMA.names()):
                total = (total + digest) & _MASK
            count += len(batch)
        self._counted = count
        return f"{count}-{total:016x}"


def database_of(target: str) -> sa.URL:
    """The database that a target means, its environment variable read.

    Raises:
        InvalidTarget: it names none.
    """
    return _read_url(target)


def _read_url(target: str) -> sa.URL:
    variable = _VARIABLE.fullmatch(target)
    if target.startswith("env:") and variable is None:
        raise InvalidTarget(
            f"A variable that holds the URL of a library is named {VARIABLE_PREFIX} and capital letters, "
            f"as env:{VARIABLE_PREFIX}MUSIC"
        )
    value = os.environ.get(variable[1]) if variable else target
    if not value:
        raise TargetNotFound(f"The environment of this process has no {variable[1] if variable else 'URL'}")
    try:
        url = sa.make_url(value)
        backend = url.get_backend_name()
    except (sa.exc.ArgumentError, ValueError):
        raise InvalidTarget(
            "The database's URL cannot be read; it is like postgresql://user@host/name or sqlite:////path/to/file.db"
        ) from None
    if backend == "sqlite":
        return _sqlite_url(url)
    if backend == "postgresql" and url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if "@" in (url.database or "") or "@" in (url.host or ""):
        raise InvalidTarget("The database's URL has an @ in the wrong place; write those of a password as %40")
    if variable is None and (url.password or any(_SECRET.search(name) for name, _ in _flat(url.query))):
        raise InvalidTarget(
            "A database's URL with a password in it would be kept with the analysis. Put the whole URL into an "
            f"environment variable of the worker, {VARIABLE_PREFIX}MUSIC, and give env:{VARIABLE_PREFIX}MUSIC instead"
        )
    return url


def _sqlite_url(url: sa.URL) -> sa.URL:
    if url.query:
        raise InvalidTarget("The URL of an SQLite file takes no options here: sqlite:////path/to/file.db")
    path = Path(url.database or "")
    if not url.database or not path.is_file():
        raise TargetNotFound(f"There is no SQLite file at {url.database!r}")
    return url.set(drivername="sqlite", database=str(path.resolve()))


def _flat(query: Mapping[str, tuple[str, ...] | str]) -> Iterator[tuple[str, str]]:
    for name, values in query.items():
        for value in (values,) if isinstance(values, str) else values:
            yield name, value


def _engine(url: sa.URL) -> sa.Engine:
    backend = url.get_backend_name()
    if backend == "sqlite":
        path = Path(str(url.database))

        def connect() -> sqlite3.Connection:
            # Never made by looking, never written to; WAL's own files excepted, without which it cannot be read.
            connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_CONNECT_SECONDS)
            connection.text_factory = lambda data: data.decode(errors="replace")
            connection.set_authorizer(_only_reading)
            return connection

        return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
    if backend == "postgresql":
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS})
        return engine.execution_options(postgresql_readonly=True)
    return sa.create_engine(url, poolclass=sa.NullPool)


def _only_reading(action: int, subject: str | None, *_: object) -> int:
    # SQLAlchemy looks at this pragma when it connects, and the driver begins and ends the transaction itself.
    allowed = action in _READING or (action == sqlite3.SQLITE_PRAGMA and subject == "read_uncommitted")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
