"""What the drivers say went wrong, in the terms of the error tree."""

import contextlib
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIModule

from holdfast.domain.errors import (
    HoldfastError,
    InvalidInput,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

# postgresql.org/docs/current/errcodes-appendix.html
_PROGRAM_LIMIT_EXCEEDED = "54000"
_STATES: dict[str, type[StoreError]] = {
    "25006": StoreReadOnly,  # read_only_sql_transaction
    "42501": StoreReadOnly,  # insufficient_privilege
    "53100": StoreFull,  # disk_full
    "XX001": StoreCorrupt,  # data_corrupted
    "XX002": StoreCorrupt,  # index_corrupted
}


@contextlib.contextmanager
def translated(driver: DBAPIModule) -> Iterator[None]:
    """Turn the errors of SQLAlchemy and of ``driver`` into the error tree."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _translate(error.orig or error, driver) from error
    except sa.exc.StatementError as error:
        # A value that its column refuses.
        if isinstance(error.orig, HoldfastError):
            raise error.orig from error
        raise InvalidInput(f"A value cannot be kept: {error.orig}") from error
    except sa.exc.TimeoutError as error:
        raise StoreUnavailable("Every connection to the database is busy") from error
    except driver.Error as error:
        raise _translate(error, driver) from error
    except (OverflowError, UnicodeError) as error:
        raise InvalidInput(f"A value cannot be kept or looked for: {error}") from error


def _translate(error: BaseException, driver: DBAPIModule) -> HoldfastError:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, sqlite3.Error):
        # Extended codes keep the primary one in the low byte: sqlite.org/rescode.html
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        known: dict[int, type[StoreError]] = {
            sqlite3.SQLITE_FULL: StoreFull,
            sqlite3.SQLITE_READONLY: StoreReadOnly,
            sqlite3.SQLITE_PERM: StoreReadOnly,
            sqlite3.SQLITE_CORRUPT: StoreCorrupt,
            sqlite3.SQLITE_NOTADB: StoreCorrupt,
            sqlite3.SQLITE_CANTOPEN: StoreUnavailable,
            sqlite3.SQLITE_BUSY: StoreUnavailable,
            sqlite3.SQLITE_LOCKED: StoreUnavailable,
            sqlite3.SQLITE_IOERR: StoreUnavailable,
        }
        kind = known.get(primary, StoreError)
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
            kind = StoreFull
    elif (state := sqlstate(error)) == _PROGRAM_LIMIT_EXCEEDED:
        return InvalidInput(f"A value is too long to be found again ({text})")
    elif state in _STATES:
        kind = _STATES[state]
    elif isinstance(error, (driver.OperationalError, driver.InterfaceError)):
        kind = StoreUnavailable
    else:
        kind = StoreError
    return kind(f"{(kind.__doc__ or '').strip()} ({text})")


def sqlstate(error: BaseException | None) -> str | None:
    """PostgreSQL's name for an error; None for one that it did not send, and of SQLite."""
    return getattr(error, "sqlstate", None)
