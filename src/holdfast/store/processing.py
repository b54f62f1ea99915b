"""Indexes, and what processors have done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.processing import IndexState, ProcessingStatus
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import Insert, InsertInto, Prepared, insert_into

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


_CHANGED = ("status", "digest", "processor_version", "attempts", "last_error", "updated_at")


def _upsert(insert_into: InsertInto) -> Insert:
    insert = insert_into(tables.processing)
    changed = {name: getattr(insert.excluded, name) for name in _CHANGED}
    return insert.on_conflict_do_update(index_elements=["analysis", "processor"], set_=changed)


_NOTE = Prepared(_upsert)


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

    def marks(self, processor: str, keys: Sequence[int]) -> dict[int, Mark]:
        """What a processor has noted of analyses, by their keys."""
        select = sa.select(tables.processing).where(_p.processor == processor, _p.analysis.in_(keys))
        return {row.analysis: _mark(row) for row in self._connection.execute(select)}

    def marks_of(self, key: int) -> dict[str, tuple[Mark, datetime]]:
        """What each processor has noted of an analysis, and when."""
        select = sa.select(tables.processing).where(_p.analysis == key)
        return {row.processor: (_mark(row), row.updated_at) for row in self._connection.execute(select)}

    def note(self, processor: str, marks: Sequence[Mark], now: datetime) -> None:
        """Note what became of analyses; they exist."""
        rows = [
            {
                "analysis": mark.key,
                "processor": processor,
                "status": mark.status.value,
                "digest": mark.digest,
                "processor_version": mark.processor_version,
                "attempts": mark.attempts,
                "last_error": mark.last_error,
                "updated_at": now,
            }
            for mark in sorted(marks, key=lambda mark: mark.key)
        ]
        _NOTE.run_together(self._connection, rows)

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

    def keys_after(self, key: int, limit: int) -> list[int]:
        """The keys of analyses in order, from the one after ``key`` on."""
        column = tables.analyses.c.id
        select = sa.select(column).where(column > key).order_by(column).limit(limit)
        return list(self._connection.execute(select).scalars())


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
