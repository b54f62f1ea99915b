"""How branches stand, told by one statement however many there are."""

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from holdfast.domain.access import Caller
from holdfast.domain.analysis import Status
from holdfast.domain.errors import BranchUnknown
from holdfast.domain.freshness import Changes, Facts, FreshnessRules, Level, Reason
from holdfast.domain.ids import check_id
from holdfast.store import tables
from holdfast.store.repositories import Repositories, StoredRepository
from holdfast.store.types import Timestamp

_b = tables.branches.c
_r = tables.repositories.c
_a = tables.analyses.c
_w = tables.branch_watches.c
_q = tables.refreshes.c
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS = 1_000_000.0

# Each branch with its repository, its newest analysis and where it was seen.
BRANCH_ROWS = (
    tables.branches.join(tables.repositories, _r.id == _b.repository)
    .outerjoin(tables.analyses, _a.id == _b.last_analysis)
    .outerjoin(tables.branch_watches, _w.branch == _b.id)
)
# Whichever was noted later by this side's clock.
_SEEN_LATER = _w.seen_at >= _b.updated_at
CURRENT = sa.case((_SEEN_LATER, _w.seen_commit_sha), else_=_b.commit_sha)
# What the analysis knows of is what there was when it was asked for.
_BEGUN = sa.func.coalesce(_a.created_at, _b.last_analyzed, type_=Timestamp)
_OVERRIDE = sa.func.coalesce(_b.stale_after_seconds, _r.stale_after_seconds, type_=sa.Float)
_ROWS: sa.Select[Any] = sa.select(
    _b.id,
    _b.subject,
    _r.repo_id,
    _b.client_session_id,
    _b.name,
    _b.gone_at,
    _b.last_analyzed,
    _b.analyzed_commit_sha,
    _b.marked_at,
    _b.marked_by,
    CURRENT.label("current"),
    _BEGUN.label("begun_at"),
    _OVERRIDE.label("override"),
    _a.analysis_id,
    _a.kind,
    _a.analyzer_version,
    _w.seen_commit_sha,
    _w.base_commit_sha,
    _w.changes,
).select_from(BRANCH_ROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFacts:
    """What is known of a branch, to be judged.

    Attributes:
        key: the branch's internal key.
        subject: the internal key of what its analyses are about.
        repo_id: its repository.
        client_session_id: whose it is.
        branch_name: its name.
        commit_sha: the commit that it was last seen at; ``""`` if not known.
        facts: of its newest complete analysis, and since.
        kind: that analysis's kind; None where it is no longer kept.
        analysis_id: that analysis; None likewise.
        stale_after_seconds: after how long it is stale where that is its own or its repository's choice.
        marked_by: who asked for a refresh.
    """

    key: int
    subject: int
    repo_id: str
    client_session_id: str
    branch_name: str
    commit_sha: str
    facts: Facts
    kind: str | None
    analysis_id: str | None
    stale_after_seconds: float | None
    marked_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How the branches of an owner stand, in figures.

    Attributes:
        branches: how many there are.
        stale: how many have a reason to be refreshed.
        reasons: how many have each reason; one may have several.
        levels: how many are of each age.
    """

    branches: int
    stale: int
    reasons: dict[Reason, int]
    levels: dict[Level, int]


class FreshnessFacts:
    """What is known of branches, in one transaction."""

    def __init__(self, connection: sa.Connection, repositories: Repositories, now: datetime) -> None:
        """Work on ``connection``; ``now`` is the moment."""
        self._connection = connection
        self._repositories = repositories
        self._now = now

    def repository(self, repo_id: str, caller: Caller) -> StoredRepository | None:
        """A repository that the caller may see and that is not in the trash."""
        found = self._repositories.find(check_id(repo_id, "repo_id"), caller)
        return None if found is None or found.value.deleted_at is not None else found

    def branch(self, repo_id: str, name: str, caller: Caller) -> BranchFacts:
        """A branch that the caller may see.

        Raises:
            BranchUnknown: there is none, or its repository is not known.
        """
        repository = self.repository(repo_id, caller)
        found = None if repository is None else self.of(repository.key, [name]).get(name)
        if found is None:
            # The same words for both: nobody learns which repositories others have.
            raise BranchUnknown(f"Nothing is kept of the branch {name!r} of {repo_id!r}", branch=name)
        return found

    def of(self, repository: int, names: Sequence[str]) -> dict[str, BranchFacts]:
        """Branches of a repository, given by its internal key, by name."""
        select = _ROWS.where(_b.repository == repository, _b.name.in_(names))
        return {row.name: _facts(row) for row in self._connection.execute(select)}

    def of_subject(self, kind: str, key: str, owner: str) -> BranchFacts | None:
        """The branch of an owner that a subject is."""
        subject = sa.select(tables.subjects.c.id).where(tables.subjects.c.kind == kind, tables.subjects.c.key == key)
        select = _ROWS.where(_b.subject == subject.scalar_subquery(), _b.client_session_id == owner)
        row = self._connection.execute(select.order_by(_b.id).limit(1)).one_or_none()
        return None if row is None else _facts(row)

    def stale(
        self,
        rules: FreshnessRules,
        versions: Mapping[str, str],
        *,
        repository: int,
        after: str | None = None,
        limit: int,
    ) -> list[BranchFacts]:
        """A page of a repository's stale branches, by name; those that it no longer has are left out.

        Args:
            rules: what is stale.
            versions: the present version of analyzers by kind.
            repository: its internal key.
            after: the last name of the page before.
            limit: rows at most.
        """
        reasons = self._reasons(rules, versions)
        select = _ROWS.where(_b.repository == repository, _b.gone_at.is_(None), sa.or_(*reasons.values()))
        if after is not None:
            select = select.where(_b.name > after)
        return [_facts(row) for row in self._connection.execute(select.order_by(_b.name).limit(limit))]

    def to_refresh(self, rules: FreshnessRules, versions: Mapping[str, str], since: datetime, limit: int) -> list[int]:
        """Internal keys of stale branches that may be refreshed now, the most pressing first.

        First come those that somebody marked, then those whose result is no longer true, then those whose result is
        old; what was never analysed misleads nobody, and a repository may have hundreds of such branches.

        Those wait that are being refreshed, have failed lately, or were refreshed by themselves after ``since``: one
        that stays stale all the same must not keep a worker busy for ever. A mark made since then does not wait.
        """
        reasons = self._reasons(rules, versions)
        lately = sa.or_(
            _q.open_branch.is_not(None),
            _q.retry_at > self._now,
            sa.and_(
                _q.is_automatic,
                _q.created_at > since,
                sa.or_(_b.marked_at.is_(None), _b.marked_at <= _q.created_at),
            ),
        )
        pressing = sa.case(
            (reasons[Reason.MARKED], 0),
            (reasons[Reason.REVISION_MOVED], 1),
            (reasons[Reason.NEVER_ANALYZED], 3),
            else_=2,
        )
        select = (
            sa.select(_b.id)
            .select_from(BRANCH_ROWS)
            .where(
                _b.gone_at.is_(None),
                _r.deleted_at.is_(None),
                _r.location != "",
                sa.or_(*reasons.values()),
                ~sa.exists().where(_q.branch == _b.id, lately),
            )
            .order_by(pressing, sa.func.coalesce(_b.last_analyzed, 0, type_=sa.BigInteger), _b.id)
            .limit(limit)
        )
        return list(self._connection.execute(select).scalars())

    def overview(
        self, rules: FreshnessRules, versions: Mapping[str, str], *, owner: str | None, repository: int | None = None
    ) -> Overview:
        """How branches stand, counted in the database.

        Args:
            rules: what is stale.
            versions: the present version of analyzers by kind.
            owner: whose; None for everybody's.
            repository: of one repository only, by its internal key.
        """
        reasons = self._reasons(rules, versions)
        # One look at each row: its reasons as bits, its level as a number; of both there are few together.
        bits = [sa.case((condition, 1 << place), else_=0) for place, condition in enumerate(reasons.values())]
        select = sa.select(functools.reduce(operator.add, bits).label("bits"), self._level(rules).label("level"))
        select = select.select_from(BRANCH_ROWS).where(_b.gone_at.is_(None), _r.deleted_at.is_(None))
        if owner is not None:
            select = select.where(_b.client_session_id == owner)
        if repository is not None:
            select = select.where(_b.repository == repository)
        rows = select.subquery()
        grouped = sa.select(rows.c.bits, rows.c.level, sa.func.count().label("count")).group_by(
            rows.c.bits, rows.c.level
        )
        found = self._connection.execute(grouped).all()
        return Overview(
            branches=sum(row[2] for row in found),
            stale=sum(row[2] for row in found if row.bits),
            reasons={
                reason: sum(row[2] for row in found if row.bits & 1 << place) for place, reason in enumerate(reasons)
            },
            levels={level: sum(row[2] for row in found if row.level == level.rank) for level in Level},
        )

    def _reasons(self, rules: FreshnessRules, versions: Mapping[str, str]) -> dict[Reason, sa.ColumnElement[bool]]:
        """What ``freshness.judge`` says, said in SQL; a test holds the two together.

        Changed items are no reason of their own here: a branch's files change when its commit does.
        """
        analyzed = _b.last_analyzed.is_not(None)
        changed_version = sa.false() if not versions else sa.case(versions_differ(versions), else_=sa.false())
        return {
            Reason.NEVER_ANALYZED: _b.last_analyzed.is_(None),
            Reason.MARKED: sa.and_(
                _b.marked_at.is_not(None),
                sa.or_(_BEGUN.is_(None), self._now < _BEGUN, _b.marked_at >= _BEGUN),
            ),
            Reason.REVISION_MOVED: sa.and_(
                analyzed, _b.analyzed_commit_sha != "", CURRENT != "", _b.analyzed_commit_sha != CURRENT
            ),
            Reason.ANALYZER_VERSION_CHANGED: sa.and_(analyzed, changed_version),
            Reason.AGE: sa.and_(analyzed, self._age() >= _thresholds(rules, "stale_seconds")),
        }

    def _age(self) -> sa.ColumnElement[float]:
        """Seconds since the latest analysis."""
        now = sa.literal((self._now - _EPOCH) // _MICROSECOND, sa.BigInteger)
        passed = sa.cast(now - sa.type_coerce(_b.last_analyzed, sa.BigInteger), sa.Float) / _MICROSECONDS
        return sa.case((passed < 0, 0.0), else_=passed)

    def _level(self, rules: FreshnessRules) -> sa.ColumnElement[int]:
        """The rank of each row's level; None where it has none."""
        age = self._age()
        return sa.case(
            (_b.last_analyzed.is_(None), None),
            (age < _thresholds(rules, "fresh_seconds"), Level.FRESH.rank),
            (age < _thresholds(rules, "stale_seconds"), Level.MODERATE.rank),
            (age < _thresholds(rules, "very_stale_seconds"), Level.STALE.rank),
            else_=Level.VERY_STALE.rank,
        )

    def durations(self, owner: str, kind: str, subject: int | None, limit: int) -> list[float]:
        """Seconds that the latest complete runs took, on one subject or on any of that kind; an owner's own only."""
        select = sa.select(_a.started_at, _a.completed_at).where(
            _a.client_session_id == owner,
            _a.kind == kind,
            _a.status == Status.COMPLETED.value,
            _a.location != "",
            _a.started_at.is_not(None),
        )
        if subject is not None:
            select = select.where(_a.subject == subject)
        rows = self._connection.execute(select.order_by(_a.created_at.desc(), _a.id.desc()).limit(limit))
        return [(row.completed_at - row.started_at).total_seconds() for row in rows]

    def mark(self, key: int, by: str) -> None:
        """Note that somebody asks for a refresh of a branch."""
        update = sa.update(tables.branches).where(_b.id == key)
        self._connection.execute(update.values(marked_at=self._now, marked_by=by))

    def set_threshold(self, key: int, seconds: float | None) -> None:
        """Let a branch be stale after an age of its own; None for its repository's."""
        self._connection.execute(sa.update(tables.branches).where(_b.id == key).values(stale_after_seconds=seconds))


def versions_differ(versions: Mapping[str, str]) -> tuple[Any, Any]:
    """For SQL's CASE: of these kinds, whether the analysis was made by another version."""
    other = sa.case(dict(versions), value=_a.kind, else_=_a.analyzer_version)
    return sa.and_(_a.kind.in_(list(versions)), _a.analyzer_version != "", _a.analyzer_version != other), sa.true()


def _thresholds(rules: FreshnessRules, name: str) -> sa.ColumnElement[float]:
    """The threshold of each row: by its kind, and by an age of its own, as ``Thresholds.stale_after`` has it."""
    default = sa.literal(getattr(rules.default, name), sa.Float)
    of_kind: sa.ColumnElement[float] = default
    if rules.kinds:
        by_kind = {kind: sa.literal(getattr(own, name), sa.Float) for kind, own in rules.kinds.items()}
        of_kind = sa.case(by_kind, value=_a.kind, else_=default)
    if name == "stale_seconds":
        return sa.func.coalesce(_OVERRIDE, of_kind, type_=sa.Float)
    # The smaller and the greater of two is not one function in both dialects.
    own, kinds = _OVERRIDE, of_kind
    gives_way = own < kinds if name == "fresh_seconds" else own > kinds
    return sa.case((gives_way, own), else_=kinds)


def _facts(row: sa.Row[Any]) -> BranchFacts:
    analyzed, current = row.analyzed_commit_sha or "", row.current or ""
    # Counted from another commit, or to another one, they say nothing of what is analysed.
    is_of_this = row.changes is not None and row.base_commit_sha == analyzed and row.seen_commit_sha == current
    return BranchFacts(
        key=row.id,
        subject=row.subject,
        repo_id=row.repo_id,
        client_session_id=row.client_session_id,
        branch_name=row.name,
        commit_sha=current,
        facts=Facts(
            analyzed_at=row.last_analyzed,
            begun_at=row.begun_at,
            revision=analyzed,
            current_revision=current,
            analyzer_version=row.analyzer_version or "",
            marked_at=row.marked_at,
            changes=msgspec.convert(row.changes, Changes) if is_of_this else None,
        ),
        kind=row.kind,
        analysis_id=row.analysis_id,
        stale_after_seconds=row.override,
        marked_by=row.marked_by,
    )
