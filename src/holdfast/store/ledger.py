"""What happened, in order: audit trail and live feed."""

from collections.abc import Sequence

import sqlalchemy as sa

from holdfast.domain.events import Event, LedgerEntry
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.prepared import Prepared

_t = tables.ledger.c
_APPEND = Prepared(lambda insert: insert(tables.ledger))


class Ledger:
    """The ledger of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine
        self._events: list[Event] = []

    def append(self, events: Sequence[Event]) -> None:
        """Write events when the transaction is flushed; they exist if and only if its other changes do."""
        # Held back: a batch of jobs appends a hundred times, and on PostgreSQL each statement is a round trip.
        self._events += events

    def flush(self) -> None:
        """Write what was appended."""
        if not self._events:
            return
        transaction = self._engine.transaction_number(self._connection)
        rows = [
            {
                "transaction": transaction,
                "at": event.at,
                "name": event.name,
                "analysis_id": event.analysis_id,
                "client_session_id": event.client_session_id,
                "actor": event.actor,
                "data": event.data,
            }
            for event in self._events
        ]
        self._events.clear()
        _APPEND.run_many(self._connection, rows)

    def of_analysis(self, analysis_id: str, *, after: int = 0, limit: int = 100) -> list[LedgerEntry]:
        """The events of one analysis, oldest first.

        Args:
            analysis_id: the analysis; its events outlive it.
            after: only what stands later in the ledger.
            limit: how many at most.
        """
        self.flush()
        select = (
            sa.select(tables.ledger)
            .where(_t.analysis_id == analysis_id, _t.sequence > after)
            .order_by(_t.sequence)
            .limit(limit)
        )
        return [
            LedgerEntry(
                sequence=row.sequence,
                event=Event(
                    name=row.name,
                    at=row.at,
                    analysis_id=row.analysis_id,
                    client_session_id=row.client_session_id,
                    actor=row.actor,
                    data=row.data,
                ),
            )
            for row in self._connection.execute(select)
        ]
