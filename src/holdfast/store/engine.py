"""One database, two dialects: how to read, and to write durably.

With ``connections`` and ``fulltext`` this is the only place that knows which dialect it talks to.
"""

import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from holdfast.domain.errors import StoreError
from holdfast.domain.jobs import backoff
from holdfast.store.bell import Bell, SqliteBell
from holdfast.store.connections import BUSY_SECONDS, parse, postgresql_engine, sqlite_engine
from holdfast.store.failures import sqlstate, translated
from holdfast.store.group_commit import GroupCommit, locked_file
from holdfast.store.prepared import Prepared

T = TypeVar("T")

_SECRET_PARAMETERS = {"password", "passwd", "sslpassword"}
_COUNTER_SHARDS = 16
_TRANSACTION = Prepared(
    lambda _: sa.select(sa.cast(sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.BigInteger).label("number"))
)
# The whole transaction may simply run again. A reference that leads nowhere: to what was forgotten in that moment.
_REPEATABLE = {
    "23503",  # foreign_key_violation
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
}
_REPEATS = 8
_SWEEP_LOCK = 0x53776570
# As SQLite has it: so long may the log become before a commit copies it into the file.
_LOG_PAGES = 1000
_LARGE_LOG = 32 * 1024 * 1024
# Free pages that stay: what is written next takes them, and the file need not grow again.
_SPARE_PAGES = 256
_SPARE_PART = 200
_INCREMENTAL = 2

# Below which number no transaction of this database runs any more. A server numbers the transactions of all its
# databases in one row; what another one's does for hours is nothing to us. Who is at work is asked after the snapshot
# was taken: whoever runs then and has a number below its end is seen.
_COMPLETE_BELOW = sa.text("""
    SELECT coalesce(min(running.id::text::bigint), pg_snapshot_xmax(pg_current_snapshot())::text::bigint) AS number
    FROM pg_snapshot_xip(pg_current_snapshot()) AS running(id)
    WHERE mod(running.id::text::bigint, 4294967296) IN (
        SELECT session.backend_xid::text::bigint FROM pg_stat_get_activity(NULL) AS session
        WHERE session.datid = (SELECT oid FROM pg_database WHERE datname = current_database())
    )""").columns(sa.column("number", sa.BigInteger))

_SEEN_BELOW = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


class Engine:
    """A connected database.

    Attributes:
        dialect: ``sqlite`` or ``postgresql``.
        bell: tells when something was committed.
        has_one_writer: whether a transaction that writes keeps all other writers waiting.
    """

    def __init__(self, url: str) -> None:
        """Connect lazily to ``url``.

        Args:
            url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``postgresql://user:password@host/name``.

        Raises:
            InvalidDatabaseUrl: it is neither.
        """
        self.url = parse(url)
        self.dialect = self.url.get_backend_name()
        self.bell: Bell
        if self.dialect == "sqlite":
            path = Path(self.url.database or "").absolute()
            self._path = path
            self._readers = sqlite_engine(path, begin="BEGIN")
            self._group = GroupCommit(sqlite_engine(path, begin="BEGIN IMMEDIATE"), path)
            self.bell = SqliteBell(path)
        else:
            self._writers = postgresql_engine(self.url)
            # By default PostgreSQL shows each statement another state, and a list is read by several.
            self._readers = self._writers.execution_options(isolation_level="REPEATABLE READ")
            # Its driver takes a tenth of a second to import, which whoever keeps things in a file does without.
            from holdfast.store.postgres_bell import PostgresBell  # noqa: PLC0415

            self.bell = PostgresBell(self.url)
        self._driver = self._readers.dialect.loaded_dbapi
        self.has_one_writer = self.dialect == "sqlite"
        self._process = os.getpid()
        self._inside = threading.local()
        self._closed = False

    def shown(self) -> str:
        """Its URL as people give it, without its password."""
        query = {name: value for name, value in self.url.query.items() if name not in _SECRET_PARAMETERS}
        return self.url.set(drivername=self.dialect, query=query).render_as_string(hide_password=True)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees one consistent state; nothing written on it is kept."""
        self._check_usable()
        with translated(self._driver), self._readers.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def follow(self) -> Iterator[tuple[sa.Connection, int]]:
        """As ``read``, with the number below which every transaction of the state that is seen is complete."""
        if self.dialect == "sqlite":
            with self.read() as connection:
                yield connection, 0
            return
        self._check_usable()
        with translated(self._driver), self._readers.connect() as connection:
            # First the number and then the state: one that ends in between is in the state, whole.
            below = connection.execution_options(isolation_level="AUTOCOMMIT").execute(_COMPLETE_BELOW).scalar_one()
            connection.rollback()
            yield connection.execution_options(isolation_level="REPEATABLE READ"), below

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in a transaction, and return its result once that is committed to disk.

        Args:
            work: the statements. It may run more than once, and on SQLite in another thread, so it changes
                nothing but the database and the values it returns.

        Raises:
            StoreError: nothing was written; for StoreUnavailable during the commit itself this is unknown.
        """
        self._check_usable()
        if getattr(self._inside, "write", False):
            # It would wait for itself on SQLite, and be another transaction on PostgreSQL.
            raise StoreError("A write inside a write: use the unit of work that is there")

        @functools.wraps(work)
        def guarded(connection: sa.Connection) -> T:
            self._inside.write = True
            try:
                return work(connection)
            finally:
                self._inside.write = False

        with translated(self._driver):
            result = self._group.run(guarded) if self.dialect == "sqlite" else self._write_pooled(guarded)
        self.bell.ring()
        return result

    def _write_pooled(self, work: Callable[[sa.Connection], T]) -> T:
        for attempt in range(1, _REPEATS + 1):
            try:
                with self._writers.begin() as connection:
                    return work(connection)
            except (sa.exc.DBAPIError, self._driver.Error) as error:
                cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
                if sqlstate(cause) not in _REPEATABLE or attempt == _REPEATS:
                    raise
                time.sleep(backoff(attempt, os.urandom(1)[0] / 256, base=0.01, cap=0.5).total_seconds())
        raise AssertionError("unreachable")

    def skip_locked(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Let concurrent claimers pass each other's rows; SQLite has one writer and needs nothing."""
        return select if self.dialect == "sqlite" else select.with_for_update(skip_locked=True)

    def locked(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Hold the rows read until the transaction ends; on SQLite every write transaction holds everything."""
        return select if self.dialect == "sqlite" else select.with_for_update(of=select.columns_clause_froms[0])

    def held(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Hold the rows read as ``locked`` does, and let others refer to them meanwhile."""
        if self.dialect == "sqlite":
            return select
        return select.with_for_update(key_share=True, of=select.columns_clause_froms[0])

    def shared(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Keep the rows read as they are until the transaction ends; others may do the same."""
        return select if self.dialect == "sqlite" else select.with_for_update(read=True)

    def shard(self) -> int:
        """Which shard of the counters this writer adds to."""
        return 0 if self.dialect == "sqlite" else os.urandom(1)[0] % _COUNTER_SHARDS

    def transaction_number(self, connection: sa.Connection) -> int:
        """The running transaction, as the ledger keeps it; 0 on SQLite, where the ledger is in commit order."""
        if self.dialect == "sqlite":
            return 0
        return int(_TRANSACTION.scalar(connection, {}))

    def complete_below(self, connection: sa.Connection) -> int:
        """The number below which the state that ``connection`` reads has every transaction; 0 on SQLite.

        Others on the same server may hold it up: whoever goes on from there reads some rows again.
        """
        if self.dialect == "sqlite":
            return 0
        return int(connection.execute(_SEEN_BELOW).scalar_one())

    def numbered(self, transaction: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
        """What is true of every row of the ledger, and tells the planner that an index by transaction serves."""
        return transaction == 0 if self.dialect == "sqlite" else transaction > 0

    def commit_order(
        self, transaction: sa.ColumnElement[int], sequence: sa.ColumnElement[int]
    ) -> list[sa.ColumnElement[int]]:
        """The columns by which the ledger is in the order of commits."""
        return [sequence] if self.dialect == "sqlite" else [transaction, sequence]

    def bytewise(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The column to sort by, in the order of its bytes as on SQLite."""
        is_text = isinstance(column.type, sa.Text) or isinstance(getattr(column.type, "impl", None), sa.Text)
        return sa.collate(column, "C") if is_text and self.dialect == "postgresql" else column

    def number_beyond(self, connection: sa.Connection, column: sa.Column[int], value: int) -> None:
        """See that the next row gets a higher number; SQLite looks at the rows itself."""
        if self.dialect == "postgresql":
            sequence = sa.func.pg_get_serial_sequence(column.table.name, column.name)
            newest = sa.func.nextval(sequence)
            connection.execute(sa.select(sa.func.setval(sequence, sa.func.greatest(newest, value))))

    def numbers_behind(
        self, connection: sa.Connection, columns: Sequence[sa.Column[Any]]
    ) -> list[tuple[sa.Column[Any], int]]:
        """The numbered columns whose next number is taken already, each with its highest; never so on SQLite."""
        behind = []
        for column in columns if self.dialect == "postgresql" else ():
            name = sa.func.pg_get_serial_sequence(column.table.name, column.name)
            last = sa.select(sa.func.coalesce(sa.func.pg_sequence_last_value(sa.cast(name, postgresql.REGCLASS)), 0))
            newest = connection.execute(sa.select(sa.func.max(column))).scalar()
            if newest is not None and newest > connection.execute(last).scalar_one():
                behind.append((column, int(newest)))
        return behind

    def exclusively(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` while no other process does the same here: for migrations."""

        def locked(connection: sa.Connection) -> T:
            # SQLite has one writer.
            if self.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x486F6C64)))
            return work(connection)

        return self.write(locked)

    def check(self) -> list[str]:
        """What the database itself finds wrong with its files; empty when all is well."""
        if self.dialect == "postgresql":
            return []
        with self.read() as connection:
            rows = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [str(row) for row in rows if row != "ok"] + [f"foreign key: {tuple(row)}" for row in broken]

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the one permit to keep house here, among all processes; False when another one has it."""
        self._check_usable()
        if self.dialect == "sqlite":
            with locked_file(self._path.with_name(self._path.name + "-sweep")) as held:
                yield held
            return
        with self._outside() as connection:
            held = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(_SWEEP_LOCK))).scalar())
            try:
                yield held
            finally:
                if held:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(_SWEEP_LOCK)))

    @contextlib.contextmanager
    def _outside(self) -> Iterator[sa.Connection]:
        """A connection to PostgreSQL outside of any transaction, for what cannot be or must not be in one."""
        with translated(self._driver), self._writers.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def give_back(self, pages: int) -> int:
        """Return free pages of an SQLite file to the disk; PostgreSQL reuses its own.

        Args:
            pages: how many at most: the file is locked meanwhile.

        Returns:
            How many there are left to return.
        """
        if self.dialect == "postgresql":
            return 0
        with self.read() as connection:
            left = _free_pages(connection)
        if left <= 0:
            return 0

        def shrink(connection: sa.Connection) -> int:
            cursor = connection.connection.cursor()
            for _ in range(min(pages, left)):
                # A page at a time: it gives a row without columns for each, and the driver takes the first for the end.
                cursor.execute("PRAGMA incremental_vacuum(1)")
            cursor.close()
            return _free_pages(connection)

        return self.write(shrink)

    def vacuum(self, tables: Sequence[str]) -> None:
        """Let PostgreSQL reuse what was deleted from tables; not inside a transaction."""
        if self.dialect == "postgresql":
            with self._outside() as connection:
                for table in tables:
                    connection.exec_driver_sql(f'VACUUM (ANALYZE) "{table}"')

    def optimize(self) -> None:
        """Let the database learn what its tables hold by now; a sample of each is enough."""
        if self.dialect == "sqlite":
            self.write(lambda connection: connection.exec_driver_sql("PRAGMA optimize=0x10002"))
        else:
            with self._outside() as connection:
                connection.exec_driver_sql("ANALYZE")

    @contextlib.contextmanager
    def copying_apart(self) -> Iterator[None]:
        """Leave what this process commits to SQLite meanwhile in the log, for ``copy_log``.

        Otherwise the commit that fills the log copies all of it into the file, and every writer waits for that.
        """
        if self.dialect == "postgresql":
            yield
            return

        def copy_after(pages: int) -> None:
            self.write(lambda connection: connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {pages}").close())

        copy_after(0)
        try:
            yield
        finally:
            copy_after(_LOG_PAGES)

    def copy_log(self) -> None:
        """Copy what SQLite's log holds into the file, in nobody's way: writers go on meanwhile."""
        if self.dialect == "postgresql":
            return
        # A full disk has no room for the copy: all is in the log, and copied later.
        full = contextlib.suppress(sqlite3.OperationalError)
        with translated(self._driver), contextlib.closing(self._readers.raw_connection()) as connection, full:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def trim_log(self) -> None:
        """Make SQLite's log small again when it has grown, unless somebody is busy with it."""
        log = None if self.dialect == "postgresql" else self._path.with_name(self._path.name + "-wal")
        if log is None or not log.exists() or log.stat().st_size < _LARGE_LOG:
            return
        with translated(self._driver), contextlib.closing(self._readers.raw_connection()) as connection:
            cursor = connection.cursor()
            try:
                # The first does most of it and is in nobody's way; the second must not keep writers waiting.
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                cursor.execute("PRAGMA busy_timeout = 20").fetchall()
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}").fetchall()
                cursor.close()

    def close(self) -> None:
        """Release every connection; nothing can be read or written any more."""
        self._closed = True
        self.bell.close()
        if self.dialect == "sqlite":
            self._group.close()
        self._readers.dispose()

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreError("The store is closed")
        # A forked child must not share sockets and file locks with its parent.
        if os.getpid() != self._process:
            raise StoreError("A store cannot be used across fork; open it again in the new process")


def _free_pages(connection: sa.Connection) -> int:
    """How many pages could be given back, but for a reserve."""
    free, pages, mode = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("freelist_count", "page_count", "auto_vacuum")
    )
    # A file that was not made by Holdfast keeps its pages until somebody runs VACUUM.
    return max(free - max(_SPARE_PAGES, pages // _SPARE_PART), 0) if mode == _INCREMENTAL else 0
