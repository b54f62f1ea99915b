"""What is derived from analyses to find them by meaning and by relation; all of it can be made anew."""

import sqlalchemy as sa

from holdfast.store.tables.base import Key, analysis_key, index_where, metadata
from holdfast.store.types import FreeText

# A vector can be compared with those of the same model only.
vector_models = sa.Table(
    "vector_models",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("dimensions", sa.Integer, nullable=False),
    sa.UniqueConstraint("name", "version", "dimensions"),
)

vectors = sa.Table(
    "vectors",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    analysis_key(),
    sa.Column("model", Key, sa.ForeignKey("vector_models.id"), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    # As in the ledger: numbers are handed out before commit, so whoever reads what is new goes by this.
    sa.Column("transaction", sa.BigInteger, nullable=False, server_default="0"),
    # Little-endian float32, of length 1.
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("analysis", "model", "ordinal"),
    sa.Index(None, "model", "transaction", "id"),
    # An id that was in use once never comes back, so that whoever remembers it finds nothing.
    sqlite_autoincrement=True,
)

# Each owner has nodes of their own: no way leads from one owner's to another's.
graph_nodes = sa.Table(
    "graph_nodes",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", FreeText, nullable=False),
    sa.Column("label", FreeText, nullable=False),
    # The analysis that it stands for, if it stands for one; without it nobody sees the node any more.
    sa.Column("analysis", Key, sa.ForeignKey("analyses.id", ondelete="SET NULL")),
    sa.UniqueConstraint("kind", "key", "client_session_id"),
    index_where("analysis IS NOT NULL", "analysis"),
)

# Every edge is told by an analysis, is seen by whoever sees that, and goes with it. Its ends do not take it along:
# a node that somebody refers to in this moment must not go.
graph_edges = sa.Table(
    "graph_edges",
    metadata,
    sa.Column("source", Key, sa.ForeignKey("graph_nodes.id"), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("target", Key, sa.ForeignKey("graph_nodes.id"), primary_key=True, autoincrement=False),
    analysis_key(primary_key=True),
    sa.Index(None, "target", "source"),
    sa.Index(None, "analysis"),
    sqlite_with_rowid=False,
)
