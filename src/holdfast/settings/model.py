"""Every setting, typed; a group is a section of the file, and a new setting goes to the end of its group."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from holdfast.settings.freshness import FreshnessSettings
from holdfast.settings.indexes import IndexSettings
from holdfast.settings.keeping import KeepingSettings
from holdfast.settings.masks import MASK, is_secret, masked
from holdfast.settings.values import Also, Networks, Paths, RateLimit


def _default_url() -> str:
    return f"sqlite:///{user_data_path('holdfast') / 'holdfast.db'}"


def _in_folder(folder: str) -> str:
    return f"sqlite:///{Path(folder) / 'holdfast.db'}"


class StoreSettings(BaseModel):
    """Where things are kept."""

    section: ClassVar = "store"

    database_url: Annotated[str, Also("ANALYSIS_STORAGE_DIR", _in_folder)] = Field(
        default_factory=_default_url, repr=False
    )
    """Where things are kept; a file in the user's data folder by default."""


class RunSettings(BaseModel):
    """How analyses are run."""

    section: ClassVar = "runs"

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


class ServiceSettings(BaseModel):
    """How the service answers."""

    section: ClassVar = "service"

    authentication: Literal["auto", "token"] = "auto"
    """Who may call the service: with ``auto`` this machine only, until the first token is made; then its holders."""

    max_body_mb: float = Field(default=64.0, gt=0, le=4096)
    """How large a request's body may be, in MiB."""

    body_timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long a request's body may take to arrive."""


class LogSettings(BaseModel):
    """What is logged."""

    section: ClassVar = "logging"

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    """What is logged by the command line and the worker."""

    log_format: Literal["text", "json"] = "text"
    """How it is logged."""


class AccessSettings(BaseModel):
    """Who may do what, and how often."""

    section: ClassVar = "access"

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

    streams_per_caller: int = Field(default=1000, ge=0, le=1_000_000)
    """How many live streams an owner may have open at each service process; 0 for no limit."""

    target_roots: Paths = Field(default_factory=tuple)
    """The folders that callers by HTTP may name targets in; in the environment separated by commas.

    Without one, callers on this machine may name any in local mode, and otherwise administrators only.
    """


class Settings(
    StoreSettings,
    RunSettings,
    ServiceSettings,
    KeepingSettings,
    FreshnessSettings,
    IndexSettings,
    LogSettings,
    AccessSettings,
    BaseSettings,
):
    """The settings; made by ``read_settings``, which looks into the environment and the file."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_", extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # it is called by name
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 the contract's
        init_settings: PydanticBaseSettingsSource,
        **_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given only: the other sources are read where it is noted which value comes from where."""
        return (init_settings,)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Whatever shows or logs the settings shows no password."""
        for name, value in super().__repr_args__():
            yield name, MASK if name is not None and is_secret(name, value) else masked(value)

    def database_path(self) -> Path | None:
        """The database's file; None for a server."""
        prefix = "sqlite:///"
        return Path(self.database_url[len(prefix) :]) if self.database_url.startswith(prefix) else None


GROUPS: tuple[type[BaseModel], ...] = tuple(
    group for group in Settings.__bases__ if group is not BaseSettings and issubclass(group, BaseModel)
)
"""The groups in order; each names its section."""
