"""Rate limits of a sliding window."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table anew: counts are of minutes, and begin anew with it."""
    op.drop_table("rate_limits")
    op.create_table(
        "rate_limits",
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("earlier", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limits")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_rate_limits_expires_at"), "rate_limits", ["expires_at"], unique=False)
