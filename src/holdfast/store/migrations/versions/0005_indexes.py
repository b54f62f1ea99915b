"""The vector and graph indexes."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "vector_models",
        sa.Column("id", _KEY, sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_models")),
        sa.UniqueConstraint("name", "version", "dimensions", name=op.f("uq_vector_models_name_version_dimensions")),
    )
    op.create_table(
        "vectors",
        sa.Column("id", _KEY, sa.Identity(always=False), nullable=False),
        sa.Column("analysis", _KEY, autoincrement=False, nullable=False),
        sa.Column("model", _KEY, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_vectors_analysis"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["model"], ["vector_models.id"], name=op.f("fk_vectors_model")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vectors")),
        sa.UniqueConstraint("analysis", "model", "ordinal", name=op.f("uq_vectors_analysis_model_ordinal")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_vectors_model_transaction_id"), "vectors", ["model", "transaction", "id"], unique=False)
    op.create_table(
        "graph_nodes",
        sa.Column("id", _KEY, sa.Identity(always=False), nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("label", types.FreeText(), nullable=False),
        sa.Column("analysis", _KEY, nullable=True),
        sa.ForeignKeyConstraint(
            ["analysis"], ["analyses.id"], name=op.f("fk_graph_nodes_analysis"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_graph_nodes")),
        sa.UniqueConstraint("kind", "key", "client_session_id", name=op.f("uq_graph_nodes_kind_key_client_session_id")),
    )
    op.create_index(
        op.f("ix_graph_nodes_analysis"),
        "graph_nodes",
        ["analysis"],
        unique=False,
        sqlite_where=sa.text("analysis IS NOT NULL"),
        postgresql_where=sa.text("analysis IS NOT NULL"),
    )
    op.create_table(
        "graph_edges",
        sa.Column("source", _KEY, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", _KEY, autoincrement=False, nullable=False),
        sa.Column("analysis", _KEY, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis"], ["analyses.id"], name=op.f("fk_graph_edges_analysis"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["source"], ["graph_nodes.id"], name=op.f("fk_graph_edges_source")),
        sa.ForeignKeyConstraint(["target"], ["graph_nodes.id"], name=op.f("fk_graph_edges_target")),
        sa.PrimaryKeyConstraint("source", "kind", "target", "analysis", name=op.f("pk_graph_edges")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_graph_edges_target_source"), "graph_edges", ["target", "source"], unique=False)
    op.create_index(op.f("ix_graph_edges_analysis"), "graph_edges", ["analysis"], unique=False)
