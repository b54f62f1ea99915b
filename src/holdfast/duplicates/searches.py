"""Searches for duplicates, all that can be done with them: ``hf.duplicates``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from holdfast.analyzers.duplicates.disposal import Going, Move, carry_out, plan, trash_beside
from holdfast.analyzers.duplicates.report import findings, whole_group
from holdfast.analyzers.registry import Registry
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.context import Context
from holdfast.domain.errors import (
    AnalysisNotFound,
    NotFound,
    SearchUnderWay,
)
from holdfast.domain.exporting import Format
from holdfast.domain.freshness import FreshnessRules
from holdfast.domain.ports import Clock, IdSource
from holdfast.domain.progress import Progress
from holdfast.domain.retention import Rules
from holdfast.domain.subjects import Subject
from holdfast.domain.triage import KIND, Action, Suggestion
from holdfast.duplicates.ages import Aged, Ages
from holdfast.services.analyses import AnalysesService
from holdfast.services.exports import ExportsService
from holdfast.services.groups import GroupsService
from holdfast.services.libraries import LibrariesService, LibraryChanges
from holdfast.services.queries import QueriesService
from holdfast.services.results import NewResult, ResultsService
from holdfast.services.searches import ParameterChange, SearchesService, parameter_changes
from holdfast.services.submissions import Submission, SubmissionsService
from holdfast.services.triage import Decided, TriageService
from holdfast.store.lists import Filter, Place
from holdfast.store.unit_of_work import Store

Watcher = Callable[[Progress], object]


class Duplicates:
    """Searches for duplicates.

    Every method takes ``caller``, who asks; whoever uses the library or the command line by default.

    Attributes:
        groups: what a search has found.
        triage: what is decided about it.
        exports: files to fetch.
        libraries: what has changed since.
        searches: found again by what they were made with.
    """

    def __init__(  # noqa: PLR0913 all that it puts together
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        id_source: IdSource,
        *,
        submissions: SubmissionsService,
        analyses: AnalysesService,
        queries: QueriesService,
        results: ResultsService,
        run: Callable[[str, Watcher | None], Analysis],
        rules: Rules,
        freshness: FreshnessRules,
        exports_kept: timedelta,
    ) -> None:
        """Work on ``store``.

        Args:
            store: where searches are kept.
            registry: has their analyzer.
            clock: tells the time.
            id_source: gives randomness.
            submissions: begins and refreshes them.
            analyses: cancels them.
            queries: finds them.
            results: keeps those that were made elsewhere.
            run: runs what waits in a worker of this process until a search has ended, telling how far it has come.
            rules: how long they are kept.
            freshness: what is old.
            exports_kept: how long an export may be fetched.
        """
        self._submissions = submissions
        self._analyses = analyses
        self._queries = queries
        self._results = results
        self._run = run
        self.groups = GroupsService(store)
        self.triage = TriageService(store, id_source)
        self.exports = ExportsService(store, id_source, kept=exports_kept)
        self.libraries = LibrariesService(store, registry)
        self.searches = SearchesService(store, rules)
        self._ages = Ages(self.groups, self.triage, self.libraries, clock, freshness)

    def start(
        self,
        target: str,
        params: Mapping[str, Any] | None = None,
        *,
        force_refresh: bool = False,
        caller: Caller = LOCAL,
        **options: Any,
    ) -> Submission:
        """Ask for a search; a worker runs it.

        A fresh result answers that was made of the same library with the very same parameters, unless
        ``force_refresh``.

        Args:
            target: the library.
            params: the analyzer's parameters.
            force_refresh: search though a fresh result is kept.
            caller: who asks.
            options: as for ``SubmissionsService.submit``.

        Raises:
            SearchUnderWay: the same search runs already.
        """
        made = self._submissions.submit(KIND, target, params=params, force=force_refresh, caller=caller, **options)
        return _unless_under_way(made)

    def find_duplicates_with_persistence(
        self,
        target: str,
        search_term: str | None = None,
        sort_by: str = "artist",
        min_confidence: float = 0.0,
        user_id: str | None = None,
        *,
        force_refresh: bool = False,
        progress_callback: Watcher | None = None,
        caller: Caller = LOCAL,
        **params: Any,
    ) -> dict[str, Any]:
        """Search here and now, in a worker of this process, and keep the result.

        Args:
            target: the library.
            search_term: what song, artist or album must have.
            sort_by: the order of the groups.
            min_confidence: how alike tracks must be, 0 to 1.
            user_id: whose search it is; the caller's when None.
            force_refresh: search though a fresh result is kept.
            progress_callback: told how far it has come.
            caller: who asks.
            params: further parameters of the analyzer.

        Returns:
            ``analysis_id``, ``duplicate_groups``, ``metadata`` (``status``, ``reused``, ``totals``, ``parameters``).

        Raises:
            SearchUnderWay: the same search runs already.
            HoldfastError: it could not be begun. How it ended is told by ``metadata.status``.
        """
        wanted = {"search_term": search_term or "", "sort_by": sort_by, "min_confidence": min_confidence, **params}
        context = Context(client_session_id=user_id or caller.owner)
        submission = self.start(target, wanted, force_refresh=force_refresh, context=context, caller=caller)
        analysis = submission.analysis
        if not analysis.status.ended:
            analysis = self._run(analysis.analysis_id, progress_callback)
        result = self._result(analysis, caller) or {}
        return {
            "analysis_id": analysis.analysis_id,
            "duplicate_groups": result.get("groups", []),
            "metadata": {
                "status": analysis.status.value,
                "reused": submission.reused,
                "totals": result.get("totals", {}),
                "parameters": analysis.params,
            },
        }

    def save_analysis_result(
        self,
        analysis_id: str | None,
        user_id: str,
        duplicate_groups: Sequence[Mapping[str, Any]],
        analysis_params: Mapping[str, Any],
        analysis_stats: Mapping[str, Any],
        *,
        subject: Subject | None = None,
        caller: Caller = LOCAL,
    ) -> Analysis:
        """Keep a result that was found elsewhere; durable when this returns.

        Args:
            analysis_id: the caller's id, or None for a new one.
            user_id: the owner.
            duplicate_groups: the groups, in the form that the analyzer gives them.
            analysis_params: with what parameters.
            analysis_stats: the figures, by name.
            subject: the library.
            caller: who keeps it.

        Raises:
            InvalidInput: a group has no id or no tracks.
        """
        groups = [whole_group(number, group) for number, group in enumerate(duplicate_groups)]
        found = list(findings(groups))
        metrics = {
            name: float(value)
            for name, value in analysis_stats.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        new = NewResult(
            kind=KIND,
            analysis_id=analysis_id,
            subject=subject,
            params=dict(analysis_params),
            result={"groups": groups, "totals": dict(analysis_stats), "parameters": dict(analysis_params)},
            summary=f"{len(groups):,} groups of duplicates",
            findings=found,
            metrics=metrics,
            context=Context(client_session_id=user_id),
        )
        return self._results.store([new], caller=caller)[0]

    def load_analysis_result(self, analysis_id: str, *, caller: Caller = LOCAL) -> dict[str, Any] | None:
        """The whole result of a search; None when there is none that the caller may see."""
        try:
            return self._result(self._get(analysis_id, caller), caller)
        except NotFound:
            return None

    def get_latest_analysis(
        self,
        user_id: str | None = None,
        search_term: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        caller: Caller = LOCAL,
    ) -> Analysis | None:
        """The newest complete search of an owner.

        Args:
            user_id: the owner; the caller when None.
            search_term: with this term; ``""`` for none at all, None for any.
            params: with exactly these parameters.
            caller: who asks.
        """
        return self.searches.latest(user_id, search_term=search_term, params=params, caller=caller)

    def get_user_analyses(
        self, user_id: str | None = None, limit: int = 10, *, after: Place | None = None, caller: Caller = LOCAL
    ) -> list[Analysis]:
        """The searches of an owner, newest first."""
        where = Filter(client_session_id=user_id or caller.owner, kind=KIND)
        return self._queries.find(where, limit=limit, after=after, caller=caller).items

    def refresh_analysis(
        self,
        analysis_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        caller: Caller = LOCAL,
    ) -> Submission:
        """Search anew; the old result stays readable, and is what it was if the new search does not complete.

        Args:
            analysis_id: the search.
            params: parameters that are to be other than they were; none when None.
            idempotency_key: the request's own name.
            caller: who asks.

        Raises:
            SearchUnderWay: the same search runs already.
        """
        before = self._get(analysis_id, caller)
        wanted = None if params is None else {**before.params, **params}
        running = self.searches.under_way(before, wanted or before.params, caller=caller)
        if running is not None and idempotency_key is None:
            raise SearchUnderWay(analysis_id=running.analysis_id)
        made = self._submissions.refresh(analysis_id, params=wanted, idempotency_key=idempotency_key, caller=caller)
        return _unless_under_way(made)

    def quick_refresh(
        self, user_id: str | None = None, search_term: str | None = None, *, caller: Caller = LOCAL
    ) -> Submission:
        """Search anew with the parameters of the newest search.

        Raises:
            AnalysisNotFound: there is none yet.
            SearchUnderWay: the same search runs already.
        """
        latest = self.get_latest_analysis(user_id, search_term, caller=caller)
        if latest is None:
            raise AnalysisNotFound("There is no search yet whose parameters could be used again")
        return self.refresh_analysis(latest.analysis_id, caller=caller)

    def parameter_history(self, user_id: str | None = None, *, caller: Caller = LOCAL) -> list[ParameterChange]:
        """The searches of an owner, newest first, each with what it had other than the one before."""
        return parameter_changes(self.get_user_analyses(user_id, limit=100, caller=caller))

    def mark_groups_resolved(
        self,
        analysis_id: str,
        group_ids: Sequence[str],
        resolution_action: str,
        *,
        keeps: Mapping[str, str] | None = None,
        note: str = "",
        caller: Caller = LOCAL,
    ) -> Decided:
        """Decide about groups; see ``TriageService.resolve``."""
        action = Action(resolution_action)
        return self.triage.resolve(analysis_id, group_ids, action, keeps=keeps, note=note, caller=caller)

    def cleanup_old_results(self, user_id: str | None = None, *, caller: Caller = LOCAL) -> dict[str, int]:
        """Remove the searches that an owner has too many of, or that are too old, now.

        Returns:
            How many were ``deleted``, by reason, and how many are ``kept``.
        """
        return self.searches.clean_up(user_id, caller=caller)

    def export_analysis_results(
        self,
        analysis_id: str,
        format: str = "json",  # noqa: A002 the documented name
        *,
        caller: Caller = LOCAL,
    ) -> Iterator[bytes]:
        """A search as a file, in pieces; any of ``Format``."""
        return self.exports.stream(analysis_id, Format(format), caller=caller)

    def get_library_change_summary(self, since_analysis_id: str, *, caller: Caller = LOCAL) -> LibraryChanges:
        """What was added, modified and deleted since a search."""
        return self.libraries.changes(since_analysis_id, caller=caller)

    def is_analysis_stale(
        self, analysis: Analysis | str, staleness_hours: float | None = None, *, caller: Caller = LOCAL
    ) -> bool:
        """Whether a search is older than so many hours; than the caller prefers when None."""
        value = self._get(analysis, caller)
        return self._ages.of([value], staleness_hours=staleness_hours, caller=caller)[0].freshness.is_stale

    def get_analysis_age_info(self, analysis: Analysis | str, *, caller: Caller = LOCAL) -> Aged:
        """How old a search is; the library is not looked at."""
        return self._ages.of([self._get(analysis, caller)], caller=caller)[0]

    def ages(self, analyses: Sequence[Analysis], *, caller: Caller = LOCAL) -> list[Aged]:
        """How old searches are, in their order; no library is looked at."""
        return self._ages.of(analyses, caller=caller)

    def get_refresh_recommendations(self, analysis: Analysis | str, *, caller: Caller = LOCAL) -> Aged:
        """Whether to search anew, by age and by what has changed in the library."""
        return self._ages.with_changes(self._get(analysis, caller), caller=caller)

    def suggest_new_analysis(self, analysis_id: str, *, caller: Caller = LOCAL) -> Suggestion:
        """Whether so much was settled or has changed since a search that it is worth another one."""
        return self._ages.suggestion(analysis_id, caller=caller)

    def plan_moves(self, analysis_id: str, trash: Path | None = None, *, caller: Caller = LOCAL) -> list[Move]:
        """What ``apply_moves`` would move out of a library that is a folder; nothing is.

        Args:
            analysis_id: the search, whose decisions say what goes.
            trash: where the files go; beside the library when None.
            caller: who asks.

        Raises:
            InvalidTarget: the library is no folder, or the trash is within it.
        """
        folder = Path(self.searches.get(analysis_id, caller=caller).location)
        going = (
            Going(track_id=item.key, keeps=decision.keeps, size_bytes=item.data.get("size_bytes") or 0)
            for shown, decision in self.groups.going(analysis_id, caller=caller)
            for item in shown.finding.items
            if item.key in decision.goes
        )
        return plan(folder, trash or trash_beside(folder), going)

    def apply_moves(self, analysis_id: str, trash: Path | None = None, *, caller: Caller = LOCAL) -> list[Move]:
        """Move the files that were decided to go into a folder, from where they can be moved back; with its event.

        Args:
            analysis_id: the search, whose decisions say what goes.
            trash: where the files go; beside the library when None.
            caller: who asks.

        Returns:
            What was moved, and what was not and why.
        """
        moves = self.plan_moves(analysis_id, trash, caller=caller)
        place = trash or trash_beside(Path(self.searches.get(analysis_id, caller=caller).location))
        done: list[Move] = []
        try:
            done.extend(carry_out(moves))
        finally:
            # Also of what was moved before somebody pressed Ctrl-C.
            moved = sum(move.problem is None for move in done)
            self.triage.note_moved(analysis_id, moved, len(moves) - moved, str(place), caller=caller)
        return done

    def get_analysis_progress(self, analysis_id: str, *, caller: Caller = LOCAL) -> tuple[Analysis, Progress | None]:
        """A search and how far its run has come."""
        self._get(analysis_id, caller)
        return self._queries.progress(analysis_id, caller=caller)

    def cancel_analysis(self, analysis_id: str, *, caller: Caller = LOCAL) -> Analysis:
        """Stop a search; what was found so far is kept, and so are earlier results."""
        self._get(analysis_id, caller)
        return self._analyses.cancel(analysis_id, caller=caller)

    def _get(self, analysis: Analysis | str, caller: Caller) -> Analysis:
        return analysis if isinstance(analysis, Analysis) else self.searches.get(analysis, caller=caller)

    def _result(self, analysis: Analysis, caller: Caller) -> dict[str, Any] | None:
        if analysis.result is None:
            return None
        result: dict[str, Any] = msgspec.json.decode(self._queries.result(analysis.analysis_id, caller=caller))
        return result


def _unless_under_way(submission: Submission) -> Submission:
    if submission.reused and not submission.analysis.status.ended:
        raise SearchUnderWay(analysis_id=submission.analysis.analysis_id)
    return submission
