"""What is kept of analyses."""

import sqlalchemy as sa

from holdfast.store.tables.base import Id, Key, analysis_key, index_where, metadata
from holdfast.store.types import FreeText, Json, Timestamp

subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", FreeText, nullable=False),
    sa.Column("title", FreeText, nullable=False),
    sa.Column("attributes", Json, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.UniqueConstraint("kind", "key"),
)

payloads = sa.Table(
    "payloads",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("stored_size", sa.BigInteger, nullable=False),
    sa.Column("reference_count", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

analyses = sa.Table(
    "analyses",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    sa.Column("analysis_id", Id, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Column("client_ip", sa.Text),
    sa.Column("thread_id", FreeText),
    sa.Column("session_id", FreeText),
    sa.Column("process_instance_id", FreeText),
    sa.Column("subject", Key, sa.ForeignKey("subjects.id")),
    sa.Column("revision", FreeText, nullable=False),
    sa.Column("location", FreeText, nullable=False),
    sa.Column("params", Json, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("active_key", sa.Text),
    sa.Column("code_hash", FreeText),
    sa.Column("analyzer_version", FreeText, nullable=False),
    sa.Column("summary", FreeText, nullable=False),
    sa.Column("tags", Json, nullable=False),
    sa.Column("result_hash", sa.Text, sa.ForeignKey("payloads.hash")),
    sa.Column("result_size", sa.BigInteger),
    sa.Column("result_stored_size", sa.BigInteger),
    sa.Column("result_is_partial", sa.Boolean, nullable=False),
    sa.Column("error", Json),
    sa.Column("finding_count", sa.Integer, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("timeout_seconds", sa.Float),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("refreshed_from", sa.Text),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("started_at", Timestamp),
    sa.Column("completed_at", Timestamp),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Column("ttl_seconds", sa.Float),
    sa.Column("expires_at", Timestamp),
    sa.Column("retrieval_count", sa.Integer, nullable=False),
    sa.Column("max_retrievals", sa.Integer),
    sa.Column("is_anonymous", sa.Boolean, nullable=False),
    sa.Column("is_pinned", sa.Boolean, nullable=False),
    sa.Column("deleted_at", Timestamp),
    # One run at a time per owner and input; cleared when the run ends.
    sa.UniqueConstraint("active_key"),
    # Every filter of a list has an index that ends in the list's order.
    sa.Index(None, "created_at", "id"),
    sa.Index(None, "client_session_id", "created_at", "id"),
    sa.Index(None, "client_session_id", "kind", "created_at", "id"),
    sa.Index(None, "client_session_id", "status", "created_at", "id"),
    sa.Index(None, "kind", "created_at", "id"),
    sa.Index(None, "status", "created_at", "id"),
    sa.Index(None, "subject", "created_at", "id"),
    # A subject's history of one owner, all of it and at one revision.
    index_where("subject IS NOT NULL", "subject", "client_session_id", "status", "created_at", "id"),
    index_where(
        "subject IS NOT NULL",
        *("subject", "client_session_id", "revision", "status", "created_at", "id"),
        # By its columns it would be longer than PostgreSQL's names may be.
        name="ix_analyses_subject_revision",
    ),
    sa.Index(None, "client_session_id", "fingerprint", "created_at", "id"),
    *(
        index_where(f"{name} IS NOT NULL", name, "created_at", "id")
        for name in ("thread_id", "session_id", "process_instance_id")
    ),
    index_where("expires_at IS NOT NULL", "expires_at"),
    # For the reference check when a payload goes.
    sa.Index(None, "result_hash"),
    # What retention looks for; few rows at any time.
    index_where("deleted_at IS NOT NULL", "deleted_at", "id"),
    index_where("deleted_at IS NOT NULL", "client_session_id", "deleted_at", "id"),
    index_where("retrieval_count >= max_retrievals", "max_retrievals", "id"),
    index_where("is_anonymous", "is_anonymous", "created_at", "id"),
    # A number that was in use once never comes back: Qdrant and Neo4j know an analysis by it, and hear later that it
    # is gone.
    sqlite_autoincrement=True,
)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("tag", FreeText, primary_key=True),
    sa.Column("created_at", Timestamp, primary_key=True, autoincrement=False),
    analysis_key(primary_key=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Index(None, "client_session_id", "tag", "created_at", "analysis"),
    sa.Index(None, "analysis"),
    sqlite_with_rowid=False,
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("id", Key, sa.Identity(), primary_key=True),
    analysis_key(),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("rule", FreeText, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("title", FreeText, nullable=False),
    sa.Column("message", FreeText, nullable=False),
    sa.Column("path", FreeText),
    sa.Column("line", sa.Integer),
    sa.Column("end_line", sa.Integer),
    sa.Column("identity", FreeText, nullable=False),
    sa.Column("score", sa.Float),
    sa.Column("data", Json, nullable=False),
    sa.UniqueConstraint("analysis", "ordinal"),
    sa.Index(None, "analysis", "severity", "ordinal"),
)

finding_items = sa.Table(
    "finding_items",
    metadata,
    sa.Column(
        "finding",
        Key,
        sa.ForeignKey("findings.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", FreeText, nullable=False),
    sa.Column("data", Json, nullable=False),
    sqlite_with_rowid=False,
)

metrics = sa.Table(
    "metrics",
    metadata,
    analysis_key(primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sqlite_with_rowid=False,
)
