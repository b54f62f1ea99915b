"""Lists of analyses: which, in what order, from where on."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from holdfast.domain.analysis import Status
from holdfast.domain.errors import InvalidInput
from holdfast.store import tables
from holdfast.store.types import Timestamp

_t = tables.analyses.c
_s = tables.subjects.c
_g = tables.tags.c

_columns = (*tables.analyses.c, _s.kind.label("subject_kind"), _s.key, _s.title, _s.attributes)
ROWS = sa.select(*_columns).select_from(tables.analyses.outerjoin(tables.subjects, _s.id == _t.subject))
"""Analyses with their subjects."""

# A tag that so many rows have fills a page sooner than it is walked to its end.
_COMMON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which analyses a list holds; a field that is None does not filter.

    Attributes:
        client_session_id: the owner.
        kind: the kind of analysis.
        status: one of these.
        subject: the subject's kind and key.
        revision: the subject's revision.
        tags: has each of them.
        thread_id: the thread.
        session_id: the session.
        process_instance_id: the workflow's execution.
        created_after: asked for at that moment or later.
        created_before: asked for before that moment.
        visible_at: neither in the trash nor expired at that moment.
    """

    client_session_id: str | None = None
    kind: str | None = None
    status: tuple[Status, ...] = ()
    subject: tuple[str, str] | None = None
    revision: str | None = None
    tags: tuple[str, ...] = ()
    thread_id: str | None = None
    session_id: str | None = None
    process_instance_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    visible_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("created_after", "created_before", "visible_at"):
            moment = getattr(self, name)
            if moment is not None and moment.utcoffset() is None:
                raise InvalidInput(f"{name} needs a time zone", field=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page of a list ends.

    Attributes:
        created_at: of its last row; in the trash, when it was deleted.
        key: of its last row.
    """

    created_at: datetime
    key: int


def in_time(now: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Neither expired nor used up, or pinned; ``Analysis.is_expired`` says the same of one that was read."""
    current = sa.or_(_t.expires_at.is_(None), _t.expires_at > now)
    unused = sa.or_(_t.max_retrievals.is_(None), _t.retrieval_count < _t.max_retrievals)
    return sa.or_(_t.is_pinned, sa.and_(current, unused))


def rarest_first(connection: sa.Connection, where: Filter) -> tuple[str, ...]:
    """The tags, so that the walk goes along the one that has the fewest rows, counted up to some hundreds."""
    owner = [] if where.client_session_id is None else [_g.client_session_id == where.client_session_id]
    counts = (
        sa.select(sa.literal(place), sa.func.count()).select_from(
            sa.select(_g.analysis).where(_g.tag == tag, *owner).limit(_COMMON).subquery()
        )
        for place, tag in enumerate(where.tags)
    )
    found = {row[0]: row[1] for row in connection.execute(sa.union_all(*counts))}
    return tuple(where.tags[place] for place in sorted(found, key=lambda place: (found[place], place)))


def page(where: Filter, limit: int, after: Place | None, *, ascending: bool) -> sa.Select[Any]:
    """Select one page; ``where`` has one status at most."""
    select = ROWS.where(*conditions(where))
    created_at, key = _t.created_at, _t.id
    if where.tags:
        # The first tag leads the walk, so that a rare tag costs as little as a common one.
        created_at, key = _g.created_at, _g.analysis
        select = select.join(tables.tags, _g.analysis == _t.id).where(_g.tag == where.tags[0])
        if where.client_session_id is not None:
            select = select.where(_g.client_session_id == where.client_session_id)
    if after is not None:
        end = sa.tuple_(sa.literal(after.created_at, type_=Timestamp), sa.literal(after.key))
        place = sa.tuple_(created_at, key)
        select = select.where(place > end if ascending else place < end)
    select = select.where(*_between(created_at, where))
    order = (created_at, key) if ascending else (created_at.desc(), key.desc())
    return select.order_by(*order).limit(limit)


def counted(where: Filter, most: int) -> sa.Select[Any]:
    """Count what a list holds, ``most`` and one more at most; ``where`` has one status at most."""
    rows = sa.select(sa.literal(1)).select_from(tables.analyses).where(*conditions(where))
    if where.tags:
        rows = rows.join(tables.tags, _g.analysis == _t.id).where(_g.tag == where.tags[0])
        if where.client_session_id is not None:
            rows = rows.where(_g.client_session_id == where.client_session_id)
    rows = rows.where(*_between(_g.created_at if where.tags else _t.created_at, where))
    return sa.select(sa.func.count()).select_from(rows.limit(most + 1).subquery())


def sampled(where: Filter, first: int, size: int) -> sa.Select[int, int]:
    """Of ``size`` rows from an internal key on, how many are no trash, and how many of them a list holds."""
    some = sa.select(_t.id.label("place")).where(_t.id >= first).order_by(_t.id).limit(size).subquery("some")
    tag = tables.tags.alias("tagged").c
    fits = [
        *conditions(replace(where, tags=())),
        *_between(_t.created_at, where),
        *(
            sa.exists().where(tag.tag == name, tag.created_at == _t.created_at, tag.analysis == _t.id)
            for name in where.tags
        ),
    ]
    # As filters of the counts, so that no planner leaves the few rows for another index.
    total = sa.func.count()
    counts = sa.select(total.filter(_t.deleted_at.is_(None)), total.filter(*fits))
    return counts.select_from(some.join(tables.analyses, _t.id == some.c.place))


def _between(created_at: sa.ColumnElement[datetime], where: Filter) -> list[sa.ColumnElement[bool]]:
    bounds: list[sa.ColumnElement[bool]] = []
    if where.created_after is not None:
        bounds.append(created_at >= where.created_after)
    if where.created_before is not None:
        bounds.append(created_at < where.created_before)
    return bounds


def conditions(where: Filter) -> list[sa.ColumnElement[bool]]:
    """What a row must fulfil besides the first tag."""
    found: list[sa.ColumnElement[bool]] = [
        getattr(_t, name) == getattr(where, name)
        for name in ("client_session_id", "kind", "revision", "thread_id", "session_id", "process_instance_id")
        if getattr(where, name) is not None
    ]
    if where.status:
        found.append(_t.status == where.status[0].value)
    if where.visible_at is not None:
        found += [_t.deleted_at.is_(None), in_time(sa.literal(where.visible_at, type_=Timestamp))]
    if where.subject is not None:
        kind, key = where.subject
        subject = sa.select(_s.id).where(_s.kind == kind, _s.key == key).scalar_subquery()
        found.append(_t.subject == subject)
    # A look-up for each row of the walk. As EXISTS, PostgreSQL would take two common tags on one row for a rarity,
    # and rather collect and sort all such rows than walk until a page is full.
    other = tables.tags.alias("other").c
    found.extend(
        sa.select(sa.literal(1))
        .where(other.tag == tag, other.created_at == _t.created_at, other.analysis == _t.id)
        .limit(1)
        .scalar_subquery()
        .is_not(None)
        for tag in where.tags[1:]
    )
    return found
