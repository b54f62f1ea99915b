"""Refreshes of branches."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.analysis import ErrorInfo
from holdfast.domain.refresh import RefreshTask, TaskStatus
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.lists import Place
from holdfast.store.prepared import Prepared, insert_into
from holdfast.store.types import Timestamp

_t = tables.refreshes.c
_b = tables.branches.c
_r = tables.repositories.c
_a = tables.analyses.c
_SAME = (
    "task_id",
    "client_session_id",
    "is_automatic",
    "delay_minutes",
    "run_at",
    "created_at",
    "created_by",
    "started_at",
    "finished_at",
    "analysis_id",
    "failures",
    "retry_at",
)
_ROWS = sa.select(tables.refreshes, _b.name.label("branch_name"), _r.repo_id).select_from(
    tables.refreshes.join(tables.branches, _b.id == _t.branch).join(tables.repositories, _r.id == _b.repository)
)
# Asked at the end of each run: nearly always there is none.
_OF_ANALYSIS = Prepared(
    lambda _: sa.select(_t.task_id).where(
        _t.analysis_id == sa.bindparam("wanted"),
        sa.or_(_t.status == TaskStatus.EXECUTING.value, _t.status == TaskStatus.FAILED.value),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRefresh:
    """A refresh as it stands in the store.

    Attributes:
        key: its internal key.
        branch: the branch's internal key.
        value: the refresh.
    """

    key: int
    branch: int
    value: RefreshTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a refresh of a branch runs.

    Attributes:
        kind: the kind of the branch's newest complete analysis; None when it is not kept, or was not run here.
        location: where that analysis found the branch.
        params: with what parameters.
        tags: and what labels.
        analysis_id: that analysis.
        repository: where the repository is.
        branch_name: the branch.
        client_session_id: whose it is.
        is_gone: whether the repository no longer has it, or is deleted.
    """

    kind: str | None
    location: str
    params: dict[str, Any]
    tags: Sequence[str]
    analysis_id: str | None
    repository: str
    branch_name: str
    client_session_id: str
    is_gone: bool


class Refreshes:
    """The refreshes of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def insert(self, branch: int, task: RefreshTask) -> bool:
        """Keep a new refresh; False when the branch has one that waits or is under way."""
        insert = insert_into(self._connection)(tables.refreshes).on_conflict_do_nothing(index_elements=["open_branch"])
        values = _values(task) | {"branch": branch, "open_branch": branch}
        return self._connection.execute(insert.returning(_t.id), values).scalar() is not None

    def update(self, stored: StoredRefresh, after: RefreshTask) -> None:
        """Write a changed refresh."""
        values = _values(after) | {"open_branch": stored.branch if after.status.is_open else None}
        self._connection.execute(sa.update(tables.refreshes).where(_t.id == stored.key).values(values))

    def find(self, task_id: str, *, lock: bool = False) -> StoredRefresh | None:
        """A refresh by its id; with ``lock`` nobody else changes it until the transaction ends."""
        return self._one(_ROWS.where(_t.task_id == task_id), lock=lock)

    def open_of(self, branch: int, *, lock: bool = False) -> StoredRefresh | None:
        """The refresh of a branch that waits or is under way; with ``lock`` held until the transaction ends."""
        return self._one(_ROWS.where(_t.open_branch == branch), lock=lock)

    def of_analysis(self, analysis_id: str) -> list[StoredRefresh]:
        """The refreshes that wait for the end of an analysis, or for that of one that failed."""
        names = [row["task_id"] for row in _OF_ANALYSIS.fetch(self._connection, {"wanted": analysis_id})]
        found = [self.find(name, lock=True) for name in names]
        return [stored for stored in found if stored is not None]

    def _one(self, select: sa.Select[Any], *, lock: bool) -> StoredRefresh | None:
        row = self._connection.execute(self._engine.locked(select) if lock else select).one_or_none()
        return None if row is None else _stored(row)

    def failures(self, branch: int) -> int:
        """How many refreshes of a branch have failed since one completed."""
        select = (
            sa.select(_t.failures, _t.status)
            .where(_t.branch == branch, _t.finished_at.is_not(None), _t.status != TaskStatus.CANCELLED.value)
            .order_by(_t.created_at.desc(), _t.id.desc())
            .limit(1)
        )
        row = self._connection.execute(select).one_or_none()
        return 0 if row is None or row.status == TaskStatus.COMPLETED.value else int(row.failures)

    def page(
        self, owner: str | None, statuses: Sequence[TaskStatus], *, limit: int, after: Place | None = None
    ) -> list[StoredRefresh]:
        """One page of refreshes, newest first.

        Args:
            owner: whose; None for everybody's.
            statuses: one of these; of all when empty.
            limit: rows at most.
            after: where the page before ended.
        """
        select = _ROWS
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        if statuses:
            select = select.where(_t.status.in_([status.value for status in statuses]))
        if after is not None:
            end = sa.tuple_(sa.literal(after.created_at, type_=Timestamp), sa.literal(after.key))
            select = select.where(sa.tuple_(_t.created_at, _t.id) < end)
        select = select.order_by(_t.created_at.desc(), _t.id.desc()).limit(limit)
        return [_stored(row) for row in self._connection.execute(select)]

    def executing(self, owner: str | None, limit: int) -> tuple[int, list[tuple[str, str]]]:
        """How many refreshes are under way, and of what: repository and branch of the first ones."""
        running = [_t.open_branch.is_not(None), _t.status == TaskStatus.EXECUTING.value]
        if owner is not None:
            running.append(_t.client_session_id == owner)
        count = self._connection.execute(sa.select(sa.func.count()).where(*running)).scalar_one()
        rows = self._connection.execute(_ROWS.where(*running).order_by(_t.id).limit(limit))
        return count, [(row.repo_id, row.branch_name) for row in rows]

    def open_automatic(self) -> int:
        """How many refreshes that nobody asked for wait or are under way."""
        select = sa.select(sa.func.count()).where(_t.open_branch.is_not(None), _t.is_automatic)
        return self._connection.execute(select).scalar_one()

    def target(self, branch: int) -> Target:
        """What a refresh of a branch, given by its internal key, runs."""
        select = (
            sa.select(
                _b.name,
                _b.client_session_id,
                _b.gone_at,
                _r.location.label("repository"),
                _r.deleted_at,
                _a.analysis_id,
                _a.kind,
                _a.location,
                _a.params,
                _a.tags,
            )
            .select_from(
                tables.branches.join(tables.repositories, _r.id == _b.repository).outerjoin(
                    tables.analyses, _a.id == _b.last_analysis
                )
            )
            .where(_b.id == branch)
        )
        row = self._connection.execute(select).one()
        was_run = bool(row.location)
        return Target(
            kind=row.kind if was_run else None,
            location=row.location if was_run else "",
            params=row.params if was_run else {},
            tags=row.tags or (),
            analysis_id=row.analysis_id,
            repository=row.repository,
            branch_name=row.name,
            client_session_id=row.client_session_id,
            is_gone=row.gone_at is not None or row.deleted_at is not None,
        )

    def branch(self, key: int) -> tuple[str, str, str]:
        """A branch's owner, repository and name."""
        select = sa.select(_b.client_session_id, _r.repo_id, _b.name)
        select = select.select_from(tables.branches.join(tables.repositories, _r.id == _b.repository))
        row = self._connection.execute(select.where(_b.id == key)).one()
        return row.client_session_id, row.repo_id, row.name

    def forgive(self, branch: int) -> None:
        """Forget that refreshes of a branch have failed: one has completed."""
        update = sa.update(tables.refreshes).where(_t.branch == branch, _t.retry_at.is_not(None))
        self._connection.execute(update.values(retry_at=None))

    def forget(self, until: datetime, owner: str | None, limit: int) -> int:
        """Delete refreshes that were over before a moment; returns how many."""
        old = sa.select(_t.id).where(_t.finished_at < until, _t.finished_at.is_not(None))
        if owner is not None:
            old = old.where(_t.client_session_id == owner)
        chosen = old.order_by(_t.finished_at, _t.id).limit(limit)
        return self._connection.execute(sa.delete(tables.refreshes).where(_t.id.in_(chosen))).rowcount


def _values(task: RefreshTask) -> dict[str, Any]:
    return {name: getattr(task, name) for name in _SAME} | {
        "status": task.status.value,
        "error": None if task.error is None else asdict(task.error),
    }


def _stored(row: sa.Row[Any]) -> StoredRefresh:
    value = RefreshTask(
        **{name: getattr(row, name) for name in _SAME},
        repo_id=row.repo_id,
        branch_name=row.branch_name,
        status=TaskStatus(row.status),
        error=None if row.error is None else msgspec.convert(row.error, ErrorInfo),
    )
    return StoredRefresh(key=row.id, branch=row.branch, value=value)
