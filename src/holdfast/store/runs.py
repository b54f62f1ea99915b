"""The traces of a run: attempts, progress, checkpoints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.analysis import ErrorInfo, Status
from holdfast.domain.progress import Progress
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import insert_into

_a = tables.attempts.c
_p = tables.progress.c
_c = tables.checkpoints.c
# Few enough for any driver's limit on parameters.
_KEYS_PER_QUERY = 500
_RUN_SCOPE = "analysis:"


def run_scope(analysis_id: str) -> str:
    """The checkpoint scope that ends with an analysis."""
    return f"{_RUN_SCOPE}{analysis_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of an analysis.

    Attributes:
        number: from 1.
        worker: who ran it.
        started_at: when it began.
        ended_at: when it ended; None while it runs.
        status: how it ended; ``queued`` when it was interrupted.
        error: why it ended without a result.
    """

    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    status: Status
    error: ErrorInfo | None


class Runs:
    """The runs of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def begin_attempt(self, analysis: int, number: int, worker: str, now: datetime) -> None:
        """An attempt begins."""
        row = {
            "analysis": analysis,
            "number": number,
            "worker": worker,
            "started_at": now,
            "status": Status.RUNNING.value,
        }
        self._connection.execute(sa.insert(tables.attempts), row)

    def end_attempt(self, analysis: int, number: int, status: Status, error: ErrorInfo | None, now: datetime) -> None:
        """The attempt ends."""
        self._connection.execute(
            sa.update(tables.attempts)
            .where(_a.analysis == analysis, _a.number == number)
            .values(status=status.value, error=None if error is None else asdict(error), ended_at=now)
        )

    def attempts(self, analysis: int) -> list[Attempt]:
        """The attempts of an analysis, first one first."""
        select = sa.select(tables.attempts).where(_a.analysis == analysis).order_by(_a.number)
        return [
            Attempt(
                number=row.number,
                worker=row.worker,
                started_at=row.started_at,
                ended_at=row.ended_at,
                status=Status(row.status),
                error=None if row.error is None else msgspec.convert(row.error, ErrorInfo),
            )
            for row in self._connection.execute(select)
        ]

    def progressed(self, analysis: int, progress: Progress) -> None:
        """Keep how far a run has come."""
        insert = insert_into(self._connection)(tables.progress)
        upsert = insert.on_conflict_do_update(
            index_elements=["analysis"],
            set_={"data": insert.excluded.data, "updated_at": insert.excluded.updated_at},
        )
        row = {"analysis": analysis, "data": progress, "updated_at": progress.updated_at}
        self._connection.execute(upsert, row)

    def progress(self, analyses: Sequence[int]) -> dict[int, Progress]:
        """How far runs have come, by internal key."""
        select = sa.select(_p.analysis, _p.data).where(_p.analysis.in_(analyses))
        return {row.analysis: msgspec.convert(row.data, Progress) for row in self._connection.execute(select)}

    def save_checkpoints(self, scope: str, values: Mapping[str, bytes], now: datetime) -> None:
        """Keep values by key, in place of what the keys had before."""
        insert = insert_into(self._connection)(tables.checkpoints)
        upsert = insert.on_conflict_do_update(
            index_elements=["scope", "key"],
            set_={"data": insert.excluded.data, "saved_at": insert.excluded.saved_at},
        )
        rows: list[dict[str, Any]] = [
            {"scope": scope, "key": key, "data": data, "saved_at": now} for key, data in sorted(values.items())
        ]
        if rows:
            self._connection.execute(upsert, rows)

    def load_checkpoints(self, scope: str, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of those keys that have one."""
        wanted = list(keys)
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            select = sa.select(_c.key, _c.data).where(
                _c.scope == scope, _c.key.in_(wanted[start : start + _KEYS_PER_QUERY])
            )
            found.update((row.key, bytes(row.data)) for row in self._connection.execute(select))
        return found

    def old_checkpoints(self, scope: str, keys: Iterable[str], before: datetime) -> list[str]:
        """Which checkpoints were last kept or used before a moment; none of those that end with an analysis."""
        if scope.startswith(_RUN_SCOPE):
            return []
        wanted = list(keys)
        old: list[str] = []
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            some = wanted[start : start + _KEYS_PER_QUERY]
            select = sa.select(_c.key).where(_c.scope == scope, _c.key.in_(some), _c.saved_at < before)
            old += self._connection.execute(select).scalars()
        return old

    def touch_checkpoints(self, scope: str, keys: Sequence[str], now: datetime) -> None:
        """Note that checkpoints are in use."""
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            update = sa.update(tables.checkpoints).where(
                _c.scope == scope, _c.key.in_(keys[start : start + _KEYS_PER_QUERY])
            )
            self._connection.execute(update.values(saved_at=now))

    def drop_checkpoints(self, scope: str) -> None:
        """Forget a scope."""
        self._connection.execute(sa.delete(tables.checkpoints).where(_c.scope == scope))
