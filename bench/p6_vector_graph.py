"""P6: search by meaning with and without filters among many analyses, and three hops through a graph.

Analyses come from ``bench.rows``. Vectors are drawn around centres, as texts on some hundreds of subjects would lie;
exact search by numpy over the same vectors is the floor, and says what there is to be found. The floor of the graph is
one recursive query over all that is kept. In full: ``--rows 100000``, with ten edges for each.
"""

import random
import time
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import sqlalchemy as sa

import holdfast
from bench import floors, rows
from bench.floors import Raw, Stores
from bench.report import Options, Report, quantile, run
from holdfast.bootstrap import Holdfast
from holdfast.processors.contract import Write
from holdfast.processors.graph.embedded import EmbeddedGraph
from holdfast.processors.graph.index import Place
from holdfast.processors.graph.walks import Walk
from holdfast.processors.vector.index import Allowed, Entry, Matrix, Model, Vector, VectorIndex
from holdfast.processors.vector.pgvector import best_index
from holdfast.store import tables

_DIMENSIONS = 256
_CENTRES = 300
_MODEL = Model(name="bench", version="1")
_K = 10
_P95_GOAL = 50
_RECALL_GOAL = 0.95
_WALK_GOAL = 100
_CHUNK = 2_000
_EDGES_PER_ROW = 10
_REACHED = 1000
# UNION drops what was reached already at the same distance only: a walk by SQL alone knows no more.
_HOPS = f"""
    WITH RECURSIVE reached (node, hops) AS (
        SELECT id, 0 FROM graph_nodes WHERE client_session_id = 'local' AND kind = 'subject' AND key = ?
        UNION
        SELECT CASE edge.source WHEN reached.node THEN edge.target ELSE edge.source END, hops + 1
        FROM reached JOIN graph_edges edge ON edge.source = reached.node OR edge.target = reached.node
        WHERE hops < 3
    )
    SELECT DISTINCT node FROM reached LIMIT {_REACHED}"""

_a = tables.analyses.c
_g = tables.tags.c
_ALL: Allowed = sa.select(_a.id)
_FILTERS: dict[str, Allowed] = {
    "everything": _ALL,
    "one owner, large": _ALL.where(_a.client_session_id == "owner-0"),
    "one owner, rare": _ALL.where(_a.client_session_id == "owner-rare"),
    "tag, common": _ALL.where(
        sa.exists().where(_g.tag == "main", _g.analysis == _a.id, _g.created_at == _a.created_at)
    ),
    "tag of 1 %": _ALL.where(_a.id.in_(sa.select(_g.analysis).where(_g.tag == "audit"))),
}


def measure(options: Options, report: Report) -> None:
    with floors.stores(options, report) as found:
        for stores in found:
            count = options.pick(1_000, options.rows)
            url = stores.fresh()
            rows.fill(url, count)
            with holdfast.open(url) as hf:
                _vectors(options, report, stores, hf)
            _graph(options, report, stores, url)


def _drawn(count: int, seed: int) -> Matrix:
    draw = np.random.default_rng(seed)
    # The same subjects for what is kept and for what is asked.
    centres = np.random.default_rng(0).normal(size=(_CENTRES, _DIMENSIONS))
    found = centres[draw.integers(_CENTRES, size=count)] + draw.normal(size=(count, _DIMENSIONS))
    unit: Matrix = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _vectors(options: Options, report: Report, stores: Stores, hf: Holdfast) -> None:
    index = best_index(hf.engine, cache_bytes=4_000_000_000)
    hf.engine.write(index.create)
    with hf.engine.read() as connection:
        keys = np.array(connection.execute(_ALL.order_by(_a.id)).scalars().all())
    vectors = _drawn(len(keys), 1)
    name = f"{stores.dialect}: {len(keys):,} vectors"
    seconds = _clock(lambda: _fill(hf, index, keys, vectors))
    report.add("P6", f"{name} kept", len(keys) / seconds, "/s")
    hf.engine.optimize()
    queries = _drawn(options.pick(10, 100), 2)
    with hf.engine.read() as connection:
        first = _clock(lambda: index.search(connection, _MODEL, queries[0], _K, _ALL))
    report.add("P6", f"{name}: first search of a process", first, "s")
    floor = quantile((_clock(partial(_exact, vectors, query)) for query in queries), 0.95)
    for what, allowed in _FILTERS.items():
        with hf.engine.read() as connection:
            fits = np.isin(keys, np.array(connection.execute(allowed).scalars().all()))
        fitting, theirs = keys[fits], vectors[fits]
        times: list[float] = []
        right = wanted = 0
        for query in queries:
            begun = time.perf_counter()
            with hf.engine.read() as connection:
                hits = index.search(connection, _MODEL, query, _K, allowed)
            times.append(time.perf_counter() - begun)
            best = fitting[np.argsort(-(theirs @ query), kind="stable")[:_K]]
            right += len(set(best.tolist()).intersection(hit.key for hit in hits))
            wanted += len(best)
        p95 = quantile(times, 0.95) * 1000
        report.add("P6", f"{name}, {what}: p95", p95, "ms", ratio=p95 / (floor * 1000), against="numpy, no filter",
                   goal=f"<= {_P95_GOAL} ms", met=p95 <= _P95_GOAL)  # fmt: skip
        recall = right / max(wanted, 1)
        report.add("P6", f"{name}, {what}: recall@{_K}", recall, "",
                   goal=f">= {_RECALL_GOAL}", met=recall >= _RECALL_GOAL)  # fmt: skip
    index.close()


def _fill(hf: Holdfast, index: VectorIndex, keys: Iterable[int], vectors: Matrix) -> None:
    entries = [Entry(key=int(key), vectors=vectors[place : place + 1]) for place, key in enumerate(keys)]
    for start in range(0, len(entries), _CHUNK):
        write = index.put(_MODEL, entries[start : start + _CHUNK])
        assert write is not None
        hf.engine.write(partial(_written, write))


def _written(write: Write, connection: sa.Connection) -> None:
    write(connection, 1)


def _exact(vectors: Matrix, query: Vector) -> object:
    return np.argpartition(-(vectors @ query), _K)


def _graph(options: Options, report: Report, stores: Stores, url: str) -> None:
    """Ten edges for each analysis, to nodes that have ten on average."""
    raw = Raw(url)
    analyses = [row[0] for row in raw.fetch("SELECT id FROM analyses ORDER BY id")]
    seed = random.Random(3)
    names = [(n + 1, "local", "subject", f"s{n}", f"s{n}", None) for n in range(len(analyses))]
    raw.load("graph_nodes", ["id", "client_session_id", "kind", "key", "label", "analysis"], names)
    edges = {
        (seed.randint(1, len(names)), "about", seed.randint(1, len(names)), key)
        for key in analyses
        for _ in range(_EDGES_PER_ROW)
    }
    raw.load("graph_edges", ["source", "kind", "target", "analysis"], sorted(edges))
    raw.settle()
    asked = [f"s{seed.randrange(len(names))}" for _ in range(options.pick(10, 100))]
    floor = quantile((_clock(partial(raw.fetch, _HOPS, [key])) for key in asked), 0.95) * 1000
    raw.close()
    with holdfast.open(url) as hf:
        index = EmbeddedGraph(hf.engine)
        times: list[float] = []
        reached = 0
        for key in asked:
            place = Place(kind="subject", key=key)
            begun = time.perf_counter()
            with hf.engine.read() as connection:
                found = Walk(index, connection, _ALL).neighbourhood(place, 3, _REACHED)
            times.append(time.perf_counter() - begun)
            reached += len(found.entities)
        p95 = quantile(times, 0.95) * 1000
        name = f"{stores.dialect}: 3 hops of {len(edges):,} edges, {reached // len(times)} nodes: p95"
        report.add("P6", name, p95, "ms", ratio=p95 / floor, against="one recursive query",
                   goal=f"<= {_WALK_GOAL} ms", met=p95 <= _WALK_GOAL)  # fmt: skip


def _clock(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    run({"p6": measure})
