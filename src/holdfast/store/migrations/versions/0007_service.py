"""The ledger by name and by actor."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OTHERS = "name <> 'analysis.completed'"
_FOREIGN = "coalesce(client_session_id, '') <> actor"


def upgrade() -> None:
    """Index what administrators look for."""
    for column, condition in (("name", _OTHERS), ("actor", _FOREIGN)):
        op.create_index(
            op.f(f"ix_ledger_{column}_transaction_sequence"),
            "ledger",
            [column, "transaction", "sequence"],
            unique=False,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
