"""Processing: the indexes that there are, and what is in them."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "indexes",
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("building", sa.Integer(), nullable=True),
        sa.Column("built_to", key, nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("processor", name=op.f("pk_indexes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "processing",
        sa.Column("analysis", key, autoincrement=False, nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("processor_version", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", types.FreeText(), nullable=True),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_processing_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("analysis", "processor", name=op.f("pk_processing")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_processing_processor_status_analysis"), "processing", ["processor", "status", "analysis"], unique=False
    )
