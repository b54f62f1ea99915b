"""What happened, in order: audit trail and live feed."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from holdfast.domain.events import Event, LedgerEntry, Position
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.together import Together

_t = tables.ledger.c
# In the very words of the indexes, or SQLite would not take them.
_COMMON = "analysis.completed"
_IS_NOT_COMMON = sa.text(f"name <> '{_COMMON}'")
_IS_FOREIGN = sa.text("coalesce(client_session_id, '') <> actor")
_BY_NAME, _BY_ACTOR = (f"ix_ledger_{column}_transaction_sequence" for column in ("name", "actor"))
_APPEND = Together.insert(
    tables.ledger, ("transaction", "at", "name", "analysis_id", "client_session_id", "actor", "data")
)


class Ledger:
    """The ledger of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine, complete_below: int | None = None) -> None:
        """Work on ``connection``; to follow the ledger, ``complete_below`` what ``Engine.follow`` says."""
        self._connection = connection
        self._engine = engine
        self._complete_below = complete_below
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
        _APPEND.run(self._connection, rows)

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
        return self._entries(select)

    def feed(
        self,
        after: Position | None,
        limit: int,
        *,
        until: Position | None = None,
        owner: str | None = None,
        analysis_id: str | None = None,
    ) -> list[LedgerEntry]:
        """What was committed after a place, in the order of commits; whoever goes on from the last one misses none.

        Args:
            after: the place; None for the beginning.
            limit: how many at most.
            until: the last place of interest.
            owner: only what changed of this owner's.
            analysis_id: only what happened to this analysis.
        """
        select = sa.select(tables.ledger).where(self._complete()).order_by(*self._order()).limit(limit)
        if after is not None:
            select = select.where(_row(self._order()) > self._there(after))
        if until is not None:
            select = select.where(_row(self._order()) <= self._there(until))
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        if analysis_id is not None:
            select = select.where(_t.analysis_id == analysis_id)
        return self._entries(select)

    def head(self) -> Position:
        """The newest place that ``feed`` reaches by now."""
        newest = [column.desc() for column in self._order()]
        select = sa.select(_t.transaction, _t.sequence).where(self._complete()).order_by(*newest).limit(1)
        row = self._connection.execute(select).first()
        return Position() if row is None else Position(transaction=row.transaction, sequence=row.sequence)

    def position_of(self, sequence: int) -> Position | None:
        """The place of an event by its number alone, to go on after it.

        Args:
            sequence: its number; of an event that has been trimmed, the place right before the first one that was
                not; 0 is before all.

        Returns:
            The place; None when the number is beyond the newest.
        """
        if sequence <= 0:
            return Position()
        select = sa.select(_t.transaction, _t.sequence).where(_t.sequence >= sequence).order_by(_t.sequence).limit(1)
        row = self._connection.execute(select).first()
        if row is None:
            return None
        return Position(transaction=row.transaction, sequence=row.sequence - (row.sequence != sequence))

    def last_of(self, analysis_id: str, names: Collection[str]) -> Position | None:
        """Where the last event of an analysis with one of these names stands, whether ``feed`` reaches it or not."""
        select = (
            sa.select(_t.transaction, _t.sequence)
            .where(_t.analysis_id == analysis_id, _t.name.in_(names))
            .order_by(_t.sequence.desc())
            .limit(1)
        )
        row = self._connection.execute(select).first()
        return None if row is None else Position(transaction=row.transaction, sequence=row.sequence)

    def audit(
        self,
        limit: int,
        *,
        before: Position | None = None,
        owner: str | None = None,
        names: Collection[str] = (),
        actor: str | None = None,
    ) -> list[LedgerEntry]:
        """What happened, newest first, the very latest included.

        Args:
            limit: how many at most.
            before: where the page before ended.
            owner: only what changed of this owner's.
            names: only events of these names.
            actor: only what they did.
        """
        newest = [column.desc() for column in self._order()]
        # Says to PostgreSQL that the partial index has every row, and to SQLite that the owner's is in this order.
        select = sa.select(tables.ledger).where(self._engine.numbered(_t.transaction)).order_by(*newest).limit(limit)
        if before is not None:
            select = select.where(_row(self._order()) < self._there(before))
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        walks = _walks(names, actor, is_bound=owner is not None)
        found: list[LedgerEntry] = []
        for index, conditions in walks:
            chosen = select.where(*conditions)
            if index is not None:
                # By averages alone, SQLite takes a rare name for a frequent one, and walks the ledger itself.
                chosen = chosen.with_hint(tables.ledger, f"INDEXED BY {index}", "sqlite")
            found += self._entries(chosen)
        if len(walks) > 1:
            found.sort(key=lambda entry: entry.position, reverse=True)
        return found[:limit]

    def _complete(self) -> sa.ColumnElement[bool]:
        """Whether nothing can be committed any more that comes before a row, in the order of commits."""
        assert self._complete_below is not None, "the ledger is followed by Store.follow"
        numbered = self._engine.numbered(_t.transaction)
        if not self._complete_below:
            return numbered
        return sa.and_(numbered, _t.transaction < self._complete_below)

    def _order(self) -> list[sa.ColumnElement[int]]:
        return self._engine.commit_order(_t.transaction, _t.sequence)

    def _there(self, position: Position) -> sa.ColumnElement[Any]:
        values = {"transaction": position.transaction, "sequence": position.sequence}
        return _row([sa.literal(values[column.key or ""], sa.BigInteger) for column in self._order()])

    def _entries(self, select: sa.Select[Any]) -> list[LedgerEntry]:
        return [
            LedgerEntry(
                sequence=row.sequence,
                transaction=row.transaction,
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


_Conditions = list[sa.ColumnElement[bool] | sa.TextClause]
_Walk = tuple[str | None, _Conditions]


def _walks(names: Collection[str], actor: str | None, *, is_bound: bool) -> list[_Walk]:
    """The walks of a search, each with the index that it must go along, if any; no row is in two of them."""
    if is_bound or actor is not None:
        done: _Conditions = [_t.name.in_(names)] if names else []
        if actor is None:
            return [(None, done)]
        done = [_t.actor == actor, *done]
        if is_bound:
            return [(None, done)]
        return [(None, [_t.client_session_id == actor, *done]), (_BY_ACTOR, [_IS_FOREIGN, *done])]
    if not names:
        return [(None, [])]
    return [
        (None, [_t.name == name]) if name == _COMMON else (_BY_NAME, [_t.name == name, _IS_NOT_COMMON])
        for name in dict.fromkeys(names)
    ]


def _row(columns: Sequence[sa.ColumnElement[int]]) -> sa.ColumnElement[Any]:
    """One value to compare by: SQLite finds its row ids by a plain column only."""
    return columns[0] if len(columns) == 1 else sa.tuple_(*columns)
