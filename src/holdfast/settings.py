"""Every setting, typed: given in code, or by environment variables that begin with HOLDFAST_."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from holdfast.domain.errors import InvalidInput
from holdfast.domain.retention import Policy, Rules, Thinning


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


# The defaults are right, and a test says so: they need no check whenever settings are read.
RateLimit = Annotated[str, AfterValidator(_is_rate_limit), Field(validate_default=False)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]


def _also(name: str, *others: str) -> AliasChoices:
    """By its name, by that with our prefix, and by the bare one of the environment."""
    return AliasChoices(name, f"HOLDFAST_{name.upper()}", *(others or (name.upper(),)))


_Seconds = Annotated[float, Field(gt=0, le=2**31 - 1)]
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
    """How long analyses are kept: a policy per kind, ``*`` for all other kinds; without one, for ever."""

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

    processors: Names = Field(default=("fulltext",))
    """The indexes that are kept up to date; in the environment separated by commas, empty for none."""

    processor_options: dict[str, dict[str, Any]] = {}
    """What a processor that a package brings is set up with, by its name."""

    enable_vector_store: bool | None = Field(default=None, validation_alias=_also("enable_vector_store"))
    """Whether analyses are found by their meaning: adds ``vector`` to ``processors``, or takes it away."""

    enable_graph_db: bool | None = Field(default=None, validation_alias=_also("enable_graph_db"))
    """Whether what analyses have to do with each other is kept: adds ``graph`` to ``processors``, or takes it away."""

    embedder: Literal["wordllama", "openai", "sentence-transformers"] = "wordllama"
    """What makes vectors of texts: the model that comes along, an endpoint of OpenAI's protocol, a model of yours."""

    embedding_model: str = ""
    """Which model, by its name there; not for ``wordllama``, which is one."""

    embedding_url: str = "https://api.openai.com/v1"
    """The endpoint, up to and with ``/v1``."""

    embedding_api_key: str | None = Field(
        default=None, repr=False, validation_alias=_also("embedding_api_key", "OPENAI_API_KEY")
    )
    """What the endpoint lets us in by."""

    embedding_dimensions: int | None = Field(default=None, ge=1, le=65_536)
    """How many dimensions a vector shall have, where the endpoint's model leaves a choice."""

    embedding_timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long the endpoint may take for an answer; Qdrant too."""

    vector_cache_mb: float = Field(default=512.0, ge=0, le=1_000_000)
    """How much memory of a process vectors may take, in millions of bytes, where they are compared one by one."""

    qdrant_url: str | None = None
    """Qdrant's address; vectors are kept in the database when unset."""

    qdrant_host: str | None = Field(default=None, validation_alias=_also("qdrant_host"))
    """The same by host and ``qdrant_port``."""

    qdrant_port: int = Field(default=6333, ge=1, le=65_535, validation_alias=_also("qdrant_port"))
    """Qdrant's port at ``qdrant_host``."""

    qdrant_api_key: str | None = Field(default=None, repr=False, validation_alias=_also("qdrant_api_key"))
    """What Qdrant lets us in by."""

    qdrant_collection: str = Field(default="holdfast", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """How the names of our collections begin; no other database of Holdfast's may use the same."""

    neo4j_uri: str | None = Field(default=None, validation_alias=_also("neo4j_uri"))
    """Neo4j's address (``bolt://host:7687``); the graph is kept in the database when unset."""

    neo4j_user: str = Field(default="neo4j", validation_alias=_also("neo4j_user"))
    """Who we are to Neo4j."""

    neo4j_password: str = Field(default="", repr=False, validation_alias=_also("neo4j_password"))
    """What Neo4j lets us in by."""

    neo4j_database: str | None = None
    """Which of Neo4j's databases; its default one when unset."""

    neo4j_graph: str = Field(default="holdfast", min_length=1, max_length=64)
    """The name of our graph there; no other database of Holdfast's may use the same."""

    process_batch_size: int = Field(
        default=200,
        ge=1,
        le=10_000,
        validation_alias=AliasChoices("process_batch_size", "HOLDFAST_PROCESS_BATCH_SIZE", "PROCESS_BATCH_SIZE"),
    )
    """How many analyses a worker gives a processor at a time."""

    def database_path(self) -> Path | None:
        """The database's file; None for a server."""
        prefix = "sqlite:///"
        return Path(self.database_url[len(prefix) :]) if self.database_url.startswith(prefix) else None

    def enabled_processors(self) -> tuple[str, ...]:
        """The processors with what is enabled by a switch of its own, and without what is disabled by one."""
        names = dict.fromkeys(self.processors)
        for name, switch in (("vector", self.enable_vector_store), ("graph", self.enable_graph_db)):
            if switch:
                names[name] = None
            elif switch is False:
                names.pop(name, None)
        return tuple(names)

    def all_processor_options(self) -> dict[str, dict[str, Any]]:
        """What each processor is set up with."""
        qdrant_url = self.qdrant_url
        if qdrant_url is None and self.qdrant_host is not None:
            qdrant_url = f"http://{self.qdrant_host}:{self.qdrant_port}"
        vector = {
            "embedder": self.embedder,
            "model": self.embedding_model,
            "url": self.embedding_url,
            "api_key": self.embedding_api_key,
            "dimensions": self.embedding_dimensions,
            "timeout_seconds": self.embedding_timeout_seconds,
            "cache_mb": self.vector_cache_mb,
            "qdrant_url": qdrant_url,
            "qdrant_api_key": self.qdrant_api_key,
            "qdrant_collection": self.qdrant_collection,
        }
        names = ("neo4j_uri", "neo4j_user", "neo4j_password", "neo4j_database", "neo4j_graph")
        graph = {name: getattr(self, name) for name in names}
        return {"vector": vector, "graph": graph, **self.processor_options}

    def rules(self) -> Rules:
        """What retention goes by."""
        return Rules(
            policies={kind: policy.rule() for kind, policy in self.retention.items()},
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
