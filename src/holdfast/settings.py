"""Every setting, typed: given in code, or by environment variables that begin with HOLDFAST_."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from holdfast.domain.errors import InvalidInput
from holdfast.domain.freshness import FreshnessRules, Thresholds
from holdfast.domain.refresh import RefreshRules, Window
from holdfast.domain.retention import Policy, Rules, Thinning
from holdfast.domain.sync import Strategy
from holdfast.domain.triage import KIND as DUPLICATES


def _default_url() -> str:
    return f"sqlite:///{user_data_path('holdfast') / 'holdfast.db'}"


def _listed(value: Any) -> Any:
    return [part for part in map(str.strip, value.split(",")) if part] if isinstance(value, str) else value


def _is_rate_limit(value: str) -> str:
    # Imported when there is something to check: with all that it imports in turn it takes 0.15 s.
    from limits import parse_many  # noqa: PLC0415

    value = value.strip()
    if value and any(not (item.amount > 0 and item.get_expiry() > 0) for item in parse_many(value)):
        raise ValueError(f"{value!r} lets nobody through, or has no duration")
    return value


def _is_window(value: str) -> str:
    if value.strip():
        Window.of(value)
    return value.strip()


# The defaults are right, and a test says so: they need no check whenever settings are read.
RateLimit = Annotated[str, AfterValidator(_is_rate_limit), Field(validate_default=False)]
Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
_Seconds = Annotated[float, Field(gt=0, le=2**31 - 1)]
RefreshWindow = Annotated[str, AfterValidator(_is_window), Field(validate_default=False)]
_Hours = Annotated[float, Field(gt=0, le=876_000)]
_Kind = Annotated[str, Field(pattern=r"^(\*|[a-z0-9][a-z0-9._-]{0,63})$")]


class ThinningStep(BaseModel):
    """A step of thinning a history out: from ``after_days`` on, the newest of each ``every_days`` stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_days: float = Field(ge=0, le=36_500)
    every_days: float = Field(gt=0, le=36_500)


class RetentionPolicy(BaseModel):
    """How long analyses of a kind are kept; see ``domain.retention.Policy``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_age_seconds: _Seconds | None = None
    """How old an analysis may become."""

    keep_last: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many of an owner stay."""

    per_subject: bool = False
    """Whether ``keep_last`` counts for each subject on its own."""

    thinning: tuple[ThinningStep, ...] = ()
    """How a subject's history becomes sparser with age."""

    ttl_seconds: _Seconds | None = None
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


class FreshnessThresholds(BaseModel):
    """From which age on results of a kind are of the next level; see ``domain.freshness.Thresholds``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fresh_hours: _Hours | None = None
    """Fresh below it; an hour, or ``stale_hours`` where that is less, when unset."""

    stale_hours: _Hours | None = None
    """Stale from it on; ``stale_threshold_hours`` when unset."""

    very_stale_hours: _Hours | None = None
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


# Searches for duplicates are large, and the newest is the one that counts.
_POLICIES = {DUPLICATES: Policy(keep_last=5, max_age_seconds=30 * 86_400.0)}


class Settings(BaseSettings):
    """The settings; a value given in code goes before the environment's."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_", extra="ignore", frozen=True)

    database_url: str = Field(default_factory=_default_url, repr=False)
    """Where things are kept; a file in the user's data folder by default."""

    reuse_hours: float = Field(default=24.0, ge=0, le=1_000_000)
    """How old a result may be to answer a new request for the same input."""

    analysis_timeout_seconds: float = Field(default=300.0, ge=0, le=2**31 - 1)
    """How long an attempt of a run may take, unless the request or the analyzer says otherwise; 0 for no limit."""

    run_attempts: int = Field(default=3, ge=1, le=100)
    """How often a run is begun when its worker or process is lost."""

    lease_seconds: float = Field(default=30.0, ge=1, le=86_400)
    """How long a worker may be silent before its jobs go to others."""

    concurrency: int = Field(default=1, ge=1, le=64)
    """How many analyses a worker runs at once; each spreads over ``processes``."""

    processes: int | None = Field(default=None, ge=1, le=1024)
    """Over how many processes a run spreads its parts; the number of cores when unset."""

    dask_address: str | None = None
    """The scheduler of a Dask cluster to spread parts over instead."""

    authentication: Literal["auto", "token"] = "auto"
    """Who may call the service: with ``auto`` this machine only, until the first token is made; then its holders."""

    max_body_mb: float = Field(default=64.0, gt=0, le=4096)
    """How large a request's body may be, in MiB."""

    body_timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long a request's body may take to arrive."""

    trash_hours: float = Field(default=24.0, ge=0, le=87_600)
    """How long a deleted analysis may be restored; 0: it is deleted for good at once."""

    retention: dict[_Kind, RetentionPolicy] = {}
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

    stale_threshold_hours: _Hours = 24.0
    """From which age on a result is stale."""

    freshness: dict[_Kind, FreshnessThresholds] = {}
    """Other thresholds of age: by kind, ``*`` for all other kinds."""

    changed_items: int = Field(default=10, ge=0, le=1_000_000_000)
    """More changed items than this make a result stale."""

    target_roots: Paths = Field(default_factory=tuple)
    """The folders that callers by HTTP may name targets in; in the environment separated by commas.

    Without one, callers on this machine may name any in local mode, and otherwise administrators only.
    """

    export_hours: float = Field(default=24.0, gt=0, le=8_760)
    """How long an export may be fetched."""

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
    sync_strategy: Strategy = Strategy.LATEST_WINS
    """What becomes of concurrent changes of one branch: ``latest_wins``, ``merge`` or ``manual``."""

    sync_counters: Names = ()
    """Which whole numbers add up when changes are merged, as paths (``metadata.downloads``); in the environment
    separated by commas."""

    cache_mb: float = Field(default=1000.0, gt=0, le=1_000_000_000)
    """How much the derived files that are noted may take, in millions of bytes; the least recently used go first."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    """What is logged by the command line and the worker."""

    log_format: Literal["text", "json"] = "text"
    """How it is logged."""

    anonymous_clients: bool = False
    """Whether the service lets clients in that nobody vouches for, each to its own results only."""

    same_ip_recovery: bool = False
    """Whether anonymous clients see the results of others at their address; in single-user local mode only."""

    trusted_proxies: Networks = Field(default_factory=tuple)
    """The networks of the proxies whose X-Forwarded-For is believed; in the environment separated by commas."""

    rate_limit_start: RateLimit = "60/minute"
    """How often an owner may start an analysis; empty for no limit, several limits separated by semicolons."""

    rate_limit_export: RateLimit = "10/minute"
    """How often an owner may export."""

    rate_limit_anonymous: RateLimit = "20/minute"
    """How often the anonymous clients of one address may do either, beside the limits for everybody."""

    def database_path(self) -> Path | None:
        """The database's file; None for a server."""
        prefix = "sqlite:///"
        return Path(self.database_url[len(prefix) :]) if self.database_url.startswith(prefix) else None

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

    def rules(self) -> Rules:
        """What retention goes by."""
        return Rules(
            policies=dict(_POLICIES) | {kind: policy.rule() for kind, policy in self.retention.items()},
            trash_seconds=self.trash_hours * 3600,
            anonymous_ttl_seconds=self.anonymous_ttl_seconds,
            anonymous_max_retrievals=self.anonymous_max_retrievals,
            anonymous_bytes=int(self.anonymous_storage_mb * 1_000_000),
        )


def read_settings(**given: Any) -> Settings:
    """The settings: those given that are not None, then the environment's, then the defaults.

    Raises:
        InvalidInput: a setting has a wrong value; the error names it.
    """
    unknown = given.keys() - Settings.model_fields.keys()
    if unknown:
        raise InvalidInput(f"There is no setting {', '.join(sorted(unknown))}", settings=sorted(unknown))
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors(include_input=False)
        ]
        raise InvalidInput(f"A setting is not valid: {'; '.join(problems)}", problems=problems) from error
