"""Indexes, and what processors have done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.processing import IndexState, ProcessingStatus
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import Insert, insert_into
from holdfast.store.together import Together

_i = tables.indexes.c
_p = tables.processing.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a processor has noted of an analysis.

    Attributes:
        key: of the analysis.
        status: COMPLETED, FAILED or SKIPPED.
        digest: of the document that it did.
        processor_version: which did it.
        attempts: how many failed, where it has failed.
        last_error: why the last of them did.
    """

    key: int
    status: ProcessingStatus
    digest: str = ""
    processor_version: str = ""
    attempts: int = 0
    last_error: str | None = None


_KEY = ("analysis", "processor")
_CHANGED = ("status", "digest", "processor_version", "attempts", "last_error", "updated_at")


def _upsert(insert: Insert) -> Insert:
    changed = {name: getattr(insert.excluded, name) for name in _CHANGED}
    return insert.on_conflict_do_update(index_elements=_KEY, set_=changed)


_NOTE = Together.insert(tables.processing, (*_KEY, *_CHANGED), _upsert)


class Processing:
    """The indexes of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def apply(self, work: Callable[[sa.Connection], None]) -> None:
        """Let a processor write into its own tables, in this transaction."""
        work(self._connection)

    def index(self, processor: str, *, hold: bool = False, lock: bool = False) -> IndexState | None:
        """A processor's index.

        Args:
            processor: whose.
            hold: it stays so until the transaction ends.
            lock: it is about to be changed.
        """
        select = sa.select(tables.indexes).where(_i.processor == processor)
        if lock:
            select = self._engine.locked(select)
        elif hold:
            select = self._engine.shared(select)
        row = self._connection.execute(select).one_or_none()
        return None if row is None else _state(row)

    def indexes(self) -> list[IndexState]:
        """Every index, by its processor's name."""
        return [_state(row) for row in self._connection.execute(sa.select(tables.indexes).order_by(_i.processor))]

    def add_index(self, state: IndexState, now: datetime) -> bool:
        """Keep a new index; False when another transaction has made it."""
        insert = insert_into(self._connection)(tables.indexes).on_conflict_do_nothing(index_elements=["processor"])
        return self._connection.execute(insert.returning(_i.processor), _row(state, now)).first() is not None

    def put_index(self, state: IndexState, now: datetime) -> None:
        """Write a changed index."""
        update = sa.update(tables.indexes).where(_i.processor == state.processor)
        self._connection.execute(update.values(_row(state, now)))

    def marks_of(self, key: int) -> dict[str, tuple[Mark, datetime]]:
        """What each processor has noted of an analysis, and when."""
        select = sa.select(tables.processing).where(_p.analysis == key)
        return {row.processor: (_mark(row), row.updated_at) for row in self._connection.execute(select)}

    def note(self, processor: str, marks: Sequence[Mark], now: datetime) -> None:
        """Note what became of analyses; they exist."""
        marks = sorted(marks, key=lambda mark: mark.key)
        columns: dict[str, list[Any]] = {
            "analysis": [mark.key for mark in marks],
            "processor": [processor] * len(marks),
            "status": [mark.status.value for mark in marks],
            "digest": [mark.digest for mark in marks],
            "processor_version": [mark.processor_version for mark in marks],
            "attempts": [mark.attempts for mark in marks],
            "last_error": [mark.last_error for mark in marks],
            "updated_at": [now] * len(marks),
        }
        _NOTE.run_columns(self._connection, columns)

    def forget(self, processors: Sequence[str], keys: Sequence[int]) -> None:
        """Forget what was noted of analyses, so that they are done again."""
        where = (_p.processor.in_(processors), _p.analysis.in_(keys))
        self._connection.execute(sa.delete(tables.processing).where(*where))

    def counts(self) -> dict[str, dict[str, int]]:
        """How many analyses each processor has done, put aside and skipped."""
        select = sa.select(_p.processor, _p.status, sa.func.count()).group_by(_p.processor, _p.status)
        counts: dict[str, dict[str, int]] = {}
        for processor, status, count in self._connection.execute(select):
            counts.setdefault(processor, {})[status] = count
        return counts

    def is_any_kept(self) -> bool:
        """Whether there is any analysis."""
        return self._connection.execute(sa.select(tables.analyses.c.id).limit(1)).first() is not None


def _row(state: IndexState, now: datetime) -> Mapping[str, Any]:
    return {name: getattr(state, name) for name in IndexState.__slots__} | {"updated_at": now}


def _state(row: sa.Row[Any]) -> IndexState:
    return IndexState(**{name: getattr(row, name) for name in IndexState.__slots__})


def _mark(row: sa.Row[Any]) -> Mark:
    return Mark(
        key=row.analysis,
        status=ProcessingStatus(row.status),
        digest=row.digest,
        processor_version=row.processor_version,
        attempts=row.attempts,
        last_error=row.last_error,
    )
