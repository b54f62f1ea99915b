"""Every vector index keeps the same contract."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sqlalchemy as sa
from qdrant_client import QdrantClient

from holdfast.processors.vector.embedded import EmbeddedIndex
from holdfast.processors.vector.index import Allowed, Matrix, Model, Vector, VectorIndex
from holdfast.processors.vector.pgvector import PgvectorIndex, best_index
from holdfast.processors.vector.qdrant import QdrantIndex
from holdfast.store import tables
from holdfast.store.unit_of_work import Store
from tests.processors.vectors import ALL, MODEL, Asked, axis, owned_by, random_vectors, unit
from tests.store.samples import add, analysis, opened, rows

# Qdrant's local mode says that it has no payload indexes.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")

_CACHE = 64 * 1024 * 1024


@pytest.fixture(params=["embedded", "uncached", "best", "qdrant"])
def asked(request: pytest.FixtureRequest, database: str) -> Iterator[Asked]:
    """Each index on each database; "best" is pgvector on PostgreSQL."""
    with opened(database) as store:
        index: VectorIndex
        match request.param:
            case "embedded":
                index = EmbeddedIndex(store.engine, cache_bytes=_CACHE)
            case "uncached":
                # Room for two vectors of four dimensions.
                index = EmbeddedIndex(store.engine, cache_bytes=32)
            case "best":
                index = best_index(store.engine, cache_bytes=_CACHE)
            case _:
                if not database.startswith("sqlite"):
                    pytest.skip("what Qdrant does, it does apart from the database")
                index = QdrantIndex(lambda: QdrantClient(location=":memory:"), collection="holdfast")
        yield Asked(store, index)
        index.close()


def keep(store: Store, count: int) -> list[int]:
    """Analyses, by their keys."""
    found = add(store, [analysis(f"a{number:05}") for number in range(count)])
    return [found[f"a{number:05}"] for number in range(count)]


def exact(keys: list[int], vectors: Matrix, query: Vector, k: int) -> list[int]:
    """What there is to be found, by comparing everything."""
    scores = vectors @ query
    return [keys[place] for place in np.lexsort((np.array(keys), -scores))[:k]]


def test_nearest_first_and_cosine(asked: Asked) -> None:
    one, two, three = keep(asked.store, 3)
    asked.put({one: axis(4, 0), two: axis(4, 1), three: unit(np.array([[1, 1, 0, 0]]))})
    hits = asked.search(axis(4, 0)[0])
    assert [hit.key for hit in hits] == [one, three, two]
    assert [hit.score for hit in hits] == pytest.approx([1, 2**-0.5, 0], abs=1e-5)
    assert asked.count() == 3


def test_an_analysis_is_as_near_as_its_nearest_piece_and_found_once(asked: Asked) -> None:
    one, two = keep(asked.store, 2)
    asked.put({one: axis(4, 0, 1, 2, 3), two: unit(np.array([[1, 0.1, 0, 0]]))})
    assert asked.keys(axis(4, 3)[0], k=1) == [one]
    assert asked.keys(axis(4, 0)[0], k=2) == [one, two]
    np.testing.assert_allclose(asked.vectors(one), axis(4, 0, 1, 2, 3), atol=1e-6)


def test_equal_scores_are_in_the_order_of_their_keys(asked: Asked) -> None:
    keys = keep(asked.store, 150)
    asked.put({key: axis(4, 1) for key in reversed(keys)})
    assert asked.keys(axis(4, 1)[0], k=5) == keys[:5]


def test_put_again_changes_nothing_and_put_anew_replaces(asked: Asked) -> None:
    one, two = keep(asked.store, 2)
    for _ in range(2):
        asked.put({one: axis(4, 0, 1, 2), two: axis(4, 1)})
        assert asked.count() == 4
    asked.put({one: axis(4, 3)})
    assert asked.count() == 2
    assert asked.keys(axis(4, 0)[0]) == [one, two]
    assert asked.search(axis(4, 0)[0])[0].score == pytest.approx(0)
    assert asked.keys(axis(4, 3)[0], k=1) == [one]
    asked.put({one: np.empty((0, 4), dtype=np.float32)})
    assert asked.keys(axis(4, 3)[0]) == [two]


def test_dropped_is_not_found(asked: Asked) -> None:
    one, two = keep(asked.store, 2)
    asked.put({one: axis(4, 0), two: axis(4, 0)})
    assert asked.keys(axis(4, 0)[0]) == [one, two]
    asked.drop([one, 4711])
    assert asked.keys(axis(4, 0)[0]) == [two]
    assert asked.vectors(one).shape[0] == 0
    asked.drop([])


def test_deleted_is_not_found_and_not_kept_anew(asked: Asked) -> None:
    one, two = keep(asked.store, 2)
    asked.put({one: axis(4, 0), two: axis(4, 0)})
    asked.keys(axis(4, 0)[0])
    asked.store.engine.write(lambda c: c.execute(sa.delete(tables.analyses).where(tables.analyses.c.id == one)))
    assert asked.keys(axis(4, 0)[0]) == [two]
    asked.put({one: axis(4, 0)})
    assert asked.keys(axis(4, 0)[0]) == [two]


def test_what_is_allowed_comes_before_the_limit(asked: Asked) -> None:
    mine = add(asked.store, [analysis(f"m{number}", owner="me") for number in range(3)])
    others = add(asked.store, [analysis(f"o{number}", owner="other") for number in range(200)])
    near = unit(np.array([[1, 0.01, 0, 0]]))
    asked.put(dict.fromkeys(others.values(), near) | dict.fromkeys(mine.values(), axis(4, 1)))
    assert asked.keys(axis(4, 0)[0], 10, owned_by("me")) == sorted(mine.values())
    assert asked.keys(axis(4, 0)[0], 10, owned_by("nobody")) == []


@pytest.mark.parametrize("few", [0, 100_000])
def test_both_ways_to_filter_find_the_same(asked: Asked, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("embedded", "qdrant"):
        monkeypatch.setattr(f"holdfast.processors.vector.{module}._FEW", few)
    monkeypatch.setattr("holdfast.processors.vector.pgvector._SELECTIVE", few)
    keys = keep(asked.store, 250)
    vectors = random_vectors(250, 8)
    asked.put({key: vectors[place : place + 1] for place, key in enumerate(keys)})
    for every, seed in ((1, 1), (7, 2), (97, 3)):
        allowed: Allowed = ALL.where(tables.analyses.c.id % every == 0)
        query = random_vectors(1, 8, seed)[0]
        chosen = [place for place, key in enumerate(keys) if key % every == 0]
        wanted = exact([keys[place] for place in chosen], vectors[chosen], query, 10)
        assert asked.keys(query, 10, allowed) == wanted


def test_another_model_finds_nothing_of_this_one(asked: Asked) -> None:
    one, two = keep(asked.store, 2)
    asked.put({one: axis(4, 0), two: axis(4, 0)})
    newer = Model(name=MODEL.name, version="2")
    assert asked.keys(axis(4, 0)[0], model=newer) == []
    # While the texts are embedded anew, each is found by the model that it was embedded with.
    asked.put({one: axis(4, 1)}, newer)
    assert asked.keys(axis(4, 0)[0]) == [two]
    assert asked.keys(axis(4, 1)[0], model=newer) == [one]
    assert (asked.count(), asked.count(newer)) == (1, 1)


def test_more_dimensions(asked: Asked) -> None:
    one, two = keep(asked.store, 2)
    asked.put({one: axis(4, 0), two: axis(4, 1)})
    assert asked.keys(axis(4, 0)[0]) == [one, two]
    asked.put({one: axis(8, 5)})
    assert asked.keys(axis(8, 5)[0]) == [one]
    assert asked.keys(axis(4, 0)[0]) == [two]
    assert asked.keys(axis(6, 0)[0]) == []
    assert asked.vectors(one).shape == (1, 8)


def test_searches_while_others_write(asked: Asked) -> None:
    if isinstance(asked.index, QdrantIndex):
        pytest.skip("Qdrant's local mode is for one thread")
    keys = keep(asked.store, 60)
    vectors = random_vectors(60, 8)
    asked.put({keys[0]: vectors[:1]})
    stop = threading.Event()

    def search() -> int:
        count = 0
        while not stop.is_set() or not count:
            assert asked.keys(vectors[0], k=1) == [keys[0]]
            count += 1
        return count

    def write(start: int) -> None:
        for place in range(start, 60, 3):
            asked.put({keys[place]: vectors[place : place + 1]})

    with ThreadPoolExecutor(6) as pool:
        searching = [pool.submit(search) for _ in range(3)]
        for writing in [pool.submit(write, start) for start in (1, 2, 3)]:
            writing.result(60)
        stop.set()
        for found in searching:
            assert found.result(60)
    query = random_vectors(1, 8, 9)[0]
    assert asked.keys(query, 60) == exact(keys, vectors, query, 60)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_pgvector_takes_over_what_is_there(database: str) -> None:
    with opened(database) as store:
        embedded = Asked(store, EmbeddedIndex(store.engine, cache_bytes=_CACHE))
        one, two = keep(store, 2)
        embedded.put({one: axis(4, 0), two: axis(4, 1)})
        asked = Asked(store, PgvectorIndex(store.engine, cache_bytes=_CACHE))
        assert rows(store, "SELECT count(*) FROM vectors_pgvector") == [(2,)]
        assert asked.keys(axis(4, 1)[0]) == [two, one]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_without_the_extension_the_search_is_exact(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.processors.vector.pgvector._has_extension", lambda _: False)
    with opened(database) as store:
        asked = Asked(store, PgvectorIndex(store.engine, cache_bytes=_CACHE))
        one, two = keep(store, 2)
        asked.put({one: axis(4, 0), two: axis(4, 1)})
        assert asked.keys(axis(4, 1)[0]) == [two, one]
        assert rows(store, "SELECT to_regclass('vectors_pgvector')") == [(None,)]


@pytest.mark.long
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_recall_of_the_hnsw_index(database: str) -> None:
    count, dimensions = 8000, 32
    with opened(database) as store:
        asked = Asked(store, PgvectorIndex(store.engine, cache_bytes=_CACHE))
        keys = keep(store, count)
        vectors = random_vectors(count, dimensions)
        asked.put({key: vectors[place : place + 1] for place, key in enumerate(keys)})
        store.engine.optimize()
        for every in (1, 5):
            allowed = ALL.where(tables.analyses.c.id % every == 0)
            # 1,600 are few, and compared one by one; so that HNSW is asked, none is.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("holdfast.processors.vector.pgvector._SELECTIVE", 0)
                found = wanted = 0
                for query in random_vectors(40, dimensions, every):
                    chosen = [place for place, key in enumerate(keys) if key % every == 0]
                    best = exact([keys[place] for place in chosen], vectors[chosen], query, 10)
                    found += len(set(best).intersection(asked.keys(query, 10, allowed)))
                    wanted += 10
            assert found / wanted >= 0.95
