"""What the tables share. Internal keys are integers, which keeps every index small; people see ``analysis_id``."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives row ids only to INTEGER keys, PostgreSQL wants 64 bits for the same.
Key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# In the order of its bytes, as on SQLite, so that the beginning of an id is a range of the index.
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def analysis_key(*, primary_key: bool = False) -> sa.Column[int]:
    """Which analysis a row belongs to, and goes with."""
    reference = sa.ForeignKey("analyses.id", ondelete="CASCADE")
    return sa.Column("analysis", Key, reference, primary_key=primary_key, nullable=False, autoincrement=False)


def branch_key(*, primary_key: bool = False) -> sa.Column[int]:
    """Which branch a row belongs to, and goes with."""
    reference = sa.ForeignKey("branches.id", ondelete="CASCADE")
    return sa.Column("branch", Key, reference, primary_key=primary_key, nullable=False, autoincrement=False)


def index_where(condition: str, *columns: str, name: str | None = None) -> sa.Index:
    """An index of the rows that fulfil ``condition``; both dialects spell it alike."""
    return sa.Index(name, *columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
