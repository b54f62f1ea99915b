"""The least work that any program must do: the drivers themselves, as durable as Holdfast, on the same schema."""

import atexit
import contextlib
import functools
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from tests.support.postgres import Postgres, PostgresServer, PostgresUnavailable

import holdfast
from bench.report import Options, Report

FSYNC_CLAUSE_MS = 1.0
_numbers = itertools.count(1)


class Raw:
    """A driver's own connection; SQL is written with ``?`` for both."""

    def __init__(self, url: str) -> None:
        self.dialect = url.partition(":")[0]
        self._connection: Any
        if self.dialect == "sqlite":
            path = url.removeprefix("sqlite:///")
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            # What Holdfast's own connections are set to.
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -16384"):
                self._connection.execute(f"PRAGMA {pragma}")
        else:
            self._connection = psycopg.connect(url)
        self._cursor = self._connection.cursor()

    def begin(self) -> None:
        """Begin to write; psycopg does so by itself."""
        if self.dialect == "sqlite":
            self._cursor.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.commit()

    def sql(self, text: str) -> str:
        return text if self.dialect == "sqlite" else text.replace("?", "%s")

    def run(self, text: str, values: Sequence[Any] = ()) -> None:
        self._cursor.execute(self.sql(text), values)

    def run_many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        self._cursor.executemany(self.sql(text), rows)

    def fetch(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._cursor.execute(self.sql(text), values).fetchall()
        return rows

    def row(self, text: str, values: Sequence[Any] = ()) -> dict[str, Any]:
        """One row by column name, as the driver gives it."""
        found = self._cursor.execute(self.sql(text), values).fetchone()
        return dict(zip((column[0] for column in self._cursor.description), found, strict=True))

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write many rows in the quickest way that the driver has."""
        names = ", ".join(f'"{name}"' for name in columns)
        if self.dialect == "sqlite":
            self.begin()
            self.run_many(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", rows)
        else:
            with self._cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        self.commit()

    def settle(self) -> None:
        """Let the database know its data, as it does by and by on its own."""
        if self.dialect == "sqlite":
            self._cursor.execute("PRAGMA optimize=0x10002")
            self._cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            self.commit()
            self._connection.autocommit = True
            self._cursor.execute("VACUUM ANALYZE")
            self._connection.autocommit = False

    def close(self) -> None:
        self._connection.close()


class Stores:
    """Fresh databases with the schema, as many as a measurement needs."""

    def __init__(self, dialect: str, directory: Path, server: Postgres | None) -> None:
        self.dialect = dialect
        self.directory = directory
        self._server = server

    def fresh(self, *, schema: bool = True) -> str:
        """The URL of a new database, its schema made by the migrations."""
        name = f"bench{os.getpid()}_{next(_numbers)}"
        if self._server is None:
            url = f"sqlite:///{self.directory / f'{name}.db'}"
        else:
            self._server.create_database(name)
            url = self._server.url(name)
        if schema:
            holdfast.open(url).close()
        return url


@functools.cache
def _postgres() -> PostgresServer:
    """One PostgreSQL, with its own durable settings, for all measurements of this process."""
    server = PostgresServer(durable=True)
    atexit.register(server.close)
    server.start()
    return server


@contextlib.contextmanager
def stores(options: Options, report: Report) -> Iterator[list[Stores]]:
    """The stores to measure."""
    with contextlib.ExitStack() as stack:
        found = []
        for dialect in options.dialects:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-")))
            try:
                server = _postgres() if dialect == "postgresql" else None
            except PostgresUnavailable as error:
                report.note(f"PostgreSQL was not measured: {error}")
                continue
            found.append(Stores(dialect, directory, server))
        yield found


def fsync_ms(directory: Path, times: int = 200) -> float:
    """What it costs to see 4 KB to the disk."""
    path = directory / "fsync"
    spent = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(os.urandom(4096))
            before = time.perf_counter()
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
            spent.append(time.perf_counter() - before)
    path.unlink()
    return statistics.median(spent) * 1000


def insert(table: str, row: Mapping[str, Any]) -> str:
    """The INSERT of such a row."""
    names = ", ".join(f'"{name}"' for name in row)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})"


def taking_turns(rounds: int, *works: Callable[[int], None]) -> None:
    """Call each in turn, round by round, beginning with another one each time."""
    for number in range(rounds):
        for offset in range(len(works)):
            works[(number + offset) % len(works)](number)
