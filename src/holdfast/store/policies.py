"""How each table is carried from one store to another: what names a row there, and whether it goes at all.

Every table has a policy, and a test fails for one that has none. A table of its own rows needs no more than its key;
what is derived, or of this installation only, is not taken along and says why.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import TopologicalSorter
from typing import Any

import sqlalchemy as sa

from holdfast.domain.processing import PROCESS_JOBS, REBUILD_JOB
from holdfast.store import tables

# Given the selected analyses: which rows of the table belong to them.
Belongs = Callable[[sa.Subquery], sa.ColumnElement[bool]]


class Taken(StrEnum):
    """When a table's rows are taken along."""

    ALWAYS = "always"
    WITH_SECRETS = "with secrets"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePolicy:
    """How a table is carried.

    Attributes:
        key: the columns that name a row in every store; none for a log, whose rows are told apart by ``same``.
        order: in what order its rows are written; the key's when empty. Rows that arrive in that order leave in it.
        part_of: the column that says which row it is part of; it is written after that row and goes with it.
        taken: when it is taken along.
        why: why not, if never.
        belongs: which rows belong to selected analyses; None: no row goes with a selection.
        left_out: columns that the store fills in anew.
        fixed: columns that are written with one value wherever they have any.
        same: of a log: what two rows have in common that are one event.
        gives_way: a unique column that stays empty where another row has its value already.
        holds_for: of rows of which one holds at a time: what it holds for. Where another holds already, one that
            comes ended when it was decided.
        unique: a unique column of a log; a row whose value is there already is there already.
        renumbered: the log's number, which is kept where the log was empty.
        rows: which of its rows are taken along at all; all of them when None.
        last: it comes after all others: work whose analysis is not there yet would be taken for done with.
        rows_at_once: how many are read at a time.
        ascii_order: the order's text is the same in every collation, and an index gives it.
    """

    key: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    part_of: str | None = None
    taken: Taken = Taken.ALWAYS
    why: str = ""
    belongs: Belongs | None = None
    left_out: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    same: tuple[str, ...] = ()
    gives_way: str | None = None
    holds_for: tuple[str, ...] = ()
    unique: str | None = None
    renumbered: str | None = None
    rows: sa.ColumnElement[bool] | None = None
    last: bool = False
    rows_at_once: int = 500
    ascii_order: bool = False


def _named(column: sa.Column[Any]) -> Belongs:
    return lambda chosen: column.in_(sa.select(chosen.c.analysis_id))


def _about_the_same_libraries(chosen: sa.Subquery) -> sa.ColumnElement[bool]:
    subjects, decisions = tables.subjects.c, tables.duplicate_decisions.c
    library = sa.func.coalesce(
        subjects.kind.concat(" ").concat(subjects.key), sa.literal("analysis ").concat(chosen.c.analysis_id)
    )
    source = chosen.outerjoin(tables.subjects, subjects.id == chosen.c.subject)
    scopes = sa.select(chosen.c.client_session_id, library).select_from(source)
    return sa.tuple_(decisions.client_session_id, decisions.library).in_(scopes)


def _part(column: str, *rest: str) -> TablePolicy:
    return TablePolicy(key=(column, *rest), part_of=column)


_INDEX = TablePolicy(taken=Taken.NEVER, why="an index, made anew from what is kept")

POLICIES: dict[str, TablePolicy] = {
    "analyses": TablePolicy(
        key=("analysis_id",),
        order=("id",),
        gives_way="active_key",
        belongs=lambda chosen: tables.analyses.c.id.in_(sa.select(chosen.c.id)),
    ),
    "attempts": _part("analysis", "number"),
    "branch_versions": _part("branch", "version"),
    "branch_watches": _part("branch"),
    # No part of its repository: the analysis that it names must be there before.
    "branches": TablePolicy(key=("repository", "name"), order=("id",)),
    "cache_entries": TablePolicy(taken=Taken.NEVER, why="files that this machine has, or makes again"),
    "checkpoints": TablePolicy(
        key=("scope", "key"),
        belongs=lambda chosen: tables.checkpoints.c.scope.in_(
            sa.select(sa.literal("analysis:").concat(chosen.c.analysis_id))
        ),
        rows_at_once=16,
    ),
    "conflicts": TablePolicy(key=("conflict_id",), order=("id",)),
    "counters": TablePolicy(taken=Taken.NEVER, why="added up anew from the rows"),
    # In the order in which they were made: one that takes the place of another comes after it.
    "duplicate_decisions": TablePolicy(
        key=("batch_id", "identity"),
        order=("id",),
        holds_for=("client_session_id", "library", "identity"),
        # All of a library: each may have taken the place of one made on an analysis that is not selected.
        belongs=_about_the_same_libraries,
    ),
    "duplicate_groups": _part("analysis", "ordinal"),
    "duplicate_preferences": TablePolicy(key=("client_session_id",)),
    "duplicate_searches": _part("analysis"),
    "export_parts": TablePolicy(taken=Taken.NEVER, why="of exports"),
    "exports": TablePolicy(taken=Taken.NEVER, why="files to fetch within hours, made anew on request"),
    "finding_items": _part("finding", "ordinal"),
    "findings": _part("analysis", "ordinal"),
    "graph_edges": _INDEX,
    "graph_nodes": _INDEX,
    "idempotency_keys": TablePolicy(key=("owner", "key")),
    "indexes": _INDEX,
    "jobs": TablePolicy(
        order=("id",),
        left_out=frozenset({"id"}),
        # Whoever leased it works elsewhere: the lease is over, and the job is taken back like that of a lost worker.
        fixed={"lease_until": 0},
        same=("kind", "payload", "analysis_id", "created_at"),
        unique="unique_key",
        # Indexes are not taken along, nor is what feeds them: it names analyses by this store's numbers.
        rows=sa.and_(
            sa.not_(tables.jobs.c.kind.startswith(PROCESS_JOBS, autoescape=True)), tables.jobs.c.kind != REBUILD_JOB
        ),
        last=True,
        belongs=_named(tables.jobs.c.analysis_id),
    ),
    "ledger": TablePolicy(
        order=("sequence",),
        left_out=frozenset({"transaction"}),
        same=("at", "name", "analysis_id", "client_session_id", "actor", "data"),
        renumbered="sequence",
        belongs=_named(tables.ledger.c.analysis_id),
    ),
    "marks": TablePolicy(taken=Taken.NEVER, why="when this installation last kept house"),
    "manifests": _part("analysis"),
    "metric_points": _part("branch", "name", "at"),
    "metrics": _part("analysis", "name"),
    "owners": TablePolicy(
        key=("client_session_id",),
        belongs=lambda chosen: tables.owners.c.client_session_id.in_(sa.select(chosen.c.client_session_id)),
    ),
    "payloads": TablePolicy(
        key=("hash",),
        left_out=frozenset({"reference_count"}),
        belongs=lambda chosen: tables.payloads.c.hash.in_(sa.select(chosen.c.result_hash)),
        rows_at_once=16,
        ascii_order=True,
    ),
    "processing": _INDEX,
    "progress": _part("analysis"),
    "rate_limits": TablePolicy(taken=Taken.NEVER, why="how often things were done in the last minutes"),
    "refreshes": TablePolicy(key=("task_id",), order=("id",)),
    "repositories": TablePolicy(key=("client_session_id", "repo_id"), order=("id",)),
    "schedules": TablePolicy(key=("name",)),
    "secrets": TablePolicy(key=("name",), taken=Taken.WITH_SECRETS),
    "subjects": TablePolicy(
        key=("kind", "key"),
        order=("id",),
        belongs=lambda chosen: tables.subjects.c.id.in_(sa.select(chosen.c.subject)),
    ),
    "tags": _part("analysis", "tag"),
    "tokens": TablePolicy(key=("token_id",), taken=Taken.WITH_SECRETS),
    "vector_models": _INDEX,
    "vectors": _INDEX,
}


def roots(*, secrets: bool = True) -> list[sa.Table]:
    """The tables whose rows are part of no other, what they or their parts refer to first."""
    before: dict[str, list[str]] = {name: [] for name in sorted(POLICIES)}
    for table in tables.metadata.sorted_tables:
        referred = {_root(key.column.table).name for key in table.foreign_keys}
        before[_root(table).name] += sorted(referred - {_root(table).name})
    found = [
        tables.metadata.tables[name]
        for name in TopologicalSorter(before).static_order()
        if POLICIES[name].part_of is None and is_taken(name, secrets=secrets)
    ]
    return sorted(found, key=lambda table: POLICIES[table.name].last)


def parts(table: sa.Table) -> list[sa.Table]:
    """The tables whose rows are parts of this one's, by name."""
    found = [
        other
        for name, other in sorted(tables.metadata.tables.items())
        if (column := POLICIES[name].part_of) is not None and _target(other.c[column]).table is table
    ]
    return [other for other in found if POLICIES[other.name].taken is Taken.ALWAYS]


def is_taken(name: str, *, secrets: bool) -> bool:
    """Whether a table's rows are taken along."""
    taken = POLICIES[name].taken
    return taken is Taken.ALWAYS or (secrets and taken is Taken.WITH_SECRETS)


def surrogate(table: sa.Table) -> sa.Column[Any] | None:
    """The number that a store gives a row by itself, where others refer to the row by it."""
    column = table.autoincrement_column
    return column if column is not None and POLICIES[table.name].renumbered != column.name else None


def refers_to(column: sa.Column[Any]) -> sa.Table | None:
    """The table whose row a column names by its number; such a row is written by its key."""
    if not column.foreign_keys:
        return None
    target = _target(column)
    return target.table if target is surrogate(target.table) else None


def key_width(table: sa.Table) -> int:
    """How many values name a row, where a row that its key refers to is named by all of its own."""
    return sum(
        1 if (target := refers_to(table.c[name])) is None else key_width(target) for name in POLICIES[table.name].key
    )


def flat(key: Iterable[Any]) -> tuple[Any, ...]:
    """A key with the parts of the keys that it refers to among its own."""
    return tuple(inner for part in key for inner in (part if isinstance(part, list | tuple) else (part,)))


def payload_columns(table: sa.Table) -> list[str]:
    """The columns that refer to a payload, each of which counts."""
    return [c.name for c in table.c if c.foreign_keys and _target(c) is tables.payloads.c.hash]


def columns(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that are written."""
    number, policy = surrogate(table), POLICIES[table.name]
    return [column for column in table.c if column is not number and column.name not in policy.left_out]


def _root(table: sa.Table) -> sa.Table:
    part_of = POLICIES[table.name].part_of
    return table if part_of is None else _root(_target(table.c[part_of]).table)


def _target(column: sa.Column[Any]) -> sa.Column[Any]:
    return next(iter(column.foreign_keys)).column
