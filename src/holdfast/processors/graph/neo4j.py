"""The graph on a Neo4j server, or another one that speaks Bolt and Cypher; who may see what stays in the store.

Names are parameters throughout, never part of a statement. The nodes have the label ``HoldfastEntity``, the relations
the type ``HOLDFAST`` and their kind as a property.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import neo4j
import sqlalchemy as sa
from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Neo4jError

from holdfast.domain.errors import ProcessorError, ProcessorUnavailable
from holdfast.processors.graph.index import ANALYSIS, Allowed, Edge, Handle, Node, Place, Portrait

_BATCH = 1000
# Relations beyond the limit are asked for, as some of them may be told by what nobody may see any more.
_SPARE = 4
_INDEXES = (
    "CREATE CONSTRAINT holdfast_entity_id IF NOT EXISTS FOR (n:HoldfastEntity) REQUIRE n.id IS UNIQUE",
    "CREATE INDEX holdfast_entity_analysis IF NOT EXISTS FOR (n:HoldfastEntity) ON (n.analysis)",
    "CREATE INDEX holdfast_relation_analysis IF NOT EXISTS FOR ()-[r:HOLDFAST]-() ON (r.analysis)",
)
_PUT_NODES = """
    UNWIND $rows AS row
    MERGE (n:HoldfastEntity {id: row.id})
    SET n.graph = $graph, n.owner = row.owner, n.kind = row.kind, n.key = row.key, n.label = row.label,
        n.analysis = row.analysis"""
_PUT_EDGES = """
    UNWIND $rows AS row
    MATCH (a:HoldfastEntity) WHERE a.id = row.source
    MATCH (b:HoldfastEntity) WHERE b.id = row.target
    MERGE (a)-[:HOLDFAST {graph: $graph, kind: row.kind, analysis: row.analysis}]->(b)"""
_TOLD = """
    MATCH (a:HoldfastEntity)-[r:HOLDFAST]->(b:HoldfastEntity)
    WHERE r.graph = $graph AND r.analysis IN $keys
    RETURN a.id AS source, r.kind AS kind, b.id AS target, r.analysis AS analysis"""
_DROP_EDGES = """
    UNWIND $rows AS row
    MATCH (a:HoldfastEntity)-[r:HOLDFAST]->(b:HoldfastEntity)
    WHERE a.id = row.source AND b.id = row.target AND r.kind = row.kind AND r.analysis = row.analysis
    DELETE r"""
_DROP_LONELY = "MATCH (n:HoldfastEntity) WHERE n.id IN $ids AND NOT (n)--() DELETE n"
_FIND = """
    MATCH (n:HoldfastEntity) WHERE n.graph = $graph AND n.kind = $kind AND n.key = $key
    MATCH (n)-[r:HOLDFAST]-(:HoldfastEntity)
    RETURN DISTINCT n.id AS id, n.analysis AS itself, r.analysis AS analysis"""
_STEP = """
    MATCH (a:HoldfastEntity)-[r:HOLDFAST]->(b:HoldfastEntity) WHERE {near}.id IN $ids
    RETURN a.id AS source, r.kind AS kind, b.id AS target, r.analysis AS analysis, {far}.analysis AS itself
    LIMIT $limit"""
_NODES = """
    MATCH (n:HoldfastEntity) WHERE n.id IN $ids
    RETURN n.id AS id, n.owner AS owner, n.kind AS kind, n.key AS key, n.label AS label"""
_COUNTS = (
    "MATCH (n:HoldfastEntity) WHERE n.graph = $graph RETURN count(n) AS count",
    "MATCH (:HoldfastEntity)-[r:HOLDFAST]->(:HoldfastEntity) WHERE r.graph = $graph RETURN count(r) AS count",
)

_Rows = list[dict[str, Any]]


class Neo4jGraph:
    """A graph index on a server; see ``GraphIndex``."""

    def __init__(self, connect: Callable[[], neo4j.Driver], *, database: str | None, graph: str) -> None:
        """Know the server; connects when first asked.

        Args:
            connect: makes the driver.
            database: which of the server's databases; None for its default.
            graph: the name of this graph; two of Holdfast's databases must not share one.
        """
        self._connect = connect
        self._database = database
        self._graph = graph
        self._lock = threading.Lock()
        self._is_prepared = False

    @cached_property
    def _driver(self) -> neo4j.Driver:
        return self._connect()

    def create(self, connection: sa.Connection) -> None:
        """Nothing: constraint and indexes are made before the first node."""

    def put(self, portraits: Sequence[Portrait]) -> None:
        rows: dict[str, dict[str, Any]] = {}
        edges: dict[tuple[str, str, str, int], None] = {}
        for portrait in portraits:
            for entity in portrait.entities:
                handle = self._id(portrait.owner, entity.place)
                rows[handle] = {
                    "id": handle,
                    "owner": portrait.owner,
                    "kind": entity.place.kind,
                    "key": entity.place.key,
                    "label": entity.label,
                    "analysis": portrait.key if entity.place.kind == ANALYSIS else None,
                }
            for relation in portrait.relations:
                ends = (self._id(portrait.owner, place) for place in (relation.source, relation.target))
                edges[next(ends), relation.kind, next(ends), portrait.key] = None
        with _understood():
            self._prepare()
            self._many(_PUT_NODES, list(rows.values()))
            self._replace([portrait.key for portrait in portraits], edges)

    def drop(self, keys: Sequence[int]) -> None:
        with _understood():
            self._replace(keys, {})

    def _replace(self, keys: Sequence[int], edges: Mapping[tuple[str, str, str, int], None]) -> None:
        told = self._run(_TOLD, keys=list(keys))
        kept = {(row["source"], row["kind"], row["target"], row["analysis"]) for row in told}
        self._many(_PUT_EDGES, _edge_rows(edge for edge in edges if edge not in kept))
        gone = sorted(kept.difference(edges))
        self._many(_DROP_EDGES, _edge_rows(gone))
        ends = sorted({end for edge in gone for end in (edge[0], edge[2])})
        for start in range(0, len(ends), _BATCH):
            self._run(_DROP_LONELY, ids=ends[start : start + _BATCH])

    def find(self, connection: sa.Connection, place: Place, allowed: Allowed) -> list[Handle]:
        with _understood():
            rows = self._run(_FIND, kind=place.kind, key=place.key)
        return sorted({row["id"] for row in _seen(connection, rows, allowed)})

    def step(self, connection: sa.Connection, handles: Collection[Handle], allowed: Allowed, limit: int) -> list[Edge]:
        ids = sorted(map(str, handles))
        rows: _Rows = []
        with _understood():
            for near, far in (("a", "b"), ("b", "a")):
                rows += self._run(_STEP.format(near=near, far=far), ids=ids, limit=limit * _SPARE)
        found = _seen(connection, rows, allowed)
        return [Edge(row["source"], row["kind"], row["target"]) for row in found[:limit]]

    def nodes(self, connection: sa.Connection, handles: Collection[Handle]) -> Mapping[Handle, Node]:
        with _understood():
            rows = self._run(_NODES, ids=sorted(map(str, handles)))
        return {
            row["id"]: Node(owner=row["owner"], place=Place(kind=row["kind"], key=row["key"]), label=row["label"])
            for row in rows
        }

    def count(self, connection: sa.Connection) -> tuple[int, int]:
        with _understood():
            nodes, edges = (int(self._run(statement)[0]["count"]) for statement in _COUNTS)
        return nodes, edges

    def check(self) -> None:
        with _understood():
            self._driver.verify_connectivity()

    def close(self) -> None:
        if "_driver" in self.__dict__:
            self._driver.close()

    def _id(self, owner: str, place: Place) -> str:
        name = json.dumps([self._graph, owner, place.kind, place.key])
        return hashlib.sha256(name.encode()).hexdigest()

    def _prepare(self) -> None:
        with self._lock:
            if not self._is_prepared:
                for statement in _INDEXES:
                    self._run(statement)
                self._is_prepared = True

    def _many(self, statement: str, rows: _Rows) -> None:
        for start in range(0, len(rows), _BATCH):
            self._run(statement, rows=rows[start : start + _BATCH])

    def _run(self, statement: str, **values: Any) -> _Rows:
        # In a transaction of its own, which the driver repeats when the server asks for that.
        done = self._driver.execute_query(
            statement,
            parameters_={"graph": self._graph, **values},
            database_=self._database,
        )
        return [record.data() for record in done.records]


def _edge_rows(edges: Iterable[tuple[str, str, str, int]]) -> _Rows:
    names = ("source", "kind", "target", "analysis")
    return [dict(zip(names, edge, strict=True)) for edge in edges]


def _seen(connection: sa.Connection, rows: _Rows, allowed: Allowed) -> _Rows:
    """Those rows whose ``analysis``, and ``itself`` where that is one, are allowed."""
    keys = sorted({key for row in rows for key in (row["analysis"], row["itself"]) if key is not None})
    fits: set[int | None] = {None}
    for start in range(0, len(keys), _BATCH):
        among = allowed.where(allowed.selected_columns[0].in_(keys[start : start + _BATCH]))
        fits.update(connection.execute(among).scalars())
    return [row for row in rows if row["analysis"] in fits and row["itself"] in fits]


@contextmanager
def _understood() -> Iterator[None]:
    """Say what the driver's errors mean here."""
    try:
        yield
    except (AuthError, ConfigurationError, DriverError) as error:
        raise ProcessorUnavailable(f"The graph database cannot be used: {error}") from error
    except Neo4jError as error:
        kind = ProcessorUnavailable if error.is_retryable() else ProcessorError
        raise kind(f"The graph database refused: {error}") from error
