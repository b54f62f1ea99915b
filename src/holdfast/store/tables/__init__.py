"""The tables, a file for each group of them."""

from holdfast.store.tables.accounts import idempotency_keys, owners, rate_limits, secrets, tokens
from holdfast.store.tables.analyses import analyses, finding_items, findings, metrics, payloads, subjects, tags
from holdfast.store.tables.base import metadata
from holdfast.store.tables.freshness import branch_watches, refreshes
from holdfast.store.tables.indexes import graph_edges, graph_nodes, vector_models, vectors
from holdfast.store.tables.jobs import jobs, schedules
from holdfast.store.tables.ledger import counters, ledger, marks
from holdfast.store.tables.processing import indexes, processing
from holdfast.store.tables.repositories import (
    branch_versions,
    branches,
    cache_entries,
    conflicts,
    metric_points,
    repositories,
)
from holdfast.store.tables.runs import attempts, checkpoints, progress
from holdfast.store.tables.triage import (
    duplicate_decisions,
    duplicate_groups,
    duplicate_preferences,
    duplicate_searches,
    export_parts,
    exports,
    manifests,
)

__all__ = [
    "analyses",
    "attempts",
    "branch_versions",
    "branch_watches",
    "branches",
    "cache_entries",
    "checkpoints",
    "conflicts",
    "counters",
    "duplicate_decisions",
    "duplicate_groups",
    "duplicate_preferences",
    "duplicate_searches",
    "export_parts",
    "exports",
    "finding_items",
    "findings",
    "graph_edges",
    "graph_nodes",
    "idempotency_keys",
    "indexes",
    "jobs",
    "ledger",
    "manifests",
    "marks",
    "metadata",
    "metric_points",
    "metrics",
    "owners",
    "payloads",
    "processing",
    "progress",
    "rate_limits",
    "refreshes",
    "repositories",
    "schedules",
    "secrets",
    "subjects",
    "tags",
    "tokens",
    "vector_models",
    "vectors",
]
