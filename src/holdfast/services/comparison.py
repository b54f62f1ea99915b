"""Analyses side by side: what was added, what was fixed, which figures moved."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Status
from holdfast.domain.checks import check_limit
from holdfast.domain.comparison import Change, Comparison, FindingChange, metric_changes
from holdfast.domain.errors import AnalysisNotFound, NothingToCompare
from holdfast.store import branch_analyses
from holdfast.store.analyses import Stored
from holdfast.store.lists import Filter, Place
from holdfast.store.repositories import StoredRepository
from holdfast.store.unit_of_work import Store, UnitOfWork

CHAIN = 100
_SHOWN = (Change.ADDED, Change.FIXED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """A page of the findings that two analyses have differently.

    Attributes:
        items: added ones first, each sort in its analysis's order.
        next: where the next page begins; None when this is the last one.
    """

    items: list[FindingChange]
    next: tuple[Change, int] | None


class ComparisonService:
    """The use cases of comparisons."""

    def __init__(self, store: Store) -> None:
        """Look into ``store``."""
        self._store = store

    def compare(self, analysis_id: str, against: str | None = None, *, caller: Caller = LOCAL) -> Comparison:
        """Compare an analysis with an earlier one.

        Args:
            analysis_id: the later one.
            against: the earlier one; when None the one that it took the place of, else the complete one before it
                of the same kind, subject and owner.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is no such analysis.
            NothingToCompare: there is no earlier one.
        """
        return self._store.read(lambda uow: _compared(uow, *_both(uow, analysis_id, against, caller)))

    def compare_branches(self, repo_id: str, branch: str, against: str, *, caller: Caller = LOCAL) -> Comparison:
        """Compare a branch with another one of its repository, by the newest complete analyses of both.

        Args:
            repo_id: the repository.
            branch: the branch whose findings are the later ones.
            against: the other branch.
            caller: who asks.

        Raises:
            RepositoryNotFound: there is no such repository.
            BranchUnknown: nothing is kept of one of the branches.
            NothingToCompare: one of them has no complete analysis.
        """

        def look(uow: UnitOfWork) -> Comparison:
            repository = uow.find_repository(repo_id, caller)
            before, after = (_latest(uow, repository, name) for name in (against, branch))
            return _compared(uow, before, after)

        return self._store.read(look)

    def changes(
        self,
        analysis_id: str,
        against: str | None = None,
        *,
        changes: Sequence[Change] = (),
        after: tuple[Change, int] | None = None,
        limit: int = 100,
        caller: Caller = LOCAL,
    ) -> ChangePage:
        """A page of the findings that two analyses have differently.

        Args:
            analysis_id: the later one.
            against: the earlier one; see ``compare``.
            changes: only these; those that were added and fixed when empty.
            after: ``next`` of the page before.
            limit: how many at most.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is no such analysis.
            NothingToCompare: there is no earlier one.
        """
        check_limit(limit)
        wanted = [change for change in Change if change in (changes or _SHOWN)]

        def look(uow: UnitOfWork) -> ChangePage:
            old, new = _both(uow, analysis_id, against, caller)
            found: list[FindingChange] = []
            begun = after is None
            for change in wanted:
                begun = begun or (after is not None and after[0] is change)
                left = limit + 1 - len(found)
                if not begun or not left:
                    continue
                beyond = after[1] if after is not None and after[0] is change else -1
                places = uow.comparisons.ordinals(old.key, new.key, change, beyond=beyond, limit=left)
                key = old.key if change is Change.FIXED else new.key
                found += [
                    FindingChange(change=change, ordinal=ordinal, finding=finding)
                    for ordinal, finding in uow.findings.at(key, places)
                ]
            shown = found[:limit]
            last = shown[-1] if len(found) > limit else None
            return ChangePage(items=shown, next=None if last is None else (last.change, last.ordinal))

        return self._store.read(look)

    def chain(self, analysis_id: str, *, limit: int = CHAIN, caller: Caller = LOCAL) -> list[str]:
        """An analysis and those that it took the place of, one after the other, newest first.

        Args:
            analysis_id: the newest.
            limit: how many at most.
            caller: who asks; the chain ends before one that they may not see.

        Raises:
            AnalysisNotFound: there is no such analysis.
        """
        check_limit(limit)

        def look(uow: UnitOfWork) -> list[str]:
            uow.find_visible(ids.check_id(analysis_id), caller)
            chained = uow.comparisons.chain(analysis_id, limit)
            kept = uow.analyses.find_many(chained)
            visible: list[str] = []
            for one in chained:
                value = kept[one].value
                owner, ip = value.context.client_session_id, value.context.client_ip
                may_see = caller.may_see(owner, is_anonymous=value.is_anonymous, ip=ip)
                if not may_see or not value.is_visible(uow.now):
                    break
                visible.append(one)
            return visible

        return self._store.read(look)


def _compared(uow: UnitOfWork, before: Stored, after: Stored) -> Comparison:
    old, new = (
        {metric.name: metric.value for metric in uow.findings.metrics_of(stored.key)} for stored in (before, after)
    )
    return Comparison(
        before=before.value,
        after=after.value,
        findings=uow.comparisons.counts(before.key, after.key),
        metrics=metric_changes(old, new),
    )


def _latest(uow: UnitOfWork, repository: StoredRepository, branch_name: str) -> Stored:
    found = branch_analyses.latest(uow, repository.value, branch_name, None)
    if found is None:
        branch = uow.find_branch(repository, branch_name).value
        raise NothingToCompare(
            f"No complete analysis is kept of the branch {branch.name!r} of {branch.repo_id!r}", branch=branch.name
        )
    return found


def _both(uow: UnitOfWork, analysis_id: str, against: str | None, caller: Caller) -> tuple[Stored, Stored]:
    """The earlier and the later one."""
    after = uow.find_visible(ids.check_id(analysis_id), caller)
    if against is not None:
        return uow.find_visible(ids.check_id(against, "against"), caller), after
    return _replaced(uow, after, caller) or _earlier(uow, after), after


def _replaced(uow: UnitOfWork, after: Stored, caller: Caller) -> Stored | None:
    if after.value.refreshed_from is None:
        return None
    try:
        return uow.find_visible(after.value.refreshed_from, caller)
    except AnalysisNotFound:
        return None


def _earlier(uow: UnitOfWork, after: Stored) -> Stored:
    value = after.value
    if value.subject is not None:
        same = Filter(
            client_session_id=value.context.client_session_id,
            kind=value.kind,
            subject=(value.subject.kind, value.subject.key),
            status=(Status.COMPLETED,),
            visible_at=uow.now,
        )
        place = Place(created_at=value.created_at, key=after.key)
        found = uow.analyses.page(same, limit=1, after=place)
        if found:
            return found[0]
    raise NothingToCompare(
        f"There is no analysis before {value.analysis_id} that it could be compared with",
        analysis_id=value.analysis_id,
    )
