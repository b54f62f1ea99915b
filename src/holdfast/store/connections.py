"""How to connect: to an SQLite file, durably and in WAL mode, and to PostgreSQL."""

import contextlib
import fcntl
import os
import select
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

from holdfast.domain.errors import InvalidDatabaseUrl, StoreReadOnly

if TYPE_CHECKING:
    import psycopg

BUSY_SECONDS = 30.0
_CONNECT_SECONDS = 10
_PAGE_CACHE_KIB = 16_384
_FRESH_BYTES = 65_536
_opening = threading.Lock()


def parse(url: str) -> sa.URL:
    """The URL as SQLAlchemy takes it.

    Raises:
        InvalidDatabaseUrl: it names neither an SQLite file nor a PostgreSQL database.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InvalidDatabaseUrl(f"{url.rpartition('@')[2]!r} is not a database URL") from error
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        # The driver's own patience with a server that does not answer is that of TCP, minutes.
        patience = {"connect_timeout": str(_CONNECT_SECONDS), **parsed.query}
        return parsed.set(drivername="postgresql+psycopg", query=patience)
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise InvalidDatabaseUrl(f"Holdfast keeps nothing in {parsed.drivername!r} databases")
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidDatabaseUrl("A result is kept in a file: the URL names none")
    return parsed.set(drivername="sqlite+pysqlite", query={})


class _Compiler(SQLiteCompiler):
    """Passes on which index a statement asks for, as MySQL's does."""

    def get_from_hint_text(self, table: sa.FromClause, text: str | None) -> str | None:
        return text


def sqlite_engine(path: Path, begin: str) -> sa.Engine:
    """Connections to an SQLite file, each of whose transactions begins with the statement ``begin``."""

    def connect() -> sqlite3.Connection:
        try:
            with _alone_with_a_fresh_file(path):
                return opened()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or _is_writable(path):
                raise
            raise StoreReadOnly(f"The database {path} cannot be written ({error})") from error

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # So that what is deleted can be given back step by step. Of effect only before the first page is written;
            # later it would be a write of its own at each opening.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"cache_size = -{_PAGE_CACHE_KIB}",
            "temp_store = MEMORY",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = sa.create_engine(
        "sqlite+pysqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=16, max_overflow=48
    )
    engine.dialect.statement_compiler = _Compiler
    # The driver's own transaction control begins late and locks later: the statements are ours.
    sa.event.listen(engine, "begin", lambda connection: connection.connection.cursor().execute(begin))
    return engine


@contextlib.contextmanager
def _alone_with_a_fresh_file(path: Path) -> Iterator[None]:
    """Let one connection after the other set up a file that may not be in WAL mode yet.

    Two that make the first pages and change the mode at once may find each other's locks where SQLite does not wait
    for them, but fails.
    """
    if not _may_be_fresh(path):
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_opening)
        with contextlib.suppress(OSError):
            # A lock of the process, not of the descriptor, as the group commit's is, which may be held here.
            gate = os.open(f"{path}-gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            stack.callback(os.close, gate)
            fcntl.lockf(gate, fcntl.LOCK_EX)
        yield


def _may_be_fresh(path: Path) -> bool:
    # By its size alone: to open the file here and close it again would end SQLite's own locks on it. With its tables
    # it is several times as large.
    try:
        return path.stat().st_size < _FRESH_BYTES
    except OSError:
        return True


def _is_writable(path: Path) -> bool:
    """Whether the file and its folder, where SQLite makes its log, may be written; so too when there are none."""
    return all(os.access(place, os.W_OK) for place in (path, path.parent) if place.exists())


def postgresql_engine(url: sa.URL) -> sa.Engine:
    """Connections to PostgreSQL; one that the server has ended is noticed before it is used."""
    engine = sa.create_engine(url, pool_size=16, max_overflow=32, pool_timeout=30)

    @sa.event.listens_for(engine, "checkout")
    def drop_dead(connection: "psycopg.Connection[Any]", *_: Any) -> None:
        # A server that restarts says so on every idle connection. To look costs microseconds, to ask a round trip.
        idle = select.poll()
        idle.register(connection.fileno(), select.POLLIN)
        try:
            while idle.poll(0):
                connection.pgconn.consume_input()
        except engine.dialect.loaded_dbapi.OperationalError as error:
            raise sa.exc.InvalidatePoolError from error

    return engine
