"""Branches, what was found of them, and their figures over time."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from holdfast import records
from holdfast.api import refresh, render
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Asker, Store, Writer, body_of
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import LIST_LIMIT, BranchName, Cursor, Findable, Limit, RepoId
from holdfast.api.preconditions import IfMatch, changed
from holdfast.api.schemas import repository as schemas
from holdfast.api.schemas.refresh import StalenessPage
from holdfast.domain.branch_analyses import BranchAnalysisResult
from holdfast.domain.repositories import BranchInfo
from holdfast.domain.series import Point
from holdfast.store.syncing import Synced

router = APIRouter(prefix="/api/v1/repositories/{repo_id}", tags=["repositories"])


@router.get("/branches", operation_id="list_branches", response_model=schemas.BranchPage, responses=answers(404))
def list_branches(
    repo_id: RepoId, caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None
) -> Response:
    """List a repository's branches by name."""
    cursors = Cursors(store, caller, "branches", {"of": repo_id})
    found = store.repositories.get_branches(repo_id, limit=limit, after=cursors.value(cursor, None), caller=caller)
    return render.json(records.page([records.branch(one) for one in found.items], cursors.after_value(found.next)))


@router.post(
    "/branches",
    operation_id="sync_branches",
    response_model=schemas.BatchOut,
    responses=answers(404, body=True),
    openapi_extra=body_doc("BranchBatch"),
)
def sync_branches(
    repo_id: RepoId, caller: Writer, store: Store, batch: Annotated[schemas.BranchBatch, body_of(schemas.BranchBatch)]
) -> Response:
    """Say what is known of many branches, in one transaction; each is settled with what others said."""
    said = [BranchInfo(**one.model_dump()) for one in batch.branches]
    done = store.sync.sync_multiple_branches(repo_id, said, strategy=batch.strategy, caller=caller)
    return render.json(
        {
            "total": done.total,
            "synced": done.synced,
            "conflicts": done.conflicts,
            "failed": done.failed,
            "results": [_synced(one) for one in done.results],
        }
    )


def _synced(one: Synced) -> records.Record:
    return {
        "branch": one.name,
        "outcome": None if one.outcome is None else one.outcome.value,
        "version": None if one.branch is None else one.branch.version,
        "conflict_id": None if one.conflict is None else one.conflict.conflict_id,
        "error": None if one.error is None else one.error.message,
    }


@router.get(
    "/branches/{branch_name:path}",
    operation_id="get_branch",
    response_model=schemas.BranchOut,
    responses=answers(304, 404),
)
def get_branch(repo_id: RepoId, branch_name: BranchName, request: Request, caller: Asker, store: Store) -> Response:
    """A branch."""
    value = store.repositories.get_branch(repo_id, branch_name, caller=caller)
    record = records.branch(value)
    return render.tagged(request, record, render.tag_of(record, value.version))


@router.put(
    "/branches/{branch_name:path}",
    operation_id="store_branch",
    response_model=schemas.StoredBranchOut,
    responses=answers(404, 409, 412, 428, body=True),
    openapi_extra=body_doc("BranchIn"),
)
def store_branch(
    repo_id: RepoId,
    branch_name: BranchName,
    caller: Writer,
    store: Store,
    said: Annotated[schemas.BranchIn, body_of(schemas.BranchIn)],
    if_match: IfMatch = None,
) -> Response:
    """Make a branch known, or with If-Match say anew what is known of it.

    Success does not mean that it is kept: `outcome` says what became of it, and the rest is the branch as it is now.
    """
    info = BranchInfo(name=branch_name, **said.model_dump())
    done = changed(
        if_match,
        lambda version: store.sync.sync_branch_metadata(repo_id, info, expected_version=version, caller=caller),
    )
    assert done.branch is not None
    assert done.outcome is not None
    record = records.branch(done.branch)
    # Of the branch alone, as whoever reads it is told.
    tag = render.tag_of(record, done.branch.version)
    conflict_id = None if done.conflict is None else done.conflict.conflict_id
    return render.json(record | {"outcome": done.outcome.value, "conflict_id": conflict_id}, headers={"etag": tag})


@router.get(
    "/staleness",
    operation_id="get_staleness_infos",
    response_model=StalenessPage,
    responses=answers(304, 404),
    tags=["freshness"],
)
def get_staleness_infos(
    repo_id: RepoId,
    request: Request,
    caller: Asker,
    store: Store,
    *,
    branch_name: Annotated[
        list[Annotated[Findable, Query(min_length=1, max_length=1024)]],
        Query(max_length=100, description="Of these branches, in this order; of all by name when left out."),
    ] = [],  # noqa: B006 FastAPI copies it
    limit: Limit = LIST_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """How several branches stand, by one query: how old what is known of them is, and why that is stale."""
    following = None
    names: list[str] = list(branch_name)
    if not names:
        cursors = Cursors(store, caller, "staleness", {"of": repo_id})
        found = store.repositories.get_branches(repo_id, limit=limit, after=cursors.value(cursor, None), caller=caller)
        names, following = [one.name for one in found.items], cursors.after_value(found.next)
    infos = store.freshness.get_staleness_infos(repo_id, names, caller=caller)
    page = records.page([records.staleness(one) for one in infos], following)
    return render.tagged(request, page, refresh.tag_of(page["items"]))


@router.post(
    "/analyses",
    operation_id="store_branch_analysis",
    response_model=schemas.AnalysisSyncedOut,
    responses=answers(404, 409, body=True),
    openapi_extra=body_doc("BranchAnalysisIn"),
)
def store_branch_analysis(
    repo_id: RepoId,
    caller: Writer,
    store: Store,
    new: Annotated[schemas.BranchAnalysisIn, body_of(schemas.BranchAnalysisIn)],
) -> Response:
    """Keep what was found of a branch at a commit; the same again is no second analysis."""
    fields = new.model_dump()
    strategy = fields.pop("strategy")
    done = store.sync.sync_analysis_result(repo_id, BranchAnalysisResult(**fields), strategy=strategy, caller=caller)
    return render.json(
        {
            "outcome": done.outcome.value,
            "analysis_id": done.analysis.analysis_id,
            "conflict_id": None if done.conflict is None else done.conflict.conflict_id,
        }
    )


@router.post(
    "/metrics",
    operation_id="store_branch_metrics",
    response_model=schemas.PointsKept,
    responses=answers(404, body=True),
    openapi_extra=body_doc("PointBatch"),
)
def store_branch_metrics(
    repo_id: RepoId, caller: Writer, store: Store, new: Annotated[schemas.PointBatch, body_of(schemas.PointBatch)]
) -> Response:
    """Keep figures of a branch; one of the same name and moment takes the place of the one before."""
    points = [Point(**one.model_dump()) for one in new.points]
    store.history.store_historical_metric(repo_id, new.branch_name, points, caller=caller)
    return render.json({"success": True, "count": len(points)})


@router.get("/metrics", operation_id="get_branch_metrics", response_model=schemas.SeriesOut, responses=answers(404))
def get_branch_metrics(
    repo_id: RepoId,
    caller: Asker,
    store: Store,
    *,
    branch_name: Annotated[Findable, Query(min_length=1, max_length=1024)],
    name: Annotated[Findable, Query(min_length=1, max_length=256, description="The figure.")],
    since: Annotated[AwareDatetime | None, Query(description="30 days before `until` when left out.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Now when left out.")] = None,
    every_seconds: Annotated[
        float | None, Query(ge=0.001, le=2**31 - 1, description="Sum up in stretches of this length.")
    ] = None,
) -> Response:
    """A figure of a branch over time, oldest first: 1,000 points at most, or stretches of equal length."""
    where = {"since": since, "until": until, "caller": caller}
    if every_seconds is None:
        points = store.history.get_historical_metrics(repo_id, branch_name, name, **where)  # type: ignore[arg-type]
        items = [
            {"at": records.time(one.at), "value": one.value, "least": one.value, "greatest": one.value, "count": 1}
            for one in points
        ]
    else:
        samples = store.history.sample_historical_metrics(
            repo_id,
            branch_name,
            name,
            every=timedelta(seconds=every_seconds),
            **where,  # type: ignore[arg-type]
        )
        items = [
            {
                "at": records.time(one.at),
                "value": one.mean,
                "least": one.least,
                "greatest": one.greatest,
                "count": one.count,
            }
            for one in samples
        ]
    return render.json({"repo_id": repo_id, "branch_name": branch_name, "name": name, "items": items})
