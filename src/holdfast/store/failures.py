"""What the drivers say went wrong, in the terms of the error tree."""

import contextlib
import sqlite3
from collections.abc import Iterator

import psycopg
import sqlalchemy as sa

from holdfast.domain.errors import (
    HoldfastError,
    InvalidInput,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the drivers' errors into the error tree."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _translate(error.orig or error) from error
    except sa.exc.StatementError as error:
        # A value that its column refuses.
        if isinstance(error.orig, HoldfastError):
            raise error.orig from error
        raise InvalidInput(f"A value cannot be kept: {error.orig}") from error
    except sa.exc.TimeoutError as error:
        raise StoreUnavailable("Every connection to the database is busy") from error
    except (sqlite3.Error, psycopg.Error) as error:
        raise _translate(error) from error
    except (OverflowError, UnicodeError) as error:
        raise InvalidInput(f"A value cannot be kept or looked for: {error}") from error


def _translate(error: BaseException) -> HoldfastError:
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
    elif isinstance(error, psycopg.errors.ProgramLimitExceeded):
        return InvalidInput(f"A value is too long to be found again ({text})")
    elif isinstance(error, psycopg.errors.DiskFull):
        kind = StoreFull
    elif isinstance(error, (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)):
        kind = StoreReadOnly
    elif isinstance(error, (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted)):
        kind = StoreCorrupt
    elif isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        kind = StoreUnavailable
    else:
        kind = StoreError
    return kind(f"{(kind.__doc__ or '').strip()} ({text})")
