"""The processor that keeps what analyses have to do with each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from holdfast.domain.errors import ProcessorError
from holdfast.domain.processing import Document, Health
from holdfast.processors.contract import Surroundings, Write
from holdfast.processors.graph.embedded import EmbeddedGraph
from holdfast.processors.graph.extract import extract
from holdfast.processors.graph.index import Allowed, GraphIndex
from holdfast.processors.graph.walks import Walk
from holdfast.processors.options import typed

# Changes with what is extracted.
_RULE = "1"
_CONNECT_SECONDS = 5.0
_RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOptions:
    """How the processor is set up; see the settings of the same names."""

    neo4j_uri: str | None = None
    neo4j_user: str = "neo4j"
    neo4j_password: str = ""
    neo4j_database: str | None = None
    neo4j_graph: str = "holdfast"


class GraphProcessor:
    """Draws entities and relations out of analyses, and walks along them."""

    name = "graph"

    def __init__(self, surroundings: Surroundings) -> None:
        """Know the index; nothing is connected yet."""
        options = typed(surroundings.options, GraphOptions, self.name)
        self._index: GraphIndex = EmbeddedGraph(surroundings.engine) if options.neo4j_uri is None else _neo4j(options)
        self._place = "store" if options.neo4j_uri is None else "neo4j"

    @property
    def version(self) -> str:
        """The rule of what is extracted, and where it is kept."""
        return f"{_RULE} {self._place}"

    def create(self, connection: sa.Connection, generation: int) -> None:
        self._index.create(connection)

    def discard(self, connection: sa.Connection, generation: int) -> None:
        """Nothing: what an analysis tells takes the place of what it told before."""

    def accepts(self, document: Document) -> bool:
        return True

    def process(self, documents: Sequence[Document], generations: Sequence[int]) -> Write | None:
        return self._index.put([extract(document) for document in documents])

    def remove(self, keys: Sequence[int], generations: Sequence[int]) -> Write | None:
        return self._index.drop(keys)

    def walk(self, connection: sa.Connection, allowed: Allowed) -> Walk:
        """Walk along what analyses tell that ``allowed`` selects."""
        return Walk(self._index, connection, allowed)

    def health(self, generation: int) -> Health:
        details = {"index": type(self._index).__name__}
        try:
            self._index.check()
        except Exception as error:  # noqa: BLE001 whatever is wrong is the answer
            return Health(is_ready=False, message=str(error), details=details)
        return Health(is_ready=True, details=details)

    def close(self) -> None:
        self._index.close()


def _neo4j(options: GraphOptions) -> GraphIndex:
    try:
        import neo4j  # noqa: PLC0415 an extra

        from holdfast.processors.graph.neo4j import Neo4jGraph  # noqa: PLC0415 imports it
    except ImportError as error:
        raise ProcessorError("Neo4j needs a package more: pip install 'holdfast[neo4j]'") from error

    def connect() -> neo4j.Driver:
        return neo4j.GraphDatabase.driver(
            str(options.neo4j_uri),
            auth=(options.neo4j_user, options.neo4j_password),
            connection_timeout=_CONNECT_SECONDS,
            max_transaction_retry_time=_RETRY_SECONDS,
        )

    return Neo4jGraph(connect, database=options.neo4j_database, graph=options.neo4j_graph)
