"""Repositories, branches with their versions, conflicts, figures over time, derived files."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of repositories, and the index by commit."""
    op.create_table(
        "repositories",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("repo_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("owner", types.FreeText(), nullable=False),
        sa.Column("name", types.FreeText(), nullable=False),
        sa.Column("location", types.FreeText(), nullable=False),
        sa.Column("default_branch", types.FreeText(), nullable=True),
        sa.Column("metadata", types.Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stale_after_seconds", sa.Float(), nullable=True),
        sa.Column("synced_at", types.Timestamp(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.Column("deleted_at", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repositories")),
        sa.UniqueConstraint("client_session_id", "repo_id", name=op.f("uq_repositories_client_session_id_repo_id")),
    )
    op.create_index(
        op.f("ix_repositories_deleted_at_id"),
        "repositories",
        ["deleted_at", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_repositories_repo_id_id"), "repositories", ["repo_id", "id"], unique=False)
    op.create_table(
        "cache_entries",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("repository", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("location", types.FreeText(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("last_used_at", types.Timestamp(), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["repository"], ["repositories.id"], name=op.f("fk_cache_entries_repository"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cache_entries")),
        sa.UniqueConstraint("client_session_id", "key", name=op.f("uq_cache_entries_client_session_id_key")),
    )
    op.create_index(
        op.f("ix_cache_entries_expires_at"),
        "cache_entries",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_cache_entries_last_used_at_id"), "cache_entries", ["last_used_at", "id"], unique=False)
    op.create_index(
        op.f("ix_cache_entries_repository"),
        "cache_entries",
        ["repository"],
        unique=False,
        sqlite_where=sa.text("repository IS NOT NULL"),
        postgresql_where=sa.text("repository IS NOT NULL"),
    )
    op.create_table(
        "branches",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("repository", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("name", types.FreeText().with_variant(types.FreeText(collation="C"), "postgresql"), nullable=False),
        sa.Column("subject", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("commit_sha", types.FreeText(), nullable=False),
        sa.Column("previous_commit_sha", types.FreeText(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("last_commit_date", types.Timestamp(), nullable=True),
        sa.Column("last_analyzed", types.Timestamp(), nullable=True),
        sa.Column("analyzed_commit_sha", types.FreeText(), nullable=True),
        sa.Column("last_analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("marked_at", types.Timestamp(), nullable=True),
        sa.Column("marked_by", types.FreeText(), nullable=True),
        sa.Column("stale_after_seconds", sa.Float(), nullable=True),
        sa.Column("metadata", types.Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("declared_at", types.Timestamp(), nullable=False),
        sa.Column("declared_by", types.FreeText(), nullable=False),
        sa.Column("gone_at", types.Timestamp(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["last_analysis"], ["analyses.id"], name=op.f("fk_branches_last_analysis"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["repository"], ["repositories.id"], name=op.f("fk_branches_repository"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["subject"], ["subjects.id"], name=op.f("fk_branches_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branches")),
        sa.UniqueConstraint("repository", "name", name=op.f("uq_branches_repository_name")),
    )
    op.create_index(
        op.f("ix_branches_client_session_id_last_analyzed_id"),
        "branches",
        ["client_session_id", "last_analyzed", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_branches_last_analysis"),
        "branches",
        ["last_analysis"],
        unique=False,
        sqlite_where=sa.text("last_analysis IS NOT NULL"),
        postgresql_where=sa.text("last_analysis IS NOT NULL"),
    )
    op.create_index(op.f("ix_branches_last_analyzed_id"), "branches", ["last_analyzed", "id"], unique=False)
    op.create_index(
        op.f("ix_branches_marked_at_id"),
        "branches",
        ["marked_at", "id"],
        unique=False,
        sqlite_where=sa.text("marked_at IS NOT NULL"),
        postgresql_where=sa.text("marked_at IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_branches_subject_client_session_id"), "branches", ["subject", "client_session_id"], unique=False
    )
    op.create_table(
        "branch_versions",
        sa.Column("branch", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", types.Json(), nullable=False),
        sa.Column("declared_at", types.Timestamp(), nullable=False),
        sa.Column("declared_by", types.FreeText(), nullable=False),
        sa.Column("kept_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["branch"], ["branches.id"], name=op.f("fk_branch_versions_branch"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("branch", "version", name=op.f("pk_branch_versions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "conflicts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("conflict_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("branch", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remote_hash", sa.Text(), nullable=False),
        sa.Column("base", types.Json(), nullable=True),
        sa.Column("local", types.Json(), nullable=False),
        sa.Column("remote", types.Json(), nullable=False),
        sa.Column("local_version", sa.Integer(), nullable=True),
        sa.Column("base_version", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("created_by", types.FreeText(), nullable=False),
        sa.Column("resolved_at", types.Timestamp(), nullable=True),
        sa.Column("resolved_by", types.FreeText(), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["branch"], ["branches.id"], name=op.f("fk_conflicts_branch"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflicts")),
        sa.UniqueConstraint("conflict_id", name=op.f("uq_conflicts_conflict_id")),
    )
    op.create_index(
        op.f("ix_conflicts_branch_kind_remote_hash"), "conflicts", ["branch", "kind", "remote_hash"], unique=False
    )
    op.create_index(
        op.f("ix_conflicts_client_session_id_created_at_id"),
        "conflicts",
        ["client_session_id", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index(
        op.f("ix_conflicts_created_at_id"),
        "conflicts",
        ["created_at", "id"],
        unique=False,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "metric_points",
        sa.Column("branch", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("name", types.FreeText(), nullable=False),
        sa.Column("at", types.Timestamp(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("commit_sha", types.FreeText(), nullable=True),
        sa.ForeignKeyConstraint(["branch"], ["branches.id"], name=op.f("fk_metric_points_branch"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("branch", "name", "at", name=op.f("pk_metric_points")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_analyses_subject_client_session_id_status_created_at_id"),
        "analyses",
        ["subject", "client_session_id", "status", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_index(
        "ix_analyses_subject_revision",
        "analyses",
        ["subject", "client_session_id", "revision", "status", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
