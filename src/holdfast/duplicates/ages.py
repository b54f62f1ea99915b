"""How old searches for duplicates are, what has changed since, and whether to search anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.errors import InvalidTarget, ManifestNotFound
from holdfast.domain.freshness import Facts, Freshness, FreshnessRules, judge
from holdfast.domain.ports import Clock
from holdfast.domain.triage import KIND, Preferences, Suggestion, suggest
from holdfast.services.groups import GroupsService
from holdfast.services.libraries import LibrariesService, LibraryChanges
from holdfast.services.triage import TriageService


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged:
    """An analysis and how old it is.

    Attributes:
        analysis: the analysis.
        freshness: its age, what has changed since as far as it was looked at, and what to do.
        warns_of_age: whether its owner wants to be warned.
        warns_of_changes: whether so much has changed that its owner wants to be warned.
        changes: what has changed; None where it was not looked at, or cannot be told.
        why_unknown: why the changes cannot be told.
    """

    analysis: Analysis
    freshness: Freshness
    warns_of_age: bool
    warns_of_changes: bool
    changes: LibraryChanges | None = None
    why_unknown: str | None = None


class Ages:
    """The ages of searches, as their owners prefer to be told of them."""

    def __init__(
        self,
        groups: GroupsService,
        triage: TriageService,
        libraries: LibrariesService,
        clock: Clock,
        rules: FreshnessRules,
    ) -> None:
        """Judge by ``rules`` and what owners prefer.

        Args:
            groups: tells how much is settled.
            triage: tells what owners prefer.
            libraries: tells what has changed.
            clock: tells the time.
            rules: what is old.
        """
        self._groups = groups
        self._triage = triage
        self._libraries = libraries
        self._clock = clock
        self._rules = rules

    def of(
        self, analyses: Sequence[Analysis], *, staleness_hours: float | None = None, caller: Caller = LOCAL
    ) -> list[Aged]:
        """How old searches are, in their order; no library is looked at.

        Args:
            analyses: the searches.
            staleness_hours: from which age on one is stale; as the caller prefers when None.
            caller: who asks.
        """
        preferences = self._triage.preferences(caller=caller)
        if staleness_hours is not None:
            preferences = replace(preferences, staleness_hours=staleness_hours)
        return [self._judged(one, preferences) for one in analyses]

    def with_changes(self, analysis: Analysis, *, caller: Caller = LOCAL) -> Aged:
        """How old a search is, and what has changed in its library, as far as that can be told."""
        preferences = self._triage.preferences(caller=caller)
        try:
            changes = self._libraries.changes(analysis.analysis_id, caller=caller)
        except (InvalidTarget, ManifestNotFound) as error:
            # A library that is gone does not keep anybody from the age of what was found in it.
            return self._judged(analysis, preferences, why_unknown=error.message)
        return self._judged(analysis, preferences, changes)

    def suggestion(self, analysis_id: str, *, caller: Caller = LOCAL) -> Suggestion:
        """Whether so much was settled or has changed since a search that it is worth another one."""
        counts = self._groups.counts(analysis_id, caller=caller)
        resolved = sum(impact.groups for action, impact in counts.decided.items() if action.settles)
        try:
            changed: int | None = self._libraries.changes(analysis_id, caller=caller).changes.total
        except (InvalidTarget, ManifestNotFound):
            changed = None
        return suggest(resolved, changed, changed_items=self._rules.changed_items)

    def _judged(
        self,
        value: Analysis,
        preferences: Preferences,
        changes: LibraryChanges | None = None,
        why_unknown: str | None = None,
    ) -> Aged:
        facts = Facts(
            analyzed_at=value.completed_at if value.status is Status.COMPLETED else None,
            begun_at=value.started_at,
            changes=None if changes is None else changes.changes,
        )
        found = judge(
            facts,
            self._rules.of(KIND, preferences.staleness_hours * 3600),
            self._clock.now(),
            changed_items=self._rules.changed_items,
        )
        return Aged(
            analysis=value,
            freshness=found,
            warns_of_age=preferences.show_age_warnings
            and found.age_seconds is not None
            and found.age_seconds >= found.threshold_seconds,
            warns_of_changes=changes is not None
            and preferences.warns_of_changes(changes.changes.total, changes.tracks_before),
            changes=changes,
            why_unknown=why_unknown,
        )
