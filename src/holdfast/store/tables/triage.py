"""Groups of duplicates, what was decided about them, and exports."""

import sqlalchemy as sa

from holdfast.store.tables.base import Key, analysis_key, index_where, metadata
from holdfast.store.types import FreeText, Json, Timestamp

# By what a search was made: the newest is looked up by its term and by its parameters.
duplicate_searches = sa.Table(
    "duplicate_searches",
    metadata,
    analysis_key(primary_key=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Column("search_term", FreeText, nullable=False),
    sa.Column("params_hash", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Index(None, "client_session_id", "search_term", "created_at", "analysis"),
    sa.Index(None, "client_session_id", "params_hash", "created_at", "analysis"),
    sqlite_with_rowid=False,
)

# What lists of groups are sorted and filtered by; the groups themselves are findings with the same ordinals.
duplicate_groups = sa.Table(
    "duplicate_groups",
    metadata,
    analysis_key(primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("identity", FreeText, nullable=False),
    sa.Column("artist", FreeText, nullable=False),
    sa.Column("song", FreeText, nullable=False),
    sa.Column("duplicates", sa.Integer, nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("play_count", sa.BigInteger, nullable=False),
    # The epoch for what never was, which sorts last.
    sa.Column("last_played", Timestamp, nullable=False),
    sa.Column("date_added", Timestamp, nullable=False),
    sa.Column("goes_bytes", sa.BigInteger, nullable=False),
    sa.Column("goes_plays", sa.BigInteger, nullable=False),
    # The decision that holds, and what it says.
    sa.Column("decision", Key, sa.ForeignKey("duplicate_decisions.id", ondelete="SET NULL")),
    sa.Column("action", sa.Text),
    *(
        sa.Index(None, "analysis", name, "ordinal")
        for name in ("artist", "song", "duplicates", "confidence", "play_count", "last_played", "date_added")
    ),
    sa.Index(None, "analysis", "identity"),
    index_where("decision IS NOT NULL", "decision"),
    index_where("action IS NOT NULL", "analysis", "action"),
    sqlite_with_rowid=False,
)

# They outlive the analysis that they were made on: the next one of the same library is told of them.
duplicate_decisions = sa.Table(
    "duplicate_decisions",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Column("library", FreeText, nullable=False),
    sa.Column("identity", FreeText, nullable=False),
    sa.Column("analysis_id", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("keeps", FreeText),
    sa.Column("goes", Json, nullable=False),
    sa.Column("members", Json, nullable=False),
    sa.Column("tracks", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("plays", sa.BigInteger, nullable=False),
    sa.Column("note", FreeText, nullable=False),
    sa.Column("actor", FreeText, nullable=False),
    sa.Column("decided_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
    # The earlier decision whose place it took, and which holds again once this one is undone.
    sa.Column("replaces", Key, sa.ForeignKey("duplicate_decisions.id", ondelete="SET NULL")),
    sa.UniqueConstraint("batch_id", "identity"),
    sa.Index(
        "uq_duplicate_decisions_current",
        "client_session_id",
        "library",
        "identity",
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
    sa.Index(None, "client_session_id", "library", "id"),
    index_where("replaces IS NOT NULL", "replaces"),
)

manifests = sa.Table(
    "manifests",
    metadata,
    analysis_key(primary_key=True),
    # As checkpoints are encoded.
    sa.Column("data", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

duplicate_preferences = sa.Table(
    "duplicate_preferences",
    metadata,
    sa.Column("client_session_id", FreeText, primary_key=True),
    sa.Column("data", Json, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)

exports = sa.Table(
    "exports",
    metadata,
    sa.Column("export_id", sa.Text, primary_key=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    analysis_key(),
    sa.Column("analysis_id", sa.Text, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("groups_done", sa.Integer, nullable=False),
    sa.Column("groups_total", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("error", FreeText),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("completed_at", Timestamp),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Index(None, "client_session_id", "created_at", "export_id"),
    sa.Index(None, "expires_at"),
    sa.Index(None, "analysis"),
    sqlite_with_rowid=False,
)

export_parts = sa.Table(
    "export_parts",
    metadata,
    sa.Column("export_id", sa.Text, sa.ForeignKey("exports.export_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
