"""What was found of branches: each analysis, the latest, their history, and figures over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import AnalysisNotFound, Forbidden, InvalidInput
from holdfast.domain.ports import Clock
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.retention import Rules
from holdfast.domain.series import Point, Sample, check_range
from holdfast.domain.sync import Strategy
from holdfast.store import branch_analyses
from holdfast.store.lists import Place
from holdfast.store.repositories import StoredRepository
from holdfast.store.syncing import How, sync_branches
from holdfast.store.unit_of_work import Store, UnitOfWork

_LARGEST_PAGE = 1000
_LARGEST_SERIES = 10_000
_FIGURES = ("overall_score", "issue_count")
DAYS_BACK = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One analysis of a branch, in a few figures.

    Attributes:
        analysis: the analysis.
        overall_score: its overall score, if it has one.
        technologies: what it found in use.
        issue_count: how many issues it found.
    """

    analysis: Analysis
    overall_score: float | None
    technologies: tuple[str, ...]
    issue_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """A page of a branch's history.

    Attributes:
        items: its analyses, newest first.
        next: where the next page begins; None when this is the last one.
    """

    items: list[HistoryItem]
    next: Place | None


class BranchHistoryService:
    """The use cases of branches' analyses and figures."""

    def __init__(self, store: Store, clock: Clock, *, rules: Rules) -> None:
        """Work on ``store``; ``rules`` tell how long analyses are kept."""
        self._store = store
        self._clock = clock
        self._rules = rules

    def store_analysis(self, repo_id: str, result: BranchAnalysisResult, *, caller: Caller = LOCAL) -> Analysis:
        """Keep what was found of a branch at a commit; the same again is no second analysis.

        Args:
            repo_id: the repository.
            result: what was found; a branch that was not known is made known.
            caller: who stores it.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        if caller.is_anonymous:
            raise Forbidden("Anonymous clients keep no repositories")
        value = self._store.read(lambda uow: uow.find_repository(repo_id, caller)).value
        prepared = branch_analyses.prepare(result, value, self._rules, self._clock.now())

        def work(uow: UnitOfWork) -> Analysis:
            _ensure_branch(uow, uow.find_repository(repo_id, caller), result, caller)
            return branch_analyses.keep(uow, prepared, caller.name)[0]

        return self._store.write(work)

    def get_latest_analysis(
        self, repo_id: str, branch_name: str, *, commit_sha: str | None = None, caller: Caller = LOCAL
    ) -> tuple[Analysis, bytes | None]:
        """The newest complete analysis of a branch, whoever made it, and its result as it is kept: a zstd frame.

        Args:
            repo_id: the repository.
            branch_name: the branch.
            commit_sha: of this commit only.
            caller: who asks.

        Raises:
            RepositoryNotFound: there is no such repository.
            AnalysisNotFound: none is kept.
        """

        def look(uow: UnitOfWork) -> tuple[Analysis, bytes | None]:
            repository = uow.find_repository(repo_id, caller).value
            stored = branch_analyses.latest(uow, repository, branch_name, commit_sha)
            if stored is None:
                at = "" if commit_sha is None else f" at {commit_sha}"
                raise AnalysisNotFound(f"No analysis of {branch_name!r}{at} is kept", repo_id=repo_id)
            result = stored.value.result
            return stored.value, None if result is None else uow.payloads.read(result.hash)

        return self._store.read(look)

    def get_analysis_history(
        self,
        repo_id: str,
        branch_name: str,
        *,
        limit: int = 10,
        after: Place | None = None,
        caller: Caller = LOCAL,
    ) -> HistoryPage:
        """A page of a branch's complete analyses, newest first; no result is decoded.

        Raises:
            RepositoryNotFound: there is no such repository.
        """
        check_limit(limit, _LARGEST_PAGE)

        def look(uow: UnitOfWork) -> HistoryPage:
            repository = uow.find_repository(repo_id, caller).value
            where = branch_analyses.history(repository, branch_name, None, uow.now)
            rows = uow.analyses.page(where, limit=limit + 1, after=after)
            more, rows = len(rows) > limit, rows[:limit]
            figures = uow.findings.metrics_named([row.key for row in rows], _FIGURES)
            items = [_item(row.value, figures.get(row.key, {})) for row in rows]
            place = Place(created_at=rows[-1].value.created_at, key=rows[-1].key) if more else None
            return HistoryPage(items=items, next=place)

        return self._store.read(look)

    def store_historical_metric(
        self, repo_id: str, branch_name: str, points: Sequence[Point], *, caller: Caller = LOCAL
    ) -> None:
        """Keep figures of a branch; one of the same name and moment takes the place of the one before.

        Raises:
            RepositoryNotFound: there is no such repository.
            BranchUnknown: nothing is kept of the branch.
        """
        if caller.is_anonymous:
            raise Forbidden("Anonymous clients keep no repositories")

        def work(uow: UnitOfWork) -> None:
            branch = uow.find_branch(uow.find_repository(repo_id, caller), branch_name)
            uow.series.put(branch.key, points)

        self._store.write(work)

    def metric_names(self, repo_id: str, branch_name: str, *, caller: Caller = LOCAL) -> list[str]:
        """Which figures of a branch are kept over time."""
        return self._store.read(
            lambda uow: uow.series.names(uow.find_branch(uow.find_repository(repo_id, caller), branch_name).key)
        )

    def get_historical_metrics(
        self,
        repo_id: str,
        branch_name: str,
        name: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
        caller: Caller = LOCAL,
    ) -> list[Point]:
        """A figure of a branch over time, oldest first.

        Args:
            repo_id: the repository.
            branch_name: the branch.
            name: the figure.
            since: from this moment on; 30 days before ``until`` when None.
            until: before this moment; until now when None.
            limit: points at most, up to 10,000.
            caller: who asks.
        """
        check_limit(limit, _LARGEST_SERIES)
        begin, end = self._range(since, until, None)
        return self._store.read(
            lambda uow: uow.series.range(
                uow.find_branch(uow.find_repository(repo_id, caller), branch_name).key, name, begin, end, limit
            )
        )

    def sample_historical_metrics(
        self,
        repo_id: str,
        branch_name: str,
        name: str,
        *,
        every: timedelta,
        since: datetime | None = None,
        until: datetime | None = None,
        caller: Caller = LOCAL,
    ) -> list[Sample]:
        """A figure of a branch over time, summed up in stretches of equal length; those without a point are left out.

        Args:
            repo_id: the repository.
            branch_name: the branch.
            name: the figure.
            every: how long a stretch is.
            since: as for ``get_historical_metrics``.
            until: likewise.
            caller: who asks.
        """
        begin, end = self._range(since, until, every)
        rows = self._store.read(
            lambda uow: uow.series.sampled(
                uow.find_branch(uow.find_repository(repo_id, caller), branch_name).key, name, begin, end, every
            )
        )
        return [
            Sample(at=begin + place * every, mean=mean, least=least, greatest=greatest, count=count)
            for place, mean, least, greatest, count in rows
        ]

    def _range(
        self, since: datetime | None, until: datetime | None, every: timedelta | None
    ) -> tuple[datetime, datetime]:
        end = until or self._clock.now() + timedelta(microseconds=1)
        try:
            begin = since or end - timedelta(days=DAYS_BACK)
        except OverflowError as error:
            raise InvalidInput("until is too early", field="until") from error
        check_range(begin, end, every)
        return begin, end


def _ensure_branch(uow: UnitOfWork, repository: StoredRepository, result: BranchAnalysisResult, caller: Caller) -> None:
    if uow.branches.find(repository, result.branch_name) is not None:
        return
    info = BranchInfo(name=result.branch_name, commit_sha=result.commit_sha, declared_at=result.analysis_timestamp)
    # Nothing is new-born by a conflict: a branch that another transaction adds now is settled by time.
    sync_branches(uow, repository, [info], How(strategy=Strategy.LATEST_WINS, by=caller.name, new_id=str))


def _item(value: Analysis, figures: dict[str, float]) -> HistoryItem:
    return HistoryItem(
        analysis=value,
        overall_score=figures.get("overall_score"),
        technologies=value.tags,
        issue_count=int(figures.get("issue_count", value.finding_count)),
    )
