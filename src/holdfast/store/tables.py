"""The tables. Internal keys are integers, which keeps every index small; people see ``analysis_id``."""

import sqlalchemy as sa

from holdfast.store.types import FreeText, Json, Timestamp

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives row ids only to INTEGER keys, PostgreSQL wants 64 bits for the same.
_Key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# In the order of its bytes, as on SQLite, so that the beginning of an id is a range of the index.
_Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _analysis_key(*, primary_key: bool = False) -> sa.Column[int]:
    reference = sa.ForeignKey("analyses.id", ondelete="CASCADE")
    return sa.Column("analysis", _Key, reference, primary_key=primary_key, nullable=False, autoincrement=False)


def _index_where(condition: str, *columns: str) -> sa.Index:
    """An index of the rows that fulfil ``condition``; both dialects spell it alike."""
    return sa.Index(None, *columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("id", _Key, sa.Identity(), primary_key=True),
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
    sa.Column("id", _Key, sa.Identity(), primary_key=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("stored_size", sa.BigInteger, nullable=False),
    sa.Column("reference_count", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

analyses = sa.Table(
    "analyses",
    metadata,
    sa.Column("id", _Key, sa.Identity(), primary_key=True),
    sa.Column("analysis_id", _Id, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Column("client_ip", sa.Text),
    sa.Column("thread_id", FreeText),
    sa.Column("session_id", FreeText),
    sa.Column("process_instance_id", FreeText),
    sa.Column("subject", _Key, sa.ForeignKey("subjects.id")),
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
    sa.Index(None, "client_session_id", "fingerprint", "created_at", "id"),
    *(
        _index_where(f"{name} IS NOT NULL", name, "created_at", "id")
        for name in ("thread_id", "session_id", "process_instance_id")
    ),
    _index_where("expires_at IS NOT NULL", "expires_at"),
    # For the reference check when a payload goes.
    sa.Index(None, "result_hash"),
    # What retention looks for; few rows at any time.
    _index_where("deleted_at IS NOT NULL", "deleted_at", "id"),
    _index_where("deleted_at IS NOT NULL", "client_session_id", "deleted_at", "id"),
    _index_where("retrieval_count >= max_retrievals", "max_retrievals", "id"),
    _index_where("is_anonymous", "is_anonymous", "created_at", "id"),
)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("tag", FreeText, primary_key=True),
    sa.Column("created_at", Timestamp, primary_key=True, autoincrement=False),
    _analysis_key(primary_key=True),
    sa.Column("client_session_id", FreeText, nullable=False),
    sa.Index(None, "client_session_id", "tag", "created_at", "analysis"),
    sa.Index(None, "analysis"),
    sqlite_with_rowid=False,
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("id", _Key, sa.Identity(), primary_key=True),
    _analysis_key(),
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
        _Key,
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
    _analysis_key(primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
    sqlite_with_rowid=False,
)

attempts = sa.Table(
    "attempts",
    metadata,
    _analysis_key(primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("started_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", Json),
    sqlite_with_rowid=False,
)

progress = sa.Table(
    "progress",
    metadata,
    _analysis_key(primary_key=True),
    sa.Column("data", Json, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Index(None, "updated_at"),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("key", FreeText, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("saved_at", Timestamp, nullable=False),
    # What outlives its analysis and is forgotten by age; the rest goes with its analysis.
    _index_where("substr(scope, 1, 9) <> 'analysis:'", "saved_at"),
    sqlite_with_rowid=False,
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("sequence", _Key, sa.Identity(), primary_key=True),
    # PostgreSQL hands out sequence numbers before commit, so a reader may see 6 before 5. Which transaction wrote
    # a row tells the reader how far the ledger is complete; SQLite commits in order and keeps 0 here.
    sa.Column("transaction", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("analysis_id", sa.Text),
    sa.Column("client_session_id", FreeText),
    sa.Column("actor", FreeText, nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Index(None, "analysis_id", "sequence"),
    # The live feed's order; on SQLite the sequence itself is, and no row is indexed.
    _index_where('"transaction" > 0', "transaction", "sequence"),
    sqlite_autoincrement=True,
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", _Key, sa.Identity(), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", Json, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    # Minus the priority: one ascending index then serves the order of claims.
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("run_at", Timestamp, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", Timestamp),
    sa.Column("unique_key", sa.Text, unique=True),
    sa.Column("analysis_id", sa.Text),
    sa.Column("last_error", FreeText),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Index(None, "status", "kind", "rank", "run_at", "id"),
    # Whether anything is due, and when the next will be, must not cost a walk over all that is not.
    sa.Index(None, "status", "kind", "run_at"),
    _index_where("lease_until IS NOT NULL", "lease_until"),
    _index_where("analysis_id IS NOT NULL", "analysis_id"),
    # A fenced worker must never meet the number of another job.
    sqlite_autoincrement=True,
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", Json, nullable=False),
    sa.Column("every_seconds", sa.Float, nullable=False),
    sa.Column("next_at", Timestamp, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Index(None, "next_at"),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    # Writers on PostgreSQL would wait for each other's commits on one row: each adds to a shard of its own.
    sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# When something was last done that is done now and then, and what came of it.
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", Timestamp, nullable=False),
    sa.Column("data", Json, nullable=False),
    sqlite_with_rowid=False,
)

owners = sa.Table(
    "owners",
    metadata,
    sa.Column("client_session_id", FreeText, primary_key=True),
    sa.Column("created_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_id", sa.Text, primary_key=True),
    # SHA-256 of the secret: whoever reads the table learns no token.
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("name", FreeText, nullable=False),
    sa.Column("owner", FreeText, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("created_by", FreeText, nullable=False),
    sa.Column("expires_at", Timestamp),
    sa.Column("revoked_at", Timestamp),
    sa.Column("last_used_at", Timestamp),
    sa.Index(None, "created_at", "token_id"),
    sa.Index(None, "owner", "created_at", "token_id"),
    sqlite_with_rowid=False,
)

# Keys that all processes of an installation share: they sign cursors and client ids.
secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sqlite_with_rowid=False,
)

# What a request with an Idempotency-Key led to.
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("owner", FreeText, primary_key=True),
    sa.Column("key", FreeText, primary_key=True),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("resource_id", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Index(None, "created_at"),
    sqlite_with_rowid=False,
)

rate_limits = sa.Table(
    "rate_limits",
    metadata,
    sa.Column("key", FreeText, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Index(None, "expires_at"),
    sqlite_with_rowid=False,
)
