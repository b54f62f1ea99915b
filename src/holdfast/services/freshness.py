"""How old results are, what has changed since, and whether to make them anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.checks import check_limit, check_positive
from holdfast.domain.errors import HoldfastError, RepositoryNotFound
from holdfast.domain.freshness import (
    Age,
    Estimate,
    Facts,
    Freshness,
    FreshnessRules,
    Recommendation,
    age_of,
    estimated,
    judge,
)
from holdfast.domain.ports import Clock
from holdfast.domain.refresh import RefreshTask
from holdfast.domain.repositories import BRANCH_SUBJECT
from holdfast.store.freshness import BranchFacts, Overview
from holdfast.store.unit_of_work import Store, UnitOfWork

_LARGEST_PAGE = 1000
_RUNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """How a branch stands.

    Attributes:
        repo_id: its repository.
        branch_name: its name.
        exists: whether there is a complete analysis of it.
        freshness: how old that is, and why it should be made anew.
        last_analyzed: when it was complete.
        analysis_id: which it is, while it is kept.
        commit_sha: the commit that the branch was last seen at; ``""`` if not known.
        analyzed_commit_sha: the commit that was analysed.
        marked_at: when somebody last asked for a refresh.
        marked_by: who.
        estimate: what a refresh will probably take.
        refresh: the refresh that waits or is under way.
        checked_at: the moment of this answer, by the same clock as all other moments in it.
    """

    repo_id: str
    branch_name: str
    exists: bool
    freshness: Freshness
    last_analyzed: datetime | None = None
    analysis_id: str | None = None
    commit_sha: str = ""
    analyzed_commit_sha: str = ""
    marked_at: datetime | None = None
    marked_by: str | None = None
    estimate: Estimate = field(default_factory=Estimate)
    refresh: RefreshTask | None = None
    checked_at: datetime

    @property
    def is_stale(self) -> bool:
        """Whether there is a reason to refresh."""
        return self.freshness.is_stale


@dataclass(frozen=True, slots=True, kw_only=True)
class StalePage:
    """A page of stale branches.

    Attributes:
        items: the branches, by name.
        next: where the next page begins; None when this is the last one.
    """

    items: list[Staleness]
    next: str | None


class FreshnessService:
    """The use cases of freshness."""

    def __init__(
        self, store: Store, clock: Clock, rules: FreshnessRules, *, branch_kind: str, version_of: Callable[[str], str]
    ) -> None:
        """Judge what is in ``store``.

        Args:
            store: what is kept.
            clock: tells the time.
            rules: what is old.
            branch_kind: the kind of analysis that branches have; in lists its version alone is compared, since to
                know that of another kind is to import its analyzer.
            version_of: the present version of a kind's analyzer.
        """
        self._store = store
        self._clock = clock
        self._rules = rules
        self._branch_kind = branch_kind
        self._version_of = version_of

    def age(self, analysis: Analysis) -> Age:
        """How old an analysis is, by its kind's thresholds; nothing is looked up."""
        at = analysis.completed_at if analysis.status is Status.COMPLETED else None
        return age_of(at, self._rules.of(analysis.kind), self._clock.now())

    def is_analysis_stale(self, analysis_id: str, *, caller: Caller = LOCAL) -> bool:
        """Whether there is a reason to make an analysis anew.

        Raises:
            AnalysisNotFound: there is none.
        """
        return self.get_analysis_age_info(analysis_id, caller=caller).is_stale

    def get_analysis_age_info(self, analysis_id: str, *, caller: Caller = LOCAL) -> Freshness:
        """How an analysis stands: its age, what has changed since, what to do.

        Raises:
            AnalysisNotFound: there is none.
        """

        def look(uow: UnitOfWork) -> tuple[Analysis, BranchFacts | None, datetime]:
            value = uow.find_visible(ids.check_id(analysis_id), caller).value
            about = value.subject
            branch = None
            if about is not None and about.kind == BRANCH_SUBJECT:
                branch = uow.freshness.of_subject(about.kind, about.key, value.context.client_session_id)
            return value, branch, uow.now

        value, branch, now = self._store.read(look)
        version = self._version(value.kind) if value.location else ""
        facts = Facts(
            analyzed_at=value.completed_at if value.status is Status.COMPLETED else None,
            begun_at=value.created_at,
            revision="" if value.subject is None else value.subject.revision,
            analyzer_version=value.analyzer_version,
            current_version=version,
        )
        if branch is not None:
            seen = branch.facts
            # What has changed was counted from the commit of the branch's newest analysis.
            changes = seen.changes if seen.revision == facts.revision else None
            facts = replace(facts, current_revision=seen.current_revision, marked_at=seen.marked_at, changes=changes)
        own = None if branch is None else branch.stale_after_seconds
        return judge(facts, self._rules.of(value.kind, own), now, changed_items=self._rules.changed_items)

    def get_refresh_recommendations(self, analysis_id: str, *, caller: Caller = LOCAL) -> Recommendation:
        """What to do about an analysis.

        Raises:
            AnalysisNotFound: there is none.
        """
        return self.get_analysis_age_info(analysis_id, caller=caller).recommendation

    def is_branch_stale(self, repo_id: str, branch_name: str, *, caller: Caller = LOCAL) -> bool:
        """Whether there is a reason to analyse a branch, as when nothing is known of it."""
        return self.get_staleness_info(repo_id, branch_name, caller=caller).is_stale

    def get_staleness_info(self, repo_id: str, branch_name: str, *, caller: Caller = LOCAL) -> Staleness:
        """How a branch stands; one that is not known, or not the caller's, was never analysed."""

        def look(uow: UnitOfWork) -> tuple[BranchFacts | None, RefreshTask | None, Estimate, datetime]:
            repository = uow.freshness.repository(repo_id, caller)
            known = None
            if repository is not None:
                known = uow.freshness.of(repository.key, [branch_name]).get(branch_name)
            if known is None:
                return None, None, Estimate(), uow.now
            waiting = uow.refreshes.open_of(known.key)
            return known, None if waiting is None else waiting.value, self._estimate(uow, known), uow.now

        known, waiting, estimate, now = self._store.read(look)
        if known is None:
            return self._unknown(repo_id, branch_name, now)
        return replace(self._judged(known, self._versions(known.kind), now), estimate=estimate, refresh=waiting)

    def get_staleness_infos(
        self, repo_id: str, branch_names: Sequence[str], *, caller: Caller = LOCAL
    ) -> list[Staleness]:
        """How several branches of a repository stand, in their order, by one query; without estimates.

        Args:
            repo_id: the repository.
            branch_names: up to 1,000.
            caller: who asks.
        """
        check_limit(max(len(branch_names), 1), _LARGEST_PAGE)
        versions = self._versions(self._branch_kind)

        def look(uow: UnitOfWork) -> tuple[dict[str, BranchFacts], datetime]:
            repository = uow.freshness.repository(repo_id, caller)
            return {} if repository is None else uow.freshness.of(repository.key, branch_names), uow.now

        known, now = self._store.read(look)
        return [
            self._judged(known[name], versions, now) if name in known else self._unknown(repo_id, name, now)
            for name in branch_names
        ]

    def get_stale_branches(
        self, repo_id: str, *, limit: int = 100, after: str | None = None, caller: Caller = LOCAL
    ) -> StalePage:
        """A page of a repository's stale branches, by name; those that it no longer has are left out.

        Args:
            repo_id: the repository.
            limit: rows at most, up to 1,000.
            after: ``next`` of the page before.
            caller: who asks.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        check_limit(limit, _LARGEST_PAGE)
        versions = self._versions(self._branch_kind)

        def look(uow: UnitOfWork) -> tuple[list[BranchFacts], datetime]:
            key = _required(uow, repo_id, caller)
            return uow.freshness.stale(self._rules, versions, repository=key, after=after, limit=limit + 1), uow.now

        found, now = self._store.read(look)
        items = [self._judged(known, versions, now) for known in found[:limit]]
        return StalePage(items=items, next=items[-1].branch_name if len(found) > limit else None)

    def overview(self, repo_id: str | None = None, *, caller: Caller = LOCAL) -> Overview:
        """How many branches are stale, and why: of one repository, or of all that the caller sees; by one query.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        versions = self._versions(self._branch_kind)

        def look(uow: UnitOfWork) -> Overview:
            key = None if repo_id is None else _required(uow, repo_id, caller)
            return uow.freshness.overview(self._rules, versions, owner=caller.sees, repository=key)

        return self._store.read(look)

    def set_staleness_threshold(
        self, repo_id: str, branch_name: str, hours: float | None, *, caller: Caller = LOCAL
    ) -> None:
        """Let a branch be stale after an age of its own, whatever its kind's threshold.

        Args:
            repo_id: the repository.
            branch_name: the branch.
            hours: the age; None for that of its repository, or the setting's.
            caller: who asks.

        Raises:
            BranchUnknown: there is no such branch.
        """
        check_positive("hours", hours)
        seconds = None if hours is None else hours * 3600

        def work(uow: UnitOfWork) -> None:
            uow.freshness.set_threshold(uow.freshness.branch(repo_id, branch_name, caller).key, seconds)

        self._store.write(work)

    def _judged(self, known: BranchFacts, versions: Mapping[str, str], now: datetime) -> Staleness:
        facts = replace(known.facts, current_version=versions.get(known.kind or "", ""))
        thresholds = self._rules.of(known.kind or "", known.stale_after_seconds)
        return Staleness(
            repo_id=known.repo_id,
            branch_name=known.branch_name,
            exists=facts.analyzed_at is not None,
            freshness=judge(facts, thresholds, now, changed_items=self._rules.changed_items),
            last_analyzed=facts.analyzed_at,
            analysis_id=known.analysis_id,
            commit_sha=known.commit_sha,
            analyzed_commit_sha=facts.revision,
            marked_at=facts.marked_at,
            marked_by=known.marked_by,
            checked_at=now,
        )

    def _unknown(self, repo_id: str, branch_name: str, now: datetime) -> Staleness:
        return Staleness(
            repo_id=repo_id,
            branch_name=branch_name,
            exists=False,
            freshness=judge(Facts(), self._rules.of(""), now),
            checked_at=now,
        )

    def _estimate(self, uow: UnitOfWork, known: BranchFacts) -> Estimate:
        kind, owner = known.kind or self._branch_kind, known.client_session_id
        of_subject = uow.freshness.durations(owner, kind, known.subject, _RUNS)
        return estimated(of_subject, () if of_subject else uow.freshness.durations(owner, kind, None, _RUNS))

    def _versions(self, kind: str | None) -> dict[str, str]:
        version = "" if kind is None else self._version(kind)
        return {} if kind is None or not version else {kind: version}

    def _version(self, kind: str) -> str:
        try:
            return self._version_of(kind)
        except HoldfastError:
            # Its package is not installed here: whether it has changed is for others to say.
            return ""


def _required(uow: UnitOfWork, repo_id: str, caller: Caller) -> int:
    found = uow.freshness.repository(repo_id, caller)
    if found is None:
        raise RepositoryNotFound(f"There is no repository {repo_id!r}", repo_id=repo_id)
    return found.key
