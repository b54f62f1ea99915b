"""What is wrong with what is kept: rows against rows, results against checksums, figures against the truth.

Nothing here takes anything away: what can be computed anew from what is there is set right, all else is named.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from holdfast.domain.analysis import Status
from holdfast.domain.errors import PayloadCorrupt
from holdfast.domain.integrity import Problem
from holdfast.store import tables
from holdfast.store.counters import Counters
from holdfast.store.engine import Engine
from holdfast.store.payloads import unpack
from holdfast.store.prepared import insert_into
from holdfast.store.truths import differences

_t = tables.analyses.c
_p = tables.payloads.c
_f = tables.findings.c
_AT_ONCE = 500


class Integrity:
    """The check of one transaction, and the repairs of another."""

    def __init__(self, connection: sa.Connection, engine: Engine, counters: Counters) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine
        self._counters = counters

    def problems(self) -> Iterator[Problem]:
        """All that is wrong, results excepted."""
        yield from self._references()
        yield from self._names()
        yield from self._counts()
        yield from self._labels()
        yield from self._owners()
        yield from self._stranded()
        for name, (said, true) in differences(self._connection).items():
            message = f"The figure {name} says {said}, by the rows it is {true}"
            yield Problem(kind="counter", table="counters", key=name, message=message, repairable=True)
        for column, newest in self._engine.numbers_behind(self._connection, _numbered()):
            message = f"The next number of {column.table.name} is not beyond {newest}, its highest"
            yield Problem(kind="sequence", table=column.table.name, key=column.name, message=message, repairable=True)

    def results(self, after: int, limit: int) -> tuple[int | None, int, list[Problem]]:
        """Check some results by their checksums.

        Args:
            after: the number of the last one that was checked.
            limit: how many at most.

        Returns:
            The number of the last one, None when there are no more; how many were checked; what is wrong.
        """
        select = sa.select(tables.payloads).where(_p.id > after).order_by(_p.id).limit(limit)
        last, checked = None, 0
        found: list[Problem] = []
        for row in self._connection.execute(select):
            last, checked = row.id, checked + 1
            try:
                size = len(unpack(row.hash, bytes(row.data)))
            except PayloadCorrupt as error:
                found.append(Problem(kind="result", table="payloads", key=row.hash, message=error.message))
                continue
            if (row.size, row.stored_size) != (size, len(row.data)):
                message = (
                    f"The result {row.hash[:12]} has {size} bytes, {len(row.data)} as kept; its row says otherwise"
                )
                found.append(Problem(kind="size", table="payloads", key=row.hash, message=message, repairable=True))
        return last, checked, found

    def repair(self) -> None:
        """Set right what follows from what is there."""
        run = self._connection.execute
        run(
            sa.update(tables.payloads)
            .values(stored_size=sa.func.length(_p.data))
            .where(_p.stored_size != sa.func.length(_p.data))
        )
        run(sa.update(tables.payloads).values(reference_count=_references()).where(_p.reference_count != _references()))
        run(sa.update(tables.analyses).values(finding_count=_findings()).where(_t.finding_count != _findings()))
        kept = sa.select(_p.stored_size).where(_p.hash == _t.result_hash).scalar_subquery()
        run(sa.update(tables.analyses).values(result_stored_size=kept).where(_t.result_stored_size != kept))
        self._repair_labels()
        insert = insert_into(self._connection)(tables.owners).on_conflict_do_nothing()
        first = sa.func.min(sa.type_coerce(_t.created_at, sa.BigInteger))
        known = sa.select(_t.client_session_id, first).group_by(_t.client_session_id)
        # SQLite takes ON CONFLICT after a SELECT for a join's ON, unless there is a WHERE.
        run(insert.from_select(["client_session_id", "created_at"], known.where(sa.true())))
        for column, newest in self._engine.numbers_behind(self._connection, _numbered()):
            self._engine.number_beyond(self._connection, column, newest)
        for name, (said, true) in differences(self._connection).items():
            self._counters.add(name, true - said)

    def repair_size(self, digest: str) -> None:
        """Set the size of a result right."""
        select = sa.select(_p.data).where(_p.hash == digest)
        data = bytes(self._connection.execute(select).scalar_one())
        sizes = {"size": len(unpack(digest, data)), "stored_size": len(data)}
        self._connection.execute(sa.update(tables.payloads).where(_p.hash == digest).values(sizes))

    def _references(self) -> Iterator[Problem]:
        """Rows that refer to rows that are not there; a sound database allows none."""
        for table in tables.metadata.sorted_tables:
            for column in table.c:
                for key in column.foreign_keys:
                    target = key.column.table.alias("target")
                    there = sa.select(sa.literal(1)).where(target.c[key.column.name] == column).exists()
                    select = sa.select(*table.primary_key, column.label("_to")).where(column.is_not(None), ~there)
                    for row in self._connection.execute(select):
                        name = " ".join(map(str, row[:-1]))
                        message = f"{table.name} {name} refers to {key.column.table.name} {row[-1]}, which is not there"
                        yield Problem(kind="orphan", table=table.name, key=name, message=message)

    def _names(self) -> Iterator[Problem]:
        """Work and checkpoints of analyses that are not there."""
        jobs = tables.jobs.c
        named = {
            tables.jobs: (jobs.analysis_id, jobs.analysis_id.is_not(None)),
            tables.checkpoints: (
                sa.func.substr(tables.checkpoints.c.scope, 10),
                tables.checkpoints.c.scope.startswith("analysis:", autoescape=True),
            ),
        }
        for table, (name, has_one) in named.items():
            there = sa.select(sa.literal(1)).where(_t.analysis_id == name).exists()
            select = sa.select(*table.primary_key, name.label("_of")).where(has_one, ~there)
            for row in self._connection.execute(select):
                key = " ".join(map(str, row[:-1]))
                message = f"{table.name} {key} is of the analysis {row[-1]}, which is not there"
                yield Problem(kind="orphan", table=table.name, key=key, message=message)

    def _counts(self) -> Iterator[Problem]:
        run = self._connection.execute
        select = sa.select(_p.hash, _p.reference_count, _references()).where(_p.reference_count != _references())
        for digest, said, true in run(select):
            message = f"The result {digest[:12]} counts {said} references, there are {true}"
            yield Problem(kind="references", table="payloads", key=digest, message=message, repairable=True)
        for digest in run(sa.select(_p.hash).where(_references() == 0)).scalars():
            yield Problem(
                kind="unused", table="payloads", key=digest, message=f"Nothing refers to the result {digest[:12]}"
            )
        select = sa.select(_t.analysis_id, _t.finding_count, _findings()).where(_t.finding_count != _findings())
        for name, said, true in run(select):
            message = f"The analysis {name} counts {said} findings, there are {true}"
            yield Problem(kind="findings", table="analyses", key=name, message=message, repairable=True)
        stored = sa.select(_t.analysis_id).join(tables.payloads, _p.hash == _t.result_hash)
        for name in run(stored.where(_t.result_stored_size != _p.stored_size)).scalars():
            message = f"The analysis {name} says another size of its result than there is"
            yield Problem(kind="size", table="analyses", key=name, message=message, repairable=True)

    def _labels(self) -> Iterator[Problem]:
        for name, _, missing, extra in self._wrong_labels():
            message = (
                f"The analysis {name} is not listed by its tags: missing {sorted(missing)}, too many {sorted(extra)}"
            )
            yield Problem(kind="tags", table="tags", key=name, message=message, repairable=True)

    def _wrong_labels(self) -> Iterator[tuple[str, Any, set[str], set[str]]]:
        g = tables.tags.c
        after = 0
        select = sa.select(_t.id, _t.analysis_id, _t.tags, _t.created_at, _t.client_session_id).order_by(_t.id)
        while rows := self._connection.execute(select.where(_t.id > after).limit(_AT_ONCE)).all():
            after = rows[-1].id
            listed: dict[int, set[str]] = {}
            for key, tag in self._connection.execute(
                sa.select(g.analysis, g.tag).where(g.analysis.in_([r.id for r in rows]))
            ):
                listed.setdefault(key, set()).add(tag)
            for row in rows:
                said, there = set(row.tags), listed.get(row.id, set())
                if said != there:
                    yield row.analysis_id, row, said - there, there - said

    def _repair_labels(self) -> None:
        g = tables.tags.c
        for _, row, missing, extra in list(self._wrong_labels()):
            # The list of an analysis itself is what was given; the table is its index.
            self._connection.execute(sa.delete(tables.tags).where(g.analysis == row.id, g.tag.in_(extra)))
            about = {"created_at": row.created_at, "analysis": row.id, "client_session_id": row.client_session_id}
            for tag in sorted(missing):
                self._connection.execute(sa.insert(tables.tags), {**about, "tag": tag})

    def _owners(self) -> Iterator[Problem]:
        known = sa.select(sa.literal(1)).where(tables.owners.c.client_session_id == _t.client_session_id).exists()
        for owner in self._connection.execute(sa.select(_t.client_session_id).where(~known).distinct()).scalars():
            yield Problem(
                kind="owner", table="owners", key=owner, message=f"The owner {owner} is not listed", repairable=True
            )

    def _stranded(self) -> Iterator[Problem]:
        """Analyses that wait for work that nobody has."""
        jobs = tables.jobs.c
        work = sa.select(sa.literal(1)).where(jobs.analysis_id == _t.analysis_id).exists()
        waits = _t.status.in_([status.value for status in Status if not status.ended])
        for name in self._connection.execute(sa.select(_t.analysis_id).where(waits, ~work)).scalars():
            message = f"The analysis {name} has not ended, and no job is there to go on with it: cancel or resume it"
            yield Problem(kind="stranded", table="analyses", key=name, message=message)


def _references() -> sa.ScalarSelect[int]:
    """How many rows refer to a payload, over all tables that may."""
    counts: Iterable[sa.ScalarSelect[int]] = (
        sa.select(sa.func.count())
        .select_from(table)
        .where(column == _p.hash)
        .correlate(tables.payloads)
        .scalar_subquery()
        for table in tables.metadata.sorted_tables
        for column in table.c
        for key in column.foreign_keys
        if key.column is _p.hash
    )
    first, *others = counts
    total: Any = first
    for other in others:
        total = total + other
    return total  # type: ignore[no-any-return]


def _findings() -> sa.ScalarSelect[int]:
    return (
        sa.select(sa.func.count())
        .select_from(tables.findings)
        .where(_f.analysis == _t.id)
        .correlate(tables.analyses)
        .scalar_subquery()
    )


def _numbered() -> list[sa.Column[Any]]:
    return [column for table in tables.metadata.sorted_tables if (column := table.autoincrement_column) is not None]
