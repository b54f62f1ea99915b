"""Looking: nothing here writes or counts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import (
    AnalysisGone,
    AnalysisNotFound,
    HoldfastError,
    InvalidId,
    NotFound,
    ResultNotFound,
    WrongOwner,
)
from holdfast.domain.events import LedgerEntry
from holdfast.domain.findings import Finding, Metric, Severity
from holdfast.domain.progress import Progress
from holdfast.domain.retention import Rules
from holdfast.store.analyses import Stored
from holdfast.store.keeping import REMOVED, REMOVED_BYTES
from holdfast.store.lists import Filter, Place
from holdfast.store.payloads import unpack
from holdfast.store.runs import Attempt
from holdfast.store.unit_of_work import Store, UnitOfWork

T = TypeVar("T")

_LARGEST_PAGE = 1000
# So many rows are counted one by one: a hundredth of a second.
_MOST_COUNTED = 10_000
_MOST_COUNTED_FOR_AN_ESTIMATE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a list.

    Attributes:
        items: its analyses.
        next: where the next page begins; None when this is the last one.
    """

    items: list[Analysis]
    next: Place | None


class Relation(StrEnum):
    """How a total stands to the truth."""

    EXACT = "exact"
    ESTIMATE = "estimate"
    AT_LEAST = "at_least"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """How much a list holds.

    Attributes:
        value: how many.
        relation: whether there are exactly, about, or at least so many.
    """

    value: int
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An analysis that somebody asks for.

    Attributes:
        analysis_id: its id.
        caller: who asks.
        result: whether its result is wanted as well.
    """

    analysis_id: str
    caller: Caller
    result: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What the store holds; every figure is kept up to date by the writers.

    Attributes:
        total_results: analyses.
        total_sessions: owners.
        storage_size_bytes: the results as they are kept, before equal ones are kept once.
        status_counts: analyses by status.
        last_cleanup: when retention last swept; None for never.
        storage_limit_mb: how much results of anonymous clients may take, in millions of bytes.
        anonymous_size_bytes: how much they take.
        removed_counts: analyses that retention has removed since the store began, by reason.
        removed_bytes: their results as they were kept, by reason.

    What is in the trash counts in the last figure only.
    """

    total_results: int
    total_sessions: int
    storage_size_bytes: int
    status_counts: dict[str, int]
    last_cleanup: datetime | None
    storage_limit_mb: float
    anonymous_size_bytes: int
    removed_counts: dict[str, int]
    removed_bytes: dict[str, int]


class QueriesService:
    """The use cases that only look."""

    def __init__(self, store: Store, rules: Rules) -> None:
        """Look into ``store``; ``rules`` tell how long things are kept."""
        self._store = store
        self._rules = rules

    def get(self, analysis_id: str, *, caller: Caller = LOCAL) -> Analysis:
        """An analysis.

        Raises:
            AnalysisNotFound: there is none, or it has expired.
        """
        return self._look(analysis_id, lambda _, stored: stored.value, caller)

    def ids_from(self, beginning: str, *, limit: int = 10) -> list[str]:
        """The ids of analyses that begin so, in order.

        Args:
            beginning: of an id, at least one character.
            limit: how many at most.
        """
        ids.check_id(beginning)
        return self._store.read(lambda uow: uow.analyses.ids_from(beginning, limit))

    def find(
        self,
        where: Filter,
        *,
        limit: int = 100,
        offset: int = 0,
        after: Place | None = None,
        ascending: bool = False,
        caller: Caller = LOCAL,
    ) -> Page:
        """A page of a list, newest first unless ``ascending``; what is expired or in the trash is left out.

        Args:
            where: what the list holds.
            limit: rows at most, up to 1,000.
            offset: how many to pass over first; a cursor costs less.
            after: ``next`` of the page before.
            ascending: oldest first.
            caller: who asks.

        Raises:
            Forbidden: the list is another owner's.
        """
        check_limit(limit, _LARGEST_PAGE)

        owner = caller.narrowed(where.client_session_id)

        def look(uow: UnitOfWork) -> Page:
            visible = replace(where, client_session_id=owner, visible_at=uow.now)
            rows = uow.analyses.page(visible, limit=offset + limit + 1, after=after, ascending=ascending)[offset:]
            more, rows = len(rows) > limit, rows[:limit]
            place = Place(created_at=rows[-1].value.created_at, key=rows[-1].key) if more else None
            return Page(items=[row.value for row in rows], next=place)

        return self._store.read(look)

    def count(self, where: Filter, *, exact: bool = True, caller: Caller = LOCAL) -> Total:
        """How many analyses a list holds, without looking at all of them.

        Args:
            where: what the list holds.
            exact: count them one by one, as far as 10,000; otherwise tell about how many, whatever their number: by
                the counters that writers keep, or by what part of some of all they are.
            caller: who asks.

        Raises:
            Forbidden: the list is another owner's.
        """
        owner = caller.narrowed(where.client_session_id)
        most = _MOST_COUNTED if exact else _MOST_COUNTED_FOR_AN_ESTIMATE

        def look(uow: UnitOfWork) -> Total:
            visible = replace(where, client_session_id=owner, visible_at=uow.now)
            found = uow.analyses.count(visible, most)
            if found <= most:
                return Total(value=found, relation=Relation.EXACT)
            if exact:
                return Total(value=most, relation=Relation.AT_LEAST)
            if replace(visible, status=(), visible_at=None) == Filter():
                names = [f"analyses.{status.value}" for status in dict.fromkeys(where.status)] or ["analyses"]
                about = sum(uow.counters.value(name) for name in names)
            else:
                about = round(uow.counters.value("analyses") * uow.analyses.share(visible))
            return Total(value=max(about, found), relation=Relation.ESTIMATE)

        return self._store.read(look)

    def latest(self, where: Filter, *, caller: Caller = LOCAL) -> Analysis | None:
        """The newest completed analysis that fits; the result before stays the latest while a new one runs."""
        page = self.find(replace(where, status=(Status.COMPLETED,)), limit=1, caller=caller)
        return next(iter(page.items), None)

    def get_each(self, wanted: Sequence[Wanted]) -> list[tuple[Analysis, bytes | None] | HoldfastError]:
        """Analyses that several callers ask for at once, in one state of the store.

        Args:
            wanted: which, and who asks.

        Returns:
            For each the analysis, with its result as it is kept if that is wanted (a zstd frame, neither decoded nor
            checked); or what ``get`` would raise, or ResultNotFound where there is none.

        Raises:
            StoreUnavailable: nothing can be read.
        """

        def one(uow: UnitOfWork, asked: Wanted, found: Mapping[str, Stored]) -> tuple[Analysis, bytes | None]:
            ids.check_id(asked.analysis_id)
            stored = uow.owned(found.get(asked.analysis_id), asked.analysis_id, asked.caller)
            if not stored.value.is_visible(uow.now):
                raise AnalysisGone(analysis_id=asked.analysis_id)
            return stored.value, _frame(uow, stored.value) if asked.result else None

        def look(uow: UnitOfWork) -> list[tuple[Analysis, bytes | None] | HoldfastError]:
            answers: list[tuple[Analysis, bytes | None] | HoldfastError] = []
            # What is no id is in no row, and some of it no database would take.
            found = uow.analyses.find_each([asked.analysis_id for asked in wanted if ids.is_id(asked.analysis_id)])
            for asked in wanted:
                try:
                    answers.append(one(uow, asked, found))
                except (NotFound, InvalidId) as error:
                    answers.append(error)
            return answers

        return self._store.read(look)

    def result(self, analysis_id: str, *, caller: Caller = LOCAL) -> bytes:
        """The result's JSON.

        Raises:
            AnalysisNotFound: there is no such analysis.
            ResultNotFound: it has no result.
            PayloadCorrupt: what is kept is damaged.
        """

        def look(uow: UnitOfWork, stored: Stored) -> tuple[str, bytes]:
            if stored.value.result is None:
                raise ResultNotFound(
                    f"The analysis is {stored.value.status} and has no result", analysis_id=analysis_id
                )
            return stored.value.result.hash, uow.payloads.read(stored.value.result.hash)

        return unpack(*self._look(analysis_id, look, caller))

    def findings(
        self,
        analysis_id: str,
        *,
        severities: Sequence[Severity] = (),
        after: int = -1,
        limit: int | None = None,
        caller: Caller = LOCAL,
    ) -> list[tuple[int, Finding]]:
        """The findings of an analysis in order, each with its ordinal.

        Args:
            analysis_id: the analysis.
            severities: only these; all when empty.
            after: the ordinal where the page before ended.
            limit: how many at most; all when None.
            caller: who asks.
        """
        if limit is not None:
            check_limit(limit)
        return self._look(
            analysis_id,
            lambda uow, stored: uow.findings.of_analysis(stored.key, severities=severities, after=after, limit=limit),
            caller,
        )

    def count_findings(self, analysis_id: str, *, severities: Sequence[Severity] = (), caller: Caller = LOCAL) -> Total:
        """How many findings an analysis has; see ``findings`` for the arguments."""

        def look(uow: UnitOfWork, stored: Stored) -> Total:
            if not severities:
                return Total(value=stored.value.finding_count, relation=Relation.EXACT)
            found = uow.findings.count(stored.key, severities, _MOST_COUNTED)
            if found > _MOST_COUNTED:
                return Total(value=_MOST_COUNTED, relation=Relation.AT_LEAST)
            return Total(value=found, relation=Relation.EXACT)

        return self._look(analysis_id, look, caller)

    def metrics(self, analysis_id: str, *, caller: Caller = LOCAL) -> list[Metric]:
        """The metrics of an analysis by name."""
        return self._look(analysis_id, lambda uow, stored: uow.findings.metrics_of(stored.key), caller)

    def progress(self, analysis_id: str, *, caller: Caller = LOCAL) -> tuple[Analysis, Progress | None]:
        """An analysis and how far its run has come; None before it begins."""
        return self._look(
            analysis_id, lambda uow, stored: (stored.value, uow.runs.progress([stored.key]).get(stored.key)), caller
        )

    def attempts(self, analysis_id: str, *, caller: Caller = LOCAL) -> list[Attempt]:
        """The attempts of an analysis, first one first."""
        return self._look(analysis_id, lambda uow, stored: uow.runs.attempts(stored.key), caller)

    def events(
        self, analysis_id: str, *, after: int = 0, limit: int = 100, caller: Caller = LOCAL
    ) -> list[LedgerEntry]:
        """What happened to an analysis, oldest first; also to one that is deleted.

        Args:
            analysis_id: the analysis.
            after: the sequence where the page before ended.
            limit: how many at most.
            caller: who asks; nobody but administrators sees the events of deleted ones.
        """
        ids.check_id(analysis_id)
        check_limit(limit)

        def look(uow: UnitOfWork) -> list[LedgerEntry]:
            if caller.sees is not None:
                uow.find_visible(analysis_id, caller)
            return uow.ledger.of_analysis(analysis_id, after=after, limit=limit)

        return self._store.read(look)

    def audit(
        self,
        *,
        owner: str | None = None,
        names: Sequence[str] = (),
        actor: str | None = None,
        before: int | None = None,
        limit: int = 100,
        caller: Caller = LOCAL,
    ) -> list[LedgerEntry]:
        """What happened, newest first; also to what is deleted by now.

        Args:
            owner: only what changed of this owner's.
            names: only events of these names.
            actor: only what they did.
            before: the sequence where the page before ended.
            limit: how many at most, up to 1,000.
            caller: who asks; all but administrators see their own only.

        Raises:
            Forbidden: the list is another owner's.
        """
        check_limit(limit, _LARGEST_PAGE)
        bound = caller.narrowed(owner)

        def look(uow: UnitOfWork) -> list[LedgerEntry]:
            place = None if before is None else uow.ledger.position_of(before)
            return uow.ledger.audit(limit, before=place, owner=bound, names=names, actor=actor)

        return self._store.read(look)

    def stats(self) -> Stats:
        """What the store holds."""
        counters, swept = self._store.read(lambda uow: (uow.counters.read(), uow.retention.mark("sweep")))
        return Stats(
            total_results=counters.get("analyses", 0),
            total_sessions=counters.get("owners", 0),
            storage_size_bytes=counters.get("result_bytes", 0),
            status_counts={
                status.value: count for status in Status if (count := counters.get(f"analyses.{status.value}", 0))
            },
            last_cleanup=None if swept is None else swept.at,
            storage_limit_mb=self._rules.anonymous_bytes / 1_000_000,
            anonymous_size_bytes=counters.get("anonymous_bytes", 0),
            removed_counts=_beginning(counters, REMOVED),
            removed_bytes=_beginning(counters, REMOVED_BYTES),
        )

    def available(self, analysis_id: str, *, caller: Caller = LOCAL) -> str:
        """Whether an analysis may be had, without counting a retrieval.

        Returns:
            Its status; ``not_found``, ``unauthorized``, or ``expired`` for one that is expired, used up or deleted.
        """
        try:
            return self.get(analysis_id, caller=caller).status.value
        except AnalysisGone:
            return "expired"
        except WrongOwner:
            return "unauthorized"
        except AnalysisNotFound:
            return "not_found"

    def trash(
        self,
        *,
        client_session_id: str | None = None,
        limit: int = 100,
        after: Place | None = None,
        caller: Caller = LOCAL,
    ) -> Page:
        """A page of what is in the trash and may still be restored, latest deleted first.

        Args:
            client_session_id: only this owner's.
            limit: rows at most, up to 1,000.
            after: ``next`` of the page before.
            caller: who asks.

        Raises:
            Forbidden: it is another owner's.
        """
        check_limit(limit, _LARGEST_PAGE)
        owner = caller.narrowed(client_session_id)
        window = timedelta(seconds=self._rules.trash_seconds)

        def look(uow: UnitOfWork) -> Page:
            rows = uow.analyses.trash(owner, since=uow.now - window, now=uow.now, limit=limit + 1, after=after)
            shown = rows[:limit]
            last = shown[-1] if len(rows) > limit else None
            place = None
            if last is not None and last.value.deleted_at is not None:
                place = Place(created_at=last.value.deleted_at, key=last.key)
            return Page(items=[row.value for row in shown], next=place)

        return self._store.read(look)

    def _look(self, analysis_id: str, look: Callable[[UnitOfWork, Stored], T], caller: Caller) -> T:
        ids.check_id(analysis_id)
        return self._store.read(lambda uow: look(uow, uow.find_visible(analysis_id, caller)))


def _beginning(counters: Mapping[str, int], beginning: str) -> dict[str, int]:
    return {
        name.removeprefix(beginning): value for name, value in sorted(counters.items()) if name.startswith(beginning)
    }


def _frame(uow: UnitOfWork, value: Analysis) -> bytes:
    if value.result is None:
        raise ResultNotFound(f"The analysis is {value.status} and has no result", analysis_id=value.analysis_id)
    return uow.payloads.read(value.result.hash)
