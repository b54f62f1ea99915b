"""Groups of duplicates, what was decided about them, manifests, exports."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of triage."""
    op.create_table(
        "duplicate_decisions",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("library", types.FreeText(), nullable=False),
        sa.Column("identity", types.FreeText(), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("keeps", types.FreeText(), nullable=True),
        sa.Column("goes", types.Json(), nullable=False),
        sa.Column("members", types.Json(), nullable=False),
        sa.Column("tracks", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("plays", sa.BigInteger(), nullable=False),
        sa.Column("note", types.FreeText(), nullable=False),
        sa.Column("actor", types.FreeText(), nullable=False),
        sa.Column("decided_at", types.Timestamp(), nullable=False),
        sa.Column("ended_at", types.Timestamp(), nullable=True),
        sa.Column("replaces", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["replaces"],
            ["duplicate_decisions.id"],
            name=op.f("fk_duplicate_decisions_replaces"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duplicate_decisions")),
        sa.UniqueConstraint("batch_id", "identity", name=op.f("uq_duplicate_decisions_batch_id_identity")),
    )
    op.create_index(
        op.f("ix_duplicate_decisions_client_session_id_library_id"),
        "duplicate_decisions",
        ["client_session_id", "library", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_decisions_replaces"),
        "duplicate_decisions",
        ["replaces"],
        unique=False,
        sqlite_where=sa.text("replaces IS NOT NULL"),
        postgresql_where=sa.text("replaces IS NOT NULL"),
    )
    op.create_index(
        "uq_duplicate_decisions_current",
        "duplicate_decisions",
        ["client_session_id", "library", "identity"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "duplicate_preferences",
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("client_session_id", name=op.f("pk_duplicate_preferences")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "duplicate_groups",
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("identity", types.FreeText(), nullable=False),
        sa.Column("artist", types.FreeText(), nullable=False),
        sa.Column("song", types.FreeText(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("play_count", sa.BigInteger(), nullable=False),
        sa.Column("last_played", types.Timestamp(), nullable=False),
        sa.Column("date_added", types.Timestamp(), nullable=False),
        sa.Column("goes_bytes", sa.BigInteger(), nullable=False),
        sa.Column("goes_plays", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("action", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["analysis"], ["analyses.id"], name=op.f("fk_duplicate_groups_analysis"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["decision"],
            ["duplicate_decisions.id"],
            name=op.f("fk_duplicate_groups_decision"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("analysis", "ordinal", name=op.f("pk_duplicate_groups")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_action"),
        "duplicate_groups",
        ["analysis", "action"],
        unique=False,
        sqlite_where=sa.text("action IS NOT NULL"),
        postgresql_where=sa.text("action IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_artist_ordinal"),
        "duplicate_groups",
        ["analysis", "artist", "ordinal"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_confidence_ordinal"),
        "duplicate_groups",
        ["analysis", "confidence", "ordinal"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_date_added_ordinal"),
        "duplicate_groups",
        ["analysis", "date_added", "ordinal"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_duplicates_ordinal"),
        "duplicate_groups",
        ["analysis", "duplicates", "ordinal"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_identity"), "duplicate_groups", ["analysis", "identity"], unique=False
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_last_played_ordinal"),
        "duplicate_groups",
        ["analysis", "last_played", "ordinal"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_play_count_ordinal"),
        "duplicate_groups",
        ["analysis", "play_count", "ordinal"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_analysis_song_ordinal"),
        "duplicate_groups",
        ["analysis", "song", "ordinal"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_groups_decision"),
        "duplicate_groups",
        ["decision"],
        unique=False,
        sqlite_where=sa.text("decision IS NOT NULL"),
        postgresql_where=sa.text("decision IS NOT NULL"),
    )
    op.create_table(
        "duplicate_searches",
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("search_term", types.FreeText(), nullable=False),
        sa.Column("params_hash", sa.Text(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis"], ["analyses.id"], name=op.f("fk_duplicate_searches_analysis"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("analysis", name=op.f("pk_duplicate_searches")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_duplicate_searches_client_session_id_params_hash_created_at_analysis"),
        "duplicate_searches",
        ["client_session_id", "params_hash", "created_at", "analysis"],
        unique=False,
    )
    op.create_index(
        op.f("ix_duplicate_searches_client_session_id_search_term_created_at_analysis"),
        "duplicate_searches",
        ["client_session_id", "search_term", "created_at", "analysis"],
        unique=False,
    )
    op.create_table(
        "exports",
        sa.Column("export_id", sa.Text(), nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("analysis_id", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("groups_done", sa.Integer(), nullable=False),
        sa.Column("groups_total", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("error", types.FreeText(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("completed_at", types.Timestamp(), nullable=True),
        sa.Column("expires_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_exports_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_exports")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_exports_analysis"), "exports", ["analysis"], unique=False)
    op.create_index(
        op.f("ix_exports_client_session_id_created_at_export_id"),
        "exports",
        ["client_session_id", "created_at", "export_id"],
        unique=False,
    )
    op.create_index(op.f("ix_exports_expires_at"), "exports", ["expires_at"], unique=False)
    op.create_table(
        "manifests",
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_manifests_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("analysis", name=op.f("pk_manifests")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "export_parts",
        sa.Column("export_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["export_id"], ["exports.export_id"], name=op.f("fk_export_parts_export_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("export_id", "ordinal", name=op.f("pk_export_parts")),
        sqlite_with_rowid=False,
    )
