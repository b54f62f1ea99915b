"""Groups of duplicates as lists need them, and what was decided about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from holdfast.domain.findings import Finding
from holdfast.domain.subjects import Subject
from holdfast.domain.triage import Action, Choice, Decision, Group, Impact, Sort
from holdfast.store import tables
from holdfast.store.engine import Engine

_g = tables.duplicate_groups.c
_d = tables.duplicate_decisions.c
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 500
_SORTS: dict[Sort, sa.Column[Any]] = {
    Sort.GROUP_INDEX: _g.ordinal,
    Sort.ARTIST: _g.artist,
    Sort.SONG: _g.song,
    Sort.DUPLICATES: _g.duplicates,
    Sort.CONFIDENCE: _g.confidence,
    Sort.PLAY_COUNT: _g.play_count,
    Sort.LAST_PLAYED: _g.last_played,
    Sort.DATE_ADDED: _g.date_added,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose decisions about which library.

    Attributes:
        owner: the owner.
        library: the library's key.
    """

    owner: str
    library: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFilter:
    """Which groups a list holds; a field that is None does not filter.

    Attributes:
        min_confidence: at least so alike.
        resolved: whether a decision settles it.
        action: this was decided.
    """

    min_confidence: float | None = None
    resolved: bool | None = None
    action: Action | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How the groups of an analysis stand.

    Attributes:
        total: all of them, and what would go if each kept its canonical track.
        decided: by action: how many groups, and what goes by those decisions.
    """

    total: Impact
    decided: Mapping[Action, Impact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A decision that holds.

    Attributes:
        key: its internal key.
        analysis_id: the analysis that it was made on, which may be gone.
        owner: whose it is.
    """

    key: int
    analysis_id: str
    owner: str


class Triage:
    """The groups and decisions of one transaction."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def hold(self, subject: Subject) -> None:
        """Let others who decide about the same library wait until the transaction ends."""
        subjects = tables.subjects.c
        select = sa.select(subjects.id).where(subjects.kind == subject.kind, subjects.key == subject.key)
        self._connection.execute(self._engine.locked(select)).all()

    def index(self, analysis: int, scope: Scope, findings: Sequence[Finding]) -> None:
        """List the groups of an analysis, in place of those before, each with the decision that still holds for it."""
        self._connection.execute(sa.delete(tables.duplicate_groups).where(_g.analysis == analysis))
        numbered = enumerate(findings)
        while some := list(islice(numbered, _BATCH)):
            groups = {ordinal: Group.of(finding) for ordinal, finding in some if finding.items}
            held = self._holding(scope, list(groups.values()))
            rows = [
                _row(analysis, ordinal, finding, groups[ordinal]) | held.get(ordinal_id(groups[ordinal]), _UNDECIDED)
                for ordinal, finding in some
                if ordinal in groups
            ]
            if rows:
                self._connection.execute(sa.insert(tables.duplicate_groups), rows)

    def _holding(self, scope: Scope, groups: Sequence[Group]) -> dict[tuple[str, tuple[str, ...]], dict[str, Any]]:
        current = {decision.group_id: (key, decision) for key, decision in self.current(scope, groups)}
        held = {}
        for group in groups:
            known = current.get(group.group_id)
            if known is not None and known[1].holds_for(group.members):
                held[ordinal_id(group)] = {"decision": known[0], "action": known[1].action.value}
        return held

    def current(self, scope: Scope, groups: Sequence[Group]) -> list[tuple[int, Decision]]:
        """The decisions about these groups that nobody has changed since, each with its internal key."""
        select = sa.select(tables.duplicate_decisions).where(
            *_of(scope), _d.identity.in_([group.group_id for group in groups]), _d.ended_at.is_(None)
        )
        return [(row.id, _decision(row)) for row in self._connection.execute(select)]

    def page(
        self,
        analysis: int,
        where: GroupFilter,
        *,
        sort: Sort = Sort.GROUP_INDEX,
        ascending: bool = True,
        after: int | None = None,
        limit: int = 100,
    ) -> list[int]:
        """One page of the groups of an analysis, by their ordinals.

        Args:
            analysis: the analysis's internal key.
            where: which.
            sort: by what.
            ascending: least first.
            after: the ordinal where the page before ended.
            limit: how many at most.
        """
        by = _SORTS[sort]
        select = sa.select(_g.ordinal).where(_g.analysis == analysis, *_conditions(where)).limit(limit)
        if after is not None:
            last = tables.duplicate_groups.alias("last").c
            mine = (last.analysis == analysis, last.ordinal == after)
            value = sa.select(last[by.key]).where(*mine).scalar_subquery()
            place, end = sa.tuple_(by, _g.ordinal), sa.tuple_(value, sa.literal(after))
            select = select.where(place > end if ascending else place < end)
        ordered = (by, _g.ordinal) if ascending else (by.desc(), _g.ordinal.desc())
        return list(self._connection.execute(select.order_by(*ordered)).scalars())

    def identities_from(self, analysis: int, beginning: str, limit: int) -> list[str]:
        """The identities of groups that begin so; ``limit`` at most."""
        select = sa.select(_g.identity).where(
            _g.analysis == analysis, sa.func.substr(_g.identity, 1, len(beginning)) == beginning
        )
        return list(self._connection.execute(select.distinct().limit(limit)).scalars())

    def ordinals_of(self, analysis: int, group_ids: Sequence[str]) -> dict[str, list[int]]:
        """Where the groups of those identities stand in an analysis."""
        found: dict[str, list[int]] = {}
        for start in range(0, len(group_ids), _BATCH):
            some = group_ids[start : start + _BATCH]
            select = sa.select(_g.identity, _g.ordinal).where(_g.analysis == analysis, _g.identity.in_(some))
            for row in self._connection.execute(select.order_by(_g.ordinal)):
                found.setdefault(row.identity, []).append(row.ordinal)
        return found

    def settled(self, analysis: int) -> set[str]:
        """The identities of the groups of an analysis that a decision settles."""
        select = sa.select(_g.identity).where(_g.analysis == analysis, *_conditions(GroupFilter(resolved=True)))
        return set(self._connection.execute(select).scalars())

    def decisions_at(self, analysis: int, ordinals: Sequence[int]) -> dict[int, Decision]:
        """What holds for the groups that have these places; a group that nothing holds for is missing."""
        select = (
            sa.select(_g.ordinal, *tables.duplicate_decisions.c)
            .join(tables.duplicate_decisions, _d.id == _g.decision)
            .where(_g.analysis == analysis, _g.ordinal.in_(ordinals))
        )
        return {row.ordinal: _decision(row) for row in self._connection.execute(select)}

    def counts(self, analysis: int) -> Counts:
        """How the groups of an analysis stand."""
        whole = sa.select(
            sa.func.count().label("groups"),
            *(_sum(column, name) for name, column in _WHOLE.items()),
        ).where(_g.analysis == analysis)
        total = self._connection.execute(whole).one()
        decided = (
            sa.select(
                _g.action,
                sa.func.count().label("groups"),
                *(_sum(_d[name], name) for name in ("tracks", "bytes", "plays")),
            )
            .join(tables.duplicate_decisions, _d.id == _g.decision)
            .where(_g.analysis == analysis, _g.action.is_not(None))
            .group_by(_g.action)
        )
        return Counts(
            total=_impact(total),
            decided={Action(row.action): _impact(row) for row in self._connection.execute(decided)},
        )

    def decide(self, analysis: int, analysis_id: str, scope: Scope, decided: Sequence[tuple[Choice, Decision]]) -> None:
        """Keep decisions about groups of an analysis, each in place of the one before."""
        for start in range(0, len(decided), _BATCH):
            self._decide(analysis, analysis_id, scope, decided[start : start + _BATCH])

    def _decide(
        self, analysis: int, analysis_id: str, scope: Scope, decided: Sequence[tuple[Choice, Decision]]
    ) -> None:
        run = self._connection.execute
        groups = [decision.group_id for _, decision in decided]
        ended = (
            sa.update(tables.duplicate_decisions)
            .where(*_of(scope), _d.identity.in_(groups), _d.ended_at.is_(None))
            .values(ended_at=decided[0][1].decided_at)
            .returning(_d.id, _d.identity)
        )
        before = {row.identity: row.id for row in run(ended)}
        run(
            sa.insert(tables.duplicate_decisions),
            [
                _decided(analysis_id, scope, choice, decision) | {"replaces": before.get(decision.group_id)}
                for choice, decision in decided
            ],
        )
        # One statement for all: row by row it takes several times as long, and everybody waits.
        held = sa.select(_d.id).where(*_of(scope), _d.identity == _g.identity, _d.ended_at.is_(None))
        run(
            sa.update(tables.duplicate_groups)
            .where(_g.analysis == analysis, _g.identity.in_(groups))
            .values(decision=held.scalar_subquery(), action=decided[0][1].action.value)
        )

    def batch(self, owner: str | None, batch_id: str) -> list[Held]:
        """The decisions of one request that still hold; of one owner, or of whoever it was when None."""
        select = sa.select(tables.duplicate_decisions).where(_d.batch_id == batch_id, _d.ended_at.is_(None))
        if owner is not None:
            select = select.where(_d.client_session_id == owner)
        return [
            Held(key=row.id, analysis_id=row.analysis_id, owner=row.client_session_id)
            for row in self._connection.execute(select.order_by(_d.id))
        ]

    def undo(self, keys: Sequence[int], now: datetime) -> int:
        """End decisions, and let those that they took the place of hold again.

        Returns:
            How many were still there to be ended.
        """
        return sum(self._undo(keys[start : start + _BATCH], now) for start in range(0, len(keys), _BATCH))

    def _undo(self, keys: Sequence[int], now: datetime) -> int:
        run = self._connection.execute
        ended = run(
            sa.update(tables.duplicate_decisions)
            .where(_d.id.in_(keys), _d.ended_at.is_(None))
            .values(ended_at=now)
            .returning(_d.id, _d.replaces, _d.members)
        ).all()
        before = {row.replaces: row for row in ended if row.replaces is not None}
        again = run(
            sa.update(tables.duplicate_decisions)
            .where(_d.id.in_(before))
            .values(ended_at=None)
            .returning(*tables.duplicate_decisions.c)
        ).all()
        # Later analyses were told of what holds again, if it still says something about the group there.
        told = [row for row in again if _decision(row).holds_for(before[row.id].members)]
        if told:
            later = sa.update(tables.duplicate_groups).where(_g.decision == sa.bindparam("gone"))
            run(later.values(_AGAIN), [{"gone": before[row.id].id} | _again(row) for row in told])
        gone = [row.id for row in ended]
        run(sa.update(tables.duplicate_groups).where(_g.decision.in_(gone)).values(decision=None, action=None))
        if again:
            place = sa.select(tables.analyses.c.id).where(tables.analyses.c.analysis_id == sa.bindparam("made_on"))
            update = sa.update(tables.duplicate_groups).where(
                _g.analysis == place.scalar_subquery(), _g.identity == sa.bindparam("group_id")
            )
            made = [{"made_on": row.analysis_id, "group_id": row.identity} | _again(row) for row in again]
            run(update.values(_AGAIN), made)
        return len(gone)

    def groups(self, analysis: int, where: GroupFilter, *, limit: int = _BATCH) -> Iterator[list[int]]:
        """All groups that fit, by their ordinals, some at a time in their own order."""
        after: int | None = None
        while some := self.page(analysis, where, after=after, limit=limit):
            yield some
            after = some[-1]


def ordinal_id(group: Group) -> tuple[str, tuple[str, ...]]:
    """What tells two groups of one analysis apart, even where they share an identity."""
    return group.group_id, group.members


_AGAIN: dict[str, Any] = {"decision": sa.bindparam("key"), "action": sa.bindparam("what")}
_UNDECIDED: dict[str, Any] = {"decision": None, "action": None}
_WHOLE: dict[str, sa.Column[Any]] = {"tracks": _g.duplicates, "bytes": _g.goes_bytes, "plays": _g.goes_plays}


def _of(scope: Scope) -> tuple[sa.ColumnElement[bool], ...]:
    return _d.client_session_id == scope.owner, _d.library == scope.library


def _conditions(where: GroupFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if where.min_confidence is not None:
        found.append(_g.confidence >= where.min_confidence)
    if where.action is not None:
        found.append(_g.action == where.action.value)
    settled = _g.action.in_([action.value for action in Action if action.settles])
    if where.resolved is True:
        found.append(settled)
    elif where.resolved is False:
        found.append(sa.or_(_g.action.is_(None), ~settled))
    return found


def _sum(column: sa.ColumnElement[Any], name: str) -> sa.Label[Any]:
    return sa.func.coalesce(sa.func.sum(column), 0).label(name)


def _again(row: sa.Row[Any]) -> dict[str, Any]:
    return {"key": row.id, "what": row.action}


def _impact(row: sa.Row[Any]) -> Impact:
    return Impact(groups=row.groups, tracks=int(row.tracks), bytes=int(row.bytes), plays=int(row.plays))


def _row(analysis: int, ordinal: int, finding: Finding, group: Group) -> dict[str, Any]:
    kept = group.canonical
    others = [track for track in group.tracks if track.track_id != kept.track_id]
    snapshots = [item.data for item in finding.items]
    return {
        "analysis": analysis,
        "ordinal": ordinal,
        "identity": finding.identity,
        "artist": kept.artist.casefold(),
        "song": kept.song.casefold(),
        "duplicates": len(others),
        "confidence": 0.0 if finding.score is None else finding.score,
        "play_count": sum(track.play_count for track in group.tracks),
        "last_played": _latest(snapshots, "last_played"),
        "date_added": _latest(snapshots, "date_added"),
        "goes_bytes": sum(track.size_bytes for track in others),
        "goes_plays": sum(track.play_count for track in others),
    }


def _latest(snapshots: Sequence[Mapping[str, Any]], name: str) -> datetime:
    return max((_moment(snapshot.get(name)) for snapshot in snapshots), default=_NEVER)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        return _NEVER
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return _NEVER
    return at if at.utcoffset() is not None else at.replace(tzinfo=UTC)


def _decided(analysis_id: str, scope: Scope, choice: Choice, decision: Decision) -> dict[str, Any]:
    impact = Impact.of([choice])
    return {
        "batch_id": decision.batch_id,
        "client_session_id": scope.owner,
        "library": scope.library,
        "identity": decision.group_id,
        "analysis_id": analysis_id,
        "action": decision.action.value,
        "keeps": decision.keeps,
        "goes": list(decision.goes),
        "members": list(decision.members),
        "tracks": impact.tracks,
        "bytes": impact.bytes,
        "plays": impact.plays,
        "note": decision.note,
        "actor": decision.actor,
        "decided_at": decision.decided_at,
        "ended_at": None,
    }


def _decision(row: sa.Row[Any]) -> Decision:
    return Decision(
        batch_id=row.batch_id,
        group_id=row.identity,
        action=Action(row.action),
        keeps=row.keeps,
        goes=tuple(row.goes),
        members=tuple(row.members),
        note=row.note,
        actor=row.actor,
        decided_at=row.decided_at,
    )
