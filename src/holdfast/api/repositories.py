"""Repositories, and the documented way of looking at them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from holdfast import records
from holdfast.api import render, targets
from holdfast.api.cursors import Cursors
from holdfast.api.deps import Admin, Asker, Doors, Store, Writer, body_of
from holdfast.api.openapi import answers, body_doc
from holdfast.api.params import DOCUMENTED_LIMIT, LIST_LIMIT, BranchName, Cursor, Findable, Limit, RepoId
from holdfast.api.preconditions import IfMatch, changed, etag
from holdfast.api.schemas import repository as schemas
from holdfast.bootstrap import Holdfast
from holdfast.domain.access import Caller
from holdfast.domain.branch_analyses import BRANCH_KIND
from holdfast.domain.repositories import Branch
from holdfast.store.payloads import unpack

router = APIRouter(prefix="/api/v1", tags=["repositories"])

CommitSha = Annotated[Findable | None, Query(min_length=1, max_length=256, description="Of this commit only.")]


@router.get(
    "/repositories", operation_id="list_repositories", response_model=schemas.RepositoryPage, responses=answers()
)
def list_repositories(caller: Asker, store: Store, *, limit: Limit = LIST_LIMIT, cursor: Cursor = None) -> Response:
    """List the repositories by id."""
    cursors = Cursors(store, caller, "repositories", {})
    word = cursors.value(cursor, None)
    key, _, repo_id = str(word or "").partition(":")
    after = None if word is None else (repo_id, int(key))
    found = store.repositories.list_repositories(limit=limit, after=after, caller=caller)
    following = None if found.next is None else f"{found.next[1]}:{found.next[0]}"
    return render.json(records.page([records.repository(one) for one in found.items], cursors.after_value(following)))


@router.get(
    "/repositories/{repo_id}",
    operation_id="get_repository",
    response_model=schemas.RepositoryOut,
    responses=answers(304, 404),
)
def get_repository(repo_id: RepoId, request: Request, caller: Asker, store: Store) -> Response:
    """A repository."""
    value = store.repositories.get_repository(repo_id, caller=caller)
    record = records.repository(value)
    return render.tagged(request, record, render.tag_of(record, value.version))


@router.put(
    "/repositories/{repo_id}",
    operation_id="store_repository",
    response_model=schemas.RepositoryOut,
    responses=answers(409, 412, 428, body=True),
    openapi_extra=body_doc("RepositoryIn"),
)
def store_repository(
    repo_id: RepoId,
    caller: Writer,
    store: Store,
    access: Doors,
    new: Annotated[schemas.RepositoryIn, body_of(schemas.RepositoryIn)],
    if_match: IfMatch = None,
) -> Response:
    """Make a repository known, or with If-Match say anew what is known of it."""
    targets.check_location(store, access, caller, new.location)
    value = changed(
        if_match,
        lambda version: store.repositories.store_repository(
            repo_id, **new.model_dump(), expected_version=version, caller=caller
        ),
    )
    return render.json(records.repository(value), headers={"etag": etag(value.version)})


@router.delete(
    "/repositories/{repo_id}",
    operation_id="delete_repository",
    response_model=schemas.RepositoryDeleted,
    responses=answers(404, 412, 428),
)
def delete_repository(repo_id: RepoId, caller: Writer, store: Store, if_match: IfMatch = None) -> Response:
    """Put a repository with its branches into the trash; analyses stay."""
    value = changed(
        if_match,
        lambda version: store.repositories.delete_repository(repo_id, expected_version=version, caller=caller),
    )
    at = value.deleted_at
    return render.json(
        {
            "success": True,
            "repo_id": value.repo_id,
            "deleted_at": records.time(at),
            "restore": None if at is None else f"/api/v1/repositories/{value.repo_id}/restore",
            "restorable_until": records.time(at and at + timedelta(hours=store.settings.trash_hours)),
        }
    )


@router.post(
    "/repositories/{repo_id}/restore",
    operation_id="restore_repository",
    response_model=schemas.RepositoryOut,
    responses=answers(404),
)
def restore_repository(repo_id: RepoId, caller: Writer, store: Store) -> Response:
    """Take a repository out of the trash."""
    value = store.repositories.restore_repository(repo_id, caller=caller)
    return render.json(records.repository(value), headers={"etag": etag(value.version)})


@router.post(
    "/repositories/{repo_id}/sync",
    operation_id="sync_repository",
    response_model=schemas.ReadBackOut,
    responses=answers(404),
)
def sync_repository(repo_id: RepoId, caller: Admin, store: Store) -> Response:
    """Read a repository's branches from where it is on the service's machine."""
    return render.json(records.read_back(store.repositories.sync_repository(repo_id, caller=caller)))


@router.get(
    "/persistence/repository/{repo_id}",
    operation_id="get_persisted_repository",
    response_model=schemas.RepositoryOut,
    responses=answers(404),
    tags=["persistence"],
)
def get_persisted_repository(repo_id: RepoId, caller: Asker, store: Store) -> Response:
    """A repository, at its document's address."""
    return render.json(records.repository(store.repositories.get_repository(repo_id, caller=caller)))


@router.get(
    "/persistence/branches/{repo_id}",
    operation_id="get_persisted_branches",
    response_model=schemas.DocumentedBranches,
    responses=answers(404),
    tags=["persistence"],
)
def get_persisted_branches(repo_id: RepoId, caller: Asker, store: Store) -> Response:
    """All branches of a repository."""
    wanted = ("name", "commit_sha", "is_default", "last_commit_date", "last_analyzed")
    shown = []
    for branch in _all_branches(store, repo_id, caller):
        record = records.branch(branch)
        shown.append({name: record[name] for name in wanted})
    return render.json({"repo_id": repo_id, "branches": shown})


def _all_branches(store: Holdfast, repo_id: str, caller: Caller) -> Iterator[Branch]:
    after: str | None = None
    while True:
        page = store.repositories.get_branches(repo_id, after=after, caller=caller)
        yield from page.items
        if page.next is None:
            return
        after = page.next


@router.get(
    "/persistence/analysis/{repo_id}/{branch_name:path}",
    operation_id="get_persisted_analysis",
    response_model=schemas.DocumentedAnalysis,
    responses=answers(404),
    tags=["persistence"],
)
def get_persisted_analysis(
    repo_id: RepoId, branch_name: BranchName, caller: Asker, store: Store, *, commit_sha: CommitSha = None
) -> Response:
    """The latest analysis of a branch, with its result."""
    value, frame = store.history.get_latest_analysis(repo_id, branch_name, commit_sha=commit_sha, caller=caller)
    head: dict[str, Any] = {
        "repo_id": repo_id,
        "branch_name": branch_name,
        "commit_sha": "" if value.subject is None else value.subject.revision,
        "analysis_timestamp": records.time(value.completed_at or value.created_at),
        "analysis_id": value.analysis_id,
        "kind": value.kind,
    }
    content = b"null" if frame is None or value.result is None else unpack(value.result.hash, frame)
    if value.kind != BRANCH_KIND:
        return render.json(head | {"result": msgspec.Raw(content)})
    # Both are objects: put together as they are, nobody decodes the result on the way.
    return Response(msgspec.json.encode(head)[:-1] + b"," + content[1:], media_type="application/json")


@router.get(
    "/persistence/analysis-history/{repo_id}/{branch_name:path}",
    operation_id="get_persisted_history",
    response_model=schemas.DocumentedHistory,
    responses=answers(404),
    tags=["persistence"],
)
def get_persisted_history(
    repo_id: RepoId,
    branch_name: BranchName,
    caller: Asker,
    store: Store,
    *,
    limit: Limit = DOCUMENTED_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """A branch's analyses, newest first, in a few figures."""
    cursors = Cursors(store, caller, "branch-history", {"of": [repo_id, branch_name]})
    found = store.history.get_analysis_history(
        repo_id, branch_name, limit=limit, after=cursors.place(cursor), caller=caller
    )
    return render.json(
        {
            "repo_id": repo_id,
            "branch_name": branch_name,
            "history": [records.history_item(one) for one in found.items],
            "count": len(found.items),
            "limit": limit,
            "next_cursor": cursors.after(found.next),
        }
    )
