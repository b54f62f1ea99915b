"""Parameters that many routes have."""

import re
from typing import Annotated, Literal

from fastapi import Path, Query, Request
from pydantic import AfterValidator

from holdfast.api.errors import InvalidRequest

LIST_LIMIT = 20
DOCUMENTED_LIMIT = 10
LARGEST_PAGE = 100
LONGEST_KEY = 255
# Further on, a cursor costs nothing, and an offset ever more.
LARGEST_OFFSET = 10_000
_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


def _findable(value: str) -> str:
    if _UNKEEPABLE.search(value):
        raise ValueError("no name holds U+0000 or half a character")
    return value


Findable = Annotated[str, AfterValidator(_findable)]
AnalysisId = Annotated[str, Path(description="The analysis.", examples=["0198f3a2-7c11-7d20-8e6b-0d8f2f1b6c55"])]
RepoId = Annotated[Findable, Path(min_length=1, max_length=128, description="The repository.", examples=["holdfast"])]
BranchName = Annotated[
    Findable, Path(min_length=1, max_length=1024, description="The branch; slashes as they are.", examples=["fix/a.b"])
]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="How many at most.")]
Count = Annotated[
    Literal["exact", "estimate"] | None,
    Query(description="Tell how much the list holds: counted as far as 10,000, or about."),
]
Cursor = Annotated[
    str | None, Query(max_length=1024, description="`next_cursor` of the page before, with the same filters and order.")
]
Name = Annotated[
    str | None, Query(min_length=1, max_length=256), AfterValidator(lambda v: v if v is None else _findable(v))
]
ClientSessionId = Annotated[
    Findable, Query(min_length=1, max_length=256, description="The client's id, which its results are kept under.")
]


def idempotency_key(request: Request) -> str | None:
    """The header Idempotency-Key of a route that reads its request itself."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidRequest(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters", field="Idempotency-Key")
    return key
