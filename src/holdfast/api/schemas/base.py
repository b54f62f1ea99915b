"""What all models of the wire have in common."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

Moment = Annotated[
    datetime,
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-01T12:00:00.000Z"]}),
]
Seconds = Annotated[float, Field(ge=0)]
Json = Annotated[Any, WithJsonSchema({"description": "Any JSON value."})]
JsonObject = dict[str, JsonValue]
# What a number of 32 bits holds: the stores keep no larger one.
LARGEST = 2**31 - 1


class Incoming(BaseModel):
    """A body: what it does not know it refuses, so that a misspelt field is not dropped in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Outgoing(BaseModel):
    """An answer: fields may be added, so clients ignore what they do not know."""

    model_config = ConfigDict(extra="ignore")


class TotalOut(Outgoing):
    """How much a list holds."""

    value: int = Field(ge=0)
    relation: Literal["exact", "estimate", "at_least"] = Field(description="How the value stands to the truth.")


Total = Annotated[TotalOut | None, Field(description="There only where `count` asks for it.")]
