"""Leased work."""

import sqlalchemy as sa

from holdfast.store.tables.base import Key, index_where, metadata
from holdfast.store.types import FreeText, Json, Timestamp

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", Json, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    # Minus the priority: one ascending index then serves the order of claims.
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("run_at", Timestamp, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", Timestamp),
    sa.Column("unique_key", sa.Text, unique=True),
    sa.Column("analysis_id", sa.Text),
    sa.Column("last_error", FreeText),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Index(None, "status", "kind", "rank", "run_at", "id"),
    # Whether anything is due, and when the next will be, must not cost a walk over all that is not.
    sa.Index(None, "status", "kind", "run_at"),
    index_where("lease_until IS NOT NULL", "lease_until"),
    index_where("analysis_id IS NOT NULL", "analysis_id"),
    # A fenced worker must never meet the number of another job.
    sqlite_autoincrement=True,
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", Json, nullable=False),
    sa.Column("every_seconds", sa.Float, nullable=False),
    sa.Column("next_at", Timestamp, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Index(None, "next_at"),
)
