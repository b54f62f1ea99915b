"""The number of an analysis that is gone never comes back: indexes elsewhere know analyses by it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# How 0001 has written it.
_PLAIN = "id INTEGER NOT NULL"
_KEY = "CONSTRAINT pk_analyses PRIMARY KEY (id)"


def upgrade() -> None:
    """Make the table anew on SQLite, where it takes a table of its own kind; PostgreSQL's numbers never come back."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    objects = "SELECT sql FROM sqlite_master WHERE tbl_name = 'analyses' AND type {} AND sql IS NOT NULL"
    made: str = connection.exec_driver_sql(objects.format("= 'table'")).scalar_one()
    others = connection.exec_driver_sql(objects.format("<> 'table'")).scalars().all()
    broken = _broken(connection)
    op.execute(sa.text(_numbered(made).replace(":", r"\:")))
    op.execute("INSERT INTO analyses_numbered SELECT * FROM analyses")
    op.drop_table("analyses")
    op.rename_table("analyses_numbered", "analyses")
    for statement in others:
        op.execute(sa.text(statement.replace(":", r"\:")))
    # Nothing looked after references meanwhile, see ``Engine.exclusively``.
    if _broken(connection) != broken:
        raise RuntimeError("Rows have lost the analysis that they belong to")


def _numbered(made: str) -> str:
    """The table's statement with a key whose numbers only grow."""
    head, columns = made.split("(", 1)
    parts = [part.strip() for part in columns.rsplit(")", 1)[0].split(", \n")]
    if head.split()[-1].strip('"') != "analyses" or _PLAIN not in parts or _KEY not in parts:
        raise RuntimeError(f"The table of analyses is not as it was made: {made}")
    parts[parts.index(_PLAIN)] = f"{_PLAIN} PRIMARY KEY AUTOINCREMENT"
    parts.remove(_KEY)
    return f"CREATE TABLE analyses_numbered ({', '.join(parts)})"


def _broken(connection: sa.Connection) -> int:
    return len(connection.exec_driver_sql("PRAGMA foreign_key_check").all())
