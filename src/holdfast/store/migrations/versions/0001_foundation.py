"""The foundation: analyses with their results, the ledger, jobs."""

import sqlalchemy as sa
from alembic import op

from holdfast.store import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "checkpoints",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_checkpoints")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_checkpoints_saved_at"),
        "checkpoints",
        ["saved_at"],
        unique=False,
        sqlite_where=sa.text("substr(scope, 1, 9) <> 'analysis:'"),
        postgresql_where=sa.text("substr(scope, 1, 9) <> 'analysis:'"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "shard", name=op.f("pk_counters")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", types.FreeText(), nullable=False),
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", types.Json(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("run_at", types.Timestamp(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", types.Timestamp(), nullable=True),
        sa.Column("unique_key", sa.Text(), nullable=True),
        sa.Column("analysis_id", sa.Text(), nullable=True),
        sa.Column("last_error", types.FreeText(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("unique_key", name=op.f("uq_jobs_unique_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_jobs_analysis_id"),
        "jobs",
        ["analysis_id"],
        unique=False,
        sqlite_where=sa.text("analysis_id IS NOT NULL"),
        postgresql_where=sa.text("analysis_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_jobs_lease_until"),
        "jobs",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("lease_until IS NOT NULL"),
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_jobs_status_kind_rank_run_at_id"), "jobs", ["status", "kind", "rank", "run_at", "id"], unique=False
    )
    op.create_index(op.f("ix_jobs_status_kind_run_at"), "jobs", ["status", "kind", "run_at"], unique=False)
    op.create_table(
        "ledger",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("transaction", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=True),
        sa.Column("client_session_id", types.FreeText(), nullable=True),
        sa.Column("actor", types.FreeText(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_ledger")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ledger_analysis_id_sequence"), "ledger", ["analysis_id", "sequence"], unique=False)
    op.create_index(
        op.f("ix_ledger_client_session_id_transaction_sequence"),
        "ledger",
        ["client_session_id", "transaction", "sequence"],
        unique=False,
    )
    op.create_index(
        op.f("ix_ledger_transaction_sequence"),
        "ledger",
        ["transaction", "sequence"],
        unique=False,
        sqlite_where=sa.text('"transaction" > 0'),
        postgresql_where=sa.text('"transaction" > 0'),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "owners",
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("client_session_id", name=op.f("pk_owners")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "payloads",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored_size", sa.BigInteger(), nullable=False),
        sa.Column("reference_count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payloads")),
        sa.UniqueConstraint("hash", name=op.f("uq_payloads_hash")),
    )
    op.create_table(
        "rate_limits",
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limits")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_rate_limits_expires_at"), "rate_limits", ["expires_at"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", types.Json(), nullable=False),
        sa.Column("every_seconds", sa.Float(), nullable=False),
        sa.Column("next_at", types.Timestamp(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    op.create_index(op.f("ix_schedules_next_at"), "schedules", ["next_at"], unique=False)
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "subjects",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("title", types.FreeText(), nullable=False),
        sa.Column("attributes", types.Json(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("kind", "key", name=op.f("uq_subjects_kind_key")),
    )
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("name", types.FreeText(), nullable=False),
        sa.Column("owner", types.FreeText(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("created_by", types.FreeText(), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=True),
        sa.Column("revoked_at", types.Timestamp(), nullable=True),
        sa.Column("last_used_at", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_tokens_created_at_token_id"), "tokens", ["created_at", "token_id"], unique=False)
    op.create_index(
        op.f("ix_tokens_owner_created_at_token_id"), "tokens", ["owner", "created_at", "token_id"], unique=False
    )
    op.create_table(
        "analyses",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("analysis_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.Column("client_ip", sa.Text(), nullable=True),
        sa.Column("thread_id", types.FreeText(), nullable=True),
        sa.Column("session_id", types.FreeText(), nullable=True),
        sa.Column("process_instance_id", types.FreeText(), nullable=True),
        sa.Column("subject", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("revision", types.FreeText(), nullable=False),
        sa.Column("location", types.FreeText(), nullable=False),
        sa.Column("params", types.Json(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("active_key", sa.Text(), nullable=True),
        sa.Column("code_hash", types.FreeText(), nullable=True),
        sa.Column("analyzer_version", types.FreeText(), nullable=False),
        sa.Column("summary", types.FreeText(), nullable=False),
        sa.Column("tags", types.Json(), nullable=False),
        sa.Column("result_hash", sa.Text(), nullable=True),
        sa.Column("result_size", sa.BigInteger(), nullable=True),
        sa.Column("result_stored_size", sa.BigInteger(), nullable=True),
        sa.Column("result_is_partial", sa.Boolean(), nullable=False),
        sa.Column("error", types.Json(), nullable=True),
        sa.Column("finding_count", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("timeout_seconds", sa.Float(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("refreshed_from", sa.Text(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("started_at", types.Timestamp(), nullable=True),
        sa.Column("completed_at", types.Timestamp(), nullable=True),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.Column("ttl_seconds", sa.Float(), nullable=True),
        sa.Column("expires_at", types.Timestamp(), nullable=True),
        sa.Column("retrieval_count", sa.Integer(), nullable=False),
        sa.Column("max_retrievals", sa.Integer(), nullable=True),
        sa.Column("is_anonymous", sa.Boolean(), nullable=False),
        sa.Column("is_pinned", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", types.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(["result_hash"], ["payloads.hash"], name=op.f("fk_analyses_result_hash")),
        sa.ForeignKeyConstraint(["subject"], ["subjects.id"], name=op.f("fk_analyses_subject")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analyses")),
        sa.UniqueConstraint("active_key", name=op.f("uq_analyses_active_key")),
        sa.UniqueConstraint("analysis_id", name=op.f("uq_analyses_analysis_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_analyses_client_session_id_created_at_id"),
        "analyses",
        ["client_session_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_analyses_client_session_id_deleted_at_id"),
        "analyses",
        ["client_session_id", "deleted_at", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_analyses_client_session_id_fingerprint_created_at_id"),
        "analyses",
        ["client_session_id", "fingerprint", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_analyses_client_session_id_kind_created_at_id"),
        "analyses",
        ["client_session_id", "kind", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_analyses_client_session_id_status_created_at_id"),
        "analyses",
        ["client_session_id", "status", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_analyses_created_at_id"), "analyses", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_analyses_deleted_at_id"),
        "analyses",
        ["deleted_at", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_analyses_expires_at"),
        "analyses",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_analyses_is_anonymous_created_at_id"),
        "analyses",
        ["is_anonymous", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("is_anonymous"),
        postgresql_where=sa.text("is_anonymous"),
    )
    op.create_index(op.f("ix_analyses_kind_created_at_id"), "analyses", ["kind", "created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_analyses_max_retrievals_id"),
        "analyses",
        ["max_retrievals", "id"],
        unique=False,
        sqlite_where=sa.text("retrieval_count >= max_retrievals"),
        postgresql_where=sa.text("retrieval_count >= max_retrievals"),
    )
    op.create_index(
        op.f("ix_analyses_process_instance_id_created_at_id"),
        "analyses",
        ["process_instance_id", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("process_instance_id IS NOT NULL"),
        postgresql_where=sa.text("process_instance_id IS NOT NULL"),
    )
    op.create_index(op.f("ix_analyses_result_hash"), "analyses", ["result_hash"], unique=False)
    op.create_index(
        op.f("ix_analyses_session_id_created_at_id"),
        "analyses",
        ["session_id", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_index(op.f("ix_analyses_status_created_at_id"), "analyses", ["status", "created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_analyses_subject_created_at_id"), "analyses", ["subject", "created_at", "id"], unique=False
    )
    op.create_index(
        op.f("ix_analyses_thread_id_created_at_id"),
        "analyses",
        ["thread_id", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("thread_id IS NOT NULL"),
        postgresql_where=sa.text("thread_id IS NOT NULL"),
    )
    op.create_table(
        "attempts",
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", types.Timestamp(), nullable=False),
        sa.Column("ended_at", types.Timestamp(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_attempts_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("analysis", "number", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "findings",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("rule", types.FreeText(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("title", types.FreeText(), nullable=False),
        sa.Column("message", types.FreeText(), nullable=False),
        sa.Column("path", types.FreeText(), nullable=True),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("end_line", sa.Integer(), nullable=True),
        sa.Column("identity", types.FreeText(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("data", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_findings_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
        sa.UniqueConstraint("analysis", "ordinal", name=op.f("uq_findings_analysis_ordinal")),
    )
    op.create_index(
        op.f("ix_findings_analysis_severity_ordinal"), "findings", ["analysis", "severity", "ordinal"], unique=False
    )
    op.create_table(
        "metrics",
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_metrics_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("analysis", "name", name=op.f("pk_metrics")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "progress",
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("data", types.Json(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_progress_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("analysis", name=op.f("pk_progress")),
    )
    op.create_index(op.f("ix_progress_updated_at"), "progress", ["updated_at"], unique=False)
    op.create_table(
        "tags",
        sa.Column("tag", types.FreeText(), nullable=False),
        sa.Column("created_at", types.Timestamp(), autoincrement=False, nullable=False),
        sa.Column(
            "analysis", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("client_session_id", types.FreeText(), nullable=False),
        sa.ForeignKeyConstraint(["analysis"], ["analyses.id"], name=op.f("fk_tags_analysis"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tag", "created_at", "analysis", name=op.f("pk_tags")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_tags_analysis"), "tags", ["analysis"], unique=False)
    op.create_index(
        op.f("ix_tags_client_session_id_tag_created_at_analysis"),
        "tags",
        ["client_session_id", "tag", "created_at", "analysis"],
        unique=False,
    )
    op.create_table(
        "finding_items",
        sa.Column("finding", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", types.FreeText(), nullable=False),
        sa.Column("data", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["finding"], ["findings.id"], name=op.f("fk_finding_items_finding"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("finding", "ordinal", name=op.f("pk_finding_items")),
        sqlite_with_rowid=False,
    )
