"""The ledger by name and by actor; rate limits of a sliding window."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OTHERS = "name <> 'analysis.completed'"
_FOREIGN = "coalesce(client_session_id, '') <> actor"


def upgrade() -> None:
    """Index what administrators look for; counts of limits begin anew."""
    for column, condition in (("name", _OTHERS), ("actor", _FOREIGN)):
        op.create_index(
            op.f(f"ix_ledger_{column}_transaction_sequence"),
            "ledger",
            [column, "transaction", "sequence"],
            unique=False,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
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
