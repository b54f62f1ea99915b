"""The contract of a graph index, kept by each of them; tests/processors/test_graph_index.py holds them to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa

from holdfast.processors.contract import Write

Allowed = sa.Select[Any]

ANALYSIS = "analysis"
OWNER = "owner"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Which entity of an owner.

    Attributes:
        kind: what sort of thing (``file``, ``technology``, ...).
        key: which one, unique within its kind.
    """

    kind: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A thing that analyses have to do with.

    Attributes:
        place: which one.
        label: what people call it.
    """

    place: Place
    label: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Relation:
    """How one entity has to do with another.

    Attributes:
        source: the one.
        kind: how (``about``, ``uses``, ...).
        target: the other.
    """

    source: Place
    kind: str
    target: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """All that one analysis tells of entities and relations.

    Attributes:
        key: the analysis's internal key.
        owner: whose it is; all of this is seen by them only.
        entities: in order, each once; the analysis itself among them.
        relations: in order, each once; between these entities, or from one of them to another analysis.
    """

    key: int
    owner: str
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]


Handle = int | str
"""What an index knows a node by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An entity as an index holds it.

    Attributes:
        owner: whose.
        place: which one.
        label: what people call it.
    """

    owner: str
    place: Place
    label: str


class Edge(NamedTuple):
    """A relation as an index holds it, told by one analysis or by several; a tuple, as a walk meets ten thousands."""

    source: Handle
    kind: str
    target: Handle


class GraphIndex(Protocol):
    """Entities and relations; safe to share between threads.

    Every relation is told by an analysis. It is seen by whoever is allowed to see that; an analysis itself, by whoever
    is allowed to see it; any other entity, at the end of a relation that is seen.
    """

    def create(self, connection: sa.Connection) -> None:
        """Make what is needed beyond the database's tables; again is harmless."""
        ...

    def put(self, portraits: Sequence[Portrait]) -> Write | None:
        """Keep what these analyses tell, in place of all that they told before.

        An analysis that was deleted meanwhile is passed over, and a relation to one that is not there. To do it again
        changes nothing.

        Returns:
            What is to be written to the database; None when it was written elsewhere.
        """
        ...

    def drop(self, keys: Sequence[int]) -> Write | None:
        """Forget what these analyses told, and the entities that nothing has to do with any more; as ``put``."""
        ...

    def find(self, connection: sa.Connection, place: Place, allowed: Allowed) -> list[Handle]:
        """The entity, once for each owner who has it and whose is seen."""
        ...

    def step(self, connection: sa.Connection, handles: Collection[Handle], allowed: Allowed, limit: int) -> list[Edge]:
        """Relations that are seen and begin or end at these nodes; each once or more often, ``limit`` at most."""
        ...

    def nodes(self, connection: sa.Connection, handles: Collection[Handle]) -> Mapping[Handle, Node]:
        """What these nodes stand for."""
        ...

    def count(self, connection: sa.Connection) -> tuple[int, int]:
        """How many nodes and edges there are, those included that nobody sees."""
        ...

    def check(self) -> None:
        """Raise ProcessorUnavailable unless it can be read and written; within a few seconds."""
        ...

    def close(self) -> None:
        """Release what is held; what is kept stays."""
        ...
