"""Entities and relations in two tables."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from holdfast.store import tables
from holdfast.store.engine import Engine
from holdfast.store.keysets import among
from holdfast.store.prepared import insert_into

_n = tables.graph_nodes.c
_e = tables.graph_edges.c
_a = tables.analyses.c

NodeRow = tuple[str, str, str, str]
"""Owner, kind, key, label."""
NodeName = tuple[str, str, str]
"""Owner, kind, key."""

_PORTION = 1000


class Graph:
    """The graph as one transaction sees it."""

    def __init__(self, connection: sa.Connection, engine: Engine) -> None:
        """Work on ``connection``."""
        self._connection = connection
        self._engine = engine

    def held(self, keys: Collection[int]) -> set[int]:
        """Those of these analyses that are there; nobody else writes what they tell until the transaction ends."""
        select = sa.select(_a.id).where(_a.id.in_(keys)).order_by(_a.id)
        return set(self._connection.execute(self._engine.held(select)).scalars())

    def analyses(self, analysis_ids: Collection[str]) -> dict[tuple[str, str], int]:
        """The keys of analyses by owner and id."""
        select = sa.select(_a.client_session_id, _a.analysis_id, _a.id).where(_a.analysis_id.in_(analysis_ids))
        return {(row[0], row[1]): row[2] for row in self._connection.execute(select)}

    def put_nodes(self, rows: Mapping[NodeName, Mapping[str, Any]]) -> dict[NodeName, int]:
        """Keep nodes; returns their keys. Each row has a label, and the analysis that the node stands for or None."""
        insert = insert_into(self._connection)(tables.graph_nodes)
        upsert = insert.on_conflict_do_update(
            index_elements=["kind", "key", "client_session_id"],
            set_={"label": insert.excluded.label, "analysis": insert.excluded.analysis},
        )
        # In one order for all: of two transactions one waits, and neither for the other.
        names = sorted(rows)
        values = [{"client_session_id": name[0], "kind": name[1], "key": name[2], **rows[name]} for name in names]
        if values:
            self._connection.execute(upsert, values)
        found: dict[NodeName, int] = {}
        for start in range(0, len(names), _PORTION):
            named = sa.tuple_(_n.client_session_id, _n.kind, _n.key).in_(names[start : start + _PORTION])
            select = sa.select(_n.client_session_id, _n.kind, _n.key, _n.id).where(named)
            found |= {(row[0], row[1], row[2]): row[3] for row in self._connection.execute(select)}
        return found

    def put_edges(self, keys: Collection[int], edges: Collection[tuple[int, str, int, int]]) -> set[int]:
        """Keep what these analyses tell; returns the nodes of edges that are gone.

        Args:
            keys: the analyses.
            edges: all that they tell: source, kind, target, analysis.
        """
        select = sa.select(_e.source, _e.kind, _e.target, _e.analysis).where(_e.analysis.in_(keys))
        kept = {(row[0], row[1], row[2], row[3]) for row in self._connection.execute(select)}
        wanted = set(edges)
        gone, new = kept - wanted, wanted - kept
        if gone:
            names = ("was_source", "was_kind", "was_target", "was_analysis")
            delete = sa.delete(tables.graph_edges).where(
                *(
                    column == sa.bindparam(name)
                    for column, name in zip((_e.source, _e.kind, _e.target, _e.analysis), names, strict=True)
                )
            )
            self._connection.execute(delete, [dict(zip(names, edge, strict=True)) for edge in sorted(gone)])
        if new:
            columns = ("source", "kind", "target", "analysis")
            self._connection.execute(
                sa.insert(tables.graph_edges), [dict(zip(columns, edge, strict=True)) for edge in sorted(new)]
            )
        return {end for edge in gone for end in (edge[0], edge[2])}

    def drop_lonely(self, nodes: Collection[int]) -> None:
        """Forget those of these nodes that no edge begins or ends at."""
        has_edges = sa.or_(sa.exists().where(_e.source == _n.id), sa.exists().where(_e.target == _n.id))
        self._connection.execute(sa.delete(tables.graph_nodes).where(_n.id.in_(nodes), ~has_edges))

    def after(self, node: int, limit: int) -> list[int]:
        """The nodes that come after one in the order of their keys."""
        select = sa.select(_n.id).where(_n.id > node).order_by(_n.id).limit(limit)
        return list(self._connection.execute(select).scalars())

    def find(self, kind: str, key: str, allowed: sa.Select[Any]) -> list[int]:
        """The nodes of an entity that are seen."""
        told = [
            sa.exists().where(near == _n.id, _seen(allowed, _e.analysis, tables.graph_edges))
            for near in (_e.source, _e.target)
        ]
        select = (
            sa.select(_n.id)
            .where(_n.kind == kind, _n.key == key, _node_seen(allowed, tables.graph_nodes), sa.or_(*told))
            .order_by(_n.id)
        )
        return list(self._connection.execute(select).scalars())

    def step(self, nodes: Collection[int], allowed: sa.Select[Any], limit: int) -> list[tuple[int, str, int]]:
        """Edges that are seen and begin or end at these nodes."""
        found: list[tuple[int, str, int]] = []
        for near, far in ((_e.source, _e.target), (_e.target, _e.source)):
            select = (
                sa.select(_e.source, _e.kind, _e.target)
                .join(tables.graph_nodes, _n.id == far)
                .where(
                    among(near, sorted(nodes)),
                    _seen(allowed, _e.analysis, tables.graph_edges),
                    _node_seen(allowed, tables.graph_nodes),
                )
                .limit(limit - len(found))
            )
            found += [(row[0], row[1], row[2]) for row in self._connection.execute(select).all()]
        return found

    def nodes(self, keys: Sequence[int]) -> dict[int, NodeRow]:
        """Nodes by their keys."""
        select = sa.select(tables.graph_nodes).where(among(_n.id, list(keys)))
        rows = self._connection.execute(select).all()
        return {row.id: (row.client_session_id, row.kind, row.key, row.label) for row in rows}

    def count(self) -> tuple[int, int]:
        """How many nodes and edges there are."""
        nodes, edges = (
            int(self._connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for table in (tables.graph_nodes, tables.graph_edges)
        )
        return nodes, edges


def _seen(allowed: sa.Select[Any], analysis: sa.ColumnElement[int], table: sa.Table) -> sa.ColumnElement[bool]:
    # A look-up for each edge on the way. As EXISTS, PostgreSQL might rather collect all that is allowed.
    one = allowed.where(allowed.selected_columns[0] == analysis).limit(1)
    return one.correlate(table).scalar_subquery().is_not(None)


def _node_seen(allowed: sa.Select[Any], table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.or_(_n.kind != "analysis", _seen(allowed, _n.analysis, table))
