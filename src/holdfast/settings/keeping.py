"""Settings of how long things are kept."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.retention import Policy, Rules, Thinning
from holdfast.domain.sync import Strategy
from holdfast.domain.triage import KIND as DUPLICATES
from holdfast.settings.values import Kind, Names, Seconds

# Searches for duplicates are large, and the newest is the one that counts.
_POLICIES = {DUPLICATES: Policy(keep_last=5, max_age_seconds=30 * 86_400.0)}


class ThinningStep(BaseModel):
    """A step of thinning a history out: from ``after_days`` on, the newest of each ``every_days`` stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_days: float = Field(ge=0, le=36_500)
    every_days: float = Field(gt=0, le=36_500)


class RetentionPolicy(BaseModel):
    """How long analyses of a kind are kept; see ``domain.retention.Policy``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_age_seconds: Seconds | None = None
    """How old an analysis may become."""

    keep_last: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many of an owner stay."""

    per_subject: bool = False
    """Whether ``keep_last`` counts for each subject on its own."""

    thinning: tuple[ThinningStep, ...] = ()
    """How a subject's history becomes sparser with age."""

    ttl_seconds: Seconds | None = None
    """How long a new analysis is kept that does not say itself."""

    def rule(self) -> Policy:
        """The same for the rules."""
        return Policy(
            max_age_seconds=self.max_age_seconds,
            keep_last=self.keep_last,
            per_subject=self.per_subject,
            thinning=tuple(
                Thinning(after_seconds=step.after_days * 86_400, every_seconds=step.every_days * 86_400)
                for step in self.thinning
            ),
            ttl_seconds=self.ttl_seconds,
        )


class KeepingSettings(BaseModel):
    """How long things are kept."""

    section: ClassVar = "keeping"

    trash_hours: float = Field(default=24.0, ge=0, le=87_600)
    """How long a deleted analysis may be restored; 0: it is deleted for good at once."""

    retention: dict[Kind, RetentionPolicy] = {}
    """How long analyses are kept: a policy per kind, ``*`` for all other kinds; without one, for ever.

    Of searches for duplicates an owner keeps the last 5, for 30 days, unless they have a policy here.
    """

    anonymous_ttl_seconds: float = Field(default=3600.0, gt=0, le=2**31 - 1)
    """How long what an anonymous client stores is kept at most."""

    anonymous_max_retrievals: int = Field(default=10, ge=1, le=2**31 - 1)
    """How often each of them may be retrieved at most."""

    anonymous_storage_mb: float = Field(default=500.0, gt=0, le=1_000_000_000)
    """How much all of them may take, in millions of bytes; over that the oldest go, down to 80 % of it."""

    sweep_seconds: float = Field(default=300.0, ge=0, le=86_400)
    """How often a worker removes what is not to be kept any longer; 0 for never."""

    checkpoint_days: float = Field(default=30.0, gt=0, le=36_500)
    """How long checkpoints that outlive their analysis are kept after they were last used."""

    dead_job_days: float = Field(default=30.0, gt=0, le=36_500)
    """How long jobs that used up their attempts are kept."""

    ledger_days: float | None = Field(default=None, gt=0, le=36_500)
    """How long events are kept; for ever when unset."""

    sync_strategy: Strategy = Strategy.LATEST_WINS
    """What becomes of concurrent changes of one branch: ``latest_wins``, ``merge`` or ``manual``."""

    sync_counters: Names = Field(default_factory=tuple)
    """Which whole numbers add up when changes are merged, as paths (``metadata.downloads``); in the environment
    separated by commas."""

    cache_mb: float = Field(default=1000.0, gt=0, le=1_000_000_000)
    """How much the derived files that are noted may take, in millions of bytes; the least recently used go first."""

    export_hours: float = Field(default=24.0, gt=0, le=8_760)
    """How long an export may be fetched."""

    def rules(self) -> Rules:
        """What retention goes by."""
        return Rules(
            policies=dict(_POLICIES) | {kind: policy.rule() for kind, policy in self.retention.items()},
            trash_seconds=self.trash_hours * 3600,
            anonymous_ttl_seconds=self.anonymous_ttl_seconds,
            anonymous_max_retrievals=self.anonymous_max_retrievals,
            anonymous_bytes=int(self.anonymous_storage_mb * 1_000_000),
        )
