"""Two analyses, or two branches, side by side."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, AnalysisId, Cursor, Findable, Limit, RepoId
from holdfast.api.schemas.comparison import BranchComparisonOut, ComparisonOut
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.comparison import Change, Comparison
from holdfast.domain.errors import InvalidCursor

router = APIRouter(prefix="/api/v1")


Changes = Annotated[list[Change], Query(description="What became of the findings; added and fixed ones when left out.")]


@router.get(
    "/analyses/{analysis_id}/changes",
    operation_id="compare_analyses",
    response_model=ComparisonOut,
    responses=answers(404, 410),
    tags=["analyses"],
)
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
    change: Changes = [],  # noqa: B006 FastAPI copies it
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Compare an analysis with an earlier one: what was found newly, what is fixed, which figures moved."""
    wanted = tuple(dict.fromkeys(change))
    compared = store.comparison.compare(analysis_id, against, caller=caller)
    # From here on the one that was found: a cursor stays with it.
    earlier = compared.before.analysis_id
    cursors = Cursors(store, caller, "changes", {"of": analysis_id, "against": earlier, "change": wanted})
    after = _place(cursors.value(cursor, None))
    return render.json(_shown(store, compared, wanted, after, limit, caller, cursors.after_value))


@router.get(
    "/repositories/{repo_id}/comparison",
    operation_id="compare_branches",
    response_model=BranchComparisonOut,
    responses=answers(404, 410),
    tags=["repositories"],
)
def compare_branches(
    repo_id: RepoId,
    caller: Asker,
    store: Store,
    *,
    branch: Annotated[Findable, Query(min_length=1, max_length=1024, description="The branch.")],
    against: Annotated[
        Findable, Query(min_length=1, max_length=1024, description="The branch that it is compared with.")
    ],
    change: Changes = [],  # noqa: B006 FastAPI copies it
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Compare the newest analyses of two branches: what was found newly, what is fixed, which figures differ."""
    wanted = tuple(dict.fromkeys(change))
    asked = {"of": repo_id, "branch": branch, "against": against, "change": wanted}
    cursors = Cursors(store, caller, "branch-changes", asked)
    word = cursors.value(cursor, None)
    if word is None:
        after = None
        compared = store.comparison.compare_branches(repo_id, branch, against, caller=caller)
    else:
        # The analyses of the first page, though the branches may have newer ones by now.
        later, _, rest = str(word).partition("/")
        earlier, _, place = rest.partition("/")
        after = _place(place)
        compared = store.comparison.compare(later, earlier, caller=caller)
    pair = f"{compared.after.analysis_id}/{compared.before.analysis_id}"

    def sign(place: str | None) -> str | None:
        return cursors.after_value(None if place is None else f"{pair}/{place}")

    named = {"repo_id": repo_id, "branch": branch, "against_branch": against}
    return render.json(named | _shown(store, compared, wanted, after, limit, caller, sign))


def _shown(
    store: Holdfast,
    compared: Comparison,
    wanted: tuple[Change, ...],
    after: tuple[Change, int] | None,
    limit: int,
    caller: Caller,
    sign: Callable[[str | None], str | None],
) -> records.Record:
    """Both sides in figures, and a page of the findings; ``sign`` makes the place of the next one its cursor."""
    later, earlier = compared.after.analysis_id, compared.before.analysis_id
    found = store.comparison.changes(later, earlier, changes=wanted, after=after, limit=limit, caller=caller)
    following = None if found.next is None else f"{found.next[0].value}:{found.next[1]}"
    return records.comparison(compared) | {
        "chain": store.comparison.chain(later, caller=caller),
        **records.page([records.finding_change(one) for one in found.items], sign(following)),
    }


def _place(value: str | int | None) -> tuple[Change, int] | None:
    if value is None:
        return None
    change, _, ordinal = str(value).partition(":")
    try:
        return Change(change), int(ordinal)
    except ValueError as error:
        raise InvalidCursor from error
