"""What was seen of branches since they were analysed, and their refreshes."""

import sqlalchemy as sa

from holdfast.store.tables.base import Id, Key, branch_key, index_where, metadata
from holdfast.store.types import FreeText, Json, Timestamp

# Where a branch was seen, beside what writers say of it: to look is not to write what others may have to merge.
branch_watches = sa.Table(
    "branch_watches",
    metadata,
    branch_key(primary_key=True),
    sa.Column("seen_commit_sha", FreeText, nullable=False),
    sa.Column("seen_at", Timestamp, nullable=False),
    # What changed from here to what was seen.
    sa.Column("base_commit_sha", FreeText),
    sa.Column("changes", Json),
    sqlite_with_rowid=False,
)

refreshes = sa.Table(
    "refreshes",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("task_id", Id, nullable=False, unique=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    branch_key(),
    # The branch while it waits or runs: no two at once, whoever asks where.
    sa.Column("open_branch", Key, sa.ForeignKey("branches.id", ondelete="CASCADE"), unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("is_automatic", sa.Boolean, nullable=False),
    sa.Column("delay_minutes", sa.Float, nullable=False),
    sa.Column("run_at", Timestamp, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("created_by", FreeText, nullable=False),
    sa.Column("started_at", Timestamp),
    sa.Column("finished_at", Timestamp),
    sa.Column("analysis_id", Id),
    sa.Column("error", Json),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("retry_at", Timestamp),
    sa.Index(None, "client_session_id", "created_at", "id"),
    sa.Index(None, "created_at", "id"),
    sa.Index(None, "branch", "created_at", "id"),
    index_where("analysis_id IS NOT NULL", "analysis_id"),
    index_where("open_branch IS NOT NULL", "status", "id"),
    index_where("finished_at IS NOT NULL", "finished_at", "id"),
)
