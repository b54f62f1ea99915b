"""The analyses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.analysis import Analysis, ErrorInfo, PayloadRef, Status
from holdfast.domain.context import Context
from holdfast.domain.errors import VersionConflict
from holdfast.domain.subjects import Subject
from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.keysets import among
from holdfast.store.lists import ROWS, Filter, Place, conditions, counted, in_time, page, rarest_first, sampled
from holdfast.store.prepared import Prepared
from holdfast.store.types import FreeText, Timestamp

_t = tables.analyses.c
_s = tables.subjects.c
_g = tables.tags.c

_ONE = ROWS.where(_t.analysis_id == sa.bindparam("wanted"))
_UPDATE = sa.update(tables.analyses).where(_t.id == sa.bindparam("row_id"), _t.version == sa.bindparam("row_version"))
_FIND = Prepared(lambda _: _ONE)
_VERSIONS = sa.select(_t.id, _t.version).where(among(_t.id, "wanted")).order_by(_t.id)
_KEY = Prepared(lambda _: sa.select(_t.id).where(_t.analysis_id == sa.bindparam("wanted")))
_INSERT = Prepared(lambda insert: insert(tables.analyses).on_conflict_do_nothing().returning(_t.id, _t.analysis_id))
_LABEL = Prepared(lambda insert: insert(tables.tags))
_IS_OWNER = Prepared(
    lambda _: sa.select(sa.literal(1).label("known")).where(
        tables.owners.c.client_session_id == sa.bindparam("owner", type_=FreeText)
    )
)
_GREET = Prepared(lambda insert: insert(tables.owners).on_conflict_do_nothing())


# Conditional, so that of many who retrieve at once no more get through than may.
_RETRIEVE = Prepared(
    lambda _: (
        sa.update(tables.analyses)
        .where(
            _t.id == sa.bindparam("row_id"),
            _t.deleted_at.is_(None),
            in_time(sa.bindparam("now", type_=Timestamp)),
        )
        .values(retrieval_count=_t.retrieval_count + 1)
        .returning(_t.retrieval_count)
    )
)
# Columns of the same name and type on both sides.
_SAME = (
    "analysis_id",
    "kind",
    "location",
    "params",
    "fingerprint",
    "code_hash",
    "analyzer_version",
    "summary",
    "result_is_partial",
    "finding_count",
    "priority",
    "timeout_seconds",
    "attempt",
    "cancel_requested",
    "version",
    "refreshed_from",
    "created_at",
    "started_at",
    "completed_at",
    "updated_at",
    "ttl_seconds",
    "expires_at",
    "retrieval_count",
    "max_retrievals",
    "is_anonymous",
    "is_pinned",
    "deleted_at",
)
# How many runs of rows tell what part of all a list holds, and how long each is.
_SAMPLES, _SAMPLE_SIZE = 10, 400
_CONTEXT = tuple(field.name for field in fields(Context))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An analysis as it stands in the store.

    Attributes:
        key: its internal key, which refers to it from other tables.
        value: the analysis.
    """

    key: int
    value: Analysis


class Analyses:
    """The analyses of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def insert(self, analyses: Sequence[tuple[Analysis, int | None]], active_key: str | None = None) -> dict[str, int]:
        """Keep new analyses.

        Args:
            analyses: each with its subject's internal key.
            active_key: while a row has it, no other row may.

        Returns:
            The internal key by analysis_id; one whose id or active key is taken is missing.
        """
        rows = [_values(analysis) | {"subject": subject, "active_key": active_key} for analysis, subject in analyses]
        keys = {row["analysis_id"]: row["id"] for row in _INSERT.fetch_many(self._connection, rows)}
        labels = [
            {
                "tag": tag,
                "created_at": analysis.created_at,
                "analysis": keys[analysis.analysis_id],
                "client_session_id": analysis.context.client_session_id,
            }
            for analysis, _ in analyses
            if analysis.analysis_id in keys
            for tag in analysis.tags
        ]
        _LABEL.run_many(self._connection, labels)
        return keys

    def update(self, key: int, before: Analysis, after: Analysis) -> None:
        """Write a changed analysis.

        Raises:
            VersionConflict: somebody else changed it since ``before`` was read.
        """
        values = {name: value for name, value in _values(after).items() if name not in _NEVER_CHANGES}
        if after.status.ended:
            values["active_key"] = None
        update = _UPDATE.values(values)
        done = self._connection.execute(update, {"row_id": key, "row_version": before.version})
        if done.rowcount != 1:
            raise VersionConflict(analysis_id=before.analysis_id, version=before.version)

    def activate(self, key: int, active_key: str) -> bool:
        """Give a row its active key; False when another row has it."""
        taken = sa.select(_t.id).where(_t.active_key == active_key, _t.id != key)
        update = sa.update(tables.analyses).where(_t.id == key, ~taken.exists()).values(active_key=active_key)
        try:
            # In a part of its own: on PostgreSQL another transaction may take the key at the same moment.
            with self._connection.begin_nested():
                return self._connection.execute(update).rowcount == 1
        except sa.exc.IntegrityError:
            return False

    def deactivate(self, key: int) -> None:
        """Take a row's active key away, so that the same input may be analysed beside it."""
        self._connection.execute(sa.update(tables.analyses).where(_t.id == key).values(active_key=None))

    def find(self, analysis_id: str, *, lock: bool = False) -> Stored | None:
        """An analysis by its id; with ``lock`` nobody else changes it until the transaction ends."""
        wanted = {"wanted": analysis_id}
        if not lock:
            rows = _FIND.fetch(self._connection, wanted)
            return stored_from(rows[0]) if rows else None
        row = self._connection.execute(self._engine.locked(_ONE), wanted).one_or_none()
        return None if row is None else stored_from(dict(row._mapping))

    def find_each(self, analysis_ids: Sequence[str]) -> dict[str, Stored]:
        """Some analyses by their ids, each looked up by itself, which costs less than one statement for a few."""
        rows = _FIND.fetch_many(self._connection, [{"wanted": name} for name in dict.fromkeys(analysis_ids)])
        return {row["analysis_id"]: stored_from(row) for row in rows}

    def key_of(self, analysis_id: str) -> int | None:
        """The internal key of an analysis, or None."""
        key: int | None = _KEY.scalar(self._connection, {"wanted": analysis_id})
        return key

    def keys_of(self, analysis_ids: Sequence[str]) -> dict[str, int]:
        """The internal keys of analyses by their ids."""
        select = sa.select(_t.analysis_id, _t.id).where(_t.analysis_id.in_(analysis_ids))
        return {row.analysis_id: row.id for row in self._connection.execute(select)}

    def ids_from(self, beginning: str, limit: int) -> list[str]:
        """The ids that begin so, in order; ``limit`` at most."""
        # Ids hold no "~", and nothing they may hold sorts after it.
        begins = (_t.analysis_id >= beginning, _t.analysis_id < beginning + "~")
        select = sa.select(_t.analysis_id).where(*begins).order_by(_t.analysis_id).limit(limit)
        return list(self._connection.execute(select).scalars())

    def find_many(self, analysis_ids: Sequence[str]) -> dict[str, Stored]:
        """Analyses by their ids."""
        select = ROWS.where(_t.analysis_id.in_(analysis_ids))
        return {row.analysis_id: stored_from(dict(row._mapping)) for row in self._connection.execute(select)}

    def of_keys(self, keys: Sequence[int]) -> list[Stored]:
        """Analyses by their internal keys, in that order; those that are gone are missing."""
        select = ROWS.where(_t.id.in_(keys)).order_by(_t.id)
        return [stored_from(dict(row._mapping)) for row in self._connection.execute(select)]

    def hold_versions(self, keys: Sequence[int]) -> dict[int, int]:
        """The versions of analyses by their internal keys; they stay so until the transaction ends."""
        # As strongly as indexes hold them afterwards: two that shared them would each wait for the other to let go.
        held = self._engine.held(_VERSIONS).subquery()
        # As one text: to fetch a row from SQLite is to wait for Python's lock, which another thread may use.
        pair = sa.cast(held.c.id, sa.Text) + ":" + sa.cast(held.c.version, sa.Text)
        joined = sa.select(sa.func.aggregate_strings(pair, ","))
        pairs = self._connection.execute(joined, {"wanted": list(keys)}).scalar()
        return {
            int(key): int(version)
            for key, _, version in (one.partition(":") for one in (pairs or "").split(",") if one)
        }

    def at(self, keys: Sequence[int]) -> list[Stored]:
        """The analyses that have these internal keys, in this order."""
        found = {row.id: row for row in self._connection.execute(ROWS.where(_t.id.in_(keys)))}
        return [stored_from(dict(found[key]._mapping)) for key in keys if key in found]

    def find_active(self, active_key: str) -> Stored | None:
        """The analysis that has an active key."""
        row = self._connection.execute(ROWS.where(_t.active_key == active_key)).one_or_none()
        return None if row is None else stored_from(dict(row._mapping))

    def latest(self, where: Filter, *, fingerprint: str | None = None) -> Stored | None:
        """The newest analysis that fits."""
        if fingerprint is None:
            return next(iter(self.page(where, limit=1)), None)
        select = (
            ROWS.where(_t.fingerprint == fingerprint, *conditions(where))
            .order_by(_t.created_at.desc(), _t.id.desc())
            .limit(1)
        )
        row = self._connection.execute(select).one_or_none()
        return None if row is None else stored_from(dict(row._mapping))

    def page(self, where: Filter, *, limit: int, after: Place | None = None, ascending: bool = False) -> list[Stored]:
        """One page of a list by time of creation.

        Args:
            where: what the list holds.
            limit: rows at most.
            after: where the page before ended.
            ascending: oldest first.
        """
        alternatives = self._alternatives(where)
        found = [
            stored_from(dict(row._mapping))
            for alternative in alternatives
            for row in self._connection.execute(page(alternative, limit, after, ascending=ascending))
        ]
        if len(alternatives) > 1:
            found.sort(key=lambda stored: (stored.value.created_at, stored.key), reverse=not ascending)
        return found[:limit]

    def _alternatives(self, where: Filter) -> list[Filter]:
        # One walk along an index per status, merged: with IN, the database would sort all that match.
        if len(where.tags) > 1:
            where = replace(where, tags=rarest_first(self._connection, where))
        return [replace(where, status=(status,)) for status in dict.fromkeys(where.status)] or [where]

    def count(self, where: Filter, most: int) -> int:
        """How many a list holds; one more than ``most`` when there are more than that."""
        found = 0
        for alternative in self._alternatives(where):
            found += self._connection.execute(counted(alternative, most - found)).scalar_one()
            if found > most:
                break
        return found

    def share(self, where: Filter) -> float:
        """About which part of all analyses that are not in the trash a list holds, told by some of them."""
        first, last = self._connection.execute(sa.select(sa.func.min(_t.id), sa.func.max(_t.id))).one()
        if first is None:
            return 0.0
        step = (last - first) // _SAMPLES + 1
        alternatives = [replace(where, status=(status,)) for status in dict.fromkeys(where.status)] or [where]
        seen = fit = 0
        for place in range(first, last + 1, step):
            rows = [
                self._connection.execute(sampled(one, place, min(step, _SAMPLE_SIZE))).one() for one in alternatives
            ]
            seen, fit = seen + rows[0][0], fit + sum(row[1] for row in rows)
        return fit / seen if seen else 0.0

    def retrieved(self, key: int, now: datetime) -> int | None:
        """Count one retrieval; returns the new count, or None when there must not be one more."""
        count: int | None = _RETRIEVE.scalar(self._connection, {"row_id": key, "now": now})
        return count

    def trash(
        self, owner: str | None, *, since: datetime, now: datetime, limit: int, after: Place | None = None
    ) -> list[Stored]:
        """A page of what is in the trash and may still be restored, latest deleted first.

        Args:
            owner: whose; None for everybody's.
            since: deleted after this moment.
            now: the moment: what has expired by then stays away.
            limit: rows at most.
            after: where the page before ended, by the time of deletion.
        """
        select = ROWS.where(_t.deleted_at > since, in_time(sa.literal(now, type_=Timestamp)))
        if owner is not None:
            select = select.where(_t.client_session_id == owner)
        if after is not None:
            end = sa.tuple_(sa.literal(after.created_at, type_=Timestamp), sa.literal(after.key))
            select = select.where(sa.tuple_(_t.deleted_at, _t.id) < end)
        select = select.order_by(_t.deleted_at.desc(), _t.id.desc()).limit(limit)
        return [stored_from(dict(row._mapping)) for row in self._connection.execute(select)]

    def runs_elsewhere(self, analysis: Analysis) -> bool:
        """Whether the same input of the same owner is being run by another analysis."""
        same = (
            _t.client_session_id == analysis.context.client_session_id,
            _t.fingerprint == analysis.fingerprint,
            _t.status == Status.RUNNING.value,
            _t.analysis_id != analysis.analysis_id,
        )
        return self._connection.execute(sa.select(_t.id).where(*same).limit(1)).first() is not None

    def stop_asked(self, analysis_id: str) -> bool:
        """Whether a running analysis should stop: on request, or because it was deleted."""
        select = sa.select(_t.cancel_requested).where(_t.analysis_id == analysis_id)
        asked = self._connection.execute(select).scalar_one_or_none()
        return asked is None or asked

    def delete(self, key: int) -> bool:
        """Drop an analysis with its findings, metrics, tags, attempts and progress; False when it is gone."""
        return self._connection.execute(sa.delete(tables.analyses).where(_t.id == key)).rowcount == 1

    def greet_owner(self, client_session_id: str, now: datetime) -> bool:
        """Note an owner; True when it was not known before."""
        if _IS_OWNER.scalar(self._connection, {"owner": client_session_id}):
            return False
        row = {"client_session_id": client_session_id, "created_at": now}
        return _GREET.run(self._connection, row) == 1


_NEVER_CHANGES = {
    "analysis_id",
    "kind",
    "fingerprint",
    "code_hash",
    "params",
    "location",
    "created_at",
    "revision",
    "tags",
    "refreshed_from",
    "is_anonymous",
    # Counted by itself: who writes the rest may have read an older count.
    "retrieval_count",
    *_CONTEXT,
}


def _values(analysis: Analysis) -> dict[str, Any]:
    values = {name: getattr(analysis, name) for name in _SAME}
    values.update((name, getattr(analysis.context, name)) for name in _CONTEXT)
    result = analysis.result
    return values | {
        "status": analysis.status.value,
        "revision": "" if analysis.subject is None else analysis.subject.revision,
        "tags": analysis.tags,
        "result_hash": None if result is None else result.hash,
        "result_size": None if result is None else result.size,
        "result_stored_size": None if result is None else result.stored_size,
        "error": None if analysis.error is None else asdict(analysis.error),
    }


def stored_from(values: Mapping[str, Any]) -> Stored:
    """A row of ``lists.ROWS`` as a value."""
    known = {name: values[name] for name in _SAME if name != "expires_at"}
    subject = None
    if values["subject"] is not None:
        subject = Subject(
            kind=values["subject_kind"],
            key=values["key"],
            revision=values["revision"],
            title=values["title"],
            attributes=values["attributes"],
        )
    result = None
    if values["result_hash"] is not None:
        result = PayloadRef(
            hash=values["result_hash"],
            size=values["result_size"],
            stored_size=values["result_stored_size"],
        )
    value = Analysis(
        **known,
        status=Status(values["status"]),
        context=Context(**{name: values[name] for name in _CONTEXT}),
        subject=subject,
        tags=tuple(values["tags"]),
        result=result,
        error=None if values["error"] is None else msgspec.convert(values["error"], ErrorInfo),
    )
    return Stored(key=values["id"], value=value)
