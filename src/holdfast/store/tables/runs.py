"""What is kept of the runs of analyses."""

import sqlalchemy as sa

from holdfast.store.tables.base import analysis_key, index_where, metadata
from holdfast.store.types import FreeText, Json, Timestamp

attempts = sa.Table(
    "attempts",
    metadata,
    analysis_key(primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("started_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", Json),
    sqlite_with_rowid=False,
)

progress = sa.Table(
    "progress",
    metadata,
    analysis_key(primary_key=True),
    sa.Column("data", Json, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Index(None, "updated_at"),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("key", FreeText, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("saved_at", Timestamp, nullable=False),
    # What outlives its analysis and is forgotten by age; the rest goes with its analysis.
    index_where("substr(scope, 1, 9) <> 'analysis:'", "saved_at"),
    sqlite_with_rowid=False,
)
