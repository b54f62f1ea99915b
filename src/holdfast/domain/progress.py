"""How far a run has come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One named stretch of a run.

    Attributes:
        name: for people, in the present participle (``Reading history``).
        weight: its share of the whole run's time, relative to the other phases.
    """

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come; percentages are 0-100 and never go back within an attempt.

    Attributes:
        phase: the present phase's name.
        current_step: the present phase's number, from 1; 0 before the first.
        total_steps: how many phases there are.
        percentage: of the whole run.
        estimated_remaining_seconds: None while there is too little to judge by.
        current_message: what is being done, for people.
        items_processed: items done in the present phase.
        total_items: items in the present phase, if known.
        groups_found: findings so far.
        started_at: when the attempt began.
        updated_at: when this was last reported.
    """

    phase: str = ""
    current_step: int = 0
    total_steps: int = 0
    percentage: float = 0.0
    estimated_remaining_seconds: float | None = None
    current_message: str = ""
    items_processed: int = 0
    total_items: int | None = None
    groups_found: int = 0
    started_at: datetime
    updated_at: datetime

    def enter(self, phases: Sequence[Phase], name: str, total_items: int | None, at: datetime) -> "Progress":
        """Begin the phase ``name`` of ``phases``; an undeclared phase counts as part of the present step."""
        names = [phase.name for phase in phases]
        step = names.index(name) + 1 if name in names else max(self.current_step, 1)
        entered = replace(
            self,
            phase=name,
            current_step=step,
            total_steps=max(len(names), 1),
            items_processed=0,
            total_items=total_items,
            current_message="",
        )
        return entered.moved(phases, at)

    def moved(
        self,
        phases: Sequence[Phase],
        at: datetime,
        *,
        items_processed: int | None = None,
        groups_found: int | None = None,
        message: str | None = None,
    ) -> "Progress":
        """Report items done, findings so far, or a message; None leaves as it is."""
        items = self.items_processed if items_processed is None else items_processed
        total = None if self.total_items is None else max(self.total_items, items)
        percentage = max(self.percentage, self._percentage(phases, items, total))
        elapsed = (at - self.started_at).total_seconds()
        # Below one percent or one second the rate is noise, and a wild estimate is worse than none.
        known = percentage >= 1 and elapsed >= 1
        return replace(
            self,
            items_processed=items,
            total_items=total,
            groups_found=self.groups_found if groups_found is None else groups_found,
            current_message=self.current_message if message is None else message,
            percentage=percentage,
            estimated_remaining_seconds=elapsed * (100 - percentage) / percentage if known else None,
            updated_at=at,
        )

    def finished(self, at: datetime, groups_found: int | None = None) -> "Progress":
        """The run is complete; what it reported last may not have been kept."""
        return replace(
            self,
            percentage=100.0,
            estimated_remaining_seconds=0.0,
            items_processed=self.items_processed if self.total_items is None else self.total_items,
            groups_found=self.groups_found if groups_found is None else groups_found,
            updated_at=at,
        )

    def _percentage(self, phases: Sequence[Phase], items: int, total: int | None) -> float:
        share = items / total if total else 0.0
        if not phases:
            return min(100 * share, 99.9)
        # Weights may all be zero: then nothing is known of the whole.
        whole = sum(phase.weight for phase in phases) or 1.0
        before = sum(phase.weight for phase in phases[: max(self.current_step - 1, 0)])
        now = phases[self.current_step - 1].weight if self.current_step else 0.0
        return min(100 * (before + now * share) / whole, 99.9)
