"""Rows into a store: by their policies, each once, with a mark in the same transaction of how far it is.

A row that is there already by its key stays as it is, and so does everything that is part of it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.analysis import Status
from holdfast.domain.processing import feeds_an_index, sync_jobs
from holdfast.store import tables
from holdfast.store.counters import Counters
from holdfast.store.engine import Engine
from holdfast.store.intake_state import ImportTakenOver, State, Tally
from holdfast.store.jobs import Jobs
from holdfast.store.policies import (
    POLICIES,
    columns,
    flat,
    is_taken,
    key_width,
    parts,
    payload_columns,
    refers_to,
    surrogate,
)
from holdfast.store.prepared import insert_into
from holdfast.store.rows import Incoming, RowRefused, made_of, plain
from holdfast.store.truths import differences

_a = tables.analyses.c
_m = tables.marks.c
_p = tables.payloads.c
_KEY = "key."
_KEYS_AT_ONCE = 500


class Intake:
    """What an import does in one transaction."""

    def __init__(
        self, connection: sa.Connection, engine: Engine, counters: Counters, jobs: Jobs, processors: Sequence[str]
    ) -> None:
        """Work on ``connection``; what comes in is queued for ``processors``."""
        self._connection = connection
        self._engine = engine
        self._counters = counters
        self._jobs = jobs
        self._processors = processors

    def is_empty(self) -> bool:
        """Whether nothing is kept here that an import could meet."""
        kept = (tables.analyses, tables.ledger, tables.jobs, tables.subjects, tables.payloads, tables.tokens)
        return all(self._connection.execute(_any(table)).first() is None for table in kept)

    def find(self, name: str) -> State | None:
        """How far an import is; None when it has not begun, or is complete."""
        found = self._connection.execute(self._engine.locked(sa.select(_m.data).where(_m.name == name))).scalar()
        return None if found is None else msgspec.convert(found, State)

    def begin(self, name: str, by: str, now: Any) -> State:
        """Begin an import, or take it over where it stands."""
        there = self.find(name)
        state = State(by=by, is_fresh=self.is_empty()) if there is None else msgspec.structs.replace(there, by=by)
        self._note(name, state, now)
        return state

    def put(self, name: str, before: State, rows: Sequence[Incoming], chain: str, now: Any) -> State:
        """Bring rows in, and note how far it is.

        Args:
            name: of the import.
            before: how far it was.
            rows: what comes next, in order.
            chain: the digest after them.
            now: the moment.

        Raises:
            ImportTakenOver: somebody else goes on with it.
            RowRefused: a row cannot be brought in; nothing of these was.
        """
        if self.find(name) != before:
            raise ImportTakenOver
        tally = Tally(before)
        wanted = self._wanted(rows, tally)
        for table in tables.metadata.sorted_tables:
            for found in _in_turn(table, wanted.get(table.name, [])):
                self._insert(table, found, tally)
        self._queue(tally.ready(), now)
        after = tally.state(line=rows[-1].line, chain=chain)
        self._note(name, after, now)
        return after

    def _queue(self, analysis_ids: Sequence[str], now: Any) -> None:
        """Queue analyses, which have all their parts, for every index; one that has not ended has nothing to say."""
        if not (self._processors and analysis_ids):
            return
        ended = [status.value for status in Status if status.ended]
        select = sa.select(_a.id, _a.analysis_id).where(_a.analysis_id.in_(analysis_ids), _a.status.in_(ended))
        rows = self._connection.execute(select.order_by(_a.id))
        self._jobs.enqueue([job for key, name in rows for job in sync_jobs(self._processors, [key], name)], now)

    def offer_payloads(self, rows: Sequence[Incoming]) -> None:
        """Bring payloads in once more that went in the meantime, since nothing referred to them yet."""
        made = [made_of(tables.payloads, row) for row in rows]
        missing = self._missing({values["hash"] for values in made})
        self._write(tables.payloads, [values for values in made if values["hash"] in missing])

    def finish(self, name: str, now: Any) -> None:
        """Queue what is left, set the counters right, and forget the mark."""
        state = self.find(name)
        if state is not None and state.latest is not None:
            self._queue([state.latest], now)
        self.reconcile()
        self.forget(name)

    def forget(self, name: str) -> None:
        """Forget how far an import is: it begins anew."""
        self._connection.execute(sa.delete(tables.marks).where(_m.name == name))

    def reconcile(self) -> dict[str, tuple[int, int]]:
        """Add to the counters what they lack; returns those that were wrong, and what they are now."""
        wrong = differences(self._connection)
        for name, (said, true) in wrong.items():
            self._counters.add(name, true - said)
        return wrong

    def clear(self, now: Any) -> None:
        """Drop everything that an import could bring; indexes are told of it."""
        keys = list(self._connection.execute(sa.select(_a.id)).scalars()) if self._processors else []
        self._connection.execute(sa.delete(tables.counters))
        for table in reversed(tables.metadata.sorted_tables):
            if is_taken(table.name, secrets=True):
                delete, rows = sa.delete(table), POLICIES[table.name].rows
                self._connection.execute(delete if rows is None else delete.where(rows))
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            self._jobs.enqueue(sync_jobs(self._processors, keys[start : start + _KEYS_AT_ONCE]), now)

    def _note(self, name: str, state: State, now: Any) -> None:
        insert = insert_into(self._connection)(tables.marks)
        upsert = insert.on_conflict_do_update(
            index_elements=["name"], set_={"at": insert.excluded.at, "data": insert.excluded.data}
        )
        self._connection.execute(upsert, {"name": name, "at": now, "data": msgspec.to_builtins(state)})

    def _wanted(self, rows: Sequence[Incoming], tally: Tally) -> dict[str, list[dict[str, Any]]]:
        """The rows that are not there yet, by table."""
        made = [(table, made_of(table, row)) for row in rows for table in (_table(row),)]
        known: dict[str, dict[Any, dict[str, Any]]] = {}
        for table in {table for table, _ in made if POLICIES[table.name].key and POLICIES[table.name].part_of is None}:
            known[table.name] = self._known(table, [values for other, values in made if other is table])
        found: dict[str, list[dict[str, Any]]] = {}
        for table, values in made:
            policy = POLICIES[table.name]
            if table is tables.jobs and feeds_an_index(values["kind"]):
                continue
            if policy.part_of is not None:
                is_there = tally.skipping
            else:
                there = known.get(table.name, {}).get(tuple(values[name] for name in policy.key))
                is_there = bool(policy.key) and there is not None
                if parts(table):
                    tally.skipping = is_there
                if is_there and any(there[name] != values[name] for name in there):  # type: ignore[index, union-attr]
                    tally.differs(table.name, values)
                    continue
            if is_there:
                tally.there[table.name] += 1
            else:
                found.setdefault(table.name, []).append(values)
        return found

    def _known(self, table: sa.Table, rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
        """Those of the rows that are there, by key, with what can be compared."""
        key = POLICIES[table.name].key
        compared = [c for c in columns(table) if refers_to(c) is None and not isinstance(c.type, sa.LargeBinary)]
        named = {tuple(values[name] for name in key): flat(values[name] for name in key) for values in rows}
        wanted = self._resolved(table, set(named.values()))
        if not wanted:
            return {}
        parts_of_key = [table.c[name] for name in key]
        select = sa.select(
            *(sa.type_coerce(c, plain(c)).label(f"{_KEY}{c.name}") for c in parts_of_key),
            *(sa.type_coerce(c, plain(c)).label(c.name) for c in compared),
        ).where(_among(parts_of_key, list(wanted.values())))
        found = {tuple(row[: len(key)]): dict(row._mapping) for row in self._connection.execute(select)}
        shown = {place: {c.name: row[c.name] for c in compared} for place, row in found.items()}
        return {
            name: shown[place]
            for name, whole in named.items()
            if (place := wanted.get(whole)) is not None and place in shown
        }

    def _insert(self, table: sa.Table, rows: list[dict[str, Any]], tally: Tally) -> None:
        policy = POLICIES[table.name]
        if policy.same and not tally.is_fresh:
            rows = self._new_in_log(table, rows, tally)
        if policy.gives_way is not None:
            self._give_way(table.c[policy.gives_way], rows)
        if policy.holds_for:
            self._end(table, rows)
        self._refer(table, rows)
        self._count_references(table, rows)
        if policy.renumbered is not None:
            transaction = self._engine.transaction_number(self._connection)
            for row in rows:
                row["transaction"] = transaction
                if not tally.is_fresh:
                    del row[policy.renumbered]
        self._write(table, rows)
        if policy.renumbered is not None and tally.is_fresh and rows:
            newest = max(row[policy.renumbered] for row in rows)
            self._engine.number_beyond(self._connection, table.c[policy.renumbered], newest)
        tally.added[table.name] += len(rows)
        if table is tables.analyses:
            tally.analyses += [row["analysis_id"] for row in rows]

    def _refer(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Put the numbers that rows have here in the place of the keys by which they are referred to."""
        for column in columns(table):
            target = refers_to(column)
            if target is None:
                continue
            referring = [row for row in rows if row[column.name] is not None]
            numbers = self._numbers(target, {row[column.name] for row in referring})
            for row in referring:
                row[column.name] = numbers[row[column.name]]

    def _write(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        if table is tables.payloads:
            rows = [{**row, "reference_count": 0} for row in rows]
        # The database's own types: what is written here is what was read there.
        target = sa.table(table.name, *(sa.column(name, plain(table.c[name])) for name in rows[0]))
        self._connection.execute(sa.insert(target), rows)

    def _new_in_log(self, table: sa.Table, rows: list[dict[str, Any]], tally: Tally) -> list[dict[str, Any]]:
        policy = POLICIES[table.name]
        same = [sa.type_coerce(table.c[name], plain(table.c[name])) for name in policy.same]
        ids = {row["analysis_id"] for row in rows}
        near = sa.or_(table.c.analysis_id.in_([i for i in ids if i is not None]), table.c.analysis_id.is_(None))
        moment = "at" if "at" in policy.same else "created_at"
        at = sa.type_coerce(table.c[moment], sa.BigInteger).in_([row[moment] for row in rows])
        there = Counter(tuple(row) for row in self._connection.execute(sa.select(*same).where(near, at)))
        taken: set[Any] = set()
        if policy.unique is not None:
            column = table.c[policy.unique]
            values = [row[policy.unique] for row in rows if row[policy.unique] is not None]
            taken = set(self._connection.execute(sa.select(column).where(column.in_(values))).scalars())
        new = []
        for row in rows:
            known = tuple(row[name] for name in policy.same)
            if there[known] > 0 or (policy.unique is not None and row[policy.unique] in taken):
                there[known] -= 1
                tally.there[table.name] += 1
            else:
                new.append(row)
        return new

    def _give_way(self, column: sa.Column[Any], rows: list[dict[str, Any]]) -> None:
        wanted = [row[column.name] for row in rows if row[column.name] is not None]
        taken = (
            set(self._connection.execute(sa.select(column).where(column.in_(wanted))).scalars()) if wanted else set()
        )
        for row in rows:
            if row[column.name] in taken:
                row[column.name] = None

    def _end(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        names = POLICIES[table.name].holds_for
        holding = [row for row in rows if row["ended_at"] is None]
        if not holding:
            return
        columns_ = [table.c[name] for name in names]
        wanted = [tuple(row[name] for name in names) for row in holding]
        select = sa.select(*(sa.type_coerce(c, plain(c)) for c in columns_))
        there = self._connection.execute(select.where(_among(columns_, wanted), table.c.ended_at.is_(None)))
        taken = {tuple(row) for row in there}
        for row, scope in zip(holding, wanted, strict=True):
            if scope in taken:
                row["ended_at"] = row["decided_at"]

    def _numbers(self, table: sa.Table, keys: set[Any]) -> dict[Any, int]:
        """The numbers that rows have here, by what they are named in the bundle."""
        if not keys:
            return {}
        found = self._there(table, keys)
        missing = sorted(map(repr, keys - found.keys()))
        if missing:
            raise RowRefused(f"A row refers to {missing[0]} of {table.name}, which is not in the bundle")
        return found

    def _there(self, table: sa.Table, keys: set[Any]) -> dict[Any, int]:
        """The numbers of those rows that are there."""
        number = surrogate(table)
        assert number is not None
        wanted = self._resolved(table, {key if isinstance(key, tuple) else (key,) for key in keys})
        if not wanted:
            return {}
        named = [table.c[name] for name in POLICIES[table.name].key]
        select = sa.select(number, *named).where(_among(named, list(wanted.values())))
        found = {tuple(row[1:]): row[0] for row in self._connection.execute(select)}
        known = {key: wanted.get(key if isinstance(key, tuple) else (key,)) for key in keys}
        return {key: found[whole] for key, whole in known.items() if whole in found}

    def _resolved(self, table: sa.Table, keys: set[tuple[Any, ...]]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Keys with this store's numbers for the rows that they name; what names one that is not here is left out."""
        made: dict[tuple[Any, ...], tuple[Any, ...]] = dict.fromkeys(keys, ())
        place = 0
        for name in POLICIES[table.name].key:
            target = refers_to(table.c[name])
            size = 1 if target is None else key_width(target)
            heads = {key: key[place : place + size] for key in made}
            place += size
            if target is None:
                made = {key: (*made[key], head[0]) for key, head in heads.items()}
                continue
            numbers = self._there(target, {_single(head) for head in heads.values()})
            made = {
                key: (*made[key], number)
                for key, head in heads.items()
                if (number := numbers.get(_single(head))) is not None
            }
        return made

    def _count_references(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        counts = Counter(row[name] for name in payload_columns(table) for row in rows if row[name] is not None)
        if not counts:
            return
        if missing := self._missing(set(counts)):
            raise RowRefused(
                f"A row of {table.name} refers to the result {min(missing)[:12]}, which is not in the bundle"
            )
        update = sa.update(tables.payloads).where(_p.hash == sa.bindparam("payload"))
        update = update.values(reference_count=_p.reference_count + sa.bindparam("more", type_=sa.Integer))
        # In the order in which all writers take them.
        self._connection.execute(update, [{"payload": digest, "more": counts[digest]} for digest in sorted(counts)])

    def _missing(self, hashes: set[str]) -> set[str]:
        select = sa.select(_p.hash).where(_p.hash.in_(hashes)).order_by(_p.hash)
        return hashes - set(self._connection.execute(self._engine.locked(select)).scalars())


def _in_turn(table: sa.Table, rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The rows in their order, parted so that none refers to one beside it: that one must have its number first."""
    own = [column.name for column in columns(table) if refers_to(column) is table]
    key = POLICIES[table.name].key
    some: list[dict[str, Any]] = []
    beside: set[Any] = set()
    for row in rows:
        if any(row[name] in beside for name in own):
            yield some
            some, beside = [], set()
        some.append(row)
        beside.add(row[key[0]] if len(key) == 1 else tuple(row[name] for name in key))
    if some:
        yield some


def _any(table: sa.Table) -> sa.Select[Any]:
    select = sa.select(sa.literal(1)).select_from(table).limit(1)
    rows = POLICIES[table.name].rows
    return select if rows is None else select.where(rows)


def _single(key: tuple[Any, ...]) -> Any:
    return key[0] if len(key) == 1 else key


def _among(named: Sequence[sa.ColumnElement[Any]], keys: Sequence[tuple[Any, ...]]) -> sa.ColumnElement[bool]:
    coerced = [sa.type_coerce(column, plain(column)) for column in named]  # type: ignore[arg-type]
    if len(coerced) == 1:
        return coerced[0].in_([key[0] for key in keys])
    return sa.tuple_(*coerced).in_(keys)


def _table(row: Incoming) -> sa.Table:
    table = tables.metadata.tables.get(row.kind)
    if table is None or not is_taken(row.kind, secrets=True):
        raise RowRefused(
            f"Line {row.line} is of the kind {row.kind!r}, which this Holdfast does not know", line=row.line
        )
    return table
