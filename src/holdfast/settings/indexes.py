"""Settings of the indexes that are fed with what is kept."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from holdfast.domain.processing import processor_name
from holdfast.settings.values import Also, Names


class IndexSettings(BaseModel):
    """What is indexed, by what, and where."""

    section: ClassVar = "indexes"

    processors: Names = Field(default=("fulltext",))
    """The indexes that are kept up to date; in the environment separated by commas, empty for none."""

    processor_options: dict[str, dict[str, Any]] = {}
    """What a processor that a package brings is set up with, by its name."""

    enable_vector_store: Annotated[bool | None, Also("ENABLE_VECTOR_STORE")] = Field(default=None)
    """Whether analyses are found by their meaning: adds ``vector`` to ``processors``, or takes it away."""

    enable_graph_db: Annotated[bool | None, Also("ENABLE_GRAPH_DB")] = Field(default=None)
    """Whether what analyses have to do with each other is kept: adds ``graph`` to ``processors``, or takes it away."""

    embedder: Literal["wordllama", "openai", "sentence-transformers"] = "wordllama"
    """What makes vectors of texts: the model that comes along, an endpoint of OpenAI's protocol, a model of yours."""

    embedding_model: str = ""
    """Which model, by its name there; not for ``wordllama``, which is one."""

    embedding_url: str = "https://api.openai.com/v1"
    """The endpoint, up to and with ``/v1``."""

    embedding_api_key: Annotated[str | None, Also("OPENAI_API_KEY")] = Field(default=None, repr=False)
    """What the endpoint lets us in by."""

    embedding_dimensions: int | None = Field(default=None, ge=1, le=65_536)
    """How many dimensions a vector shall have, where the endpoint's model leaves a choice."""

    embedding_timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long the endpoint may take for an answer; Qdrant too."""

    vector_cache_mb: float = Field(default=512.0, ge=0, le=1_000_000)
    """How much memory of a process vectors may take, in millions of bytes, where they are compared one by one."""

    qdrant_url: str | None = None
    """Qdrant's address; vectors are kept in the database when unset."""

    qdrant_host: Annotated[str | None, Also("QDRANT_HOST")] = Field(default=None)
    """The same by host and ``qdrant_port``."""

    qdrant_port: Annotated[int, Also("QDRANT_PORT")] = Field(default=6333, ge=1, le=65_535)
    """Qdrant's port at ``qdrant_host``."""

    qdrant_api_key: Annotated[str | None, Also("QDRANT_API_KEY")] = Field(default=None, repr=False)
    """What Qdrant lets us in by."""

    qdrant_collection: str = Field(default="holdfast", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """How the names of our collections begin; no other database of Holdfast's may use the same."""

    neo4j_uri: Annotated[str | None, Also("NEO4J_URI")] = Field(default=None)
    """Neo4j's address (``bolt://host:7687``); the graph is kept in the database when unset."""

    neo4j_user: Annotated[str, Also("NEO4J_USER")] = Field(default="neo4j")
    """Who we are to Neo4j."""

    neo4j_password: Annotated[str, Also("NEO4J_PASSWORD")] = Field(default="", repr=False)
    """What Neo4j lets us in by."""

    neo4j_database: str | None = None
    """Which of Neo4j's databases; its default one when unset."""

    neo4j_graph: str = Field(default="holdfast", min_length=1, max_length=64)
    """The name of our graph there; no other database of Holdfast's may use the same."""

    process_batch_size: Annotated[int, Also("PROCESS_BATCH_SIZE")] = Field(default=200, ge=1, le=10_000)
    """How many analyses a worker gives a processor at a time."""

    process_timeout_seconds: float = Field(default=600.0, gt=0, le=86_400)
    """How long an index may take for a batch; after that it is taken to hang, left, and tried again later."""

    process_interval: Annotated[float, Also("PROCESS_INTERVAL")] = Field(default=1.0, ge=0.01, le=86_400)
    """How long a worker waits at most, in seconds, before it looks for work that nothing told it of."""

    auto_process_analyses: Annotated[bool, Also("AUTO_PROCESS_ANALYSES")] = True
    """Whether the service's own worker keeps the indexes up to date; otherwise other workers do."""

    def enabled_processors(self) -> tuple[str, ...]:
        """The processors with what is enabled by a switch of its own, and without what is disabled by one."""
        names = dict.fromkeys(map(processor_name, self.processors))
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
