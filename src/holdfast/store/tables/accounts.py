"""Who may do what, and how often."""

import sqlalchemy as sa

from holdfast.store.tables.base import metadata
from holdfast.store.types import FreeText, Timestamp

owners = sa.Table(
    "owners",
    metadata,
    sa.Column("client_session_id", FreeText, primary_key=True),
    sa.Column("created_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_id", sa.Text, primary_key=True),
    # SHA-256 of the secret: whoever reads the table learns no token.
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("name", FreeText, nullable=False),
    sa.Column("owner", FreeText, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("created_by", FreeText, nullable=False),
    sa.Column("expires_at", Timestamp),
    sa.Column("revoked_at", Timestamp),
    sa.Column("last_used_at", Timestamp),
    sa.Index(None, "created_at", "token_id"),
    sa.Index(None, "owner", "created_at", "token_id"),
    sqlite_with_rowid=False,
)

# Keys that all processes of an installation share: they sign cursors and client ids.
secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)

# What a request with an Idempotency-Key led to.
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("owner", FreeText, primary_key=True),
    sa.Column("key", FreeText, primary_key=True),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("resource_id", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Index(None, "created_at"),
    sqlite_with_rowid=False,
)

rate_limits = sa.Table(
    "rate_limits",
    metadata,
    sa.Column("key", FreeText, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    # Of the window before, which slides out while this one lasts.
    sa.Column("earlier", sa.BigInteger, nullable=False),
    # When both windows are out: a window's length after the end of this one.
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Index(None, "expires_at"),
    sqlite_with_rowid=False,
)
