"""What processors have done; what they have still to do are jobs."""

import sqlalchemy as sa

from holdfast.store.tables.base import Key, analysis_key, metadata
from holdfast.store.types import FreeText, Timestamp

indexes = sa.Table(
    "indexes",
    metadata,
    sa.Column("processor", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("building", sa.Integer),
    sa.Column("built_to", Key, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)

processing = sa.Table(
    "processing",
    metadata,
    analysis_key(primary_key=True),
    sa.Column("processor", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("processor_version", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", FreeText),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Index(None, "processor", "status", "analysis"),
    sqlite_with_rowid=False,
)
