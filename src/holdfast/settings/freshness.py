"""Settings of what is stale, and of what is done about it."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from holdfast.domain.freshness import FreshnessRules, Thresholds
from holdfast.domain.refresh import RefreshRules, Window
from holdfast.settings.values import Hours, Kind, RefreshWindow


class FreshnessThresholds(BaseModel):
    """From which age on results of a kind are of the next level; see ``domain.freshness.Thresholds``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fresh_hours: Hours | None = None
    """Fresh below it; an hour, or ``stale_hours`` where that is less, when unset."""

    stale_hours: Hours | None = None
    """Stale from it on; ``stale_threshold_hours`` when unset."""

    very_stale_hours: Hours | None = None
    """Very stale from it on; a week, or ``stale_hours`` where that is more, when unset."""

    @model_validator(mode="after")
    def _rise(self) -> "FreshnessThresholds":
        given = [hours for hours in (self.fresh_hours, self.stale_hours, self.very_stale_hours) if hours is not None]
        if given != sorted(given):
            raise ValueError("fresh_hours, stale_hours and very_stale_hours must not fall")
        return self

    def rule(self, default: Thresholds) -> Thresholds:
        """The same for the rule."""
        rule = default.stale_after(_in_seconds(self.stale_hours))
        return Thresholds(
            fresh_seconds=_in_seconds(self.fresh_hours) or rule.fresh_seconds,
            stale_seconds=rule.stale_seconds,
            very_stale_seconds=_in_seconds(self.very_stale_hours) or rule.very_stale_seconds,
        )


def _in_seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * 3600


class FreshnessSettings(BaseModel):
    """What is stale, and what is done about it."""

    section: ClassVar = "refresh"

    stale_threshold_hours: Hours = 24.0
    """From which age on a result is stale."""

    freshness: dict[Kind, FreshnessThresholds] = {}
    """Other thresholds of age: by kind, ``*`` for all other kinds."""

    changed_items: int = Field(default=10, ge=0, le=1_000_000_000)
    """More changed items than this make a result stale."""

    auto_refresh: bool = False
    """Whether workers refresh stale branches by themselves, until somebody enables or disables it."""

    auto_refresh_minutes: float = Field(default=30.0, ge=0.1, le=525_600)
    """How often a worker looks for what is stale."""

    refresh_concurrency: int = Field(default=1, ge=1, le=1000)
    """How many refreshes that nobody asked for may wait or run at once."""

    refresh_window: RefreshWindow = ""
    """In which hours they begin, in UTC (``22:00-06:00``); empty for any time."""

    watch_seconds: float = Field(default=300.0, ge=0, le=86_400)
    """How often a worker looks where the branches of repositories on its machine are; 0 for never."""

    webhook_secret: SecretStr | None = Field(default=None, min_length=16, max_length=1024)
    """What code hosts sign the pushes with that they tell of; without it none is heard."""

    def freshness_rules(self) -> FreshnessRules:
        """What freshness goes by."""
        default = Thresholds().stale_after(self.stale_threshold_hours * 3600)
        own = {kind: thresholds.rule(default) for kind, thresholds in self.freshness.items()}
        return FreshnessRules(
            default=own.pop("*", default),
            kinds=own,
            changed_items=self.changed_items,
        )

    def refresh_rules(self) -> RefreshRules:
        """What refreshing by itself goes by."""
        return RefreshRules(
            is_enabled=self.auto_refresh,
            check_seconds=self.auto_refresh_minutes * 60,
            concurrency=self.refresh_concurrency,
            window=Window.of(self.refresh_window) if self.refresh_window else None,
        )
