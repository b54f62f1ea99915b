"""What the counters must be, by the rows themselves: for who checks them, and for who brings rows in in bulk."""

import sqlalchemy as sa

from holdfast.domain.analysis import Status
from holdfast.store import tables

_t = tables.analyses.c
_kept = _t.deleted_at.is_(None)


def _count(*where: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((sa.and_(*where), 1)))


def _bytes(where: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.coalesce(sa.func.sum(sa.case((where, _t.result_stored_size), else_=0)), 0), sa.BigInteger)


# By the table that they are figures of, so that each is walked once.
TRUTHS: dict[sa.Table, dict[str, sa.ColumnElement[int]]] = {
    tables.analyses: {
        "analyses": _count(_kept),
        **{f"analyses.{status.value}": _count(_kept, _t.status == status.value) for status in Status},
        "result_bytes": _bytes(_kept),
        # The trash takes room as well.
        "anonymous_bytes": _bytes(_t.is_anonymous),
    },
    tables.owners: {"owners": sa.func.count()},
    tables.cache_entries: {
        "cache_entries": sa.func.count(),
        "cache_bytes": sa.cast(sa.func.coalesce(sa.func.sum(tables.cache_entries.c.size), 0), sa.BigInteger),
    },
}


def differences(connection: sa.Connection) -> dict[str, tuple[int, int]]:
    """The counters that are wrong: what each says, and what it should.

    Both come from one statement, which sees one state however many write meanwhile.
    """
    kept = tables.counters
    figures: list[sa.ColumnElement[int]] = []
    source: sa.FromClause | None = None
    for number, (table, truths) in enumerate(TRUTHS.items()):
        each = (
            sa.select(*(truth.label(name) for name, truth in truths.items())).select_from(table).subquery(f"t{number}")
        )
        figures += [each.c[name].label(name) for name in truths]
        source = each if source is None else source.join(each, sa.true())
    names = [name for truths in TRUTHS.values() for name in truths]
    for name in names:
        said = sa.select(sa.func.coalesce(sa.func.sum(kept.c.value), 0)).where(kept.c.name == name).scalar_subquery()
        figures.append(said.label(f"said {name}"))
    assert source is not None
    row = connection.execute(sa.select(*figures).select_from(source)).one()._mapping
    return {name: (int(row[f"said {name}"]), int(row[name])) for name in names if row[f"said {name}"] != row[name]}
