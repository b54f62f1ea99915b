"""How old results are, and what has changed since."""

from holdfast.domain.analysis import Analysis, Status
from holdfast.domain.freshness import Age, FreshnessRules, age_of
from holdfast.domain.ports import Clock


class FreshnessService:
    """The use cases of freshness."""

    def __init__(self, clock: Clock, rules: FreshnessRules) -> None:
        """Judge by ``rules``.

        Args:
            clock: tells the time.
            rules: what is old.
        """
        self._clock = clock
        self._rules = rules

    def age(self, analysis: Analysis) -> Age:
        """How old an analysis is, by its kind's thresholds; nothing is looked up."""
        at = analysis.completed_at if analysis.status is Status.COMPLETED else None
        return age_of(at, self._rules.of(analysis.kind), self._clock.now())
