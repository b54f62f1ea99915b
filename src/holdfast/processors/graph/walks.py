"""Ways along a graph, the same over every index: level by level, never through what the caller may not see."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from holdfast.domain.errors import EntityNotFound
from holdfast.processors.graph.index import OWNER, Allowed, Edge, GraphIndex, Handle, Node, Place

MOST_HOPS = 6
MOST_NODES = 1000

# Relations that one level may have, and nodes that one search for a path may visit: beyond that it is no answer that
# anybody reads, and the rest is left out and said to be.
_MOST_EDGES = 20_000
_MOST_VISITED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """An entity that was reached.

    Attributes:
        node: which one.
        hops: how far it is.
    """

    node: Node
    hops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A relation between two entities of the answer.

    Attributes:
        source: from which.
        kind: how.
        target: to which.
    """

    source: Node
    kind: str
    target: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """What is near an entity.

    Attributes:
        entities: nearest first, the entity itself at the head.
        relations: between these.
        is_whole: whether it is certain that there is no more within these hops.
    """

    entities: tuple[Neighbour, ...]
    relations: tuple[Link, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A shortest way from one entity to another.

    Attributes:
        nodes: from the first to the last; empty when there is none.
        relations: one for each step, in the direction that it has.
        is_certain: whether all was looked at that had to be: else there may be a way, or a shorter one.
    """

    nodes: tuple[Node, ...]
    relations: tuple[Link, ...]
    is_certain: bool


class Walk:
    """Looks at one index in one state, for one caller."""

    def __init__(self, index: GraphIndex, connection: sa.Connection, allowed: Allowed) -> None:
        """Walk along relations that analyses tell which ``allowed`` selects."""
        self._index = index
        self._connection = connection
        self._allowed = allowed

    def neighbourhood(self, place: Place, hops: int, limit: int) -> Neighbourhood:
        """What can be reached from an entity.

        An owner is an end: all that they have is near to each other by that alone.

        Args:
            place: the entity.
            hops: how far, 1 to MOST_HOPS.
            limit: how many entities at most, the nearest.

        Raises:
            EntityNotFound: there is none, for this caller.
        """
        starts = self._find(place)
        distance: dict[Handle, int] = dict.fromkeys(starts, 0)
        edges: set[Edge] = set()
        frontier, is_whole = starts, True
        for hop in range(1, hops + 1):
            found, is_complete = self._step(frontier)
            edges.update(found)
            is_whole = is_whole and is_complete
            new = _ends(found).difference(distance)
            room = limit - len(distance)
            is_whole = is_whole and len(new) <= room
            chosen = sorted(new, key=str)[:room] if len(new) > room else new
            distance.update(dict.fromkeys(chosen, hop))
            if hop == hops:
                break
            frontier = self._passable(chosen)
            if not frontier:
                break
            if len(distance) >= limit:
                is_whole = False
                break
        nodes = self._index.nodes(self._connection, distance)
        order = sorted(nodes, key=lambda handle: (distance[handle], *_name(nodes[handle]), nodes[handle].owner))
        return Neighbourhood(
            entities=tuple(Neighbour(node=nodes[handle], hops=distance[handle]) for handle in order),
            relations=_links((edge for edge in edges if {edge.source, edge.target} <= nodes.keys()), nodes),
            is_whole=is_whole,
        )

    def path(self, start: Place, end: Place, hops: int) -> Path:
        """A shortest way between two entities, of ``hops`` steps at most; of several the first by the names on it.

        It does not lead through an owner; see ``neighbourhood``.

        Raises:
            EntityNotFound: one of the two is not there, for this caller.
        """
        sides = [self._find(start), self._find(end)]
        goals = [set(sides[1]), set(sides[0])]
        seen: list[dict[Handle, int]] = [dict.fromkeys(side, 0) for side in sides]
        edges: set[Edge] = set()
        is_certain = True
        length = 0
        while not (seen[0].keys() & seen[1].keys()) and length < hops and all(sides) and is_certain:
            near = 0 if len(sides[0]) <= len(sides[1]) else 1
            found, is_certain = self._step(sides[near])
            edges.update(found)
            length += 1
            new = _ends(found).difference(seen[near])
            sides[near] = self._passable(new)
            seen[near].update(dict.fromkeys({*sides[near], *(new & goals[near])}, max(seen[near].values()) + 1))
            is_certain = is_certain and sum(map(len, seen)) <= _MOST_VISITED
        met = seen[0].keys() & seen[1].keys()
        if not met:
            return Path(nodes=(), relations=(), is_certain=is_certain)
        return self._laid(met, seen, edges, is_certain=is_certain)

    def _laid(
        self, met: Collection[Handle], seen: list[dict[Handle, int]], edges: set[Edge], *, is_certain: bool
    ) -> Path:
        by_end: dict[Handle, list[tuple[Handle, Edge]]] = defaultdict(list)
        for edge in edges:
            by_end[edge.source].append((edge.target, edge))
            by_end[edge.target].append((edge.source, edge))
        shortest = min(seen[0][handle] + seen[1][handle] for handle in met)
        middle = min((handle for handle in met if seen[0][handle] + seen[1][handle] == shortest), key=str)
        way: list[Handle] = [middle]
        steps: list[Edge] = []
        for side in (0, 1):
            here = middle
            while seen[side][here]:
                here, edge = min(
                    ((other, edge) for other, edge in by_end[here] if seen[side].get(other) == seen[side][here] - 1),
                    key=lambda step: (str(step[0]), step[1].kind, str(step[1].source)),
                )
                if side:
                    way.append(here)
                    steps.append(edge)
                else:
                    way.insert(0, here)
                    steps.insert(0, edge)
        nodes = self._index.nodes(self._connection, way)
        return Path(
            nodes=tuple(nodes[handle] for handle in way),
            relations=tuple(_link(edge, nodes) for edge in steps),
            is_certain=is_certain,
        )

    def _find(self, place: Place) -> list[Handle]:
        found = self._index.find(self._connection, place, self._allowed)
        if not found:
            raise EntityNotFound(f"There is no {place.kind[:80]} {place.key[:200]}")
        return found

    def _step(self, handles: Collection[Handle]) -> tuple[list[Edge], bool]:
        found = self._index.step(self._connection, handles, self._allowed, _MOST_EDGES)
        return found, len(found) < _MOST_EDGES

    def _passable(self, handles: Collection[Handle]) -> list[Handle]:
        nodes = self._index.nodes(self._connection, handles)
        return sorted((handle for handle, node in nodes.items() if node.place.kind != OWNER), key=str)


def _ends(edges: Iterable[Edge]) -> set[Handle]:
    return {end for edge in edges for end in (edge.source, edge.target)}


def _links(edges: Iterable[Edge], nodes: Mapping[Handle, Node]) -> tuple[Link, ...]:
    links = {_link(edge, nodes) for edge in edges}
    return tuple(sorted(links, key=lambda link: (_name(link.source), link.kind, _name(link.target), link.source.owner)))


def _name(node: Node) -> tuple[str, str]:
    # Plain texts to sort by: to compare two places calls Python.
    return node.place.kind, node.place.key


def _link(edge: Edge, nodes: Mapping[Handle, Node]) -> Link:
    return Link(source=nodes[edge.source], kind=edge.kind, target=nodes[edge.target])
