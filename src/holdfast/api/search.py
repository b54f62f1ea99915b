"""Searches and threads."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from holdfast import records
from holdfast.api import render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store
from holdfast.api.openapi import answers
from holdfast.api.params import LIST_LIMIT, Cursor, Findable, Limit
from holdfast.api.schemas.analysis import AnalysisPage
from holdfast.api.schemas.search import GroupPage, SearchPage
from holdfast.domain.processing import Ranked

router = APIRouter(prefix="/api/v1", tags=["search"])

By = Annotated[Literal["thread", "session", "process"], Query(description="What they are grouped by.")]
Facet = Literal["kind", "status", "tag", "owner"]


@router.get("/searches", operation_id="search_analyses", response_model=SearchPage, responses=answers())
def search(
    caller: Asker,
    store: Store,
    *,
    q: Annotated[Findable, Query(max_length=2000, description="The query; see the query language.")] = "",
    by: Annotated[list[str], Query(max_length=5, description="The indexes that rank; fulltext when none.")] = [],  # noqa: B006 FastAPI copies it
    facet: Annotated[list[Facet], Query(max_length=4, description="Count the values of these.")] = [],  # noqa: B006 as above
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """Find analyses by words and filters: best first, or newest first where the query has no words."""
    cursors = Cursors(store, caller, "searches", {"q": q, "by": by})
    after = cursors.ranked(cursor) if cursor is not None else None
    found = store.search.search(q, by=by or None, limit=limit, after=after, facets=facet, caller=caller)
    place, age = found.next, store.freshness.age
    following = cursors.after_ranked(place) if isinstance(place, Ranked) else cursors.after(place)
    page: dict[str, Any] = records.page([records.hit(one, age(one.analysis)) for one in found.items], following)
    return render.json(page | {"facets": found.facets, "is_ranked": found.is_ranked, "hints": found.hints})


@router.get("/threads", operation_id="list_threads", response_model=GroupPage, responses=answers())
def list_threads(
    caller: Asker, store: Store, *, by: By = "thread", limit: Limit = LIST_LIMIT, cursor: Cursor = None
) -> Response:
    """List threads, sessions or processes by id, with their figures."""
    cursors = Cursors(store, caller, "threads", {"by": by})
    after = cursors.value(cursor, None)
    found = store.search.groups(by=by, limit=limit + 1, after=after, caller=caller)
    shown = found[:limit]
    following = shown[-1].id if len(found) > limit else None
    return render.json(records.page([records.group(one) for one in shown], cursors.after_value(following)))


@router.get("/threads/{thread_id}", operation_id="get_thread", response_model=AnalysisPage, responses=answers())
def get_thread(
    thread_id: Annotated[Findable, Path(min_length=1, max_length=256, description="The thread, session or process.")],
    caller: Asker,
    store: Store,
    *,
    by: By = "thread",
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """The analyses of a thread, oldest first; none where there is no such thread."""
    cursors = Cursors(store, caller, "thread", {"id": thread_id, "by": by})
    found = store.search.conversation(thread_id, by=by, limit=limit, after=cursors.place(cursor), caller=caller)
    place = None if isinstance(found.next, Ranked) else found.next
    shown = [records.analysis(one.analysis, store.freshness.age(one.analysis)) for one in found.items]
    return render.json(records.page(shown, cursors.after(place)))
