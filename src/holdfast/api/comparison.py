"""Two analyses side by side."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, AnalysisId, Cursor, Limit
from holdfast.api.schemas.comparison import ComparisonOut
from holdfast.domain.comparison import Change
from holdfast.domain.errors import InvalidCursor

router = APIRouter(prefix="/api/v1/analyses/{analysis_id}", tags=["analyses"])


@router.get("/changes", operation_id="compare_analyses", response_model=ComparisonOut, responses=answers(404, 410))
def compare_analyses(
    analysis_id: AnalysisId,
    caller: Asker,
    store: Store,
    *,
    against: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=128,
            description="The earlier analysis; the one that was refreshed, or the one before it, when left out.",
        ),
    ] = None,
    change: Annotated[
        list[Change], Query(description="What became of the findings; added and fixed ones when left out.")
    ] = [],  # noqa: B006 FastAPI copies it
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Compare an analysis with an earlier one: what was found newly, what is fixed, which figures moved."""
    wanted = tuple(dict.fromkeys(change))
    compared = store.comparison.compare(analysis_id, against, caller=caller)
    # From here on the one that was found: a cursor stays with it.
    earlier = compared.before.analysis_id
    cursors = Cursors(store, caller, "changes", {"of": analysis_id, "against": earlier, "change": wanted})
    found = store.comparison.changes(
        analysis_id, earlier, changes=wanted, after=_place(cursors.value(cursor, None)), limit=limit, caller=caller
    )
    following = None if found.next is None else f"{found.next[0].value}:{found.next[1]}"
    listed = {
        "chain": store.comparison.chain(analysis_id, caller=caller),
        **records.page([records.finding_change(one) for one in found.items], cursors.after_value(following)),
    }
    return render.json(records.comparison(compared) | listed)


def _place(value: str | int | None) -> tuple[Change, int] | None:
    if value is None:
        return None
    change, _, ordinal = str(value).partition(":")
    try:
        return Change(change), int(ordinal)
    except ValueError as error:
        raise InvalidCursor from error
