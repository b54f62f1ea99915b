"""Likeness and relations."""

from pydantic import Field

from holdfast.api.schemas.analysis import AnalysisOut
from holdfast.api.schemas.base import Outgoing


class SimilarOut(Outgoing):
    """An analysis that is like another one."""

    score: float = Field(description="The cosine between the two in meaning, -1 to 1.")
    analysis: AnalysisOut


class SimilarPage(Outgoing):
    """Analyses that are like another one, most alike first."""

    items: list[SimilarOut]


class EntityOut(Outgoing):
    """A thing that analyses have to do with."""

    kind: str = Field(examples=["technology"])
    key: str = Field(examples=["python"])
    label: str = Field(examples=["Python"])
    client_session_id: str = Field(description="Whose it is.")


class NearOut(EntityOut):
    """An entity that was reached."""

    hops: int = Field(description="How many steps away it is.")


class EntityKeyOut(Outgoing):
    """Which entity."""

    kind: str
    key: str


class RelationOut(Outgoing):
    """How one entity has to do with another."""

    source: EntityKeyOut
    kind: str = Field(examples=["uses"])
    target: EntityKeyOut


class NeighbourhoodOut(Outgoing):
    """What is near an entity, the entity itself at the head."""

    entities: list[NearOut]
    relations: list[RelationOut]
    is_whole: bool = Field(description="Whether there was no more than was asked for.")


class PathOut(Outgoing):
    """A way from one entity to another."""

    found: bool
    entities: list[EntityOut]
    relations: list[RelationOut] = Field(description="One for each step.")
    is_certain: bool = Field(description="Whether all was looked at: else there may be a way, or a shorter one.")
