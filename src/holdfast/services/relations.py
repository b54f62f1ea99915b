"""What an analysis is like, and what it has to do with: by the indexes of meaning and of relations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from holdfast.domain import ids
from holdfast.domain.access import LOCAL, Caller
from holdfast.domain.analysis import Analysis
from holdfast.domain.checks import check_limit
from holdfast.domain.errors import InvalidInput, ProcessorError, ProcessorUnavailable
from holdfast.processors.contract import Likener
from holdfast.processors.graph.extract import place_of
from holdfast.processors.graph.processor import GraphProcessor
from holdfast.processors.graph.walks import MOST_HOPS, MOST_NODES, Neighbourhood, Path, Walk
from holdfast.processors.registry import Processors
from holdfast.store import tables
from holdfast.store.search import visible
from holdfast.store.unit_of_work import Store, UnitOfWork

T = TypeVar("T")

_MOST_SIMILAR = 100
VECTOR, GRAPH = "vector", "graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """An analysis that is like another one.

    Attributes:
        analysis: the analysis.
        score: how much, the cosine between their texts' vectors, -1 to 1.
    """

    analysis: Analysis
    score: float


class RelationsService:
    """The use cases of likeness and relations."""

    def __init__(self, store: Store, processors: Processors) -> None:
        """Look into ``store``, by the indexes of ``processors``."""
        self._store = store
        self._processors = processors

    def similar(self, analysis_id: str, *, limit: int = 10, caller: Caller = LOCAL) -> list[Similar]:
        """The analyses nearest in meaning to one, nearest first; none while it is not indexed.

        Args:
            analysis_id: the analysis.
            limit: how many at most, up to 100.
            caller: who asks.

        Raises:
            AnalysisNotFound: there is none.
            UnknownProcessor: the processor ``vector`` is not enabled.
            ProcessorUnavailable: its index is not there.
        """
        ids.check_id(analysis_id)
        check_limit(limit, _MOST_SIMILAR)
        processor = self._processors.get(VECTOR)
        if not isinstance(processor, Likener):
            raise ProcessorError("The processor 'vector' does not know what is like what", processor=VECTOR)

        def look(uow: UnitOfWork) -> list[Similar]:
            stored = uow.find_visible(analysis_id, caller)
            _require_index(uow, VECTOR)
            hits = processor.similar(uow.search.connection, stored.key, limit, _allowed(uow, caller))
            found = {row.key: row.value for row in uow.analyses.of_keys([hit.key for hit in hits])}
            return [Similar(analysis=found[hit.key], score=hit.score) for hit in hits if hit.key in found]

        return self._store.read(look)

    def neighbourhood(self, entity: str, *, hops: int = 1, limit: int = 100, caller: Caller = LOCAL) -> Neighbourhood:
        """What can be reached from an entity along relations that the caller may see.

        Args:
            entity: an analysis by its id, anything else as ``kind:key``.
            hops: how far, 1 to 6.
            limit: how many entities at most, the nearest, up to 1,000.
            caller: who asks.

        Raises:
            EntityNotFound: there is none, for this caller.
            UnknownProcessor: the processor ``graph`` is not enabled.
            ProcessorUnavailable: its index is not there.
        """
        check_limit(limit, MOST_NODES)
        _check_hops(hops)
        return self._walk(caller, lambda walk: walk.neighbourhood(place_of(entity), hops, limit))

    def path(self, start: str, end: str, *, hops: int = 6, caller: Caller = LOCAL) -> Path:
        """A shortest way from one entity to another along relations that the caller may see.

        Args:
            start: as for ``neighbourhood``.
            end: the same.
            hops: of how many steps at most, 1 to 6.
            caller: who asks.

        Raises:
            EntityNotFound: one of the two is not there, for this caller.
            UnknownProcessor: the processor ``graph`` is not enabled.
            ProcessorUnavailable: its index is not there.
        """
        _check_hops(hops)
        return self._walk(caller, lambda walk: walk.path(place_of(start), place_of(end), hops))

    def _walk(self, caller: Caller, go: Callable[[Walk], T]) -> T:
        processor = self._processors.get(GRAPH)
        if not isinstance(processor, GraphProcessor):
            raise ProcessorError("The processor 'graph' is another one than ours", processor=GRAPH)

        def look(uow: UnitOfWork) -> T:
            _require_index(uow, GRAPH)
            return go(processor.walk(uow.search.connection, _allowed(uow, caller)))

        return self._store.read(look)


def _allowed(uow: UnitOfWork, caller: Caller) -> sa.Select[tuple[int]]:
    return sa.select(tables.analyses.c.id).where(*visible(caller.sees, uow.now))


def _require_index(uow: UnitOfWork, name: str) -> None:
    state = uow.processing.index(name)
    if state is None or not state.readable:
        raise ProcessorUnavailable(f"There is no index of {name!r} yet: a worker makes it", processor=name)


def _check_hops(hops: int) -> None:
    if not 1 <= hops <= MOST_HOPS:
        raise InvalidInput(f"hops must be 1 to {MOST_HOPS}", field="hops", hops=hops)
