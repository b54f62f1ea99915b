"""What was found, by words, by meaning or by relation, and how far the indexes have come."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from holdfast.domain.analysis import Analysis
from holdfast.domain.freshness import Age
from holdfast.domain.processing import Processing
from holdfast.records.analyses import analysis
from holdfast.records.common import Record, time

if TYPE_CHECKING:
    from holdfast.domain.snippets import Snippet
    from holdfast.processors.graph.index import Node
    from holdfast.processors.graph.walks import Link, Neighbourhood, Path
    from holdfast.services.processing import ProcessorStatus
    from holdfast.services.relations import Similar
    from holdfast.services.search import Group, Hit


def snippet(value: "Snippet | None") -> Record | None:
    """A stretch of a text with what was found in it."""
    return None if value is None else {"text": value.text, "highlights": [list(one) for one in value.highlights]}


def hit(value: "Hit", age: Age) -> Record:
    """One analysis that was found, and how old it is."""
    return {
        "analysis": analysis(value.analysis, age),
        "score": value.score,
        "title": snippet(value.title),
        "text": snippet(value.text),
    }


def group(value: "Group") -> Record:
    """A thread, a session or a process in figures."""
    return {**asdict(value), "first_at": time(value.first_at), "last_at": time(value.last_at)}


def processing(value: Processing) -> Record:
    """How far one processor has come with one analysis."""
    return {**asdict(value), "status": value.status.value, "updated_at": time(value.updated_at)}


def processor(value: "ProcessorStatus") -> Record:
    """How a processor does."""
    return {**asdict(value), "lag_seconds": round(value.lag_seconds, 3)}


def similar(hits: "Sequence[Similar]", age_of: Callable[[Analysis], Age]) -> Record:
    """Analyses that are like another one, and how old they are."""
    found = [{"score": round(one.score, 6), "analysis": analysis(one.analysis, age_of(one.analysis))} for one in hits]
    return {"items": found}


def neighbourhood(found: "Neighbourhood") -> Record:
    """What is near an entity."""
    entities = [{**node(neighbour.node), "hops": neighbour.hops} for neighbour in found.entities]
    return {"entities": entities, "relations": [link(one) for one in found.relations], "is_whole": found.is_whole}


def path(found: "Path") -> Record:
    """A way from one entity to another."""
    return {
        "found": bool(found.nodes),
        "entities": [node(one) for one in found.nodes],
        "relations": [link(one) for one in found.relations],
        "is_certain": found.is_certain,
    }


def node(one: "Node") -> Record:
    """An entity."""
    place = one.place
    return {"kind": place.kind, "key": place.key, "label": one.label, "client_session_id": one.owner}


def link(one: "Link") -> Record:
    """A relation, by the kinds and keys of its ends."""
    return {
        "source": {"kind": one.source.place.kind, "key": one.source.place.key},
        "kind": one.kind,
        "target": {"kind": one.target.place.kind, "key": one.target.place.key},
    }
