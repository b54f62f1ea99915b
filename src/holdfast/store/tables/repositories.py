"""Repositories and their branches, with what is kept beside them."""

import sqlalchemy as sa

from holdfast.store.tables.base import Id, Key, branch_key, index_where, metadata
from holdfast.store.types import FreeText, Json, Timestamp

# In the order of its bytes on both dialects, as lists by name are.
Name = FreeText().with_variant(FreeText(collation="C"), "postgresql")

repositories = sa.Table(
    "repositories",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("repo_id", Id, nullable=False),
    sa.Column("client_session_id", FreeText, nullable=False),
    # Who owns it where it comes from: an organisation, a user of a code host.
    sa.Column("owner", FreeText, nullable=False),
    sa.Column("name", FreeText, nullable=False),
    sa.Column("location", FreeText, nullable=False),
    sa.Column("default_branch", FreeText),
    sa.Column("metadata", Json, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("stale_after_seconds", sa.Float),
    sa.Column("synced_at", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Column("deleted_at", Timestamp),
    # People name repositories alike: an id is its owner's own, and tells nobody what others have.
    sa.UniqueConstraint("client_session_id", "repo_id"),
    # For who sees everybody's.
    sa.Index(None, "repo_id", "id"),
    index_where("deleted_at IS NOT NULL", "deleted_at", "id"),
)

branches = sa.Table(
    "branches",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("repository", Key, sa.ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    # Its repository's owner once more: what is stale is looked for over all repositories of an owner.
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Column("name", Name, nullable=False),
    sa.Column("subject", Key, sa.ForeignKey("subjects.id"), nullable=False),
    sa.Column("commit_sha", FreeText, nullable=False),
    sa.Column("previous_commit_sha", FreeText),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("last_commit_date", Timestamp),
    sa.Column("last_analyzed", Timestamp),
    sa.Column("analyzed_commit_sha", FreeText),
    sa.Column("last_analysis", Key, sa.ForeignKey("analyses.id", ondelete="SET NULL")),
    sa.Column("marked_at", Timestamp),
    sa.Column("marked_by", FreeText),
    sa.Column("stale_after_seconds", sa.Float),
    sa.Column("metadata", Json, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    # By the writer's own clock: what LATEST_WINS goes by.
    sa.Column("declared_at", Timestamp, nullable=False),
    sa.Column("declared_by", FreeText, nullable=False),
    # Since when the repository no longer has it; what is known of it stays.
    sa.Column("gone_at", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.UniqueConstraint("repository", "name"),
    # Both ways from an analysis to its branch.
    sa.Index(None, "subject", "client_session_id"),
    index_where("last_analysis IS NOT NULL", "last_analysis"),
    # What was analysed longest ago, of one owner or of all.
    sa.Index(None, "client_session_id", "last_analyzed", "id"),
    sa.Index(None, "last_analyzed", "id"),
    index_where("marked_at IS NOT NULL", "marked_at", "id"),
)

# What a branch's metadata were: whoever wrote against one of these can be merged. The oldest go.
branch_versions = sa.Table(
    "branch_versions",
    metadata,
    branch_key(primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", Json, nullable=False),
    sa.Column("declared_at", Timestamp, nullable=False),
    sa.Column("declared_by", FreeText, nullable=False),
    sa.Column("kept_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)

# Two writers' versions that somebody has to choose between, whole.
conflicts = sa.Table(
    "conflicts",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("conflict_id", Id, nullable=False, unique=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    branch_key(),
    # "branch" or "analysis": what the two versions are of.
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    # With the remote version's hash: the same conflict is not kept twice.
    sa.Column("remote_hash", sa.Text, nullable=False),
    sa.Column("base", Json),
    sa.Column("local", Json, nullable=False),
    sa.Column("remote", Json, nullable=False),
    sa.Column("local_version", sa.Integer),
    sa.Column("base_version", sa.Integer),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("created_by", FreeText, nullable=False),
    sa.Column("resolved_at", Timestamp),
    sa.Column("resolved_by", FreeText),
    sa.Column("resolution", sa.Text),
    sa.Index(None, "branch", "kind", "remote_hash"),
    # Open ones in the order in which they arose, of one owner or of all.
    index_where("resolved_at IS NULL", "client_session_id", "created_at", "id"),
    index_where("resolved_at IS NULL", "created_at", "id"),
)

# Figures over time.
metric_points = sa.Table(
    "metric_points",
    metadata,
    branch_key(primary_key=True),
    sa.Column("name", FreeText, primary_key=True),
    sa.Column("at", Timestamp, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("commit_sha", FreeText),
    sqlite_with_rowid=False,
)

# Files that were derived from what is kept, and may be derived again.
cache_entries = sa.Table(
    "cache_entries",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Column("key", FreeText, nullable=False),
    sa.Column("repository", Key, sa.ForeignKey("repositories.id", ondelete="CASCADE")),
    sa.Column("location", FreeText, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("hits", sa.Integer, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("last_used_at", Timestamp, nullable=False),
    sa.Column("expires_at", Timestamp),
    sa.UniqueConstraint("client_session_id", "key"),
    index_where("repository IS NOT NULL", "repository"),
    index_where("expires_at IS NOT NULL", "expires_at"),
    # The least recently used goes first.
    sa.Index(None, "last_used_at", "id"),
)
