"""What happened, and what it adds up to."""

import sqlalchemy as sa

from holdfast.store.tables.base import Key, index_where, metadata
from holdfast.store.types import FreeText, Json, Timestamp

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("sequence", Key, sa.Identity(), primary_key=True),
    # PostgreSQL hands out sequence numbers before commit, so a reader may see 6 before 5. Which transaction wrote
    # a row tells the reader how far the ledger is complete; SQLite commits in order and keeps 0 here.
    sa.Column("transaction", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("analysis_id", sa.Text),
    sa.Column("client_session_id", FreeText),
    sa.Column("actor", FreeText, nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Index(None, "analysis_id", "sequence"),
    # An owner's part of it, for a watcher who was away and for the audit list.
    sa.Index(None, "client_session_id", "transaction", "sequence"),
    # For administrators, who look for what is rare. What every store writes is found soon without, and costs nothing.
    index_where("name <> 'analysis.completed'", "name", "transaction", "sequence"),
    # What owners do to their own is found by owner.
    index_where("coalesce(client_session_id, '') <> actor", "actor", "transaction", "sequence"),
    # The live feed's order; on SQLite the sequence itself is, and no row is indexed.
    index_where('"transaction" > 0', "transaction", "sequence"),
    sqlite_autoincrement=True,
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    # Writers on PostgreSQL would wait for each other's commits on one row: each adds to a shard of its own.
    sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# When something was last done that is done now and then, and what came of it.
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("data", Json, nullable=False),
    sqlite_with_rowid=False,
)
