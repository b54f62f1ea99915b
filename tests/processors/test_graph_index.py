"""Every graph index keeps the same contract."""

import uuid
from collections.abc import Iterable, Iterator, Sequence

import neo4j
import pytest
import sqlalchemy as sa

from holdfast.domain.errors import EntityNotFound, ProcessorUnavailable
from holdfast.processors.graph.embedded import EmbeddedGraph
from holdfast.processors.graph.extract import place
from holdfast.processors.graph.index import Allowed, Entity, GraphIndex, Place, Portrait, Relation
from holdfast.processors.graph.neo4j import Neo4jGraph
from holdfast.processors.graph.walks import Neighbourhood, Path, Walk
from holdfast.store import tables
from holdfast.store.unit_of_work import Store
from tests.processors.vectors import ALL, owned_by
from tests.store.samples import add, analysis, opened

HOSTILE = [
    "x'}) DETACH DELETE n //",
    '"; DROP TABLE graph_nodes; --',
    "'; DELETE FROM graph_edges; --",
    "${jndi:ldap://x}",
    "`) MATCH (n) DELETE n",
    "%s %(x)s :x $rows {id}",
    "\u202e\U0001f600 日本語",
    "back\\slash\\",
]


class Drawn:
    """A graph in a store, written and walked as its processor does."""

    def __init__(self, store: Store, index: GraphIndex) -> None:
        self.store = store
        self.index = index
        store.engine.write(index.create)
        self.keys: dict[str, int] = {}

    def put(self, *told: Portrait) -> None:
        write = self.index.put(told)
        if write is not None:
            self.store.engine.write(lambda connection: write(connection, 1))

    def tell(self, analysis_id: str, *things: str, owner: str = "local", relations: Iterable[Relation] = ()) -> None:
        """Keep an analysis, if it is new, and that it has to do with these files."""
        if analysis_id not in self.keys:
            self.keys |= add(self.store, [analysis(analysis_id, owner=owner)])
        self.put(portrait(self.keys[analysis_id], analysis_id, things, owner, relations))

    def drop(self, *keys: int) -> None:
        write = self.index.drop(keys)
        if write is not None:
            self.store.engine.write(lambda connection: write(connection, 1))

    def near(self, what: Place, hops: int = 1, limit: int = 100, allowed: Allowed = ALL) -> Neighbourhood:
        with self.store.engine.read() as connection:
            return Walk(self.index, connection, allowed).neighbourhood(what, hops, limit)

    def names(self, what: Place, hops: int = 1, limit: int = 100, allowed: Allowed = ALL) -> dict[str, int]:
        found = self.near(what, hops, limit, allowed).entities
        return {neighbour.node.place.key: neighbour.hops for neighbour in found}

    def path(self, start: Place, end: Place, hops: int = 6, allowed: Allowed = ALL) -> Path:
        with self.store.engine.read() as connection:
            return Walk(self.index, connection, allowed).path(start, end, hops)

    def way(self, start: Place, end: Place, hops: int = 6, allowed: Allowed = ALL) -> list[str]:
        return [node.place.key for node in self.path(start, end, hops, allowed).nodes]

    def count(self) -> tuple[int, int]:
        with self.store.engine.read() as connection:
            return self.index.count(connection)


def itself(analysis_id: str) -> Place:
    return Place(kind="analysis", key=analysis_id)


def file(name: str) -> Place:
    return Place(kind="file", key=name)


def portrait(
    key: int, analysis_id: str, things: Sequence[str], owner: str = "local", relations: Iterable[Relation] = ()
) -> Portrait:
    about = [Relation(source=itself(analysis_id), kind="about", target=file(thing)) for thing in things]
    places = [itself(analysis_id), *map(file, things)]
    return Portrait(
        key=key,
        owner=owner,
        entities=tuple(Entity(place=where, label=f"the {where.key}") for where in places),
        relations=(*about, *relations),
    )


@pytest.fixture(params=["embedded", "bolt"])
def drawn(request: pytest.FixtureRequest, database: str) -> Iterator[Drawn]:
    """Each index on each database; what is on a server of its own, beside one of them."""
    if request.param == "bolt" and not database.startswith("sqlite"):
        pytest.skip("what a Bolt server does, it does apart from the database")
    with opened(database) as store:
        index: GraphIndex
        if request.param == "embedded":
            index = EmbeddedGraph(store.engine)
        else:
            server = request.getfixturevalue("bolt_server")
            index = Neo4jGraph(
                lambda: neo4j.GraphDatabase.driver(server["url"], auth=(server["user"], server["password"])),
                database=server["database"],
                graph=uuid.uuid4().hex,
            )
        yield Drawn(store, index)
        index.close()


def test_neighbourhood_by_hops(drawn: Drawn) -> None:
    # a - f1 - b - f2 - c - f3 - d
    drawn.tell("a", "f1")
    drawn.tell("b", "f1", "f2")
    drawn.tell("c", "f2", "f3")
    drawn.tell("d", "f3")
    whole = {"a": 0, "f1": 1, "b": 2, "f2": 3, "c": 4, "f3": 5, "d": 6}
    for hops in range(1, 7):
        assert drawn.names(itself("a"), hops) == {key: at for key, at in whole.items() if at <= hops}
    near = drawn.near(itself("a"), 2)
    assert near.is_whole
    assert [(link.source.place.key, link.kind, link.target.place.key) for link in near.relations] == [
        ("a", "about", "f1"),
        ("b", "about", "f1"),
    ]
    assert near.entities[1].node.label == "the f1"


def test_the_nearest_when_there_are_more(drawn: Drawn) -> None:
    drawn.tell("a", *(f"f{number}" for number in range(30)))
    near = drawn.near(itself("a"), 3, limit=10)
    assert len(near.entities) == 10
    assert not near.is_whole
    assert near.entities[0].node.place == itself("a")
    assert drawn.near(itself("a"), 3, limit=32).is_whole


def test_cycles_end(drawn: Drawn) -> None:
    drawn.tell("a", "f1", "f2")
    drawn.tell("b", "f2", "f3")
    drawn.tell("c", "f3", "f1")
    assert drawn.names(itself("a"), 6) == {"a": 0, "f1": 1, "f2": 1, "b": 2, "c": 2, "f3": 3}
    assert len(drawn.near(itself("a"), 6).relations) == 6


def test_shortest_path(drawn: Drawn) -> None:
    drawn.tell("a", "f1")
    drawn.tell("b", "f1", "f2")
    drawn.tell("c", "f2", "f3", "f9")
    drawn.tell("d", "f3", "f4")
    drawn.tell("e", "f4", "f9")
    assert drawn.way(itself("a"), itself("c")) == ["a", "f1", "b", "f2", "c"]
    assert drawn.way(file("f1"), itself("e")) == ["f1", "b", "f2", "c", "f9", "e"]
    assert drawn.way(itself("a"), itself("a")) == ["a"]
    path = drawn.path(itself("a"), itself("c"), hops=3)
    assert (path.nodes, path.is_certain) == ((), True)
    links = drawn.path(itself("a"), itself("b")).relations
    assert [(link.source.place.key, link.target.place.key) for link in links] == [("a", "f1"), ("b", "f1")]


def test_no_path_leads_through_an_owner(drawn: Drawn) -> None:
    owner = Place(kind="owner", key="local")
    for analysis_id in ("a", "b"):
        drawn.keys |= add(drawn.store, [analysis(analysis_id)])
        owned = Relation(source=itself(analysis_id), kind="owned-by", target=owner)
        told = portrait(drawn.keys[analysis_id], analysis_id, ())
        entities = (*told.entities, Entity(place=owner, label="local"))
        drawn.put(Portrait(key=told.key, owner="local", entities=entities, relations=(owned,)))
    assert drawn.way(itself("a"), itself("b")) == []
    assert drawn.names(itself("a"), 3) == {"a": 0, "local": 1}
    assert drawn.way(itself("a"), owner) == ["a", "local"]
    assert drawn.names(owner) == {"local": 0, "a": 1, "b": 1}


def test_owners_do_not_meet(drawn: Drawn) -> None:
    drawn.tell("a", "shared", "f1", owner="me")
    drawn.tell("b", "shared", "f2", owner="other")
    drawn.tell("c", "f2", owner="other")
    mine = owned_by("me")
    assert drawn.names(file("shared"), 6, allowed=mine) == {"shared": 0, "a": 1, "f1": 2}
    for place_ in (itself("b"), file("f2")):
        with pytest.raises(EntityNotFound):
            drawn.near(place_, allowed=mine)
        with pytest.raises(EntityNotFound):
            drawn.path(itself("a"), place_, allowed=mine)
    # Who sees both does not see one become the other's either.
    assert drawn.way(itself("a"), itself("c")) == []
    assert drawn.names(file("shared")) == {"shared": 0, "a": 1, "b": 1}


def test_nothing_leads_through_what_may_not_be_seen(drawn: Drawn) -> None:
    drawn.tell("a", "f1")
    drawn.tell("b", "f1", "f2")
    drawn.tell("c", "f2", relations=[Relation(source=itself("c"), kind="refreshed-from", target=itself("b"))])
    without = ALL.where(tables.analyses.c.analysis_id != "b")
    assert drawn.way(itself("a"), itself("c")) == ["a", "f1", "b", "c"]
    assert drawn.way(itself("a"), itself("c"), allowed=without) == []
    assert drawn.names(itself("c"), 6, allowed=without) == {"c": 0, "f2": 1}
    with pytest.raises(EntityNotFound):
        drawn.near(itself("b"), allowed=without)


def test_put_again_changes_nothing_and_put_anew_replaces(drawn: Drawn) -> None:
    for _ in range(2):
        drawn.tell("a", "f1", "f2")
        drawn.tell("b", "f2")
        assert drawn.count() == (4, 3)
    drawn.tell("a", "f3")
    assert drawn.names(itself("a")) == {"a": 0, "f3": 1}
    assert drawn.names(file("f2")) == {"f2": 0, "b": 1}
    # Nothing has to do with f1 any more.
    assert drawn.count() == (4, 2)
    with pytest.raises(EntityNotFound):
        drawn.near(file("f1"))


def test_dropped_with_all_that_it_told(drawn: Drawn) -> None:
    drawn.tell("a", "f1", "f2")
    drawn.tell("b", "f2")
    drawn.drop(drawn.keys["a"], 4711)
    assert drawn.count() == (2, 1)
    with pytest.raises(EntityNotFound):
        drawn.near(itself("a"))
    drawn.drop()


def test_deleted_leads_nowhere(drawn: Drawn) -> None:
    drawn.tell("a", "f1")
    drawn.tell("b", "f1", "f2")
    drawn.store.engine.write(
        lambda c: c.execute(sa.delete(tables.analyses).where(tables.analyses.c.id == drawn.keys["b"]))
    )
    assert drawn.names(itself("a"), 6) == {"a": 0, "f1": 1}
    drawn.drop(drawn.keys["b"])
    assert drawn.count() == (2, 1)


def test_a_relation_to_what_is_not_there(drawn: Drawn) -> None:
    drawn.tell("a", "f1", relations=[Relation(source=itself("a"), kind="refreshed-from", target=itself("gone"))])
    assert drawn.names(itself("a"), 6) == {"a": 0, "f1": 1}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_a_name(drawn: Drawn, name: str) -> None:
    drawn.tell("a", "f1")
    drawn.tell("b", name, "f1", owner="local")
    told = portrait(
        drawn.keys["b"], "b", [name], relations=[Relation(source=itself("b"), kind=name, target=file(name))]
    )
    drawn.put(told)
    near = drawn.near(file(name))
    assert {neighbour.node.place.key for neighbour in near.entities} == {name, "b"}
    assert {link.kind for link in near.relations} == {"about", name}
    assert drawn.names(itself("a")) == {"a": 0, "f1": 1}
    assert place("file", name).key == name


def test_an_index_that_is_away() -> None:
    index = Neo4jGraph(
        lambda: neo4j.GraphDatabase.driver("bolt://127.0.0.1:9", auth=("x", "y"), max_transaction_retry_time=0.1),
        database=None,
        graph="g",
    )
    with pytest.raises(ProcessorUnavailable):
        index.put([portrait(1, "a", ["f"])])
    index.close()
