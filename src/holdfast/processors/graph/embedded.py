"""The graph in the store's own tables."""

import threading
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from holdfast.processors.contract import Write
from holdfast.processors.graph.index import ANALYSIS, Allowed, Edge, Handle, Node, Place, Portrait
from holdfast.store.engine import Engine
from holdfast.store.graph import Graph, NodeName

# How many nodes each removal looks at, for such that were left behind: what goes with its analysis leaves them.
_TIDIED = 500


class EmbeddedGraph:
    """A graph index in the database that the analyses are in; see ``GraphIndex``."""

    def __init__(self, engine: Engine) -> None:
        """Keep the graph in ``engine``."""
        self._engine = engine
        self._lock = threading.Lock()
        self._tidied = 0

    def create(self, connection: sa.Connection) -> None:
        """Nothing: the tables are part of the schema."""

    def put(self, portraits: Sequence[Portrait]) -> Write:
        return lambda connection, _: self._put(Graph(connection, self._engine), portraits)

    def _put(self, graph: Graph, portraits: Sequence[Portrait]) -> None:
        there = graph.held({portrait.key for portrait in portraits})
        portraits = [portrait for portrait in portraits if portrait.key in there]
        analyses = graph.analyses(
            {
                place.key
                for portrait in portraits
                for relation in portrait.relations
                for place in (relation.source, relation.target)
                if place.kind == ANALYSIS
            }
        )
        rows: dict[NodeName, dict[str, str | int | None]] = {}
        for portrait in portraits:
            for entity in portrait.entities:
                name = _name(portrait.owner, entity.place)
                rows[name] = {
                    "label": entity.label,
                    "analysis": portrait.key if entity.place.kind == ANALYSIS else None,
                }
        for (owner, analysis_id), key in analyses.items():
            rows.setdefault((owner, ANALYSIS, analysis_id), {"label": analysis_id, "analysis": key})
        owners = {portrait.owner for portrait in portraits}
        nodes = graph.put_nodes({name: row for name, row in rows.items() if name[0] in owners})
        edges = set()
        for portrait in portraits:
            for relation in portrait.relations:
                source = nodes.get(_name(portrait.owner, relation.source))
                target = nodes.get(_name(portrait.owner, relation.target))
                if source is not None and target is not None:
                    edges.add((source, relation.kind, target, portrait.key))
        graph.drop_lonely(graph.put_edges(there, edges))

    def drop(self, keys: Sequence[int]) -> Write:
        def write(connection: sa.Connection, _: int) -> None:
            graph = Graph(connection, self._engine)
            lonely = graph.put_edges(keys, ())
            with self._lock:
                start = self._tidied
            passed = graph.after(start, _TIDIED)
            with self._lock:
                self._tidied = passed[-1] if len(passed) == _TIDIED else 0
            graph.drop_lonely(lonely.union(passed))

        return write

    def find(self, connection: sa.Connection, place: Place, allowed: Allowed) -> list[Handle]:
        return list(Graph(connection, self._engine).find(place.kind, place.key, allowed))

    def step(self, connection: sa.Connection, handles: Collection[Handle], allowed: Allowed, limit: int) -> list[Edge]:
        rows = Graph(connection, self._engine).step([int(handle) for handle in handles], allowed, limit)
        return [Edge(*row) for row in rows]

    def nodes(self, connection: sa.Connection, handles: Collection[Handle]) -> Mapping[Handle, Node]:
        rows = Graph(connection, self._engine).nodes([int(handle) for handle in handles])
        return {
            key: Node(owner=owner, place=Place(kind=kind, key=name), label=label)
            for key, (owner, kind, name, label) in rows.items()
        }

    def count(self, connection: sa.Connection) -> tuple[int, int]:
        return Graph(connection, self._engine).count()

    def check(self) -> None:
        """It is there whenever the database is."""

    def close(self) -> None:
        """Nothing is held."""


def _name(owner: str, place: Place) -> NodeName:
    return owner, place.kind, place.key
