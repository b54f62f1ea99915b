"""What was seen of branches, and their refreshes."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of freshness."""
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "branch_watches",
        sa.Column("branch", key, autoincrement=False, nullable=False),
        sa.Column("seen_commit_sha", types.FreeText(), nullable=False),
        sa.Column("seen_at", types.Timestamp(), nullable=False),
        sa.Column("base_commit_sha", types.FreeText(), nullable=True),
        sa.Column("changes", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["branch"], ["branches.id"], name=op.f("fk_branch_watches_branch"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("branch", name=op.f("pk_branch_watches")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "refreshes",
        sa.Column("id", key, sa.Identity(always=False), nullable=False),
        sa.Column("task_id", name, nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("branch", key, nullable=False),
        sa.Column("open_branch", key, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("is_automatic", sa.Boolean(), nullable=False),
        sa.Column("delay_minutes", sa.Float(), nullable=False),
        sa.Column("run_at", types.Timestamp(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("created_by", types.FreeText(), nullable=False),
        sa.Column("started_at", types.Timestamp(), nullable=True),
        sa.Column("finished_at", types.Timestamp(), nullable=True),
        sa.Column("analysis_id", name, nullable=True),
        sa.Column("error", types.Json(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", types.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(["branch"], ["branches.id"], name=op.f("fk_refreshes_branch"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["open_branch"], ["branches.id"], name=op.f("fk_refreshes_open_branch"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refreshes")),
        sa.UniqueConstraint("open_branch", name=op.f("uq_refreshes_open_branch")),
        sa.UniqueConstraint("task_id", name=op.f("uq_refreshes_task_id")),
    )
    for columns in (["client_session_id", "created_at", "id"], ["created_at", "id"], ["branch", "created_at", "id"]):
        op.create_index(op.f(f"ix_refreshes_{'_'.join(columns)}"), "refreshes", columns, unique=False)
    for condition, columns in (
        ("analysis_id IS NOT NULL", ["analysis_id"]),
        ("open_branch IS NOT NULL", ["status", "id"]),
        ("finished_at IS NOT NULL", ["finished_at", "id"]),
    ):
        op.create_index(
            op.f(f"ix_refreshes_{'_'.join(columns)}"),
            "refreshes",
            columns,
            unique=False,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
