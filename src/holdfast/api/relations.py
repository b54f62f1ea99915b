"""What analyses are like, and what they have to do with."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.deps import Asker, Store
from holdfast.api.openapi import answers
from holdfast.api.params import AnalysisId, Findable
from holdfast.api.schemas.relation import NeighbourhoodOut, PathOut, SimilarPage
from holdfast.processors.graph.walks import MOST_HOPS, MOST_NODES

router = APIRouter(prefix="/api/v1", tags=["relations"])

Entity = Annotated[
    Findable,
    Query(
        min_length=1,
        max_length=4096,
        description="An analysis by its id, anything else as `kind:key`, as a neighbourhood names it.",
        examples=["technology:python"],
    ),
]
Hops = Annotated[int, Query(ge=1, le=MOST_HOPS, description="How many steps at most.")]


@router.get(
    "/analyses/{analysis_id}/similar",
    operation_id="similar_analyses",
    response_model=SimilarPage,
    responses=answers(404, 410),
)
def similar_analyses(
    analysis_id: AnalysisId,
    caller: Asker,
    store: Store,
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 10,
) -> Response:
    """The analyses nearest in meaning to one, nearest first."""
    found = store.relations.similar(analysis_id, limit=limit, caller=caller)
    return render.json(records.similar(found, store.freshness.age))


@router.get(
    "/graph/neighbourhood",
    operation_id="neighbourhood",
    response_model=NeighbourhoodOut,
    responses=answers(404),
)
def neighbourhood(
    entity: Entity,
    caller: Asker,
    store: Store,
    hops: Hops = 1,
    limit: Annotated[int, Query(ge=1, le=MOST_NODES, description="How many entities at most, the nearest.")] = 100,
) -> Response:
    """What an analysis or another entity has to do with."""
    found = store.relations.neighbourhood(entity, hops=hops, limit=limit, caller=caller)
    return render.json(records.neighbourhood(found))


@router.get("/graph/path", operation_id="path", response_model=PathOut, responses=answers(404))
def path(start: Entity, end: Entity, caller: Asker, store: Store, hops: Hops = MOST_HOPS) -> Response:
    """A shortest way from one entity to another."""
    return render.json(records.path(store.relations.path(start, end, hops=hops, caller=caller)))
